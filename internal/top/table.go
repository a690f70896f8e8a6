package top

import (
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/logwatch/logwatch/internal/status"
)

// column is one of the table's.
type column struct {
	title string
	width int
	sorts order // what it is the column of; -1: nothing
	// cell is the text, of width cells at most, and its style; nil: plain. A bar
	// has a rest, which is always faint.
	cell func(r *row, width int) (text, rest string, style paint)
	left bool
}

const (
	gutter   = 4  // cells before the names: cursor, state, error and a blank
	minName  = 8  // cells of the name column that no other takes from it
	goodName = 20 // cells from which on columns are added
)

func (m *model) columns() []column {
	l, s := m.look, m.style
	size := func(n int64) string { return status.Size(n) }
	name := column{"NAME", 0, byName, func(r *row, w int) (string, string, paint) { return l.cutMiddle(r.label, w), "", nil }, true}
	all := []column{
		{"SIZE", 5, bySize, func(r *row, _ int) (string, string, paint) { return size(r.Size), "", s.full(r.Size, r.Limit) }, false},
		{"", 5, -1, func(r *row, w int) (string, string, paint) {
			if r.Limit <= 0 {
				return "", "", nil
			}
			full, rest := l.bar(share(r.Size, r.Limit), w)
			return full, rest, s.filled(r.Size, r.Limit)
		}, true},
		{"LIMIT", 5, -1, func(r *row, _ int) (string, string, paint) {
			if r.Limit <= 0 {
				return "off", "", s.faint
			}
			return size(r.Limit), "", nil
		}, false},
		{"RATE", 7, byRate, func(r *row, _ int) (string, string, paint) {
			if r.rate < 1 {
				return "0/s", "", s.faint
			}
			return perSecond(r.rate), "", nil
		}, false},
		{"", 8, -1, func(r *row, w int) (string, string, paint) { return spark(r.trend, w), "", s.trend }, true},
		{"TOTAL", 5, -1, func(r *row, _ int) (string, string, paint) { return size(r.Total), "", s.full(r.Total, r.MaxTotal) }, false},
		{"MAX", 5, -1, func(r *row, _ int) (string, string, paint) {
			if r.MaxTotal <= 0 {
				return "-", "", s.faint
			}
			return size(r.MaxTotal), "", nil
		}, false},
		{"FILES", 5, -1, func(r *row, _ int) (string, string, paint) {
			text := strconv.Itoa(r.Files)
			if r.MaxFiles > 0 {
				text += "/" + strconv.Itoa(r.MaxFiles)
			}
			return text, "", nil
		}, false},
		{"ROT", 5, byRotations, func(r *row, w int) (string, string, paint) { return count(r.Rotations, w), "", nil }, false},
		{"LAST", 4, -1, func(r *row, _ int) (string, string, paint) {
			if r.LastRotation == nil {
				return "-", "", s.faint
			}
			return status.Age(m.now.Sub(r.LastRotation.Time)), "", nil
		}, false},
		{"OVER", 5, -1, func(r *row, _ int) (string, string, paint) {
			if r.LastRotation == nil {
				return "-", "", s.faint
			}
			return size(r.LastRotation.Overshoot), "", s.over(r.LastRotation.Overshoot, r.Limit)
		}, false},
	}
	return m.fit(name, all)
}

// Indexes into what columns makes.
const (
	colSize = iota
	colBar
	colLimit
	colRate
	colTrend
	colTotal
	colMax
	colFiles
	colRotations
	colLast
	colOver
)

