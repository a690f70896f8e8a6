package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/logwatch/logwatch/internal/display"
)

// found returns a Check with its summary. Texts among args are escaped.
func found(s Status, format string, args ...any) Check {
	return Check{Status: s, Summary: text(format, args...)}
}

// detail adds a line to the detail. Texts among args are escaped.
func (c Check) detail(format string, args ...any) Check {
	c.Detail = line(c.Detail, text(format, args...))
	return c
}

// cause adds the error that a Check is about, if any.
func (c Check) cause(err error) Check {
	if err == nil {
		return c
	}
	c.err = err
	for l := range strings.SplitSeq(err.Error(), "\n") {
		c = c.detail("%s", l)
	}
	return c
}

// command is for a shell: what comes from elsewhere is quoted.
type command string

// fix adds a line of commands. Strings among args are quoted, commands are not.
func (c Check) fix(format string, args ...any) Check {
	quoted := make([]any, len(args))
	for i, a := range args {
		quoted[i] = a
		if s, ok := a.(string); ok {
			quoted[i] = quote(s)
		}
	}
	return c.run(command(fmt.Sprintf(format, quoted...)))
}

// run adds lines of commands.
func (c Check) run(cs ...command) Check {
	for _, cmd := range cs {
		c.Fix = line(c.Fix, string(cmd))
	}
	return c
}

func line(before, more string) string {
	if before == "" || more == "" {
		return before + more
	}
	return before + "\n" + more
}

// text is Sprintf with arguments whose control characters are escaped.
func text(format string, args ...any) string {
	safe := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case int, int64, uint64:
			safe[i] = a
		case error:
			safe[i] = display.Escape(strings.ReplaceAll(a.Error(), "\n", "; "))
		default:
			safe[i] = display.Escape(fmt.Sprint(a))
		}
	}
	return fmt.Sprintf(format, safe...)
}

// unquoted are the characters without a meaning to a shell.
const unquoted = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"

// quote returns s as one word for a POSIX shell; with control characters in it, for
// bash, zsh and ksh.
func quote(s string) string {
	switch {
	case s != "" && strings.Trim(s, unquoted) == "":
		return s
	case display.Escape(s) == s:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range []byte(s) {
		if strings.IndexByte(unquoted, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + "'"
}

// firstFew joins some of many.
func firstFew(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// Formats are the output formats of a Report.
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

// Table writes checks as text, one after the other.
type Table struct {
	W     io.Writer
	Width int  // of the terminal; 0: not a terminal, and nothing is wrapped
	Color bool // ANSI's
}

const (
	nameWidth = 17 // the longest name
	indent    = len("fail ") + nameWidth + len(" ")
	minText   = 30 // columns of text; with fewer the name has a line of its own
)

var colors = map[Status]string{OK: "32", Warn: "33", Fail: "31", Skip: "2"}

// Check writes one. What is ok has its summary only.
func (t Table) Check(c Check) error {
	var b strings.Builder
	head, pad := fmt.Sprintf("%-4s %-*s ", c.Status, nameWidth, c.Name), strings.Repeat(" ", indent)
	if t.Width > 0 && t.Width < indent+minText {
		pad = "  "
		head = fmt.Sprintf("%s %s\n%s", c.Status, c.Name, pad)
	}
	if word, rest, ok := strings.Cut(head, " "); ok && t.Color {
		head = "\x1b[" + colors[c.Status] + "m" + word + "\x1b[0m " + rest
	}
	b.WriteString(t.wrap(c.Summary, head, pad))
	if c.Status != OK {
		for l := range strings.Lines(c.Detail) {
			b.WriteString(t.wrap(strings.TrimSuffix(l, "\n"), pad, pad))
		}
		if c.Fix != "" { // not wrapped: to be copied
			fmt.Fprintf(&b, "%sFix:\n%[1]s%s\n", pad, strings.ReplaceAll(c.Fix, "\n", "\n"+pad))
		}
	}
	_, err := io.WriteString(t.W, b.String())
	return err
}

// End writes the counts, and which check to start with.
func (t Table) End(r Report) error {
	out := "\n" + t.wrap(fmt.Sprintf("%d ok, %s, %d failed, %d skipped", r.OK, display.Plural(r.Warn, "warning"), r.Fail, r.Skip), "", "")
	if first, ok := r.First(); ok {
		out += t.wrap(fmt.Sprintf("Start with %s: %s", first.Name, first.Summary), "", "")
		if first.Fix != "" {
			out += first.Fix + "\n"
		}
	}
	_, err := io.WriteString(t.W, out)
	return err
}

// wrap returns lines of text: head before the first, pad before the others. Words
// that are longer than a line stay whole: they may be paths.
func (t Table) wrap(text, head, pad string) string {
	out, room, used := head, t.Width-len(pad), 0
	for word := range strings.SplitSeq(text, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
		case t.Width > 0 && used+1+n > room:
			out += "\n" + pad
			used = 0
		default:
			out += " "
			used++
		}
		out += word
		used += n
	}
	return out + "\n"
}
