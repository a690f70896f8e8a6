package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/logwatch/logwatch/watcher"
)

const (
	// maxMissedSweeps is how many sweeps may be missing before a loop counts as
	// stuck.
	maxMissedSweeps = 3
	// pingTimeout is long for a loop that never blocks, on a slow machine.
	pingTimeout = 5 * time.Second
	// watchdogShare is the share of the watchdog's time after which it is fed:
	// systemd advises half, and a ping that takes its time has to fit in too.
	watchdogShare = 3
)

var (
	errStarting      = errors.New("waiting for a container runtime (see containerRuntimeEndpoint)")
	errNotQueriedYet = errors.New("not queried yet")
)

// progress is what the loops report of themselves, for health and status.
type progress struct {
	mu          sync.Mutex
	started     time.Time
	waitsFor    error     // while it starts: what for
	starved     time.Time // since when there are no file descriptors for a rotation; zero: there are
	ticked      time.Time // when the timer last began a sweep
	begun       time.Time // a sweep that is under way; zero: none
	queued      time.Time // when the watcher got it; zero: it ended
	swept       time.Time // when one last ended
	took        time.Duration
	lastListErr error // errNotQueriedYet before the first list
	loaded      time.Time
	reloadErr   error // of the last reload
	reloaded    time.Time
}

func (p *progress) start() {
	p.started = time.Now()
	p.loaded, p.lastListErr, p.waitsFor = p.started, errNotQueriedYet, errStarting
}

// waitsFor is called with what the start waits for.
func (a *agent) waitsFor(what error) {
	a.progress.mu.Lock()
	defer a.progress.mu.Unlock()
	a.progress.waitsFor = what
}

// waiting returns what the start waits for; nil: it has ended.
func (a *agent) waiting() error {
	if a.parts.Load() != nil {
		return nil
	}
	a.progress.mu.Lock()
	defer a.progress.mu.Unlock()
	return a.progress.waitsFor
}

// sweepBegun is called when the timer begins a sweep.
func (p *progress) sweepBegun() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticked = time.Now()
	p.begun = p.ticked
}

// sweepQueued is called when the watcher gets its part of a sweep.
func (p *progress) sweepQueued() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queued.IsZero() { // else the one before has not ended
		p.queued = time.Now()
	}
}

// sweepEnded is called at the end of every sweep of the watcher. It returns how long
// one took that the timer began; 0 for another.
func (p *progress) sweepEnded(c watcher.Cause) (took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swept, p.queued = time.Now(), time.Time{}
	if (c == watcher.CauseSweep || c == watcher.CauseStartup) && !p.begun.IsZero() {
		took = p.swept.Sub(p.begun)
		p.took, p.begun = took, time.Time{}
	}
	return took
}

// listed is called with the result of each list of the runtime's containers. It
// reports whether the one before failed.
func (p *progress) listed(err error) (failedBefore bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	failedBefore = p.lastListErr != nil && !errors.Is(p.lastListErr, errNotQueriedYet)
	p.lastListErr = err
	return failedBefore
}

// rotationFiles is the number of files that a rotation and what follows it have open.
const rotationFiles = 8

// checkDescriptors is called with each sweep: without descriptors, no rotation
// succeeds, and what has taken them may be this process.
func (p *progress) checkDescriptors() {
	err := error(nil)
	for range rotationFiles {
		f, failed := os.Open("/")
		if err = failed; err != nil {
			break
		}
		defer f.Close() //nolint:errcheck // a directory
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !errors.Is(err, unix.EMFILE): // others are not cured by a restart
		p.starved = time.Time{}
	case p.starved.IsZero():
		p.starved = time.Now()
	}
}

// reload is called with the result of each reload.
func (p *progress) reload(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reloadErr, p.reloaded = err, time.Now()
	if err == nil {
		p.loaded = p.reloaded
	}
}

// reloadFailed reports whether the last reload failed.
func (p *progress) reloadFailed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reloadErr != nil
}

// healthy reports which loop is stuck; nil: none. The watcher's loop must run, the
// timer must begin sweeps, each sweep that the watcher gets must end, and file
// descriptors must be free. A runtime that is unreachable or hangs is not a reason: a
// restart would not help.
func (a *agent) healthy(ctx context.Context) error {
	p := a.parts.Load()
	if p == nil {
		return nil // Run waits, as it should
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if p.watcher.Ping(ctx) != nil {
		return fmt.Errorf("the watcher's loop has not run for %v", pingTimeout)
	}
	limit := maxMissedSweeps*p.cfg.ContainerLogMonitorInterval + p.cfg.RuntimeRequestTimeout
	a.progress.mu.Lock()
	defer a.progress.mu.Unlock()
	// While a sweep waits for the runtime, each call that ends shows progress.
	if ago := time.Since(latest(a.progress.started, a.progress.ticked, p.inventory.Progress())); ago > limit {
		return fmt.Errorf("no sweep has begun for %v, which should be at most %v", ago.Round(time.Second), limit)
	}
	if ago := time.Since(a.progress.starved); !a.progress.starved.IsZero() && ago > limit {
		return fmt.Errorf("no file descriptors are free for rotations for %v: raise LimitNOFILE", ago.Round(time.Second))
	}
	if ago := time.Since(a.progress.queued); !a.progress.queued.IsZero() && ago > limit {
		return fmt.Errorf("a sweep has not ended for %v, which should be at most %v: is the disk of podLogsDir slow or unavailable?", ago.Round(time.Second), limit)
	}
	return nil
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// watchdog feeds the service manager's watchdog until ctx ends. It stops while a
// loop is stuck, and the service manager restarts the agent then.
func (a *agent) watchdog(ctx context.Context) {
	if a.o.Watchdog <= 0 {
		return
	}
	stuck := false
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		err := a.healthy(ctx)
		switch {
		case ctx.Err() != nil: // the loops end
		case err == nil:
			stuck = false
			a.o.Notify("WATCHDOG=1")
		case !stuck:
			stuck = true
			a.log.Error().Err(err).Msg("stuck; the service manager will restart logwatch")
		}
	}, a.o.Watchdog/watchdogShare)
}

// ready reports what is missing for logs to be rotated; nil: nothing.
func (a *agent) ready(context.Context) error {
	if err := a.waiting(); err != nil {
		return err
	}
	a.progress.mu.Lock()
	defer a.progress.mu.Unlock()
	switch err := a.progress.lastListErr; {
	case errors.Is(err, errNotQueriedYet), err == nil && a.progress.swept.IsZero():
		return errors.New("the first sweep has not ended yet")
	case err != nil:
		return fmt.Errorf("the container runtime is unreachable: %w", err)
	}
	return nil
}
