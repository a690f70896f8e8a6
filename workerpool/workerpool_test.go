package workerpool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/workerpool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a pool whose keys' work a test sets.
type harness struct {
	*workerpool.Pool
	t    *testing.T
	mu   sync.Mutex
	jobs map[string]func(context.Context)
	ran  []string
}

// bubble runs test in a synctest bubble with a pool that is stopped at its end.
// The bubble itself fails the test if a goroutine is left.
func bubble(t *testing.T, o workerpool.Options, test func(t *testing.T, p *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{t: t, jobs: map[string]func(context.Context){}}
		o.Run = func(ctx context.Context, key string) {
			h.mu.Lock()
			h.ran = append(h.ran, key)
			job := h.jobs[key]
			h.mu.Unlock()
			if job != nil {
				job(ctx)
			}
		}
		h.Pool = workerpool.New(o)
		test(t, h)
		if err := h.Stop(t.Context()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
}

func workers(n int) workerpool.Options { return workerpool.Options{Workers: n} }

func (h *harness) set(key string, job func(context.Context)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jobs[key] = job
}

// block occupies a worker under key until release is closed.
func (h *harness) block(key string) (release chan struct{}) {
	h.t.Helper()
	release = make(chan struct{})
	h.set(key, func(context.Context) { <-release })
	h.Add(key)
	synctest.Wait()
	h.mu.Lock()
	h.ran = nil
	h.mu.Unlock()
	return release
}

func (h *harness) want(want ...string) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.ran, want) {
		h.t.Errorf("ran %q, want %q", h.ran, want)
	}
}

