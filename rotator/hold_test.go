package rotator

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestHold: a log that is due is left to grow until a size, a gap between two writes or
// a time.
func TestHold(t *testing.T) {
	line := int64(len(numberedLine(0)))
	for _, test := range []struct {
		name  string
		hold  Hold            // in lines
		write func(n int) int // lines before the nth stat
		lines int64           // of the rotated log, which has 20 before
	}{
		{"none", Hold{}, func(int) int { return 1 }, 20},
		{"until a size", Hold{Until: 40, Max: time.Hour}, func(int) int { return 1 }, 40},
		{"size reached before", Hold{Until: 20, Max: time.Hour}, func(int) int { return 1 }, 20},
		{"for a time", Hold{Until: 100, Max: 10 * gapPause}, func(int) int { return 1 }, 30},
		{"until a gap", Hold{Until: 100, Max: time.Hour}, func(n int) int { return map[bool]int{true: 1}[n <= 5] }, 25},
		{"a gap too early", Hold{Until: 40, Gap: 22, Max: time.Hour}, func(n int) int { return map[bool]int{true: 1}[n%10 == 0 || n > 25] }, 22},
		{"no gap", Hold{Until: 40, Max: time.Hour}, func(n int) int { return map[bool]int{true: 1}[n%gapPauses == 0] }, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := t.TempDir()
				rt := newRuntime(t, root, false)
				rt.write(20)
				r := newRotator(root, rt)
				n := 0
				r.pause = func(d time.Duration) {
					time.Sleep(d)
					n++
					rt.write(test.write(n))
				}
				req := request(1)
				req.Hold = Hold{Until: test.hold.Until * line, Gap: test.hold.Gap * line, Max: test.hold.Max}
				done, err := r.Rotate(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if done.Size != test.lines*line || done.Held != time.Duration(n)*gapPause {
					t.Errorf("%d lines after %v, want %d", done.Size/line, done.Held, test.lines)
				}
			})
		})
	}
}
