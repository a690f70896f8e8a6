package top

import (
	"fmt"
	"strconv"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/health"
)

// details describe one container.
type details struct {
	key      identity
	row      *row // the last that is known of it
	answered bool // the policy is known
	stopped  time.Time
}

func newDetails(r *row) details { return details{key: r.key, row: r} }

// take updates the details from an answer about the container.
func (d *details) update(all []api.Container, at time.Time, l *list) {
	i := -1
	for j, c := range all {
		k := identity{c.Names, c.ID}
		if k == d.key {
			i = j
			break
		}
		if k.Names == d.key.Names {
			i = j // it was restarted
		}
	}
	if i < 0 {
		if d.stopped.IsZero() {
			d.stopped = at
		}
		d.answered = true
		return
	}
	c := all[i]
	if k := (identity{c.Names, c.ID}); k != d.key {
		label, width, lower := d.row.label, d.row.width, d.row.lower
		d.key, d.row = k, &row{key: k, label: label, width: width, lower: lower}
		if r := l.known[k]; r != nil {
			d.row = r
		}
	}
	d.row.update(c, at)
	d.answered, d.stopped = true, time.Time{}
}

// line is a line of the details: a label and its text.
type line struct {
	label, text string
	style       func(...string) string // nil: none
}

// lines are the whole text, at a width.
func (d *details) lines(width int, now time.Time, l glyphs, s styles) []string {
	var out []string
	add := func(in line) {
		const indent = 11
		label := pad(l.cut(in.label, indent-1), indent, false)
		if width < 3*indent { // on lines of their own
			if in.label != "" {
				out = append(out, s.faint(l.cut(in.label, width)))
			}
			label = ""
		}
		for i, part := range wrap(l.safe(in.text), max(1, width-len(label))) {
			if i > 0 {
				label = pad("", len(label), false)
			}
			if in.style != nil {
				part = in.style(part)
			}
			out = append(out, s.faint(label)+part)
		}
	}
	for _, in := range d.facts(now, l, s, width) {
		add(in)
	}
	out = append(out, "")
	return append(out, d.policy(width, l, s)...)
}

func (d *details) facts(now time.Time, l glyphs, s styles, width int) []line {
	c := d.row.Container
	var out []line
	if !d.stopped.IsZero() {
		out = append(out, line{"", "Not running since " + ago(d.stopped, now) + " at the latest. This is its last known state.", s.bad})
	}
	for _, f := range d.row.findings {
		if !f.Since.IsZero() {
			f.Text = ago(f.Since, now) + ": " + f.Text
		}
		out = append(out, line{f.Kind, f.Text, s.bad})
	}
	tracking := "watched: its directory is watched"
	if c.Polled {
		tracking = "polled: its size is checked on a timer"
	}
	size, total := display.Bytes(c.Size), display.Bytes(c.Total)+", files: "+strconv.Itoa(c.Files)
	if c.Limit > 0 {
		size += fmt.Sprintf(" of %s (%.0f%%)", display.Bytes(c.Limit), 100*float64(c.Size)/float64(c.Limit))
	} else {
		size += ", no limit: not rotated"
	}
	if c.MaxTotal > 0 {
		total = fmt.Sprintf("%s of %s, files: %d of %d", display.Bytes(c.Total), display.Bytes(c.MaxTotal), c.Files, c.MaxFiles)
	}
	out = append(out, line{"live log", size, nil}, line{"total", total, nil}, line{"rate", display.PerSecond(d.row.rate), nil})
	if l.unicode && width > 40 {
		out = append(out, line{"trend", spark(d.row.trend, min(len(d.row.trend), width-20)), s.trend})
	}
	if lag := health.Lag(c); lag != "" {
		out = append(out, line{"lag", lag + " not read by the slowest log reader", nil})
	}
	if w := health.Waiting(c, now); w != "" {
		out = append(out, line{"waits for", w, s.warn})
	}
	out = append(
		out, line{"written", display.Bytes(c.Written) + " since the daemon first saw it", nil}, line{"state", tracking, nil},
		line{"rotations", strconv.FormatUint(c.Rotations, 10), nil},
	)
	if r := c.LastRotation; r != nil {
		out = append(out, line{"last", fmt.Sprintf("%s, cause %s, at %s, overshoot %s, took %s, to %s",
			ago(r.Time, now), r.Cause, display.Bytes(r.Size), display.Bytes(r.Overshoot), display.Took(r.Seconds), r.To), nil})
	}
	return append(out, line{"file", c.Dir + "/" + c.Log, nil}, line{"id", c.ID, nil})
}

// policy is a table.
func (d *details) policy(width int, l glyphs, s styles) []string {
	if !d.answered {
		return []string{s.faint(l.cut("loading the policy"+l.ellipsis, width))}
	}
	rows := [][3]string{{"POLICY", "VALUE", "SOURCE"}}
	var widths [2]int
	for _, f := range d.row.Policy {
		rows = append(rows, [3]string{l.safe(f.Name), l.safe(f.Value), l.safe(f.Source)})
	}
	for _, r := range rows {
		for i := range widths {
			widths[i] = min(max(widths[i], ansi.StringWidth(r[i])), max(1, width/3-1))
		}
	}
	var out []string
	for i, r := range rows {
		text := pad(l.cut(r[0], widths[0]), widths[0]+1, false) + pad(l.cut(r[1], widths[1]), widths[1]+1, false)
		text = l.cut(text+l.cut(r[2], max(0, width-ansi.StringWidth(text))), width)
		if i == 0 {
			text = s.head(pad(text, width, false))
		}
		out = append(out, text)
	}
	return out
}

// ago is a time, and how long ago that was.
func ago(t, now time.Time) string {
	return t.Local().Format("2006-01-02 15:04:05") + " (" + display.Age(now.Sub(t)) + " ago)"
}
