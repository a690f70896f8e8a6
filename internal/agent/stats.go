package agent

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/internal/web"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// statsKept is for how long a directory is remembered that has no running
// container: one that crashes again and again keeps its last error meanwhile.
const statsKept = 10 * time.Minute

// stats is what is remembered to be shown: by metrics, health and status. It is
// there before the daemon that it is of, for the start may have to wait.
type stats struct {
	*telemetry.Metrics
	registry *prometheus.Registry
	events   *web.Hub // the page's; nil: there is none
	version  string
	file     string // of the configuration; "": none
	started  time.Time
	d        atomic.Pointer[Daemon] // nil: it waits for a runtime

	// uncounted is the node's usage of the last count, without what was rotated
	// before it.
	uncounted atomic.Int64

	mu      sync.Mutex
	dirs    map[string]*dirStats
	backlog map[string]control.Backlog
	results map[string]control.Result // of rotation jobs under way, by directory
	ticked  time.Time                 // when a sweep was last begun by the clock
	begun   time.Time                 // a sweep that is under way; zero: none
	handed  time.Time                 // when the watcher got it; zero: it ended
	swept   time.Time                 // when one last ended
	took    time.Duration             // the last one that the clock began
	// asked is what the runtime's last list ended with, errNeverAsked before it.
	asked    error
	loaded   time.Time
	reload   error // of the last one
	reloaded time.Time
}

var errNeverAsked = errors.New("it was not asked yet")

// dirStats are a container directory's.
type dirStats struct {
	id        string // the container that logs there
	seen      time.Time
	rotations uint64
	last      *control.Rotation
	rotating  *control.Problem // why the last rotation failed; nil: it did not
	tidying   *control.Problem // the same of housekeeping

	// size is the live log's at the last sweep or rotation, past what was written
	// before it, from what there was at first.
	size, past, first int64
	written           int64
	sized             time.Time
	rate              float64

	oldest   string // what oldestAt is of
	oldestAt time.Time
}

// pruneReasons and causes have series from the beginning.
var (
	pruneReasons = []string{string(rotator.ByFiles), string(rotator.BySize), string(rotator.ByAge), string(rotator.ByPressure)}
	causes       = []string{
		string(watcher.CauseWrite), string(watcher.CauseStartup), string(watcher.CauseSweep), string(watcher.CauseOverflow), string(watcher.CauseRetry),
		string(watcher.CauseReload), string(watcher.CauseAge), string(watcher.CausePressure), string(watcher.CauseOperator),
	}
)

func newStats(o Options) *stats {
	now := time.Now()
	s := &stats{
		registry: prometheus.NewRegistry(), events: newHub(o), version: o.Version, file: o.Reload.File, started: now, loaded: now, asked: errNeverAsked,
		dirs: map[string]*dirStats{}, backlog: map[string]control.Backlog{}, results: map[string]control.Result{},
	}
	build := telemetry.Build{Version: o.Version}
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range bi.Settings {
			if setting.Key == "vcs.revision" {
				build.Revision = setting.Value
			}
		}
	}
	s.Metrics = telemetry.New(s.registry, build, s.state)
	s.Expect(causes, pruneReasons)
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.Config.Metrics.PerContainer {
		s.registry.MustRegister(telemetry.Containers(s.containers))
	}
	return s
}

// dirLocked returns a directory's entry, and notes that it is in use. The caller holds mu.
func (s *stats) dirLocked(dir string) *dirStats {
	e := s.dirs[dir]
	if e == nil {
		e = &dirStats{}
		s.dirs[dir] = e
	}
	e.seen = time.Now()
	return e
}

// found is called for whatever is due.
func (s *stats) found(due watcher.Due) {
	switch due.Cause {
	case watcher.CauseStartup, watcher.CauseSweep, watcher.CauseOverflow, watcher.CauseReload, watcher.CauseMissing:
		s.SweepFinds.Inc()
	}
}

// bySize reports whether a cause is a log's being over its limit.
func bySize(c watcher.Cause) bool {
	switch c {
	case watcher.CauseAge, watcher.CausePressure, watcher.CauseOperator, watcher.CauseMissing:
		return false
	}
	return true
}

