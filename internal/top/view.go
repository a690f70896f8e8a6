package top

import (
	"fmt"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/health"
)

// part is a piece of the head.
type part struct {
	text  string
	style paint // nil: none
}

// arrange prepares what View shows, after each message.
func (m *model) arrange() {
	m.head, m.foot = m.header(), m.footer()
	switch m.page {
	case listPage:
		m.list.scroll(m.rowsHeight())
	case detailsPage:
		m.fillPager(m.details.lines(m.width, m.now, m.glyphs, m.style))
	case helpPage:
		m.fillPager(m.help())
	}
}

func (m *model) fillPager(lines []string) {
	m.pager.SetWidth(m.width)
	m.pager.SetHeight(max(0, m.bodyHeight()-1))
	m.pager.SetContentLines(lines)
}

// bodyHeight is what head and foot leave.
func (m *model) bodyHeight() int { return max(0, m.height-len(m.head)-len(m.foot)) }

// rowsHeight is what is left for rows below their titles, for which the smallest
// terminals have no room.
func (m *model) rowsHeight() int {
	if h := m.bodyHeight(); h > 1 {
		return h - 1
	}
	return m.bodyHeight()
}

// View is for Bubble Tea.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

// lines are the whole screen.
func (m *model) lines() []string {
	height := m.bodyHeight()
	var body []string
	switch {
	case m.page == listPage:
		body = m.tableLines(height)
	case height > 0:
		title := "Keys"
		if m.page == detailsPage {
			title = m.details.row.label
		}
		body = append(body, m.style.head(pad(m.glyphs.cutMiddle(title, m.width), m.width, false)))
		if height > 1 {
			body = append(body, strings.Split(m.pager.View(), "\n")...)
		}
	}
	for len(body) < height {
		body = append(body, "")
	}
	out := append(append(append([]string{}, m.head...), body[:min(len(body), height)]...), m.foot...)
	return out[:min(len(out), m.height)]
}

// header describes the node, in as many lines as there is room for. The last line
// is its problems.
func (m *model) header() []string {
	if m.height < 2 {
		return nil
	}
	text, style := m.problems()
	last := style(m.glyphs.cut(text, m.width))
	room := m.height/4 - 1
	if room <= 0 {
		return []string{last}
	}
	lines := m.flow(m.parts())
	if b := m.node.Budget; b != nil {
		lines = append(lines, m.budget())
	}
	return append(lines[:min(len(lines), room)], last)
}

func (m *model) parts() []part {
	n := m.node
	if m.good.IsZero() {
		return []part{{"logwatch top", m.style.bold}}
	}
	parts := []part{{"logwatch " + n.Version, m.style.bold}, {"up " + display.Age(m.now.Sub(n.Started)), nil}}
	if n.Waiting != "" {
		return parts
	}
	if n.Runtime.Reachable {
		parts = append(parts, part{"runtime ready", nil})
	} else {
		parts = append(parts, part{"runtime unreachable", m.style.bad})
	}
	var failed paint
	if n.Failures > 0 {
		failed = m.style.warn
	}
	containers := strconv.Itoa(len(m.list.known)) + " containers"
	if len(m.list.shown) != len(m.list.known) {
		containers = strconv.Itoa(len(m.list.shown)) + " of " + containers
	}
	parts = append(
		parts, part{containers, nil}, part{fmt.Sprintf("%d logs polled, %d watched", n.Polled, n.Watched), nil},
		part{fmt.Sprintf("%d rotations, %d failed", n.Rotations, n.Failures), failed},
	)
	if n.Backlog.Files > 0 {
		parts = append(parts, part{fmt.Sprintf("backlog %d files, %s", n.Backlog.Files, display.Bytes(n.Backlog.Bytes)), m.style.warn})
	} else {
		parts = append(parts, part{"no backlog", nil})
	}
	if n.Skipped > 0 || n.Rejected > 0 {
		parts = append(parts, part{fmt.Sprintf("skipped: %d, rejected annotations: %d", n.Skipped, n.Rejected), m.style.warn})
	}
	return parts
}

// flow puts parts on as few lines as they need.
func (m *model) flow(parts []part) (lines []string) {
	used := 0
	for _, p := range parts {
		text := m.glyphs.cut(m.glyphs.safe(p.text), m.width)
		width := ansi.StringWidth(text)
		if p.style != nil {
			text = p.style(text)
		}
		if len(lines) > 0 && used+2+width <= m.width {
			lines[len(lines)-1] += "  " + text
			used += 2 + width
			continue
		}
		lines = append(lines, text)
		used = width
	}
	return lines
}

func (m *model) budget() string {
	b := m.node.Budget
	text := fmt.Sprintf("%s of %s (%.0f%%)", display.Bytes(b.Usage), display.Bytes(b.Limit), 100*share(b.Usage, b.Limit))
	const label = "budget "
	width := min(40, m.width-len(label)-1-len(text))
	if width < 4 {
		return m.glyphs.cut(label+text, m.width)
	}
	full, rest := m.glyphs.bar(share(b.Usage, b.Limit), width)
	return label + m.style.filled(b.Usage, b.Limit)(full) + m.style.faint(rest) + " " + text
}

