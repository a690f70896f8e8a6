package agent

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/testutil"
)

// withoutLoops has all but the loops, and the runtime's endpoint that it is to
// ask.
func withoutLoops(t *testing.T) *Daemon {
	t.Helper()
	rt, err := fake.Start(fake.Options{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, rt.Close()) })
	client, err := cri.Dial(rt.Endpoint(), time.Second)
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	cfg := config.Default()
	cfg.PodLogsDir = rt.PodLogsDir()
	r, err := newRules(cfg)
	must(t, err)
	d := newDaemon(Options{Config: cfg, Log: zerolog.Nop()}, client, r)
	d.stats.d.Store(d)
	return d
}

func TestHealthOfStuckLoops(t *testing.T) {
	d := withoutLoops(t)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.stats.healthy(short); err == nil || !strings.Contains(err.Error(), "the watcher's loop has not turned") {
		t.Errorf("without a watcher's loop: %v", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	var g sync.WaitGroup
	defer g.Wait()
	defer stop()
	g.Go(func() {
		if err := d.watcher.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	now := time.Now()
	long := now.Add(-3*d.cfg.ContainerLogMonitorInterval - d.cfg.RuntimeRequestTimeout - time.Second)
	check := func(name, want string, started, ticked, handed time.Time) {
		t.Helper()
		d.stats.mu.Lock()
		d.stats.started, d.stats.ticked, d.stats.handed = started, ticked, handed
		d.stats.mu.Unlock()
		got := ""
		if err := d.stats.healthy(t.Context()); err != nil {
			got = err.Error()
		}
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	check("well", "", long, now, time.Time{})
	check("at work", "", long, now, now)
	check("just started", "", now, time.Time{}, time.Time{})
	check("no clock", "no sweep has begun for 34s, which should be at most 33s", long, long, time.Time{})
	check("no watcher", "a sweep has not ended for 34s, which should be at most 33s", long, now, long)
	must(t, d.inventory.Refresh(t.Context()))
	check("a slow runtime that answers", "", long, long, time.Time{})
}

// TestSweepTellsTheWatcher: a sweep that was handed over and has ended is no sign
// of trouble, one that has not is.
func TestSweepTellsTheWatcher(t *testing.T) {
	d := withoutLoops(t)
	handed := func() time.Time {
		d.stats.mu.Lock()
		defer d.stats.mu.Unlock()
		return d.stats.handed
	}
	d.sweep(t.Context(), "sweep") // nobody takes it
	first := handed()
	if first.IsZero() {
		t.Fatal("not handed over")
	}
	d.sweep(t.Context(), "sweep")
	if !handed().Equal(first) {
		t.Error("the next sweep hid that the first one has not ended")
	}
	ctx, stop := context.WithCancel(t.Context())
	var g sync.WaitGroup
	defer g.Wait()
	defer stop()
	g.Go(func() {
		if err := d.watcher.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	testutil.Eventually(t, "the end of the sweep", func() bool { return handed().IsZero() })
}

// states is a service manager.
type states struct {
	mu  sync.Mutex
	all []string
}

func (s *states) notify(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, state)
}

// count returns how many of the states have a line.
func (s *states) count(line string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.all {
		for l := range strings.Lines(state) {
			if strings.TrimSuffix(l, "\n") == line {
				n++
			}
		}
	}
	return n
}

// TestWatchdog: signs of life come while the start waits, and while the loops
// turn; none comes while one is stuck, and that is said once.
func TestWatchdog(t *testing.T) {
	const every = 15 * time.Millisecond
	var manager states
	said := &logs{}
	o := Options{Config: config.Default(), Log: zerolog.New(said), Notify: manager.notify, Watchdog: every}
	s := newStats(o)
	ctx, stop := context.WithCancel(t.Context())
	var g sync.WaitGroup
	defer g.Wait()
	defer stop()
	g.Go(func() { s.watchdog(ctx, o) })
	more := func(what string) {
		t.Helper()
		before := manager.count("WATCHDOG=1")
		testutil.Eventually(t, "a sign of life, "+what, func() bool { return manager.count("WATCHDOG=1") > before+2 })
	}
	more("starting")

	d := withoutLoops(t)
	wctx, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.watcher.Run(wctx); err != nil {
			t.Error(err)
		}
	})
	s.d.Store(d)
	more("at work")

	s.mu.Lock()
	s.started = time.Now().Add(-time.Hour) // and no sweep has begun since
	s.mu.Unlock()
	testutil.Eventually(t, "word of it", func() bool { return said.count("stuck") > 0 })
	before := manager.count("WATCHDOG=1")
	time.Sleep(10 * every) // a sign could come at any moment of it
	if after := manager.count("WATCHDOG=1"); after != before {
		t.Errorf("%d signs of life while stuck", after-before)
	}
	if n := said.count("stuck"); n != 1 {
		t.Errorf("said %d times", n)
	}
	s.sweepBegins()
	more("after it got on")
	end()
	wg.Wait()
}

// TestTellsTheServiceManager of reloads, good and bad, and of a runtime that is
// away.
func TestTellsTheServiceManager(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	var manager states
	n.notify = manager.notify
	_, write := n.withFile(small)
	n.start()
	watching := "STATUS=watching " + n.runtime.PodLogsDir()
	testutil.Eventually(t, "ready", func() bool { return manager.count(watching) == 1 && manager.count("READY=1") == 1 })
	write(small + "compression: {codec: none}\n")
	testutil.Eventually(t, "the reload", func() bool {
		return manager.count("RELOADING=1") == 1 && manager.count("READY=1") == 2 && manager.count(watching) == 2
	})
	write("containerLogMaxFiles: many\n")
	testutil.Eventually(t, "the refused reload", func() bool {
		return manager.count("RELOADING=1") == 2 && manager.count("READY=1") == 3 && manager.count(watching) == 2
	})
	n.stop()
	if manager.count("STOPPING=1") == 0 {
		t.Error("it did not say that it stops")
	}
}
