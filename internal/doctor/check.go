package doctor

import (
	"fmt"
	"strings"

	"github.com/logwatch/logwatch/internal/status"
)

// okay and the next three make a Check of a summary. What is text among args is
// escaped.
func okay(format string, args ...any) Check {
	return Check{Status: OK, Summary: text(format, args...)}
}

func warn(format string, args ...any) Check {
	return Check{Status: Warn, Summary: text(format, args...)}
}

func fail(format string, args ...any) Check {
	return Check{Status: Fail, Summary: text(format, args...)}
}

func skip(format string, args ...any) Check {
	return Check{Status: Skip, Summary: text(format, args...)}
}

// because adds a line to the detail.
func (c Check) because(format string, args ...any) Check {
	c.Detail = line(c.Detail, text(format, args...))
	return c
}

// mend adds a line to the commands; texts among args are quoted for the shell.
func (c Check) mend(format string, args ...any) Check {
	quoted := make([]any, len(args))
	for i, a := range args {
		quoted[i] = a
		if s, ok := a.(string); ok {
			quoted[i] = quote(s)
		}
	}
	return c.do(command(fmt.Sprintf(format, quoted...)))
}

// command is for a shell: whatever is in it from elsewhere was quoted.
type command string

// do adds commands as they are.
func (c Check) do(cs ...command) Check {
	for _, cmd := range cs {
		if cmd != "" {
			c.Fix = line(c.Fix, string(cmd))
		}
	}
	return c
}

func line(before, more string) string {
	if before == "" {
		return more
	}
	return before + "\n" + more
}

// text is Sprintf whose arguments cannot bring control characters with them.
func text(format string, args ...any) string {
	safe := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			safe[i] = status.Escape(a)
		case error:
			safe[i] = status.Escape(strings.ReplaceAll(a.Error(), "\n", "; "))
		case []string:
			safe[i] = status.Escape(strings.Join(a, ", "))
		case fmt.Stringer:
			safe[i] = status.Escape(a.String())
		default:
			safe[i] = a
		}
	}
	return fmt.Sprintf(format, safe...)
}

// plainWord is what a shell takes as it is.
const plainWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"

// quote makes one word of s for a POSIX shell; with control characters in it,
// for bash, zsh and ksh.
func quote(s string) string {
	switch {
	case s != "" && strings.Trim(s, plainWord) == "":
		return s
	case status.Escape(s) == s:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range []byte(s) {
		if strings.IndexByte(plainWord, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + "'"
}

// some joins the first few of many.
func some(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// plural is "1 file", "2 files"; many is for a word that is not just given an s.
func plural[N int | int64 | uint64](n N, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}
