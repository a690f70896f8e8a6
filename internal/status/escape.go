package status

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape makes any text safe for one line on a terminal: what is not printable is
// written as in Go, \n or \u202e. A backslash is unchanged.
func Escape(s string) string {
	if !hasUnprintable(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}

func hasUnprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// escapeJSON writes as \u what is not printable in a JSON document: its encoder
// leaves DEL, the C1 controls and direction marks unescaped. All of these are within
// strings.
func escapeJSON(doc []byte) []byte {
	return replaceUnprintable(doc, func(b *strings.Builder, r rune) {
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		} else {
			fmt.Fprintf(b, `\u%04x`, r)
		}
	})
}

// escapeStrings escapes as Escape does, so that the parsed document contains the
// backslashes.
func escapeStrings(doc []byte) []byte {
	return replaceUnprintable(doc, func(b *strings.Builder, r rune) {
		b.WriteString(`\`)
		b.WriteString(Escape(string(r)))
	})
}

func replaceUnprintable(doc []byte, with func(*strings.Builder, rune)) []byte {
	var b strings.Builder
	b.Grow(len(doc))
	for _, r := range string(doc) {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			with(&b, r)
		}
	}
	return []byte(b.String())
}
