package agent

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/testutil"
)

// withoutLoops has all parts on a fake runtime, but runs none of the loops.
func withoutLoops(t *testing.T, a *agent) *parts {
	t.Helper()
	rt, err := fake.Start(fake.Options{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, rt.Close()) })
	client, err := cri.Dial(rt.Endpoint(), time.Second)
	must(t, err)
	t.Cleanup(func() { must(t, client.Close()) })
	a.o.Config.PodLogsDir = rt.PodLogsDir()
	resolver, err := policy.New(a.o.Config.Rules)
	must(t, err)
	p := a.newParts(client, resolver)
	t.Cleanup(func() { must(t, p.dispatcher.Stop(context.Background())) })
	a.parts.Store(p)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runWatcher runs the watcher's loop until the test ends.
func runWatcher(t *testing.T, p *parts) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() {
		if err := p.watcher.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		g.Wait()
	})
}

func TestHealthOfStuckLoops(t *testing.T) {
	a := newAgent(Options{Config: config.Default(), Log: zerolog.Nop()})
	p := withoutLoops(t, a)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := a.healthy(short); err == nil || !strings.Contains(err.Error(), "the watcher's loop has not run") {
		t.Errorf("without a watcher's loop: %v", err)
	}
	runWatcher(t, p)
	now := time.Now()
	long := now.Add(-3*p.cfg.ContainerLogMonitorInterval - p.cfg.RuntimeRequestTimeout - time.Second)
	check := func(name, want string, started, ticked, queued time.Time) {
		t.Helper()
		a.progress.mu.Lock()
		a.progress.started, a.progress.ticked, a.progress.queued = started, ticked, queued
		a.progress.mu.Unlock()
		got := ""
		if err := a.healthy(t.Context()); err != nil {
			got = err.Error()
		}
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	check("healthy", "", long, now, time.Time{})
	check("in a sweep", "", long, now, now)
	check("just started", "", now, time.Time{}, time.Time{})
	check("no timer", "no sweep has begun for 34s, which should be at most 33s", long, long, time.Time{})
	check("no watcher", "a sweep has not ended for 34s, which should be at most 33s", long, now, long)
	must(t, p.inventory.Refresh(t.Context()))
	check("a slow runtime that answers", "", long, long, time.Time{})
}

// TestSweepsAreFollowed: a sweep that the watcher got and ended is not a sign of
// trouble, one that it has not ended is.
func TestSweepsAreFollowed(t *testing.T) {
	a := newAgent(Options{Config: config.Default(), Log: zerolog.Nop()})
	p := withoutLoops(t, a)
	queued := func() time.Time {
		a.progress.mu.Lock()
		defer a.progress.mu.Unlock()
		return a.progress.queued
	}
	a.sweep(t.Context(), p, "sweep") // no loop takes it
	first := queued()
	if first.IsZero() {
		t.Fatal("the watcher did not get the sweep")
	}
	a.sweep(t.Context(), p, "sweep")
	if !queued().Equal(first) {
		t.Error("the next sweep hid that the first one has not ended")
	}
	runWatcher(t, p)
	testutil.Eventually(t, "the end of the sweep", func() bool { return queued().IsZero() })
}

// manager is a service manager.
type manager struct {
	mu     sync.Mutex
	states []string
}

func (m *manager) notify(state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states = append(m.states, state)
}

// fed returns how many times the watchdog was fed.
func (m *manager) fed() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, state := range m.states {
		for l := range strings.Lines(state) {
			if strings.TrimSuffix(l, "\n") == "WATCHDOG=1" {
				n++
			}
		}
	}
	return n
}

// TestWatchdog: the watchdog is fed while the start waits, and while the loops run;
// not while one is stuck, and that is logged once.
func TestWatchdog(t *testing.T) {
	const every = 15 * time.Millisecond
	var m manager
	var mu sync.Mutex
	var logged strings.Builder
	stuck := func() int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(logged.String(), "stuck")
	}
	a := newAgent(Options{Config: config.Default(), Notify: m.notify, Watchdog: every, Log: zerolog.New(writer(func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		logged.Write(p)
	}))})
	ctx, stop := context.WithCancel(t.Context())
	var g sync.WaitGroup
	defer g.Wait()
	defer stop()
	g.Go(func() { a.watchdog(ctx) })
	more := func(when string) {
		t.Helper()
		before := m.fed()
		testutil.Eventually(t, "the watchdog to be fed "+when, func() bool { return m.fed() > before+2 })
	}
	more("at the start")
	runWatcher(t, withoutLoops(t, a))
	more("at work")

	a.progress.mu.Lock()
	a.progress.started = time.Now().Add(-time.Hour) // and no sweep has begun since
	a.progress.mu.Unlock()
	testutil.Eventually(t, "the message", func() bool { return stuck() > 0 })
	before := m.fed()
	time.Sleep(10 * every) // it could be fed at any moment of it
	if after := m.fed(); after != before {
		t.Errorf("fed %d times while stuck", after-before)
	}
	if n := stuck(); n != 1 {
		t.Errorf("logged %d times", n)
	}
	a.progress.sweepBegun()
	more("after a sweep has begun")
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// TestAskedWhileStarting: it answers while it waits for a runtime's socket.
func TestAskedWhileStarting(t *testing.T) {
	a := newAgent(Options{Config: config.Default(), Version: "v1"})
	if err := a.healthy(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.ready(t.Context()); err == nil {
		t.Error("ready")
	}
	if st := a.Status(t.Context(), api.Names{}, true); st.Node.Waiting == "" || st.Node.Version != "v1" {
		t.Errorf("%+v", st)
	}
	if _, _, err := a.Rotate(t.Context(), api.Names{}); !errors.Is(err, errStarting) {
		t.Errorf("rotated: %v", err)
	}
	if err := a.reloadNow(t.Context()); !errors.Is(err, errStarting) {
		t.Errorf("reloaded: %v", err)
	}
	if _, err := a.registry.Gather(); err != nil {
		t.Error(err)
	}
}

// limitFiles sets the number of file descriptors that this process may have, until the
// test ends or restore is called.
func limitFiles(t *testing.T, n uint64) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: before.Max}))
	restore = sync.OnceFunc(func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) })
	t.Cleanup(restore)
	return restore
}

// TestHealthWithoutDescriptors: rotations that fail for want of descriptors make it
// unhealthy if that lasts.
func TestHealthWithoutDescriptors(t *testing.T) {
	a := newAgent(Options{Config: config.Default(), Log: zerolog.Nop()})
	runWatcher(t, withoutLoops(t, a))
	restore := limitFiles(t, 3)
	a.progress.checkDescriptors()
	restore()
	must(t, a.healthy(t.Context())) // it may be a moment
	a.progress.mu.Lock()
	if a.progress.starved.IsZero() {
		t.Error("it is not noticed")
	}
	a.progress.starved = a.progress.starved.Add(-time.Hour)
	a.progress.mu.Unlock()
	if err := a.healthy(t.Context()); err == nil || !strings.Contains(err.Error(), "no file descriptors are free for rotations for 1h0m0s") {
		t.Errorf("healthy: %v", err)
	}
	a.progress.checkDescriptors()
	must(t, a.healthy(t.Context()))
}
