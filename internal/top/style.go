package top

import "charm.land/lipgloss/v2"

// paint styles a text.
type paint = func(...string) string

// styles use the terminal's own sixteen colors, which suit its background, light or
// dark. Color is never the only sign.
type styles struct {
	bold, faint, head, cursor, hot, trend, good, warn, bad paint
}

func newStyles() styles {
	base := lipgloss.NewStyle()
	return styles{
		bold: base.Bold(true).Render, faint: base.Faint(true).Render,
		head: base.Bold(true).Underline(true).Render, cursor: base.Reverse(true).Render,
		hot: base.Foreground(lipgloss.Yellow).Render, trend: base.Foreground(lipgloss.Cyan).Faint(true).Render,
		good: base.Foreground(lipgloss.Green).Render, warn: base.Foreground(lipgloss.Yellow).Render,
		bad: base.Foreground(lipgloss.Red).Bold(true).Render,
	}
}

// plainStyles are for what has a style as a whole.
var plainStyles = func() styles {
	p := lipgloss.NewStyle().Render
	return styles{p, p, p, p, p, p, p, p, p}
}()

// full is for a number against its limit; nil below it.
func (s styles) full(n, limit int64) paint {
	if share(n, limit) > 1.02 {
		return s.filled(n, limit)
	}
	return nil
}

// filled is for a bar.
func (s styles) filled(n, limit int64) paint {
	switch v := share(n, limit); {
	case v > 1.1:
		return s.bad
	case v > 1.02:
		return s.warn
	}
	return s.good
}

// over is for an overshoot.
func (s styles) over(n, limit int64) paint { return s.full(n+limit, limit) }