// problems are those of the daemon, or else of the containers, in one line.
func (m *model) problems() (string, paint) {
	switch {
	case m.good.IsZero():
		return "loading" + m.glyphs.ellipsis, m.style.faint
	case m.silent():
		text := fmt.Sprintf("last response %s (%s ago); retrying", m.good.Local().Format("15:04:05"), display.Age(m.now.Sub(m.good)))
		if m.err != nil {
			text += ": " + m.err.Error()
		}
		return m.glyphs.safe(text), m.style.bad
	}
	var all []string
	for _, p := range health.Daemon(m.node, m.now) {
		if all = append(all, p.What); p.Why != "" {
			all[len(all)-1] += ": " + p.Why
		}
	}
	if len(all) > 0 {
		return m.glyphs.safe(strings.Join(all, "; ")), m.style.bad
	}
	if m.list.failing > 0 {
		return fmt.Sprintf("errors: %d of %d containers (e lists them first)", m.list.failing, len(m.list.known)), m.style.warn
	}
	return "no problems", m.style.good
}

// nothing is the reason why no row is shown.
func (m *model) nothing() string {
	w := m.options.Which
	names := strings.TrimRight(w.Namespace+"/"+w.Pod+"/"+w.Container, "/")
	switch {
	case m.good.IsZero():
		return ""
	case m.node.Waiting != "":
		return "The daemon is starting."
	case len(m.list.known) > 0:
		return "No container's name contains " + m.glyphs.safe(m.list.filter) + ". Esc clears the filter."
	case names != "":
		return "No running container matches " + m.glyphs.safe(names) + "."
	}
	return "No running containers."
}

// footer is a line about the row under the cursor, and one of keys.
func (m *model) footer() []string {
	if m.height < 4 {
		return nil
	}
	keys := m.keyLine()
	if m.page != listPage || m.height < 8 {
		return []string{keys}
	}
	about := ""
	if r := m.list.selected(); r != nil {
		about = m.about(r)
	}
	return []string{about, keys}
}

// about is what the row's columns may have no room for.
func (m *model) about(r *row) string {
	name := m.glyphs.cutMiddle(r.label, max(m.width/2, min(m.width, 64)))
	text, style := "", m.style.faint
	switch r.worst() {
	case health.Failing, health.Skipped:
		text, style = r.findings[0].String(), m.style.bad
	case health.Annotation:
		text, style = r.findings[0].String(), m.style.warn
	default:
		text = "total " + display.Bytes(r.Total)
		if r.MaxTotal > 0 {
			text += " of " + display.Bytes(r.MaxTotal)
		}
		if last := r.LastRotation; last != nil {
			text += "; rotated " + display.Age(m.now.Sub(last.Time)) + " ago, cause " + last.Cause
		}
	}
	room := m.width - ansi.StringWidth(name) - 2
	if room <= 0 {
		return m.style.bold(name)
	}
	return m.style.bold(name) + "  " + style(m.glyphs.cut(m.glyphs.safe(text), room))
}

func (m *model) keyLine() string {
	keys := []string{"? help", "q quit"}
	switch {
	case m.filtering:
		keys = []string{"Enter keeps", "Esc clears"}
		m.input.SetWidth(max(1, min(m.width-2, 30)))
		return ansi.Truncate(m.input.View()+"  "+m.style.faint(strings.Join(keys, "  ")), m.width, "")
	case m.page == detailsPage, m.page == helpPage:
		keys = []string{"Esc back", "q quit", "? help", "↑↓ scroll"}
	default:
		keys = append(keys, "Enter details", "/ filter", "r rate", "s size", "o rotations", "n name", "e errors", "R reverse")
		if m.list.filter != "" {
			keys = append([]string{"filter " + m.glyphs.safe(m.list.filter) + " (Esc clears)"}, keys...)
		}
	}
	line := ""
	for _, k := range keys {
		if !m.glyphs.unicode {
			k = strings.ReplaceAll(k, "↑↓", "arrows")
		}
		if line != "" {
			k = "  " + k
		}
		if ansi.StringWidth(line+k) > m.width {
			break
		}
		line += k
	}
	return m.style.faint(line)
}

// help is the page of keys and marks.
func (m *model) help() []string {
	l := m.glyphs
	var out []string
	add := func(label, text string) {
		const indent = 9
		if m.width < 3*indent {
			out = append(out, m.style.bold(l.cut(label, m.width)))
			out = append(out, wrap(text, m.width)...)
			return
		}
		for i, part := range wrap(text, m.width-indent) {
			if i > 0 {
				label = ""
			}
			out = append(out, m.style.bold(pad(label, indent, false))+part)
		}
	}
	for _, b := range allKeys {
		label := b.Help().Key
		if !l.unicode {
			label = strings.NewReplacer("↑ ", "up ", "↓ ", "down ").Replace(label)
		}
		add(label, b.Help().Desc)
	}
	out = append(out, "")
	add(l.hot, "polled: the log is being written to, and its size is checked on a timer")
	add(l.cold, "watched: its directory is watched with inotify")
	add("!", "an error that lasts, or a log that is skipped: see its details")
	add("?", "a rejected annotation")
	add("RATE", "since the previous response; SIZE and LIMIT are of the live log")
	add("TOTAL", "of all its logs, and MAX their limit")
	add("OVER", "overshoot: bytes over the limit at the last rotation")
	return out
}
