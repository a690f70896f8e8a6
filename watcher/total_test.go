package watcher

import (
	"os"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

const rotated0 = log0 + ".20250101-000000"

// TestHalfOfTheTotalIsALimit: a total below twice the limit is kept.
func TestHalfOfTheTotalIsALimit(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MaxTotalSize: limit}, func(b *bubble) {
		b.write(log0, limit/2-1)
		b.wantDue(0)
		b.write(log0, 1)
		if due := b.wantDue(1); due.Limit != limit/2 {
			t.Errorf("reported %+v", due.Due)
		}
	})
}

// TestTotalIsPrunedWhenReached: Changed is called when all logs together reach
// the total, though the live one is below its limit; cold by its event, hot by
// its timer, which takes the headroom to the total into account.
func TestTotalIsPrunedWhenReached(t *testing.T) {
	for _, state := range []string{"cold", "hot"} {
		t.Run(state, func(t *testing.T) {
			withLog(t, Limits{MaxSize: 1000 * limit, MaxTotalSize: 2000 * limit}, func(b *bubble) {
				b.write(rotated0, 1999*limit)
				b.advance(time.Second)
				b.sweep(CauseSweep)
				if state == "hot" {
					b.heat()
				}
				b.check(os.Truncate(b.path(log0), limit-100))
				b.event(log0, fsnotify.Write)
				b.advance(15 * time.Millisecond) // which a hot one takes for its headroom before
				b.turn()
				b.changed = nil
				b.wantState(state)
				b.write(log0, 100)
				b.advance(2 * minCheck << maxBackoff)
				if len(b.changed) != 1 || b.changed[0] != "pod/c" {
					t.Errorf("Changed %q", b.changed)
				}
				b.wantDue(0)
			})
		})
	}
}

// TestPruneIsAskedForAtItsPace: while the total stays reached, Changed is called
// less and less often; when it was kept in between, at once.
func TestPruneIsAskedForAtItsPace(t *testing.T) {
	withLog(t, Limits{MaxSize: 10 * limit, MaxTotalSize: 20 * limit}, func(b *bubble) {
		b.write(rotated0, 19*limit)
		b.advance(time.Second)
		b.sweep(CauseSweep)
		grow := func(d time.Duration) {
			for range d / time.Millisecond {
				b.write(log0, 100)
				b.advance(time.Millisecond)
			}
			b.turn()
		}
		b.write(log0, limit)
		b.wait()
		b.changed = nil
		grow(10 * time.Second)
		if n := len(b.changed); n < 10 || n > 14 {
			t.Errorf("Changed was called %d times in 10 s", n)
		}
		b.changed = nil
		b.check(os.Truncate(b.path(rotated0), 10*limit)) // pruned
		grow(2 * maxReportPause)
		b.changed = nil
		b.check(os.Truncate(b.path(log0), 10*limit-1))
		grow(100 * time.Millisecond) // which its headroom before takes
		if n := len(b.changed); n != 1 {
			t.Errorf("Changed was called %d times", n)
		}
		b.wait()
		// A quiet one: by each sweep.
		b.reports = nil
		b.check(os.Truncate(b.path(log0), limit))
		b.check(os.Truncate(b.path(rotated0), 19*limit))
		b.advance(time.Minute)
		for range 3 {
			b.changed = nil
			b.sweep(CauseSweep)
			if n := len(b.changed); n < 1 || n > 2 {
				t.Errorf("a sweep called Changed %d times", n)
			}
			b.advance(10 * time.Second)
		}
	})
}

// TestPruneIsAskedForAgainOnceItHelped: the pace is for a total that stays
// reached, and not for one that is reached again.
func TestPruneIsAskedForAgainOnceItHelped(t *testing.T) {
	withLog(t, Limits{MaxSize: 10 * limit, MaxTotalSize: 20 * limit}, func(b *bubble) {
		b.write(rotated0, 0)
		b.advance(time.Second)
		b.sweep(CauseSweep)
		b.heat()
		for range 10 {
			b.check(os.Truncate(b.path(log0), limit))
			b.check(os.Truncate(b.path(rotated0), 19*limit))
			b.turn()
			b.changed = nil
			b.checkDir()
			if len(b.changed) != 1 {
				t.Fatalf("Changed was called %d times", len(b.changed))
			}
			b.check(os.Truncate(b.path(rotated0), limit)) // pruned
			b.checkDir()
			b.advance(time.Millisecond)
		}
	})
}

