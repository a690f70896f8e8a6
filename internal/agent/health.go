package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/telemetry"
)

// sweepsMissed is how many sweeps may be missing before a loop counts as stuck.
const sweepsMissed = 3

const (
	// pingTimeout is long for a loop that never blocks, on a machine that is out of
	// breath.
	pingTimeout = 5 * time.Second
	// watchdogShare of the time that it may take: systemd advises half, and a ping
	// that takes its time has to fit in too.
	watchdogShare = 3
)

var errStarting = errors.New("it waits for a container runtime (see containerRuntimeEndpoint)")

// healthy reports which loop is stuck; nil: none. The watcher's loop must turn,
// the clock's begin sweeps, and each that it hands to the watcher must end. A
// runtime that is away, or hangs, is no reason: a restart would not mend it.
func (s *stats) healthy(ctx context.Context) error {
	d := s.d.Load()
	if d == nil {
		return nil // Run waits, as it should
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if d.watcher.Ping(ctx) != nil {
		return fmt.Errorf("the watcher's loop has not turned for %v", pingTimeout)
	}
	patience := sweepsMissed*d.cfg.ContainerLogMonitorInterval + d.cfg.RuntimeRequestTimeout
	s.mu.Lock()
	defer s.mu.Unlock()
	// While it asks the runtime, each call that ends shows that it goes on.
	if ago := time.Since(latest(s.started, s.ticked, d.inventory.Progress())); ago > patience {
		return fmt.Errorf("no sweep has begun for %v, which should be at most %v", ago.Round(time.Second), patience)
	}
	if ago := time.Since(s.handed); !s.handed.IsZero() && ago > patience {
		return fmt.Errorf("a sweep has not ended for %v, which should be at most %v: is the disk of podLogsDir slow, or away?", ago.Round(time.Second), patience)
	}
	return nil
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// watchdog tells the service manager that all is well, as often as it wants to
// hear it, until ctx ends. It says nothing while a loop is stuck, and is restarted
// for that.
func (s *stats) watchdog(ctx context.Context, o Options) {
	if o.Watchdog <= 0 {
		return
	}
	stuck := false
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		err := s.healthy(ctx)
		switch {
		case ctx.Err() != nil: // the loops end
		case err == nil:
			stuck = false
			o.Notify("WATCHDOG=1")
		case !stuck:
			stuck = true
			o.Log.Error().Err(err).Msg("stuck: the service manager will restart logwatch")
		}
	}, o.Watchdog/watchdogShare)
}

// ready reports what is missing for logs to be rotated; nil: nothing.
func (s *stats) ready() error {
	if s.d.Load() == nil {
		return errStarting
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(s.asked, errNeverAsked), s.asked == nil && s.swept.IsZero():
		return errors.New("the first sweep is not done yet")
	case s.asked != nil:
		return fmt.Errorf("the container runtime does not answer: %w", s.asked)
	}
	return nil
}

// state is for metrics.
func (s *stats) state() telemetry.State {
	d := s.d.Load()
	if d == nil {
		return telemetry.State{Loaded: s.started}
	}
	w := d.watcher.Stats()
	st := telemetry.State{
		Events: w.Events, Checks: w.Checks, Overflows: w.Overflows, WatchErrors: w.WatchErrors, Sweeps: w.Sweeps,
		Hot: w.Hot, Cold: max(0, w.Tracked-w.Hot),
		Refused: d.counts.refused.Load(), Rejects: d.counts.rejects.Load(),
	}
	r, h := d.rotations.Stats(), d.housekeeping.Stats()
	st.Pools = []telemetry.Pool{
		{Name: telemetry.PoolRotations, Queued: r.Queued, Running: r.Running, Done: r.Done, Limit: d.cfg.ContainerLogMaxWorkers},
		{Name: telemetry.PoolHousekeeping, Queued: h.Queued, Running: h.Running, Done: h.Done, Limit: d.cfg.Compression.Workers},
	}
	st.Budget = d.pressure.limits.Load().NodeLogBudget
	st.Usage = max(0, s.uncounted.Load()+d.pressure.grown.Load())
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.leftLocked()
	st.BacklogFiles, st.BacklogBytes = b.Files, b.Bytes
	st.RuntimeReachable = s.asked == nil
	st.LastSweep, st.Loaded, st.ReloadFailed = s.swept, s.loaded, s.reload != nil
	return st
}

// leftLocked is what housekeeping could not do, in all directories. The caller
// holds mu.
func (s *stats) leftLocked() (sum control.Backlog) {
	for _, b := range s.backlog {
		sum.Files += b.Files
		sum.Bytes += b.Bytes
	}
	return sum
}
