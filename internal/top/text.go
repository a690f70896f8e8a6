package top

import (
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/logwatch/logwatch/internal/display"
)

// glyphs are what the terminal can show.
type glyphs struct {
	unicode                               bool
	ellipsis, cursor, hot, cold, up, down string
}

func newGlyphs(unicode bool) glyphs {
	if unicode {
		return glyphs{true, "…", "▸", "●", "○", "▴", "▾"}
	}
	return glyphs{false, "~", ">", "*", "-", "^", "v"}
}

// maxCluster is how long a character with its combining marks may be, in bytes.
// Longer ones are not of any language, and overflow terminals' cells.
const maxCluster = 16

// safe makes text safe for one line: it is escaped as in the other commands, and so
// is every character that not all terminals give the same width, such as emoji with
// a selector, and what a terminal without Unicode cannot show.
func (l glyphs) safe(s string) string {
	s = display.Escape(s)
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		cluster, width := ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
		s = s[len(cluster):]
		if isASCII(cluster) || l.unicode && width > 0 && len(cluster) <= maxCluster && width == ansi.StringWidthWc(cluster) {
			b.WriteString(cluster)
			continue
		}
		for _, r := range cluster {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// cut shortens safe text to a width, at its end.
func (l glyphs) cut(s string, width int) string {
	if len(s) <= width || ansi.StringWidth(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	return ansi.Truncate(s, width, l.ellipsis)
}

// cutMiddle shortens safe text to a width so that its beginning and its end can be
// read: they distinguish the names of containers best.
func (l glyphs) cutMiddle(s string, width int) string {
	all := ansi.StringWidth(s)
	if all <= width {
		return s
	}
	if width < 5 {
		return l.cut(s, width)
	}
	head := (width - 1) / 2
	tail, drop := s, all-(width-1-head)
	for ansi.StringWidth(tail) > width-1-head { // again where a wide character is in the way
		tail = ansi.TruncateLeft(s, drop, "")
		drop++
	}
	return ansi.Truncate(s, head, "") + l.ellipsis + tail
}

// pad fills text with blanks up to a width; right puts them before it.
func pad(s string, width int, right bool) string {
	blanks := strings.Repeat(" ", max(0, width-ansi.StringWidth(s)))
	if right {
		return blanks + s
	}
	return s + blanks
}

// shades of a cell that is full in part.
var shades = []string{"", "░", "▒", "▓"}

// bar is share (1: all) of a width: the part that is full, and the rest.
func (l glyphs) bar(share float64, width int) (full, rest string) {
	share = max(0, min(share, 1))
	if !l.unicode {
		n := int(share*float64(width) + 0.5)
		return strings.Repeat("#", n), strings.Repeat(".", width-n)
	}
	n := int(share*float64(4*width) + 0.5)
	return strings.Repeat("█", n/4) + shades[n%4], strings.Repeat("░", width-(n+3)/4)
}

var sparks = []rune(" ▁▂▃▄▅▆▇█")

// spark draws the last values, the newest at the right, against their maximum.
func spark(values []float64, width int) string {
	values = values[max(0, len(values)-width):]
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	out := []rune(strings.Repeat(" ", width-len(values)))
	for _, v := range values {
		level := 0
		if v > 0 {
			level = 1 + int(v/top*float64(len(sparks)-2)+0.5)
		}
		out = append(out, sparks[level])
	}
	return string(out)
}

// wrap breaks safe text into lines.
func wrap(s string, width int) []string {
	return strings.Split(ansi.Wrap(s, max(1, width), ""), "\n")
}
