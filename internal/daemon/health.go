package daemon

import (
	"errors"
	"fmt"
	"time"

	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/metrics"
)

// sweepsMissed is how many sweeps may be missing before a loop counts as stuck.
const sweepsMissed = 3

var errStarting = errors.New("it waits for a container runtime (see containerRuntimeEndpoint)")

// healthy reports which loop is stuck; nil: none. The clock's loop begins the
// sweeps and asks the runtime; the watcher's ends them. A runtime that is away is
// no reason: a restart would not bring it back.
func (s *stats) healthy() error {
	d := s.d.Load()
	if d == nil {
		return nil // Run waits, as it should
	}
	patience := sweepsMissed*d.cfg.ContainerLogMonitorInterval.Duration + d.cfg.RuntimeRequestTimeout.Duration
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, at := range map[string]time.Time{"begun": s.ticked, "ended": s.swept} {
		if at.IsZero() {
			at = s.started
		}
		if ago := time.Since(at); ago > patience {
			return fmt.Errorf("no sweep has %s for %v, which should be at most %v", what, ago.Round(time.Second), patience)
		}
	}
	return nil
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
func (s *stats) state() metrics.State {
	d := s.d.Load()
	if d == nil {
		return metrics.State{Loaded: s.started}
	}
	w := d.watcher.Stats()
	st := metrics.State{
		Events: w.Events, Checks: w.Checks, Overflows: w.Overflows, WatchErrors: w.WatchErrors, Sweeps: w.Sweeps,
		Hot: w.Hot, Cold: max(0, w.Tracked-w.Hot),
		Refused: d.counts.refused.Load(), Rejects: d.counts.rejects.Load(),
	}
	r, h := d.rotations.Stats(), d.housekeeping.Stats()
	st.Pools = []metrics.Pool{
		{Name: metrics.PoolRotations, Queued: r.Queued, Running: r.Running, Done: r.Done, Limit: d.cfg.ContainerLogMaxWorkers},
		{Name: metrics.PoolHousekeeping, Queued: h.Queued, Running: h.Running, Done: h.Done, Limit: d.cfg.Compression.Workers},
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