// TestForeignFilesDoNotCount: neither for the total nor as a log.
func TestForeignFilesDoNotCount(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.rotated()
		b.checkDir()
		b.advance(time.Second)
		b.sweep(CauseSweep)
		b.turn()
		b.changed = nil
		b.check(os.WriteFile(b.path(log0+".1"), nil, 0o600))
		b.check(os.Truncate(b.path(log0+".1"), 100*limit))
		b.check(os.Truncate(b.path(log0), 2*limit))
		b.checkDir()
		b.wantDue(0)
		if len(b.changed) != 0 {
			t.Errorf("Changed %q", b.changed)
		}
	})
}

func TestTotalOverridesMinInterval(t *testing.T) {
	limits := Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}
	for _, test := range []struct {
		name        string
		other, size int64
	}{
		{"live at half of it", 0, 5 * limit},
		{"total reached", 7 * limit, 3 * limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			withLog(t, limits, func(b *bubble) {
				b.write(log0, limit)
				b.wantDue(1)
				b.rotated()
				b.check(os.Truncate(b.path(log0+".20260101-000001"), 0))
				b.write(rotated0, test.other)
				b.checkDir()
				b.check(os.Truncate(b.path(log0), test.size-limit/1024))
				b.advance(time.Second)
				b.checkDir()
				b.wantDue(0)
				b.check(os.Truncate(b.path(log0), test.size))
				b.advance(maxCheck)
				b.wantDue(1)
			})
		})
	}
}

// TestPruneComesFirst: a log that MinInterval holds back is not rotated because of its
// total before a prune was in vain, nor below its limit, though its lead is long.
func TestPruneComesFirst(t *testing.T) {
	limits := Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}
	for _, test := range []struct {
		name   string
		live   int64
		pruned bool
		due    int
	}{
		{"pruned", 2 * limit, true, 0},
		{"in vain", 2 * limit, false, 1},
		{"below the limit", limit - 1, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			withLog(t, limits, func(b *bubble) {
				b.write(log0, limit)
				b.wantDue(1)
				b.rotated()
				b.limits.Reaction = Reaction{Median: time.Second, High: time.Second}
				b.changed = nil
				b.write(rotated0, 9*limit)
				b.check(os.Truncate(b.path(log0), test.live-1000))
				b.checkDir()
				b.advance(maxRateWindow)
				b.check(os.Truncate(b.path(log0), test.live-1))
				b.checkDir()
				b.wantDue(0)
				if len(b.changed) == 0 {
					t.Error("no prune was requested")
				}
				if test.pruned {
					b.check(os.Truncate(b.path(rotated0), 0))
					b.checkDir()
				}
				b.advance(reportPause)
				b.check(os.Truncate(b.path(log0), test.live))
				b.checkDir()
				b.turn()
				b.wantDue(test.due)
			})
		})
	}
}

// TestRotatedCountsTowardsTheTotal: what was rotated counts, though a log that
// grows at each check has no check that stats the directory.
func TestRotatedCountsTowardsTheTotal(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(log0, 4*limit)
		b.wantDue(1)
		b.rotated()
		b.write(rotated0, 4*limit)
		b.checkDir()
		for range 2300 { // a prune is requested first, in vain
			b.write(log0, limit/1000)
			b.advance(time.Millisecond)
		}
		b.wantDue(1)
	})
}

// TestRotatedCountsWithoutCheck: a rotation counts without a Check.
func TestRotatedCountsWithoutCheck(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(rotated0, 4*limit)
		b.write(log0, 4*limit)
		b.wantDue(1)
		b.exchange()
		for range 2300 { // a prune is requested first, in vain
			b.write(log0, limit/1000)
			b.advance(time.Millisecond)
		}
		b.wantDue(1)
	})
}

func TestStaleTotalIsListedAgain(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.rotated()
		b.write(rotated0, 8*limit)
		b.checkDir()
		b.check(os.Truncate(b.path(rotated0), 0)) // as housekeeping does, which makes it smaller
		// It grows at each check, so that none stats the directory.
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
