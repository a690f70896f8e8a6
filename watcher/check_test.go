package watcher

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestColdBecomesHotByEvents(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		for range coldEvents {
			b.write(log0, 1)
		}
		b.wait()
		b.wantState("cold")
		b.write(log0, 1)
		b.wait()
		b.wantState("hot")
	})
}

func TestSlowWritesStayEvents(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		for range 100 {
			b.write(log0, 1)
			b.advance(time.Second / (coldEvents - 1))
			b.wantState("cold")
		}
		// One for the startup's sweep, its listing, and each write.
		if got := b.w.Stats().Checks; got > 102 {
			t.Errorf("%d checks for 100 writes: it was hot in between", got)
		}
	})
}

func TestQuietHotBecomesCold(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat()
		checks := b.w.Stats().Checks
		b.advance(time.Minute)
		b.wantState("cold")
		// One more in the end, after the watch is on.
		if got := b.w.Stats().Checks - checks; got != quietChecks+1 {
			t.Errorf("%d checks, want %d", got, quietChecks+1)
		}
	})
}

func TestColdAgainCountsItsEventsAnew(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat()
		b.advance(100 * time.Millisecond)
		b.wantState("cold")
		b.write(log0, 1)
		b.wait()
		b.wantState("cold")
	})
}

func TestWriteBetweenLastCheckAndWatchIsFound(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat()
		// What is written as the watch goes on has no event.
		b.n.added = func(string) {
			if err := os.Truncate(b.path(log0), limit); err != nil {
				t.Error(err)
			}
		}
		b.advance(time.Minute)
		b.wantDue(1)
	})
}

func TestFileMadeBetweenLastCheckAndWatchIsFound(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat()
		b.n.added = func(string) {
			b.n.added = nil
			if err := os.WriteFile(b.path("pod/c/1.log"), make([]byte, limit), 0o600); err != nil {
				t.Error(err)
			}
		}
		b.advance(time.Minute)
		if due := b.wantDue(1); due.Log != "1.log" {
			t.Errorf("reported %q", due.Log)
		}
	})
}

