package watcher

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDueAtLimitExactly(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit-1)
		b.advance(time.Minute)
		b.wantDue(0)
		b.write(log0, 1)
		due := b.wantDue(1)
		want := Due{Dir: "pod/c", Log: "0.log", Cause: CauseWrite, Size: limit, Limit: limit, Growing: due.Growing}
		if due.Due != want {
			t.Errorf("reported %+v, want %+v", due.Due, want)
		}
		b.wantState("hot") // and still observed
	})
}

// TestDueIsReportedByCheck: the container of a log that was due may not have been known.
func TestDueIsReportedByCheck(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		b.advance(reportPause / 10)
		b.wantDue(1)
		b.write(log0, 1)
		b.checkDir()
		if due := b.wantDue(1); due.Size != limit+1 {
			t.Errorf("reported %+v", due.Due)
		}
		b.advance(reportPause / 2)
		b.wantDue(0)
	})
}

// TestCheckBeforeGrowth: a log that has not grown yet when a check is requested is reported soon after
// it has.
func TestCheckBeforeGrowth(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat()
		b.reports = nil
		b.write(log0, limit)
		for len(b.reports) == 0 {
			b.advance(time.Millisecond)
		}
		b.wantDue(1)
		b.checkDir()
		b.write(log0, 1)
		b.advance(2 * maxRateWindow)
		b.wantDue(1)
	})
}

// TestDueIsReportedByEverySweep: nothing that was reported before, and nothing
// that became of it, keeps a sweep from reporting a log that is due.
func TestDueIsReportedByEverySweep(t *testing.T) {
	for name, before := range map[string]func(b *bubble){
		"not acted on": func(*bubble) {},
		"hot": func(b *bubble) {
			for range 100 {
				b.write(log0, 1)
				b.advance(20 * time.Millisecond)
			}
			b.wantState("hot")
			b.reports = nil
			b.sweep(CauseSweep)
			if due := b.wantDue(1); due.Cause != CauseSweep {
				b.Errorf("while hot: reported %+v", due.Due)
			}
		},
		"cold": func(b *bubble) { b.advance(time.Minute); b.wantState("cold") },
		"checked on request": func(b *bubble) {
			for range 10 {
				b.checkDir()
			}
		},
		"exchanged and exchanged back": func(b *bubble) {
			undo := b.exchange()
			b.checkDir()
			undo()
			b.checkDir()
		},
		"a new file under the name": func(b *bubble) {
			b.check(os.Remove(b.path(log0)))
			b.check(os.WriteFile(b.path(log0), make([]byte, 50*limit), 0o600))
			b.named("pod/c")
		},
		"the directory created again": func(b *bubble) {
			b.check(os.RemoveAll(b.path("pod/c"))) // with no event
			delete(b.n.watches, b.path("pod/c"))
			b.unseen = true
			b.check(os.Mkdir(b.path("pod/c"), 0o755))
			b.check(os.WriteFile(b.path(log0), make([]byte, 50*limit), 0o600))
			b.named("pod/c")
		},
		"a foreign file with a higher number": func(b *bubble) {
			b.write("pod/c/1.log.bak", 1)
			b.write("pod/c/2.log.1", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
				b.write(log0, limit)
				b.wantDue(1)
				before(b)
				b.advance(time.Minute)
				b.wait()
				b.reports = nil
				for range 12 {
					b.sweep(CauseSweep)
					if due := b.wantDue(1); due.Log != "0.log" || due.Cause != CauseSweep || due.Size < limit {
						t.Fatalf("reported %+v", due.Due)
					}
					b.unseen = false
					b.advance(10 * time.Second)
					b.wantDue(0) // it is quiet
				}
			})
		})
	}
}

