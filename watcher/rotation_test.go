package watcher

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stamped returns the name of the next rotated log.
func (b *bubble) stamped() string {
	b.rotations++
	return log0 + "." + time.Date(2026, 1, 1, 0, 0, b.rotations, 0, time.UTC).Format("20060102-150405")
}

// rotated rotates the log by rename and reopen, with no event.
func (b *bubble) rotated() {
	b.Helper()
	b.check(os.Rename(b.path(log0), b.path(b.stamped())))
	b.check(os.WriteFile(b.path(log0), nil, 0o600))
	b.named("pod/c")
}

// exchange rotates the log by exchange, with no event; undo exchanges back.
func (b *bubble) exchange() (undo func()) {
	b.Helper()
	to := b.path(b.stamped())
	b.check(os.WriteFile(to, nil, 0o600))
	swap := func() {
		b.Helper()
		b.check(unix.Renameat2(unix.AT_FDCWD, b.path(log0), unix.AT_FDCWD, to, unix.RENAME_EXCHANGE))
		b.named("pod/c")
	}
	swap()
	return func() {
		b.Helper()
		swap()
		b.check(os.Remove(to))
	}
}

// conmonReopens puts a new file in place of the live log, as conmon does.
func (b *bubble) conmonReopens() {
	b.Helper()
	b.check(os.WriteFile(b.path(log0)+".tmp", nil, 0o600))
	b.check(os.Rename(b.path(log0)+".tmp", b.path(log0)))
	b.named("pod/c")
}

func TestMinIntervalHoldsBack(t *testing.T) {
	const interval = 10*time.Second + maxCheck/2
	for name, rotate := range map[string]func(b *bubble){
		"renamed":   func(b *bubble) { b.rotated() },
		"exchanged": func(b *bubble) { b.exchange() },
		"exchanged, and reopened by conmon": func(b *bubble) {
			b.exchange()
			b.checkDir()
			b.advance(3 * time.Second) // which is not to count
			b.conmonReopens()
		},
	} {
		t.Run(name, func(t *testing.T) {
			withLog(t, Limits{MaxSize: limit, MinInterval: interval}, func(b *bubble) {
				b.write(log0, limit)
				first := b.wantDue(1)
				rotate(b)
				b.checkDir()
				b.check(os.Truncate(b.path(log0), 50*limit)) // without a total, whatever its size
				b.checkDir()
				b.advance(time.Until(first.at.Add(interval - time.Nanosecond)))
				b.sweep(CauseSweep)
				b.wantDue(0)
				b.advance(time.Nanosecond)
				if got := b.wantDue(1).at.Sub(first.at); got != interval {
					t.Errorf("reported again after %v", got)
				}
			})
		})
	}
}

// TestExchangedBackIsNoRotation: a rotation that was undone does not hold the log
// back; the one before it still does.
func TestExchangedBackIsNoRotation(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		undo := b.exchange()
		b.checkDir()
		b.advance(time.Second)
		undo()
		b.checkDir()
		b.wantDue(1)
		rotated := time.Now()
		b.exchange()
		b.checkDir()
		b.check(os.Truncate(b.path(log0), limit))
		b.checkDir()
		b.advance(time.Minute)
		undo = b.exchange()
		b.checkDir()
		undo()
		b.advance(59 * time.Minute)
		if got := b.wantDue(1).at.Sub(rotated); got != time.Hour {
			t.Errorf("reported after %v", got)
		}
	})
}

// TestOtherFilesAreNoRotation: what housekeeping does, and foreign files, do not
// begin an interval.
func TestOtherFilesAreNoRotation(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MinInterval: time.Hour}, func(b *bubble) {
		const rotated = "pod/c/0.log.20260101-000000"
		b.write(rotated, limit)
		b.write(rotated+".tmp", 1)
		b.rename(rotated+".tmp", rotated+".gz")
		b.remove(rotated)
		b.remove(rotated + ".gz")
		b.write(log0+".1", limit)
		b.remove(log0 + ".1")
		b.advance(time.Minute)
		b.write(log0, limit)
		b.wantDue(1)
	})
}

