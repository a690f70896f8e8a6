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

// bubble runs test in a synctest bubble with a pool that is stopped at its end.
// The bubble itself fails the test when a goroutine is left.
func bubble(t *testing.T, limit int, test func(t *testing.T, p *workerpool.Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := workerpool.New(limit)
		test(t, p)
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
}

func submit(t *testing.T, p *workerpool.Pool, key string, job func(context.Context)) {
	t.Helper()
	if !p.Submit(key, job) {
		t.Fatalf("Submit(%q) = false, want true", key)
	}
}

func wantStats(t *testing.T, p *workerpool.Pool, want workerpool.Stats) {
	t.Helper()
	if got := p.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

// recorder notes the order in which jobs ran.
type recorder struct {
	mu  sync.Mutex
	ran []string
}

func (r *recorder) job(name string) func(context.Context) {
	return func(context.Context) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ran = append(r.ran, name)
	}
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.ran, want) {
		t.Errorf("jobs ran: %q, want %q", r.ran, want)
	}
}

// block occupies a worker under key until release is closed.
func block(t *testing.T, p *workerpool.Pool, key string) (release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	submit(t, p, key, func(context.Context) { <-release })
	synctest.Wait()
	return release
}

func TestQueuedKeyCollapsesToNewestJob(t *testing.T) {
	bubble(t, 1, func(t *testing.T, p *workerpool.Pool) {
		var r recorder
		release := block(t, p, "other")
		for i := range 5 {
			submit(t, p, "a", r.job(fmt.Sprint("a", i)))
		}
		wantStats(t, p, workerpool.Stats{Queued: 1, Running: 1})
		close(release)
		synctest.Wait()
		r.want(t, "a4")
		wantStats(t, p, workerpool.Stats{Done: 2})
	})
}

func TestSubmitsWhileRunningMakeOneMoreRun(t *testing.T) {
	// More workers than keys: it is the key that holds the second run back.
	bubble(t, 4, func(t *testing.T, p *workerpool.Pool) {
		var r recorder
		release := block(t, p, "a")
		for i := range 5 {
			submit(t, p, "a", r.job(fmt.Sprint("a", i)))
		}
		synctest.Wait()
		r.want(t)
		wantStats(t, p, workerpool.Stats{Queued: 1, Running: 1})
		close(release)
		synctest.Wait()
		r.want(t, "a4")
		wantStats(t, p, workerpool.Stats{Done: 2})
	})
}

func TestSubmitFromInsideTheJob(t *testing.T) {
	bubble(t, 1, func(t *testing.T, p *workerpool.Pool) {
		var r recorder
		submit(t, p, "a", func(context.Context) {
			p.Submit("a", r.job("again"))
		})
		synctest.Wait()
		r.want(t, "again")
	})
}

func TestKeysStartInOrder(t *testing.T) {
	bubble(t, 1, func(t *testing.T, p *workerpool.Pool) {
		var r recorder
		release := block(t, p, "first")
		submit(t, p, "b", r.job("b"))
		submit(t, p, "a", r.job("a"))
		submit(t, p, "c", r.job("c"))
		submit(t, p, "b", r.job("b, newer")) // keeps its place
		close(release)
		synctest.Wait()
		r.want(t, "b, newer", "a", "c")
	})
}

func TestBusyKeyDoesNotStarveOthers(t *testing.T) {
	bubble(t, 1, func(t *testing.T, p *workerpool.Pool) {
		var r recorder
		runs := 0
		var busy func(context.Context)
		busy = func(ctx context.Context) {
			r.job("busy")(ctx)
			if runs++; runs < 4 {
				p.Submit("busy", busy)
			}
		}
		release := block(t, p, "first")
		submit(t, p, "busy", busy)
		submit(t, p, "a", r.job("a"))
		submit(t, p, "b", r.job("b"))
		close(release)
		synctest.Wait()
		r.want(t, "busy", "a", "b", "busy", "busy", "busy")
	})
}

func TestAtMostLimitRunAtOnce(t *testing.T) {
	const limit, keys = 3, 10
	bubble(t, limit, func(t *testing.T, p *workerpool.Pool) {
		start := time.Now()
		for i := range keys {
			submit(t, p, fmt.Sprint(i), func(context.Context) { time.Sleep(time.Second) })
		}
		synctest.Wait()
		wantStats(t, p, workerpool.Stats{Queued: keys - limit, Running: limit})
		for p.Stats().Done < keys {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		// Fewer at once would have taken longer, more would have taken less.
		if got, want := time.Since(start), 4*time.Second; got != want {
			t.Errorf("%d jobs of 1s, %d at once, took %v, want %v", keys, limit, got, want)
		}
	})
}

func TestStopDropsQueuedAndWaitsForRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		p := workerpool.New(1)
		submit(t, p, "a", func(ctx context.Context) {
			<-ctx.Done() // Stop tells the job ...
			p.Submit("a", r.job("a from inside"))
			time.Sleep(time.Second) // ... and waits until it has ended
			r.job("a")(ctx)
		})
		synctest.Wait()
		submit(t, p, "a", r.job("a again"))
		submit(t, p, "b", r.job("b"))

		start := time.Now()
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Stop took %v, want 1s", got)
		}
		r.want(t, "a")
		wantStats(t, p, workerpool.Stats{Done: 1})
		if p.Submit("c", r.job("c")) {
			t.Error("Submit after Stop = true, want false")
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("second Stop: %v", err)
		}
		synctest.Wait()
		r.want(t, "a")
	})
}

func TestStopIsBoundedByContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := workerpool.New(2)
		release := block(t, p, "deaf") // ignores its context
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()

		start := time.Now()
		err := p.Stop(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop = %v, want an error that wraps DeadlineExceeded", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("Stop took %v, want 3s", got)
		}
		close(release)
		if err := p.Stop(t.Context()); err != nil {
			t.Errorf("Stop after the job has ended: %v", err)
		}
		// Nothing is left to wait for: a context that is over is no error.
		if err := p.Stop(ctx); err != nil {
			t.Errorf("Stop with a context that is over: %v", err)
		}
	})
}

func TestStopOfAnUnusedPool(t *testing.T) {
	bubble(t, 1, func(*testing.T, *workerpool.Pool) {})
}

func TestIdlePoolHasNoGoroutine(t *testing.T) {
	// Never stopped: the bubble fails if a worker is still there at its end.
	synctest.Test(t, func(t *testing.T) {
		p := workerpool.New(4)
		for range 3 { // idle, busy, idle ...
			for i := range 10 {
				submit(t, p, fmt.Sprint(i), func(context.Context) { time.Sleep(time.Millisecond) })
			}
			time.Sleep(time.Second)
		}
		wantStats(t, p, workerpool.Stats{Done: 30})
	})
}

func TestNewRefusesLimitBelowOne(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New(0) did not panic")
		}
	}()
	workerpool.New(0)
}

// TestStress checks, for 1000 keys and real goroutines, that no key overlaps
// itself, that the limit holds, and that what the last Submit of each key stands
// for is seen by a run. A lost wake-up would make it hang.
func TestStress(t *testing.T) {
	const keys, submitters, rounds, limit = 1000, 8, 50, 4
	p := workerpool.New(limit)
	var overlap, running, over atomic.Int64
	var busy [keys]atomic.Bool
	var sent, seen [keys]atomic.Int64
	job := func(i int) func(context.Context) {
		return func(context.Context) {
			if running.Add(1) > limit {
				over.Add(1)
			}
			if busy[i].Swap(true) {
				overlap.Add(1)
			}
			seen[i].Store(sent[i].Load())
			busy[i].Store(false)
			running.Add(-1)
		}
	}
	var wg sync.WaitGroup
	for s := range submitters {
		wg.Go(func() {
			for r := range rounds {
				for k := range keys / 10 { // a part of the keys each, overlapping
					i := (k*7 + s*131 + r*17) % keys
					sent[i].Add(1)
					p.Submit(fmt.Sprint(i), job(i))
				}
			}
		})
	}
	wg.Wait()
	for p.Stats().Queued+p.Stats().Running > 0 {
		time.Sleep(time.Millisecond) // a poll for the drain, bounded by the test's own deadline
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if overlap.Load() > 0 || over.Load() > 0 {
		t.Errorf("%d runs of a key overlapped, %d were over the limit", overlap.Load(), over.Load())
	}
	for i := range keys {
		if seen[i].Load() != sent[i].Load() {
			t.Fatalf("key %d: submitted %d times, its last run saw %d", i, sent[i].Load(), seen[i].Load())
		}
	}
}

// TestStressHandOver aims at the moment in which the only worker leaves: the
// next Submit must neither hang nor strand its key.
func TestStressHandOver(t *testing.T) {
	p := workerpool.New(1)
	for range 20_000 {
		ran := make(chan struct{})
		p.Submit("a", func(context.Context) { close(ran) })
		<-ran
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestStressStop stops pools that are being fed.
func TestStressStop(t *testing.T) {
	for range 200 {
		p := workerpool.New(3)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for p.Submit(fmt.Sprint(i), func(context.Context) {}) {
				}
			})
		}
		wg.Go(func() {
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if n := p.Stats().Running; n > 0 {
				t.Errorf("%d jobs run after Stop", n)
			}
		})
		wg.Wait()
	}
}

func BenchmarkSubmit(b *testing.B) {
	keys := make([]string, 500)
	for i := range keys {
		keys[i] = fmt.Sprint("container-", i)
	}
	p := workerpool.New(4)
	job := func(context.Context) {}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.Submit(keys[i%len(keys)], job)
		i++
	}
	if err := p.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}