// TestDueThatGrowsIsReportedAtItsPace: a log that stays due is reported again,
// and neither a flood of writes nor of checks makes a flood of reports.
func TestDueThatGrowsIsReportedAtItsPace(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		for range 10_000 {
			b.write(log0, 100)
			b.advance(time.Millisecond)
		}
		b.wait()
		want := reportPause
		for i := 1; i < len(b.reports); i++ {
			if got := b.reports[i].at.Sub(b.reports[i-1].at); got < want || got > want+minCheck {
				t.Errorf("report %d after %v, want %v", i, got, want)
			}
			want = min(2*want, maxReportPause)
		}
		if n := len(b.reports); n < 12 || n > 13 {
			t.Errorf("%d reports in 10 s", n)
		}
		if last := b.reports[len(b.reports)-1]; !last.Growing || last.Cause != CauseWrite {
			t.Errorf("reported %+v", last.Due)
		}
		b.checkDir() // reports what it has grown by
		b.reports = nil
		for range 1000 {
			b.w.Check("pod/c")
			b.wait()
		}
		b.wantDue(0)
	})
}

func TestDueAndQuietBecomesCold(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.advance(time.Minute)
		b.wantDue(0)
		b.wantState("cold")
		checks := b.w.Stats().Checks
		b.advance(time.Hour)
		if got := b.w.Stats().Checks - checks; got != 0 {
			t.Errorf("%d checks in an hour", got)
		}
		b.write(log0, 1) // an event
		b.wantDue(1)
	})
}

func TestDueAndSlowlyWrittenIsReportedOnceASecond(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		for range 600 {
			b.write(log0, 1)
			b.advance(200 * time.Millisecond)
		}
		if n := len(b.reports); n < 100 || n > 125 {
			t.Errorf("reported %d times in 2 minutes", n)
		}
	})
}

// TestReportsStartOver: the pace of one log's reports does not hold for the next.
func TestReportsStartOver(t *testing.T) {
	for name, next := range map[string]func(b *bubble){
		"exchanged": func(b *bubble) { b.exchange() },
		"renamed":   func(b *bubble) { b.rotated() },
		"truncated": func(b *bubble) { b.check(os.Truncate(b.path(log0), 0)) },
		"restarted": func(b *bubble) { b.check(os.Rename(b.path(log0), b.path("pod/c/1.log"))); b.named("pod/c") },
	} {
		t.Run(name, func(t *testing.T) {
			withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
				b.write(log0, limit)
				for range 5000 {
					b.write(log0, 1)
					b.advance(time.Millisecond)
				}
				b.reports = nil
				next(b)
				if name == "truncated" {
					b.checkDir()
				}
				if name != "restarted" {
					b.check(os.Truncate(b.path(log0), 2*limit))
				}
				begin := time.Now()
				b.checkDir()
				if got := b.wantDue(1).at; !got.Equal(begin) {
					t.Errorf("reported after %v", got.Sub(begin))
				}
			})
		})
	}
}

// TestRotationIsSeenWithoutCheck: a rotation by any rotator is noticed soon.
func TestRotationIsSeenWithoutCheck(t *testing.T) {
	for _, form := range []string{"exchanged", "renamed"} {
		withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
			b.write(log0, limit)
			b.wantDue(1)
			if form == "exchanged" {
				b.exchange()
			} else {
				b.rotated()
			}
			b.check(os.Truncate(b.path(log0), 3*limit))
			begin := time.Now()
			b.advance(2 * reportPause)
			if due := b.wantDue(1); due.Size != 3*limit || due.at.Sub(begin) > reportPause {
				t.Errorf("%s: reported %+v after %v", form, due.Due, due.at.Sub(begin))
			}
		})
	}
}

func TestCheckReadsLimitsOfOneDirectory(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write("pod/d/0.log", 100)
		b.write(log0, 100)
		b.advance(time.Second)
		b.sweep(CauseSweep)
		b.advance(time.Minute)
		b.turn()
		b.listings, b.changed = 0, nil
		sweeps := b.w.Stats().Sweeps
		b.limits = Limits{MaxSize: 100}
		b.checkDir()
		if due := b.wantDue(1); due.Dir != "pod/c" || due.Limit != 100 {
			t.Errorf("reported %+v", due.Due)
		}
		if b.listings > 2 || b.w.Stats().Sweeps != sweeps || len(b.changed) != 0 {
			t.Errorf("%d times limits, %d sweeps, Changed %q", b.listings, b.w.Stats().Sweeps-sweeps, b.changed)
		}
	})
}