func (h *harness) wantStats(want workerpool.Stats) {
	h.t.Helper()
	if got := h.Stats(); got != want {
		h.t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

func TestQueuedKeyCollapses(t *testing.T) {
	bubble(t, workers(1), func(_ *testing.T, p *harness) {
		release := p.block("other")
		for range 5 {
			p.Add("a")
		}
		p.wantStats(workerpool.Stats{Queued: 1, Running: 1})
		close(release)
		p.want("a")
		p.wantStats(workerpool.Stats{Done: 2})
	})
}

func TestAddsWhileRunningMakeOneMoreRun(t *testing.T) {
	// More workers than keys: it is the key that holds the second run back.
	bubble(t, workers(4), func(_ *testing.T, p *harness) {
		release := p.block("a")
		for range 5 {
			p.Add("a")
		}
		p.want()
		p.wantStats(workerpool.Stats{Queued: 1, Running: 1})
		close(release)
		p.want("a")
		p.wantStats(workerpool.Stats{Done: 2})
	})
}

func TestAddFromInsideARun(t *testing.T) {
	bubble(t, workers(1), func(_ *testing.T, p *harness) {
		runs := 0
		p.set("a", func(context.Context) {
			if runs++; runs == 1 {
				p.Add("a")
			}
		})
		p.Add("a")
		p.want("a", "a")
	})
}

func TestKeysStartInOrder(t *testing.T) {
	bubble(t, workers(1), func(_ *testing.T, p *harness) {
		release := p.block("first")
		for _, key := range []string{"b", "a", "c", "b"} { // the second b keeps its place
			p.Add(key)
		}
		close(release)
		p.want("b", "a", "c")
	})
}

func TestBusyKeyDoesNotStarveOthers(t *testing.T) {
	bubble(t, workers(1), func(_ *testing.T, p *harness) {
		runs := 0
		p.set("busy", func(context.Context) {
			if runs++; runs < 4 {
				p.Add("busy")
			}
		})
		release := p.block("first")
		for _, key := range []string{"busy", "a", "b"} {
			p.Add(key)
		}
		close(release)
		p.want("busy", "a", "b", "busy", "busy", "busy")
	})
}

func TestWorkersBoundTheRuns(t *testing.T) {
	const limit, keys = 3, 10
	bubble(t, workers(limit), func(t *testing.T, p *harness) {
		start := time.Now()
		for i := range keys {
			p.set(fmt.Sprint(i), func(context.Context) { time.Sleep(time.Second) })
			p.Add(fmt.Sprint(i))
		}
		synctest.Wait()
		p.wantStats(workerpool.Stats{Queued: keys - limit, Running: limit})
		for p.Stats().Done < keys {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		// Fewer at once would have taken longer, more would have taken less.
		if got, want := time.Since(start), 4*time.Second; got != want {
			t.Errorf("%d runs of 1s, %d at once, took %v, want %v", keys, limit, got, want)
		}
	})
}

func TestAddAfter(t *testing.T) {
	bubble(t, workers(1), func(_ *testing.T, p *harness) {
		p.AddAfter("a", 5*time.Second)
		p.AddAfter("a", 2*time.Second) // earlier: counts
		p.AddAfter("a", 9*time.Second) // later: does not
		p.AddAfter("b", 0)
		p.want("b")
		time.Sleep(2*time.Second - time.Nanosecond)
		p.want("b")
		time.Sleep(time.Nanosecond)
		p.want("b", "a")
		time.Sleep(10 * time.Second)
		p.want("b", "a")
		p.AddAfter("c", time.Hour) // Stop drops it
	})
}

// TestSlowKeysDoNotStarve: keys that hang give their workers up, and are kept from
// taking one the next time.
func TestSlowKeysDoNotStarve(t *testing.T) {
	o := workerpool.Options{Workers: 2, MaxSlow: 3, SlowAfter: 100 * time.Millisecond}
	bubble(t, o, func(t *testing.T, p *harness) {
		hang := func(context.Context) { time.Sleep(3 * time.Second) }
		for _, key := range []string{"h0", "h1", "h2"} {
			p.set(key, hang)
			p.Add(key)
		}
		p.Add("well")
		synctest.Wait()
		p.wantStats(workerpool.Stats{Queued: 2, Running: 2})
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		p.mu.Lock()
		slices.Sort(p.ran) // two begin at the same time, in any order
		p.mu.Unlock()
		p.want("h0", "h1", "h2", "well") // the first two have become slow
		p.wantStats(workerpool.Stats{Running: 3, Slow: 2, Done: 1})
		time.Sleep(4 * time.Second) // all have been slow by now
		for _, key := range []string{"h3", "h0", "h1", "h2"} {
			p.set(key, hang)
			p.Add(key)
		}
		synctest.Wait()
		p.wantStats(workerpool.Stats{Running: 4, Slow: 3, Done: 4})
		start := time.Now()
		p.set("well", func(context.Context) {
			if waited := time.Since(start); waited != 0 {
				t.Errorf("a healthy key waited %v for keys that hang", waited)
			}
		})
		p.Add("well")
		synctest.Wait()
		time.Sleep(10 * time.Second)
		p.wantStats(workerpool.Stats{Done: 9})
	})
}

// TestQuickRunEndsSlowness: a key whose last run was quick takes a worker again.
func TestQuickRunEndsSlowness(t *testing.T) {
	o := workerpool.Options{Workers: 1, MaxSlow: 1, SlowAfter: time.Second}
	bubble(t, o, func(_ *testing.T, p *harness) {
		p.set("a", func(context.Context) { time.Sleep(2 * time.Second) })
		p.Add("a")
		time.Sleep(3 * time.Second)
		p.set("a", nil)
		p.Add("a")
		synctest.Wait()
		p.set("a", func(context.Context) { time.Sleep(time.Millisecond) })
		p.Add("a")
		synctest.Wait()
		p.wantStats(workerpool.Stats{Running: 1, Done: 2}) // and is not slow
	})
}

func TestObserve(t *testing.T) {
	var queued, ran time.Duration
	o := workerpool.Options{Workers: 1, Observe: func(q, r time.Duration) { queued, ran = q, r }}
	bubble(t, o, func(t *testing.T, p *harness) {
		release := p.block("first")
		p.set("a", func(context.Context) { time.Sleep(2 * time.Second) })
		p.Add("a")
		time.Sleep(time.Second)
		close(release)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if queued != time.Second || ran != 2*time.Second {
			t.Errorf("queued %v, ran %v", queued, ran)
		}
	})
}

func TestStopDropsQueuedAndWaitsForRunning(t *testing.T) {
	bubble(t, workers(1), func(t *testing.T, p *harness) {
		p.set("a", func(ctx context.Context) {
			<-ctx.Done() // Stop cancels it ...
			if p.Add("a") {
				t.Error("Add during Stop = true")
			}
			time.Sleep(time.Second) // ... and waits until it has ended
		})
		p.Add("a")
		synctest.Wait()
		p.Add("a")
		p.Add("b")
		p.AddAfter("c", time.Second)
		start := time.Now()
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Stop took %v, want 1s", got)
		}
		if p.Add("d") {
			t.Error("Add after Stop = true")
		}
		p.AddAfter("d", time.Second)
		time.Sleep(2 * time.Second)
		p.want("a")
		p.wantStats(workerpool.Stats{Done: 1})
	})
}

func TestStopIsBoundedByContext(t *testing.T) {
	bubble(t, workers(2), func(t *testing.T, p *harness) {
		release := p.block("deaf") // ignores its context
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop = %v, want an error that wraps DeadlineExceeded", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("Stop took %v, want 3s", got)
		}
		close(release)
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("Stop after the run has ended: %v", err)
		}
		// Nothing is left to wait for: a context that has ended is not an error.
		if err := p.Stop(ctx); err != nil {
			t.Errorf("Stop with a context that has ended: %v", err)
		}
	})
}