func TestMissingIsReportedAfterAPause(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.rename(log0, log0+".20260101-000000")
		b.sweep(CauseSweep)
		b.advance(missingPause - time.Nanosecond)
		b.wantDue(0)
		b.advance(time.Nanosecond)
		if due := b.wantDue(1); due.Cause != CauseMissing || due.Log != "0.log" || due.Size != 0 {
			t.Errorf("reported %+v", due.Due)
		}
		b.advance(time.Minute)
		b.wantDue(0)
		b.wantState("cold")
		for range 3 {
			b.sweep(CauseSweep)
			if due := b.wantDue(1); due.Cause != CauseMissing {
				t.Errorf("reported %+v", due.Due)
			}
		}
		b.write(log0, 0)
		b.advance(time.Minute)
		b.sweep(CauseSweep)
		b.wantDue(0)
		b.wantState("cold")
	})
}

func TestMissingIsNotGrowing(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat() // it grew at the last check
		b.rename(log0, log0+".20260101-000000")
		b.advance(missingPause + maxCheck)
		if due := b.wantDue(1); due.Growing {
			t.Errorf("reported %+v", due.Due)
		}
	})
}

func TestBrieflyMissingIsNotReported(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		for range 5 {
			b.rename(log0, b.stamped())
			b.advance(missingPause / 2)
			b.write(log0, 1)
			b.advance(missingPause)
		}
		b.wantDue(0)
	})
}

// TestReturnOfAMissingLogIsSeenSoon: a rotation by rename leaves the path absent
// for a moment, which must not make the watcher slow.
func TestReturnOfAMissingLogIsSeenSoon(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.rename(log0, b.stamped())
		b.advance(missingCheck / 2)
		b.write(log0, 2*limit)
		b.advance(missingCheck)
		b.wantDue(1)
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
		b.advance(time.Minute)
		b.wantDue(0)
		b.wantState("cold")
	})
}

func TestShrunkOrReplaced(t *testing.T) {
	for _, test := range []struct {
		name   string
		act    func(b *bubble)
		heldTo time.Duration
	}{
		{"truncated", func(b *bubble) { b.check(os.Truncate(b.path(log0), 0)) }, 0},
		{"shrunk", func(b *bubble) { b.check(os.Truncate(b.path(log0), 10)) }, 0},
		// Another rotator's rotation: its generation has the interval too.
		{"replaced", func(b *bubble) { b.rotated() }, 10 * time.Second},
		{"exchanged", func(b *bubble) { b.exchange() }, 10 * time.Second},
	} {
		for _, state := range []string{"cold", "hot"} {
			t.Run(test.name+" while "+state, func(t *testing.T) {
				withLog(t, Limits{MaxSize: limit, MinInterval: 10 * time.Second}, func(b *bubble) {
					b.write(log0, limit-100)
					if state == "hot" {
						b.heat()
					}
					b.wait()
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
		name    string
		size    int64
		inode   uint64
		grown   bool
		growing bool
	}{
		{"unchanged", 1000, 1, false, false},
		{"grown", 1500, 1, true, true},
		{"truncated, and grown since", 800, 1, true, true},
		{"replaced", 2000, 2, true, false},
		{"replaced by a smaller one", 10, 2, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := &liveLog{size: 1000, inode: 1, checked: now.Add(-time.Second / 2)}
			grown := g.update(&unix.Stat_t{Size: test.size, Ino: test.inode}, now)
			if grown != test.grown || g.growing != test.growing {
				t.Errorf("update = %t, growing %t, want %t, %t", grown, g.growing, test.grown, test.growing)
			}
			if rotated := !g.rotated.IsZero(); rotated != (test.inode != 1) {
				t.Errorf("rotated: %t", rotated)
			}
		})
	}
}