// rotated is called for each rotation that was done, and for live logs that were
// reopened.
func (s *stats) rotated(c cri.Container, due watcher.Due, done rotator.Rotation, interval time.Duration) {
	now, result := time.Now(), telemetry.ResultRotated
	if done.To == "" {
		result = telemetry.ResultReopened
	} else {
		s.Rotation.Observe(done.Took.Seconds())
	}
	s.Rotations.WithLabelValues(string(due.Cause), result).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.dirLocked(due.Dir)
	e.rotating = nil
	if done.To == "" {
		s.results[due.Dir] = control.Result{Outcome: control.Reopened}
		s.happened(web.KindReopened, due, web.Event{Names: namesOf(c), ID: c.ID})
		return
	}
	e.become(c.ID)
	e.past += done.Size
	e.size = 0
	e.rotations++
	last := &control.Rotation{Time: now, Cause: string(due.Cause), To: done.To, Size: done.Size, Seconds: done.Took.Seconds()}
	if bySize(due.Cause) {
		last.Overshoot = max(0, done.Size-due.Limit)
		s.Overshoot.Observe(float64(last.Overshoot))
		if e.last != nil && now.Sub(e.last.Time) < interval {
			s.ForcedInterval.Inc()
		}
	}
	e.last = last
	s.happened(web.KindRotated, due, web.Event{Time: now, Names: namesOf(c), ID: c.ID, To: last.To, Size: last.Size, Overshoot: last.Overshoot, Seconds: last.Seconds})
	s.results[due.Dir] = control.Result{Outcome: control.Rotated, To: done.To, Size: done.Size, Seconds: done.Took.Seconds()}
}

// lookup is called with what the question ended with whose log it is.
func (s *stats) lookup(ctx context.Context, due watcher.Due, err error) {
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, cri.ErrNotRunning):
		s.ended(due, telemetry.ResultNotRunning, control.Result{Outcome: control.Gone}, nil)
	default:
		s.ended(due, telemetry.ResultUnknown, control.Result{Outcome: control.Failed, Error: err.Error()}, err)
	}
}

// failed is called for each rotation that was not done, or not wholly.
func (s *stats) failed(due watcher.Due, err error) {
	failed := control.Result{Outcome: control.Failed, Error: err.Error()}
	switch {
	case errors.Is(err, rotator.ErrNotDue):
		s.ended(due, telemetry.ResultNotDue, control.Result{Outcome: control.Changed}, nil)
	case errors.Is(err, context.Canceled):
	case errors.Is(err, rotator.ErrNotRunning):
		s.ReopenFailures.WithLabelValues(telemetry.ReopenNotRunning).Inc()
		s.ended(due, telemetry.ResultNotRunning, control.Result{Outcome: control.Gone}, nil)
	case errors.Is(err, fs.ErrNotExist):
		s.ended(due, telemetry.ResultNotRunning, control.Result{Outcome: control.Gone}, nil)
	case errors.Is(err, podlogs.ErrNotRegular):
		s.ended(due, telemetry.ResultNotRegular, failed, err)
	case errors.Is(err, rotator.ErrRefused):
		s.ReopenFailures.WithLabelValues(telemetry.ReopenRefused).Inc()
		s.ended(due, telemetry.ResultRefused, failed, err)
	case errors.Is(err, rotator.ErrUnanswered):
		reason := telemetry.ReopenUnanswered
		if errors.Is(err, context.DeadlineExceeded) {
			reason = telemetry.ReopenTimeout
		}
		s.ReopenFailures.WithLabelValues(reason).Inc()
		s.ended(due, telemetry.ResultUnanswered, failed, err)
	default:
		s.ended(due, telemetry.ResultFailed, failed, err)
	}
}

// ended notes what a rotation ended with. problem is what lasts; nil: nothing.
func (s *stats) ended(due watcher.Due, result string, r control.Result, problem error) {
	s.Rotations.WithLabelValues(string(due.Cause), result).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[due.Dir] = r
	if problem != nil {
		e := s.dirLocked(due.Dir)
		if e.rotating == nil { // one that lasts is told once
			s.happened(web.KindFailed, due, web.Event{Error: problem.Error()})
		}
		e.rotating = problemOf(problem)
	}
}