func TestStopOfAnUnusedPool(t *testing.T) {
	bubble(t, workers(1), func(*testing.T, *harness) {})
}

func TestIdlePoolHasNoGoroutine(t *testing.T) {
	// Never stopped: the bubble fails if a worker is still there at its end.
	synctest.Test(t, func(t *testing.T) {
		o := workerpool.Options{
			Workers: 4, MaxSlow: 2, SlowAfter: time.Second,
			Run: func(context.Context, string) { time.Sleep(time.Millisecond) },
		}
		p := workerpool.New(o)
		for range 3 { // idle, busy, idle ...
			for i := range 10 {
				p.Add(fmt.Sprint(i))
			}
			time.Sleep(time.Second)
		}
		if got := p.Stats(); got != (workerpool.Stats{Done: 30}) {
			t.Errorf("Stats = %+v", got)
		}
	})
}

func TestNewPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New without workers did not panic")
		}
	}()
	workerpool.New(workerpool.Options{Run: func(context.Context, string) {}})
}

// TestStress checks, for 1000 keys and real goroutines, that no key overlaps
// itself, that the limits hold, and that what the last Add of each key stands for
// is seen by a run. A lost wake-up would make it hang.
func TestStress(t *testing.T) {
	const keys, adders, rounds, limit, slow = 1000, 8, 50, 4, 3
	var overlap, running, over atomic.Int64
	var busy [keys]atomic.Bool
	var sent, seen [keys]atomic.Int64
	p := workerpool.New(workerpool.Options{
		Workers: limit, MaxSlow: slow, SlowAfter: 50 * time.Microsecond,
		Run: func(_ context.Context, key string) {
			if running.Add(1) > limit+slow {
				over.Add(1)
			}
			var i int
			_, _ = fmt.Sscan(key, &i)
			if busy[i].Swap(true) {
				overlap.Add(1)
			}
			if i%97 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
			seen[i].Store(sent[i].Load())
			busy[i].Store(false)
			running.Add(-1)
		},
	})
	var wg sync.WaitGroup
	for s := range adders {
		wg.Go(func() {
			for r := range rounds {
				for k := range keys / 10 { // a part of the keys each, overlapping
					i := (k*7 + s*131 + r*17) % keys
					sent[i].Add(1)
					if k%2 == 0 {
						p.Add(fmt.Sprint(i))
					} else {
						p.AddAfter(fmt.Sprint(i), time.Duration(k)*time.Microsecond)
					}
				}
			}
		})
	}
	wg.Wait()
	late := func() bool {
		for i := range keys {
			if seen[i].Load() != sent[i].Load() {
				return true
			}
		}
		return p.Stats().Queued+p.Stats().Running > 0
	}
	for late() {
		time.Sleep(time.Millisecond) // a poll for the drain, bounded by the test's own deadline
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if overlap.Load() > 0 || over.Load() > 0 {
		t.Errorf("%d runs of a key overlapped, %d were over the limit", overlap.Load(), over.Load())
	}
}

// TestStressHandOver aims at the moment in which the only worker leaves: the
// next Add must neither hang nor strand its key.
func TestStressHandOver(t *testing.T) {
	ran := make(chan struct{})
	p := workerpool.New(workerpool.Options{Workers: 1, Run: func(context.Context, string) { ran <- struct{}{} }})
	for range 20_000 {
		p.Add("a")
		<-ran
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestStressStop stops pools that are being fed.
func TestStressStop(t *testing.T) {
	for range 200 {
		p := workerpool.New(workerpool.Options{Workers: 3, Run: func(context.Context, string) {}})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for p.Add(fmt.Sprint(i)) {
				}
			})
		}
		wg.Go(func() {
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if n := p.Stats().Running; n > 0 {
				t.Errorf("%d runs in progress after Stop", n)
			}
		})
		wg.Wait()
	}
}

func BenchmarkAdd(b *testing.B) {
	keys := make([]string, 500)
	for i := range keys {
		keys[i] = fmt.Sprint("container-", i)
	}
	p := workerpool.New(workerpool.Options{Workers: 4, Run: func(context.Context, string) {}})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.Add(keys[i%len(keys)])
		i++
	}
	if err := p.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}
