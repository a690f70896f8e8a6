package logs

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/crilog"
)

// FuzzLines: lines do not depend on where blocks end, and are what crilog's own
// reader makes of the same bytes.
func FuzzLines(f *testing.F) {
	f.Add([]byte(stamped(1)+"a\n"+stamped(2)+"b"), uint8(3))
	f.Add([]byte("0000-01-01T00:00:00.1Z stdout F before the zero time"), uint8(9))
	f.Add([]byte("no CRI\n\n2026-03-29T00:00:01Z stdout P a\n2026-03-29T00:00:01Z stderr F e\n2026-03-29T00:00:02Z stdout F b\n"), uint8(1))
	f.Add([]byte("2026-03-29T00:00:01Z stdout P a\n2026-03-29T00:00:02Z stdout P \n"), uint8(7))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		collect := func(size int) string {
			var b strings.Builder
			l := newLines(selection{}, func(r *crilog.Line) {
				fmt.Fprintf(&b, "%s %s %q %v\n", r.TimeText, r.Stream, r.Content, r.Partial)
			})
			for rest := in; len(rest) > 0; {
				n := min(size, len(rest))
				l.block(append([]byte(nil), rest[:n]...))
				rest = rest[n:]
			}
			l.end()
			return b.String()
		}
		whole := collect(len(in) + 1)
		if cut := collect(1 + int(size)); cut != whole {
			t.Errorf("%q in blocks of %d:\n%s\nwhole:\n%s", in, 1+int(size), cut, whole)
		}
		records := crilog.NewReader(strings.NewReader(string(in)))
		var joiner crilog.Joiner
		for {
			r, err := records.Next()
			if err != nil && r.Stream == "" {
				if err == io.EOF { //nolint:errorlint // Next's end
					break
				}
				continue
			}
			if text, whole := joiner.Add(r); whole && !strings.Contains(collect(len(in)+1), fmt.Sprintf("%s %q false", r.Stream, text)) {
				t.Errorf("%q has no line %q", in, text)
			}
		}
	})
}