func problemOf(err error) *control.Problem {
	return &control.Problem{Time: time.Now(), Text: oneLine(err)}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// result returns what a directory's rotation job ended with, and forgets it.
func (s *stats) result(dir string) (control.Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.results[dir]
	delete(s.results, dir)
	return r, ok
}

// housekept takes in what housekeeping did.
func (s *stats) housekept(d *Daemon, dir string, rep rotator.Report, err error) {
	s.pruned(rep)
	s.CompressedIn.Add(float64(rep.BytesIn))
	s.CompressedOut.Add(float64(rep.BytesOut))
	if errors.Is(err, context.Canceled) {
		return
	}
	switch {
	case rep.NoSpace:
		s.HousekeepingErrors.WithLabelValues("no_space").Inc()
	case err != nil:
		s.HousekeepingErrors.WithLabelValues("other").Inc()
	}
	var left control.Backlog
	if err != nil || rep.Busy > 0 {
		left = d.leftOver(dir)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if left.Files > 0 {
		s.backlog[dir] = left
	} else {
		delete(s.backlog, dir)
	}
	switch e := s.dirs[dir]; {
	case err != nil:
		e := s.dirLocked(dir)
		if e.tidying == nil {
			s.happened(web.KindUntidy, watcher.Due{Dir: dir}, web.Event{Error: err.Error()})
		}
		e.tidying = problemOf(err)
	case e != nil:
		e.tidying = nil
	}
}

// leftOver is what there is to do in a directory now. Its housekeeping runs
// again for it.
func (d *Daemon) leftOver(dir string) (b control.Backlog) {
	files, _ := podlogs.ListDir(d.fs, dir, maxFiles) // of what cannot be listed nobody knows more
	steps, _ := rotator.Plan(files, d.policy(dir), time.Now())
	for _, step := range steps {
		b.Files++
		b.Bytes += max(0, step.Size)
	}
	return b
}

// pruned counts what was removed.
func (s *stats) pruned(rep rotator.Report) {
	s.LeaseRefusals.Add(float64(rep.Busy))
	for _, step := range rep.Done {
		if step.Action != rotator.Prune {
			continue
		}
		s.PrunedFiles.WithLabelValues(string(step.Reason)).Inc()
		s.PrunedBytes.WithLabelValues(string(step.Reason)).Add(float64(max(0, step.Size)))
		if step.Forced {
			s.ForcedGrace.Inc()
		}
	}
}

// sweepBegins is called by the clock's sweeps.
func (s *stats) sweepBegins() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticked = time.Now()
	s.begun = s.ticked
}

// sweepHanded is called when the watcher gets to do its part of one.
func (s *stats) sweepHanded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handed.IsZero() { // else the one before has not ended
		s.handed = time.Now()
	}
}

// listed is called with what asking the runtime for its containers ended with.
func (s *stats) listed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = err
}

// sweepEnds is called at the end of every sweep, whatever began it.
func (s *stats) sweepEnds(c watcher.Cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept, s.handed = time.Now(), time.Time{}
	if (c == watcher.CauseSweep || c == watcher.CauseStartup) && !s.begun.IsZero() {
		s.took = s.swept.Sub(s.begun)
		s.begun = time.Time{}
		s.SweepSeconds.Observe(s.took.Seconds())
	}
}

// saw is called by the sweep for each running container's live log.
func (s *stats) saw(id, dir string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.dirLocked(dir)
	e.become(id)
	if e.sized.IsZero() {
		e.first = size - e.past
	}
	before, at := e.written, e.sized
	e.size, e.sized = size, e.seen
	// It never goes back, though somebody may truncate a log.
	e.written = max(before, e.past+size-e.first)
	if elapsed := e.sized.Sub(at).Seconds(); !at.IsZero() && elapsed > 0 {
		e.rate = float64(e.written-before) / elapsed
	}
}

// become says which container logs there. What the one before it had in its live
// log stays counted.
func (e *dirStats) become(id string) {
	if e.id != id && e.id != "" {
		e.past += e.size
		e.size = 0
	}
	e.id = id
}

// forget is called at the end of the clock's sweeps: what is gone is not
// remembered for long.
func (s *stats) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(s.dirs, func(_ string, e *dirStats) bool { return now.Sub(e.seen) > statsKept })
}

// reloads is called with what each reload ended with.
func (s *stats) reloads(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reload, s.reloaded = err, time.Now()
	if err == nil {
		s.loaded = s.reloaded
	}
}

// counted notes what all logs take, by the last count; grown is what had been
// rotated before it.
func (s *stats) counted(usage, grown int64) { s.uncounted.Store(usage - grown) }
