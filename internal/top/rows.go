package top

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/health"
)

// trendLength is how many rates are kept of each container.
const trendLength = 60

// identity identifies a container. A restarted container has another ID.
type identity struct {
	api.Names
	id string
}

// row is a container in the list.
type row struct {
	api.Container
	key   identity
	label string // its names, safe to be shown
	width int    // of label, in cells
	lower string // label, to be filtered by

	findings []health.Finding // the worst first
	rate     float64          // bytes a second
	trend    []float64
	taken    time.Time // when Container was answered
}

func newRow(c api.Container, l glyphs) *row {
	label := l.safe(c.Namespace + "/" + c.Pod + "/" + c.Names.Container)
	return &row{key: identity{c.Names, c.ID}, label: label, width: ansi.StringWidth(label), lower: strings.ToLower(label)}
}

// take updates the row from an answer.
func (r *row) update(c api.Container, at time.Time) {
	r.rate = rateOf(r.Container, c, at.Sub(r.taken), r.taken.IsZero())
	if len(r.trend) == trendLength {
		copy(r.trend, r.trend[1:])
		r.trend = r.trend[:trendLength-1]
	}
	r.trend = append(r.trend, r.rate)
	r.Container, r.findings, r.taken = c, health.Container(c), at
}

// rateOf is how fast a log grew between two answers. The daemon knows its own rate
// from sweep to sweep, which is too slow to watch.
func rateOf(before, c api.Container, elapsed time.Duration, first bool) float64 {
	if first || elapsed <= 0 {
		return c.Rate
	}
	grown := c.Size - before.Size
	if c.Rotations > before.Rotations && c.LastRotation != nil {
		grown += c.LastRotation.Size
		// The sizes of those between are unknown: at least their limit.
		grown += int64(min(c.Rotations-before.Rotations-1, 1<<20)) * c.Limit
	}
	if grown < 0 || c.Rotations < before.Rotations {
		return c.Rate
	}
	return float64(grown) / elapsed.Seconds()
}

// worst is the kind of the worst finding; "": none.
func (r *row) worst() string {
	if len(r.findings) == 0 {
		return ""
	}
	return r.findings[0].Kind
}

// order is what the list is sorted by.
type order int

const (
	unsorted order = iota
	byRate
	bySize
	byRotations
	byProblem
	byName
)

// sortRows sorts, the largest first, names from the beginning of the alphabet.
// What is equal is in the order of names: rows must not jump without a reason.
func sortRows(rows []*row, by order, reversed bool) {
	slices.SortFunc(rows, func(a, b *row) int {
		n := 0
		switch by {
		case byRate:
			n = cmp.Compare(b.rate, a.rate)
		case bySize:
			n = cmp.Compare(b.Size, a.Size)
		case byRotations:
			n = cmp.Compare(b.Rotations, a.Rotations)
		case byProblem:
			n = cmp.Compare(ranks[b.worst()], ranks[a.worst()])
		case byName:
			n = cmp.Compare(a.label, b.label)
		}
		if reversed {
			n = -n
		}
		return cmp.Or(n, cmp.Compare(a.label, b.label), cmp.Compare(a.ID, b.ID))
	})
}

// ranks are how severe kinds of findings are.
var ranks = map[string]int{health.Failing: 3, health.Skipped: 2, health.Annotation: 1}

// list is all containers that are known, and those that are shown.
type list struct {
	known   map[identity]*row
	shown   []*row
	width   int // the widest label's of all
	failing int // how many are failing or skipped

	by       order
	reversed bool
	filter   string

	// cursor is the row that the keys act on, and at its container. Before the
	// cursor was moved there is no such container: it stays at the top.
	cursor int
	at     *identity
	top    int // the first row on the screen
}

// take updates the list from an answer about all containers.
func (l *list) update(all []api.Container, at time.Time, glyphs glyphs) {
	known := make(map[identity]*row, len(all))
	l.width, l.failing = 0, 0
	for _, c := range all {
		k := identity{c.Names, c.ID}
		r := l.known[k]
		if r == nil {
			r = newRow(c, glyphs)
		}
		r.update(c, at)
		known[k] = r
		l.width = max(l.width, r.width)
		if ranks[r.worst()] > ranks[health.Annotation] {
			l.failing++
		}
	}
	l.known = known
	l.arrange()
}

// arrange filters and sorts.
func (l *list) arrange() {
	l.shown = l.shown[:0]
	want := strings.ToLower(l.filter)
	for _, r := range l.known {
		if strings.Contains(r.lower, want) {
			l.shown = append(l.shown, r)
		}
	}
	sortRows(l.shown, l.by, l.reversed)
	l.cursor = min(l.cursor, max(0, len(l.shown)-1))
	switch {
	case l.at == nil:
		l.cursor = 0
	case len(l.shown) > 0:
		if i := find(l.shown, *l.at); i >= 0 {
			l.cursor = i
		}
		l.at = &l.shown[l.cursor].key
	}
}

// find returns the index of a container, or of the one that took its place.
func find(rows []*row, k identity) int {
	if i := slices.IndexFunc(rows, func(r *row) bool { return r.key == k }); i >= 0 {
		return i
	}
	return slices.IndexFunc(rows, func(r *row) bool { return r.key.Names == k.Names })
}

// move puts the cursor on a row, with whose container it stays from now on.
func (l *list) move(to int) {
	if len(l.shown) > 0 {
		l.cursor = max(0, min(to, len(l.shown)-1))
		l.at = &l.shown[l.cursor].key
	}
}

// rewind puts the cursor at the top, where it stays.
func (l *list) rewind() { l.cursor, l.at = 0, nil }

// scroll makes the cursor visible on so many lines.
func (l *list) scroll(lines int) {
	l.top = min(l.top, l.cursor, max(0, len(l.shown)-lines))
	l.top = max(l.top, l.cursor-lines+1, 0)
}

// selected is the row under the cursor; nil: there is none.
func (l *list) selected() *row {
	if l.cursor >= len(l.shown) {
		return nil
	}
	return l.shown[l.cursor]
}
