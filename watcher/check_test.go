package watcher

import (
	"os"
	"testing"
	"time"
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
		fastest float64       // seen of another log
		want    time.Duration
	}{
		{"headroom at the assumed burst", 50e6, 10e6, 10e6 - 1, time.Second, 0, 400 * time.Millisecond},
		{"headroom at a higher measured rate", 500e6, 200e6, 0, time.Second, 0, maxCheck},
		{"a measured rate above the assumed one", 450e6, 300e6, 200e6, 500 * time.Millisecond, 0, 600 * time.Millisecond},
		{"a faster log on this node", 60e6, 10e6, 10e6 - 1, time.Second, 200e6, 200 * time.Millisecond},
		{"a slower log on this node", 50e6, 10e6, 10e6 - 1, time.Second, 70e6, 400 * time.Millisecond},
		{"floor", 10e6, 10e6 - 1, 0, time.Second, 0, minCheck},
		{"ceiling", 100 * second, 1, 0, time.Second, 0, maxCheck},
	} {
		t.Run(test.name, func(t *testing.T) {
			withLog(t, Limits{MaxSize: test.maxSize}, func(b *bubble) {
				b.heat()
				d := b.dir()
				b.check(os.Truncate(b.path(log0), test.size))
				d.log.size, d.log.checked = test.before, time.Now().Add(-test.elapsed)
				d.log.growth = growth{}
				d.log.growth.restart(test.before, d.log.checked)
				d.log.growth.ended = time.Now() // its rate is known
				b.l.fastest.note(test.fastest, time.Now())
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
		b.exchange()
		b.check(os.Truncate(b.path(log0), 2*limit-1))
		b.checkDir()
		b.advance(time.Second)
		b.wantState("hot")
		checks := b.w.Stats().Checks
		b.advance(time.Second)
		longest := minCheck << maxBackoff
		if got, want := b.w.Stats().Checks-checks, uint64(time.Second/longest); got != want {
			t.Errorf("%d checks of a quiet log in a second, want %d, one in %v", got, want, longest)
		}
		b.wantDue(0)
	})
}