// fit chooses the columns that there is room for, and their widths. It depends
// only on the terminal and the longest name, so that columns do not move.
func (m *model) fit(name column, all []column) []column {
	room := m.width - gutter
	var taken [colOver + 1]bool
	take := func(i, least int) {
		if !taken[i] && room-all[i].width-1 >= least {
			taken[i] = true
			room -= all[i].width + 1
		}
	}
	for i, c := range all { // what it is sorted by first
		if c.sorts == m.list.by {
			take(i, minName)
		}
	}
	take(colSize, minName)
	take(colRate, min(goodName, 12))
	for _, i := range []int{colRotations, colLimit, colTotal, colLast, colBar, colOver, colFiles} {
		take(i, goodName)
	}
	longest := max(goodName, m.list.width)
	take(colMax, min(longest, goodName+8))
	if m.look.unicode {
		take(colTrend, min(longest, goodName+12))
	}
	grow := func(i, most int) {
		if more := min(most-all[i].width, room-longest); taken[i] && more > 0 {
			all[i].width += more
			room -= more
		}
	}
	grow(colBar, 16)
	grow(colTrend, trendLength)
	name.width = max(0, min(room, longest))
	if gutter+name.width > m.width {
		name.width = max(0, m.width-gutter)
	}
	out := []column{name}
	for i, c := range all {
		if taken[i] {
			out = append(out, c)
		}
	}
	return out
}

// tableLines are the titles and rows, for so many lines.
func (m *model) tableLines(height int) (lines []string) {
	columns := m.columns()
	if height > m.rowsHeight() {
		lines = append(lines, m.titleLine(columns))
	}
	if len(m.list.shown) == 0 {
		return append(lines, m.style.faint(m.look.cut(m.nothing(), m.width)))
	}
	for i := m.list.top; i < len(m.list.shown) && len(lines) < height; i++ {
		lines = append(lines, m.rowLine(m.list.shown[i], columns, i == m.list.cursor))
	}
	return lines
}

func (m *model) titleLine(columns []column) string {
	titles := []string{pad("", min(gutter, m.width)-1, false)}
	for _, c := range columns {
		text := c.title
		if c.sorts == m.list.by {
			mark := m.look.down
			if m.list.reversed != (m.list.by == byName) {
				mark = m.look.up
			}
			text += mark
		}
		titles = append(titles, pad(m.look.cut(text, c.width), c.width, !c.left))
	}
	return m.style.head(pad(m.look.cut(strings.Join(titles, " "), m.width), m.width, false))
}

// rowLine is a container's line. That of the cursor is of one style as a whole.
func (m *model) rowLine(r *row, columns []column, cursor bool) string {
	l, s := m.look, m.style
	if cursor {
		s = plainStyles
	}
	mark, state, problem := " ", s.faint(l.cold), " "
	if cursor {
		mark = l.cursor
	}
	if r.Polled {
		state = s.hot(l.hot)
	}
	switch {
	case r.problem() != "":
		problem = s.bad("!")
	case len(r.Rejected) > 0:
		problem = s.warn("?")
	}
	line := mark + state + problem + " "
	for i, c := range columns {
		text, rest, style := c.cell(r, c.width)
		text = l.cut(text, c.width) // numbers that no log has
		blanks := pad("", c.width-ansi.StringWidth(text)-ansi.StringWidth(rest), false)
		if style != nil && !cursor {
			text = style(text)
		}
		if rest != "" {
			rest = s.faint(rest)
		}
		if i > 0 {
			line += " "
		}
		if c.left {
			line += text + rest + blanks
		} else {
			line += blanks + text + rest
		}
	}
	if m.width < gutter {
		line = ansi.Truncate(line, m.width, "")
	}
	if cursor {
		return m.style.cursor(pad(line, m.width, false))
	}
	return line
}

// share of a limit; 0 if there is none.
func share(n, of int64) float64 {
	if of <= 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// perSecond is a rate; one that no log has must not wrap around.
func perSecond(rate float64) string { return status.Size(int64(min(rate, 1<<62))) + "/s" }

// count is a number in few cells: 12345, 123k, 12M.
func count(n uint64, width int) string {
	text := strconv.FormatUint(n, 10)
	for _, unit := range []string{"k", "M", "G", "T", "P"} {
		if len(text) <= width {
			break
		}
		n /= 1000
		text = strconv.FormatUint(n, 10) + unit
	}
	return text
}
