package demo

import (
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/linecheck"
)

// A line that was cut by a rotation may have lost its beginning to pruning; a
// line that is damaged anywhere else must show.
func TestFragmentsAtTheFront(t *testing.T) {
	const at = "2026-01-02T03:04:05Z "
	long := strings.Repeat("x", 10)
	front := at + "stdout P " + long + "\n" + at + "stdout F " + long + "\n" + at + "stderr F tail\n"
	for name, c := range map[string]struct {
		pruned       bool
		text         string
		lines, wrong uint64
	}{
		"pruned":               {true, front + linesTo5(3), 3, 0},
		"not pruned":           {false, front + linesTo5(3), 3, 2},
		"damage further on":    {true, front + linesTo5(3) + at + "stdout F " + long + "\n", 3, 1},
		"a second fragment":    {true, front + at + "stdout F " + long + "\n" + linesTo5(3), 3, 1},
		"whole from the start": {true, linesTo5(1), 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := lineChecker{pruned: c.pruned}
			if err := l.read(strings.NewReader(c.text)); err != nil {
				t.Fatal(err)
			}
			var lines, wrong uint64
			for _, s := range l.checker.Report().Streams {
				lines += s.Lines
				wrong += s.Corrupt
			}
			if lines != c.lines || wrong != c.wrong {
				t.Errorf("%d lines, %d damaged; want %d, %d", lines, wrong, c.lines, c.wrong)
			}
		})
	}
}

func linesTo5(from uint64) string {
	var b []byte
	for seq := from; seq <= 5; seq++ {
		b = append(b, "2026-01-02T03:04:05Z stdout F "...)
		b = append(linecheck.AppendLine(b, "stdout", seq, 60), '\n')
	}
	return string(b)
}
