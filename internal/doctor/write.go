package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Formats are the forms in which a command may write a Report.
var Formats = []string{"table", "json"}

// WriteJSON writes r as JSON. Its keys do not change; more may come.
func WriteJSON(w io.Writer, r Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Table writes checks for people, as they come.
type Table struct {
	W     io.Writer
	Width int  // of the terminal; 0: none, and nothing is wrapped
	Color bool // ANSI's
}

// What a line needs to have everything in columns.
const (
	statusWidth = 4
	nameWidth   = 17 // the longest name
	indent      = 2 + statusWidth + nameWidth
	leastText   = 30
)

var colors = map[Status]string{OK: "32", Warn: "33", Fail: "31", Skip: "2"}

func (t Table) paint(s Status, text string) string {
	if !t.Color {
		return text
	}
	return "\x1b[" + colors[s] + "m" + text + "\x1b[0m"
}

// Check writes one. What is well has its summary alone.
func (t Table) Check(c Check) error {
	var b strings.Builder
	narrow := t.Width > 0 && t.Width < indent+leastText
	pad := strings.Repeat(" ", indent)
	if narrow {
		pad = "  "
		fmt.Fprintf(&b, "%s %s\n", t.paint(c.Status, string(c.Status)), c.Name)
		t.lines(&b, c.Summary, pad, pad)
	} else {
		head := fmt.Sprintf("%s %-*s ", t.paint(c.Status, fmt.Sprintf("%-*s", statusWidth, c.Status)), nameWidth, c.Name)
		t.lines(&b, c.Summary, head, pad)
	}
	if c.Status != OK {
		for l := range strings.SplitSeq(c.Detail, "\n") {
			t.lines(&b, l, pad, pad)
		}
		for i, l := range strings.Split(c.Fix, "\n") {
			if l == "" {
				continue
			}
			if i == 0 {
				fmt.Fprintf(&b, "%srun:\n", pad)
			}
			fmt.Fprintf(&b, "%s%s\n", pad, l) // not wrapped: to be copied
		}
	}
	_, err := io.WriteString(t.W, b.String())
	return err
}

// End writes how many of each there are, and where to begin.
func (t Table) End(r Report) error {
	var b strings.Builder
	count := fmt.Sprintf("%d ok, %s, %d failed, %d skipped", r.OK, plural(r.Warn, "warning"), r.Fail, r.Skip)
	fmt.Fprintln(&b)
	t.lines(&b, count, "", "")
	if first, ok := r.First(); ok {
		t.lines(&b, fmt.Sprintf("Begin with %s: %s", first.Name, first.Summary), "", "")
		fmt.Fprint(&b, first.Fix)
		if first.Fix != "" {
			fmt.Fprintln(&b)
		}
	}
	_, err := io.WriteString(t.W, b.String())
	return err
}

// First is the check to look at first: the first that failed, or else the first
// that warns.
func (r Report) First() (Check, bool) {
	for _, s := range []Status{Fail, Warn} {
		for _, c := range r.Checks {
			if c.Status == s {
				return c, true
			}
		}
	}
	return Check{}, false
}

// lines writes text behind first, and what does not fit on more lines behind pad.
// Words that are longer than a line stay whole: they may be paths.
func (t Table) lines(b *strings.Builder, text, first, pad string) {
	if text == "" {
		return
	}
	b.WriteString(first)
	room, used := t.Width-len(pad), 0
	for word := range strings.SplitSeq(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
		case t.Width > 0 && used+1+n > room:
			b.WriteString("\n" + pad)
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	b.WriteByte('\n')
}