func TestNextCheckIsWhenTheLimitCouldBeReached(t *testing.T) {
	const second = int64(time.Second)
	for _, test := range []struct {
		name    string
		maxSize int64
		size    int64         // grown to
		before  int64         // from
		elapsed time.Duration // within
		want    time.Duration
	}{
		{"headroom at the assumed burst", 50e6, 10e6, 10e6 - 1, time.Second, 400 * time.Millisecond},
		{"headroom at a higher measured rate", 500e6, 200e6, 0, time.Second, maxCheck},
		{"a measured rate above the assumed one", 400e6, 300e6, 200e6, 500 * time.Millisecond, 500 * time.Millisecond},
		{"floor", 10e6, 10e6 - 1, 0, time.Second, minCheck},
		{"ceiling", 100 * second, 1, 0, time.Second, maxCheck},
	} {
		t.Run(test.name, func(t *testing.T) {
			withLog(t, Limits{MaxSize: test.maxSize}, func(b *bubble) {
				b.heat()
				d := b.dir()
				b.check(os.Truncate(b.path(log0), test.size))
				d.size, d.checked = test.before, time.Now().Add(-test.elapsed)
				b.l.check(d, CauseWrite)
				if got := time.Until(d.next); got != test.want {
					t.Errorf("next check in %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestNearLimitBacksOff(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MinInterval: time.Hour, MaxTotalSize: 4 * limit}, func(b *bubble) {
		// Held back and one byte from half of its total: it may not go cold.
		b.write(log0, limit)
		b.wantDue(1)
		b.check(os.Truncate(b.path(log0), 2*limit-1))
		b.done(Outcome{Rotated: limit})
		b.advance(time.Second)
		b.wantState("hot")
		checks := b.w.Stats().Checks
		b.advance(time.Second)
		longest := minCheck << maxBackoff
		if got, want := b.w.Stats().Checks-checks, uint64(time.Second/longest); got != want {
			t.Errorf("%d checks of a quiet log in a second, want %d, one in %v", got, want, longest)
		}
	})
}

func TestDueAtLimitExactly(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit-1)
		b.advance(time.Minute)
		b.wantDue(0)
		b.write(log0, 1)
		due := b.wantDue(1)
		want := Due{Dir: "pod/c", Log: "0.log", Cause: CauseWrite, Size: limit, Limit: limit}
		if due.Due != want {
			t.Errorf("reported %+v, want %+v", due.Due, want)
		}
		b.wantState("pending")
		// Reported once, whatever happens meanwhile.
		b.write(log0, limit)
		b.sweep(CauseSweep)
		b.advance(time.Minute)
		b.wantDue(0)
	})
}

func TestRotationOffIsNeverDueForItsSize(t *testing.T) {
	for _, max := range []int64{0, -1} {
		withLog(t, Limits{MaxSize: max}, func(b *bubble) {
			b.write(log0, 1e12)
			b.heat()
			b.sweep(CauseSweep)
			b.advance(time.Minute)
			b.wantDue(0)
			b.wantState("cold")
		})
	}
}

// rotated has the log rotated as whoever rotates would, in no time.
func (b *bubble) rotated() int64 {
	b.Helper()
	st, err := os.Stat(b.path(log0))
	b.check(err)
	b.check(os.Rename(b.path(log0), b.path(log0+"."+time.Now().Format("20060102-150405.000000000"))))
	b.check(os.WriteFile(b.path(log0), nil, 0o600))
	b.named("pod/c")
	return st.Size()
}

func TestMinIntervalHoldsBack(t *testing.T) {
	const interval = 10*time.Second + maxCheck/2
	withLog(t, Limits{MaxSize: limit, MinInterval: interval}, func(b *bubble) {
		b.write(log0, limit)
		first := b.wantDue(1)
		b.check(os.Truncate(b.path(log0), 50*limit)) // without a total, whatever its size
		b.done(Outcome{Rotated: limit})
		b.advance(interval - time.Nanosecond)
		b.wantDue(0)
		b.advance(time.Nanosecond)
		if got := b.wantDue(1).at.Sub(first.at); got != interval {
			t.Errorf("reported again after %v", got)
		}
	})
}

func TestTotalOverridesMinInterval(t *testing.T) {
	limits := Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}
	for _, test := range []struct {
		name       string
		rest, size int64
	}{
		{"live at half of it", 0, 5 * limit},
		{"total reached", 7 * limit, 3 * limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			withLog(t, limits, func(b *bubble) {
				b.write(log0+".20260101-000000", test.rest)
				b.advance(time.Second)
				b.write(log0, limit)
				b.wantDue(1)
				size := b.rotated()
				b.check(os.Remove(b.path(log0 + ".20260101-000000")))
				b.write(log0+".20260101-000000", max(0, test.rest-size))
				b.done(Outcome{Rotated: size})
				b.check(os.Truncate(b.path(log0), test.size-limit/1024))
				b.advance(time.Second)
				b.wantDue(0)
				b.check(os.Truncate(b.path(log0), test.size))
				b.advance(maxCheck)
				b.wantDue(1)
			})
		})
	}
}

func TestStaleTotalIsListedAnew(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.rotated()
		b.done(Outcome{Rotated: 8 * limit}) // which housekeeping makes 1 limit
		// It grows at each check, so that none looks at the directory.
		for range 2100 {
			b.write(log0, limit/1000)
			b.advance(time.Millisecond)
		}
		b.wantDue(0)
		b.wantState("hot")
		// The directory holds 1 limit in its other log: 4 more fit, not 9.
		b.check(os.Truncate(b.path(log0), 5*limit))
		b.advance(2 * maxCheck)
		b.wantDue(1)
	})
}

func TestMissingIsReportedAfterAPause(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.rename(log0, log0+".20260101-000000")
		b.advance(missingPause - time.Nanosecond)
		b.wantDue(0)
		b.advance(time.Nanosecond)
		if due := b.wantDue(1); due.Cause != CauseMissing || due.Log != "0.log" || due.Size != 0 {
			t.Errorf("reported %+v", due.Due)
		}
		b.done(Outcome{Failed: true})
		b.advance(firstRetry)
		if due := b.wantDue(1); due.Cause != CauseRetry {
			t.Errorf("cause %q", due.Cause)
		}
		b.write(log0, 0)
		b.done(Outcome{})
		b.advance(time.Minute)
		b.wantDue(0)
		b.wantState("cold")
	})
}

func TestMissingAfterAFailedTryIsReportedAtOnce(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		first := b.wantDue(1)
		b.rename(log0, log0+".20260101-000000")
		b.done(Outcome{Failed: true})
		b.advance(firstRetry)
		if got := b.wantDue(1).at.Sub(first.at); got != firstRetry {
			t.Errorf("reported after %v", got)
		}
	})
}

func TestBrieflyMissingIsNotReported(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		for range 5 {
			b.rename(log0, log0+".20260101-000000")
			b.advance(missingPause / 2)
			b.write(log0, 1)
			b.advance(missingPause)
		}
		b.wantDue(0)
	})
}

