package top

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/health"
)

// column is one of the table's.
type column struct {
	title string
	width int
	sorts order // the order that sorts by it; unsorted: none
	// rank is its turn when columns are chosen, from 1; the name must keep reserve
	// cells. It grows up to max cells.
	rank, reserve, max int
	// cell is the text, of width cells at most, and its style; nil: none. A bar
	// has a rest, which is always faint.
	cell func(r *row, width int) (text, rest string, style paint)
	left bool
}

const (
	gutter   = 4  // cells before the names: cursor, state, error and a blank
	minName  = 8  // cells of the name column that no other takes from it
	goodName = 20 // cells from which on columns are added
)

// columns are the table's, without the name, from left to right.
func (m *model) columns() []column {
	l, s := m.glyphs, m.style
	longest := max(goodName, m.list.width)
	trend := min(longest, goodName+12)
	if !l.unicode {
		trend = math.MaxInt
	}
	limit := func(bytes int64, none string) (text, rest string, style paint) { //nolint:unparam // a cell has a rest
		if bytes <= 0 {
			return none, "", s.faint
		}
		return display.Bytes(bytes), "", nil
	}
	last := func(cell func(r *row) (string, string, paint)) func(*row, int) (string, string, paint) {
		return func(r *row, _ int) (string, string, paint) {
			if r.LastRotation == nil {
				return "-", "", s.faint
			}
			return cell(r)
		}
	}
	return []column{
		{title: "SIZE", width: 5, sorts: bySize, rank: 1, reserve: minName, cell: func(r *row, _ int) (string, string, paint) {
			return display.Bytes(r.Size), "", s.full(r.Size, r.Limit)
		}},
		{width: 5, max: 16, rank: 8, reserve: goodName, left: true, cell: func(r *row, w int) (string, string, paint) {
			if r.Limit <= 0 {
				return "", "", nil
			}
			full, rest := l.bar(share(r.Size, r.Limit), w)
			return full, rest, s.filled(r.Size, r.Limit)
		}},
		{title: "LIMIT", width: 5, rank: 4, reserve: goodName, cell: func(r *row, _ int) (string, string, paint) { return limit(r.Limit, "off") }},
		{title: "RATE", width: 7, sorts: byRate, rank: 2, reserve: 12, cell: func(r *row, _ int) (string, string, paint) {
			if r.rate < 1 {
				return "0/s", "", s.faint
			}
			return display.PerSecond(r.rate), "", nil
		}},
		{width: 8, max: trendLength, rank: 12, reserve: trend, left: true, cell: func(r *row, w int) (string, string, paint) { return spark(r.trend, w), "", s.trend }},
		{title: "TOTAL", width: 5, rank: 5, reserve: goodName, cell: func(r *row, _ int) (string, string, paint) {
			return display.Bytes(r.Total), "", s.full(r.Total, r.MaxTotal)
		}},
		{title: "LAG", width: 5, rank: 6, reserve: goodName, cell: m.lag},
		{title: "MAX", width: 5, rank: 11, reserve: min(longest, goodName+8), cell: func(r *row, _ int) (string, string, paint) { return limit(r.MaxTotal, "-") }},
		{title: "FILES", width: 5, rank: 10, reserve: goodName, cell: func(r *row, _ int) (string, string, paint) {
			text := strconv.Itoa(r.Files)
			if r.MaxFiles > 0 {
				text += "/" + strconv.Itoa(r.MaxFiles)
			}
			return text, "", nil
		}},
		{title: "ROT", width: 5, sorts: byRotations, rank: 3, reserve: goodName, cell: func(r *row, w int) (string, string, paint) { return count(r.Rotations, w), "", nil }},
		{title: "LAST", width: 4, rank: 7, reserve: goodName, cell: last(func(r *row) (string, string, paint) {
			return display.Age(m.now.Sub(r.LastRotation.Time)), "", nil
		})},
		{title: "OVER", width: 5, rank: 9, reserve: goodName, cell: last(func(r *row) (string, string, paint) {
			return display.Bytes(r.LastRotation.Overshoot), "", s.over(r.LastRotation.Overshoot, r.Limit)
		})},
	}
}

// lag is the cell of what the slowest log reader has not read.
func (m *model) lag(r *row, _ int) (text, rest string, style paint) {
	if r.Lag < 0 {
		return "-", "", m.style.faint
	}
	return health.Lag(r.Container), "", nil
}

// fit returns the name's column and those for which there is room, the one that is
// sorted by first, with their widths. It depends only on the terminal and the longest
// name, so that columns do not move.
func (m *model) fit() []column {
	all, room := m.columns(), m.width-gutter
	turns := make([]*column, 0, len(all))
	for i := range all {
		c := &all[i]
		if c.sorts != unsorted && c.sorts == m.list.by {
			c.rank, c.reserve = 0, minName
		}
		turns = append(turns, c)
	}
	slices.SortFunc(turns, func(a, b *column) int { return a.rank - b.rank })
	taken := map[int]bool{} // by rank
	for _, c := range turns {
		if room-c.width-1 >= c.reserve {
			taken[c.rank] = true
			room -= c.width + 1
		}
	}
	longest := max(goodName, m.list.width)
	for i := range all {
		if more := min(all[i].max-all[i].width, room-longest); taken[all[i].rank] && more > 0 {
			all[i].width += more
			room -= more
		}
	}
	name := func(r *row, w int) (string, string, paint) { return m.glyphs.cutMiddle(r.label, w), "", nil }
	return append([]column{{title: "NAME", width: max(0, min(room, longest)), sorts: byName, cell: name, left: true}},
		slices.DeleteFunc(all, func(c column) bool { return !taken[c.rank] })...)
}

// tableLines are the titles and rows, for so many lines.
func (m *model) tableLines(height int) (lines []string) {
	columns := m.fit()
	if height > m.rowsHeight() {
		lines = append(lines, m.titleLine(columns))
	}
	if len(m.list.shown) == 0 {
		return append(lines, m.style.faint(m.glyphs.cut(m.nothing(), m.width)))
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
			mark := m.glyphs.down
			if m.list.reversed != (m.list.by == byName) {
				mark = m.glyphs.up
			}
			text += mark
		}
		titles = append(titles, pad(m.glyphs.cut(text, c.width), c.width, !c.left))
	}
	return m.style.head(pad(m.glyphs.cut(strings.Join(titles, " "), m.width), m.width, false))
}

// rowLine is a container's line. That of the cursor is of one style as a whole.
func (m *model) rowLine(r *row, columns []column, cursor bool) string {
	l, s := m.glyphs, m.style
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
	switch r.worst() {
	case health.Failing, health.Skipped:
		problem = s.bad("!")
	case health.Annotation:
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
