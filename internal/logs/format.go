package logs

import (
	"encoding/binary"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/logwatch/logwatch/internal/crilog"
)

// format formats lines.
type format struct {
	json       bool
	timestamps bool
	rawEscapes bool

	head, file []byte // the JSON that is the same for all lines of a container and of a file
}

func newFormat(o Options, container string) format {
	f := format{json: o.JSON, timestamps: o.Timestamps, rawEscapes: o.RawEscapes}
	f.head = appendString([]byte(`,"namespace":`), o.Namespace)
	f.head = appendString(append(f.head, `,"pod":`...), o.Pod)
	f.head = appendString(append(f.head, `,"container":`...), container)
	return f
}

// text appends a line, without a prefix, with its newline.
func (f *format) text(dst []byte, l *crilog.Line) []byte {
	if f.json {
		return f.object(dst, l)
	}
	if f.timestamps && l.TimeText != nil {
		dst = append(append(dst, l.TimeText...), ' ')
	}
	if f.rawEscapes || harmless(l.Content) {
		dst = append(dst, l.Content...)
	} else {
		dst = appendEscaped(dst, l.Content)
	}
	return append(dst, '\n')
}

// from sets the file of the lines that come next.
func (f *format) from(restart uint64, file string) {
	if f.json {
		f.file = strconv.AppendUint(append(f.file[:0], `,"restart":`...), restart, 10)
		f.file = appendString(append(f.file, `,"file":`...), file)
	}
}

// object appends a line as a JSON object.
func (f *format) object(dst []byte, l *crilog.Line) []byte {
	if l.TimeText != nil { // it was parsed: it needs no escapes
		dst = append(append(append(dst, `{"time":"`...), l.TimeText...), `","stream":"`...)
		dst = append(append(dst, l.Stream...), '"')
	} else {
		dst = append(dst, `{"time":null,"stream":null`...)
	}
	dst = append(append(dst, f.head...), f.file...)
	if l.Partial {
		dst = append(dst, `,"cut":true`...)
	}
	dst = appendString(append(dst, `,"log":`...), l.Content)
	return append(dst, '}', '\n')
}

// harmless reports whether text is only printable ASCII and tabs. It checks many
// bytes at a time, since it is called with every byte of every log.
func harmless(text []byte) bool {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	// A byte is below 0x20 if subtracting that borrows, and is DEL if adding 1 sets its
	// high bit; bytes from 0x80 have theirs set. Neighbors may cause false positives:
	// these are checked byte by byte.
	for len(text) >= 32 {
		a, b := binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[8:])
		c, d := binary.LittleEndian.Uint64(text[16:]), binary.LittleEndian.Uint64(text[24:])
		found := (a - 0x20*ones) | (a + ones) | a | (b - 0x20*ones) | (b + ones) | b |
			(c - 0x20*ones) | (c + ones) | c | (d - 0x20*ones) | (d + ones) | d
		if found&high != 0 && !tabsOnly(text[:32]) {
			return false
		}
		text = text[32:]
	}
	for len(text) >= 8 {
		v := binary.LittleEndian.Uint64(text)
		if ((v-0x20*ones)|(v+ones)|v)&high != 0 && !tabsOnly(text[:8]) {
			return false
		}
		text = text[8:]
	}
	return tabsOnly(text)
}

func tabsOnly(text []byte) bool {
	for _, c := range text {
		if (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

// appendEscaped escapes, as Go does, what a terminal would act on: control
// characters except tab, and marks that change the direction of text. A carriage
// return at the end belongs to the newline. Bytes that are not UTF-8 are unchanged,
// unless an old terminal would take them for a control character.
func appendEscaped(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			if c := text[i]; c < 0xa0 {
				dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
			} else {
				dst = append(dst, c)
			}
		case r == '\t', r == '\r' && i == len(text)-1:
			dst = append(dst, byte(r))
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r):
			quoted := strconv.AppendQuoteRuneToASCII(nil, r)
			dst = append(dst, quoted[1:len(quoted)-1]...)
		default:
			dst = append(dst, text[i:i+n]...)
		}
		i += n
	}
	return dst
}

const hex = "0123456789abcdef"

// appendString appends a JSON string, and escapes what a terminal would act on.
// Invalid UTF-8 becomes U+FFFD: JSON cannot express it.
func appendString[T string | []byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, text[start:i]...)
			i++
			start = i
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(string(text[i:min(len(text), i+utf8.UTFMax)]))
		if (r == utf8.RuneError && n == 1) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			dst = append(dst, text[start:i]...)
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
			start = i + n
		}
		i += n
	}
	return append(append(dst, text[start:]...), '"')
}