func TestOnlyRotatedLogsLeft(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.write("pod/c/3.log.20260101-000000", 1)
		b.sweep(CauseStartup)
		b.advance(missingPause)
		if due := b.wantDue(1); due.Cause != CauseMissing || due.Log != "3.log" {
			t.Errorf("reported %+v", due.Due)
		}
		b.done(Outcome{Ignore: true})
		b.advance(time.Minute)
		b.sweep(CauseSweep)
		b.wantDue(0)
		b.wantState("cold")
	})
}

func TestShrunkOrReplacedBySomebodyElse(t *testing.T) {
	for _, test := range []struct {
		name   string
		act    func(b *bubble)
		heldTo time.Duration
	}{
		{"truncated", func(b *bubble) { b.check(os.Truncate(b.path(log0), 0)) }, 0},
		{"shrunk", func(b *bubble) { b.check(os.Truncate(b.path(log0), 10)) }, 0},
		// Another rotator's rotation: its generation gets the interval too.
		{"replaced", func(b *bubble) { b.rotated() }, 10 * time.Second},
	} {
		for _, state := range []string{"cold", "hot"} {
			t.Run(test.name+" while "+state, func(t *testing.T) {
				withLog(t, Limits{MaxSize: limit, MinInterval: 10 * time.Second}, func(b *bubble) {
					b.write(log0, limit-100)
					if state == "hot" {
						b.heat()
					}
					test.act(b)
					b.sweep(CauseSweep)
					b.advance(maxCheck)
					b.wantDue(0)
					begin := time.Now()
					b.write(log0, limit)
					b.advance(test.heldTo + maxCheck)
					if got := b.wantDue(1).at.Sub(begin); got < test.heldTo-maxCheck || got > test.heldTo {
						t.Errorf("reported after %v, want about %v", got, test.heldTo)
					}
				})
			})
		}
	}
}

func TestUpdate(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name  string
		size  int64
		inode uint64
		grown bool
		rate  float64
	}{
		{"unchanged", 1000, 1, false, 0},
		{"grown", 1500, 1, true, 250},
		{"truncated, and grown since", 800, 1, true, 400},
		{"replaced", 2000, 2, true, 1000},
		{"replaced by a smaller one", 10, 2, true, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &logDir{size: 1000, inode: 1, checked: now.Add(-2 * time.Second)}
			grown, rate := d.update(&unix.Stat_t{Size: test.size, Ino: test.inode}, now)
			if grown != test.grown || rate != test.rate {
				t.Errorf("update = %t, %g, want %t, %g", grown, rate, test.grown, test.rate)
			}
		})
	}
}

func TestNotARegularFileIsNeverDue(t *testing.T) {
	withLog(t, Limits{MaxSize: 10}, func(b *bubble) {
		b.remove(log0)
		b.check(os.Symlink("/a/target/that/is/long/enough", b.path(log0)))
		b.sweep(CauseSweep)
		b.advance(time.Minute)
		b.wantDue(0)
	})
}

// TestOvershootOfJumpingRates writes at nothing or the most there is, changing
// at random, and measures how far the log is past its limit when reported.
func TestOvershootOfJumpingRates(t *testing.T) {
	const step = minCheck / 2
	const perStep = int64(assumedBurst * float64(step) / float64(time.Second))
	const maxSize = 10 << 20
	withLog(t, Limits{MaxSize: maxSize}, func(b *bubble) {
		rng := rand.New(rand.NewPCG(1, 2))
		var worst int64
		b.answer = func(d Due) Outcome {
			worst = max(worst, d.Size-d.Limit)
			return Outcome{Rotated: b.rotated()}
		}
		rotations := 0
		for second := range 6 {
			b.turn()
			on := second%2 == 0
			for range int(time.Second / step) {
				if rng.IntN(100) == 0 { // within the second too
					on = !on
				}
				if on {
					b.write(log0, perStep)
				}
				time.Sleep(step)
			}
			b.advance(time.Nanosecond)
			rotations += len(b.reports)
			b.reports = nil
		}
		// A quiet log's check may be minCheck << maxBackoff away.
		most := perStep * int64((minCheck<<maxBackoff)/step+1)
		if worst > most || rotations < 10 {
			t.Errorf("%d rotations, the worst %d bytes past the limit, want at most %d", rotations, worst, most)
		}
		t.Logf("%d rotations, at most %d bytes (%.2f %%) past the limit", rotations, worst, 100*float64(worst)/maxSize)
	})
}
