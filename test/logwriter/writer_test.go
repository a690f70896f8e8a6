package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logwatch/logwatch/internal/linecheck"
)

// writeAll runs the command line to its end.
func writeAll(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	if err := run(t.Context(), append(args, "-linger=false"), &out, &errOut); err != nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String()
}

// lines are those that a stream must hold.
func lines(stream string, widths ...int) string {
	var b strings.Builder
	for i, width := range widths {
		b.Write(linecheck.AppendLine(nil, stream, uint64(i)+1, width))
		b.WriteByte('\n')
	}
	return b.String()
}

func TestLines(t *testing.T) {
	stdout, stderr := writeAll(t, "-lines=6", "-line=50", "-stderr-every=3", "-long-every=5")
	if want := lines("stdout", 50, 50, 50, longLine); stdout != want {
		t.Errorf("stdout = %d bytes, want %d: lines 1, 2, 4, 5 of which the last is long", len(stdout), len(want))
	}
	if want := lines("stderr", 50, 50); stderr != want {
		t.Errorf("stderr = %q, want %q", stderr, want)
	}
}

func TestNoFinalNewline(t *testing.T) {
	stdout, _ := writeAll(t, "-lines=2", "-line=50", "-no-final-newline")
	if want := strings.TrimSuffix(lines("stdout", 50, 50), "\n"); stdout != want {
		t.Errorf("stdout = %q, want %q", stdout, want)
	}
}

func TestRateAndBursts(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want time.Duration
	}{
		// 100 lines of 100 bytes with their newline.
		{[]string{"-rate=1000"}, 10 * time.Second},
		{[]string{"-rate=1000000"}, 10 * time.Millisecond},
		{[]string{"-rate=0"}, 0},
		// A second's 1000 bytes at a time, 9 pauses between 10 bursts.
		{[]string{"-rate=1000", "-on=1s", "-off=5s"}, 10*time.Second + 10*5*time.Second},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				writeAll(t, append(tt.args, "-line=99", "-lines=100")...)
				if got := time.Since(began); got < tt.want-tt.want/10 || got > tt.want+tt.want/10 {
					t.Errorf("took %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// TestStopsAtALineEnd: what is written after SIGTERM is whole lines, and a
// program that lingers ends.
func TestStopsAtALineEnd(t *testing.T) {
	for _, arg := range []string{"-rate=100000", "-rate=0", "-lines=10", "-pause"} {
		t.Run(arg, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var out bytes.Buffer
				// The cancel comes while lines are written, also where no time passes.
				stopper := writerFunc(func(p []byte) (int, error) {
					if out.Len() > 100_000 {
						cancel()
					}
					return out.Write(p)
				})
				time.AfterFunc(10*time.Second, cancel)
				if err := run(ctx, []string{arg}, stopper, io.Discard); err != nil {
					t.Fatal(err)
				}
				if ctx.Err() == nil {
					t.Error("ended before it was told to")
				}
				if s := out.String(); s != "" && !strings.HasSuffix(s, ".\n") {
					t.Errorf("the last line is cut: …%q", s[max(0, len(s)-20):])
				}
			})
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestNoBurstAfterAStall: a writer that was held up for minutes goes on at its
// rate.
func TestNoBurstAfterAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var atResume, after int
		out := writerFunc(func(p []byte) (int, error) {
			switch since := time.Since(synctestEpoch); {
			case atResume == 0 && since > time.Second:
				time.Sleep(5 * time.Minute)
				atResume = 1
			case atResume == 1 && since < 5*time.Minute+11*time.Second:
				after += len(p)
			}
			return len(p), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
		defer cancel()
		if err := run(ctx, []string{"-rate=1000"}, out, io.Discard); err != nil {
			t.Fatal(err)
		}
		if after > 12_000 {
			t.Errorf("%d bytes in the 10 s after the stall, want about 10000", after)
		}
	})
}

// synctestEpoch is when a bubble's clock begins.
var synctestEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"-rate=-1", "invalid -rate -1"},
		{"-line=0", "invalid -line 0"},
		{"-on=1s", "specify both"},
		{"-no-final-newline", "requires -lines"},
	} {
		err := run(t.Context(), []string{tt.arg}, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.arg, err, tt.want)
		}
	}
}

func TestWriteErrorNamesTheStream(t *testing.T) {
	broken := writerFunc(func([]byte) (int, error) { return 0, fmt.Errorf("no reader") })
	err := run(t.Context(), []string{"-lines=1"}, broken, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "write stdout up to line 1: no reader") {
		t.Errorf("error = %v", err)
	}
}