// TestCheckLooksUpAnUnknownDirectory: the runtime may know of a container before
// any event or sweep.
func TestCheckLooksUpAnUnknownDirectory(t *testing.T) {
	for _, pod := range []string{"pod", "other"} {
		withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
			dir := pod + "/d"
			b.check(os.MkdirAll(b.path(dir), 0o755)) // no event
			b.check(os.WriteFile(b.path(dir+"/7.log"), make([]byte, limit), 0o600))
			b.turn()
			for _, wrong := range []string{"", "pod", "no/such", "../pods", "pod/..", "pod/c/0.log", "/etc/ssl"} {
				b.w.Check(wrong)
			}
			b.wantDue(0)
			b.w.Check(dir)
			if due := b.wantDue(1); due.Dir != dir || due.Log != "7.log" {
				t.Errorf("reported %+v", due.Due)
			}
			if n := len(b.l.dirs); n != 2 {
				t.Errorf("%d directories are tracked: %v", n, b.l.dirs)
			}
		})
	}
}

func TestNothingOfTheLastRestartHoldsForTheNext(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.exchange()
		b.advance(time.Minute)
		b.write("pod/c/1.log", limit)
		b.advance(time.Second)
		if due := b.wantDue(1); due.Log != "1.log" {
			t.Errorf("reported %q", due.Log)
		}
		b.advance(time.Minute)
		b.write("pod/c/2.log.20260101-000000", limit) // and no live one
		b.sweep(CauseSweep)
		b.reports = nil
		b.advance(missingPause)
		if due := b.wantDue(1); due.Log != "2.log" || due.Cause != CauseMissing {
			t.Errorf("reported %+v", due.Due)
		}
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

func TestNotARegularFileIsNeverDue(t *testing.T) {
	withLog(t, Limits{MaxSize: 10}, func(b *bubble) {
		b.remove(log0)
		b.check(os.Symlink("/a/target/that/is/long/enough", b.path(log0)))
		b.sweep(CauseSweep)
		b.advance(time.Minute)
		b.wantDue(0)
	})
}

// TestFirstBurst: the first log of a container that is written faster than any log was, and one that was
// quiet for long, are reported at their limit.
func TestFirstBurst(t *testing.T) {
	const step = minCheck / 10 // the watch is removed before the rate is known
	const perStep = int64(1.2 * minBurst * float64(step) / float64(time.Second))
	const maxSize = 10 << 20
	withLog(t, Limits{MaxSize: maxSize}, func(b *bubble) {
		for range 2 {
			reported := make(chan int64, 1)
			b.turn()
			b.rotate = func(d Due) {
				b.rotated()
				reported <- d.Size - d.Limit
			}
			for i := 0; len(reported) == 0 && i < 5000; i++ {
				b.write(log0, perStep)
				if i == 2*coldEvents { // by then it is hot; the second check sees no growth
					b.checkDir()
					b.checkDir()
				}
				time.Sleep(step)
			}
			if len(reported) == 0 {
				t.Fatal("not reported")
			}
			if past := <-reported; past > 12*perStep {
				t.Errorf("%d bytes past the limit, want at most %d", past, 12*perStep)
			}
			b.advance(2 * burstHalfLife)
			b.reports = nil
		}
	})
}

// TestFirstGrowthWithoutWatch: the sweep finds that a log grows that has no watch.
func TestFirstGrowthWithoutWatch(t *testing.T) {
	withLog(t, Limits{MaxSize: 10 << 20}, func(b *bubble) {
		b.unwatched = true
		b.n.failWith(unix.ENOSPC)
		b.sweep(CauseOverflow)
		b.advance(2 * maxCheck)
		b.write(log0, 1)
		b.sweep(CauseSweep)
		if in := time.Until(b.dir().next); in > maxRateWindow {
			t.Errorf("checked after %v, want at most %v", in, maxRateWindow)
		}
	})
}

// TestOvershootOfJumpingRates writes at nothing or the most there is, changing
// at random, and measures how far the log is past its limit when reported.
func TestOvershootOfJumpingRates(t *testing.T) {
	const step = minCheck / 2
	const perStep = int64(minBurst * float64(step) / float64(time.Second))
	const maxSize = 10 << 20
	withLog(t, Limits{MaxSize: maxSize}, func(b *bubble) {
		rng := rand.New(rand.NewPCG(1, 2))
		var worst int64
		b.rotate = func(d Due) {
			worst = max(worst, d.Size-d.Limit)
			b.rotated()
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
