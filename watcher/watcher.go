package watcher

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// Cause says what found that a log is due.
type Cause string

// The causes of a rotation, as they stand in logs and metrics.
const (
	CauseWrite    Cause = "write"    // an event, or a check of a hot log
	CauseStartup  Cause = "startup"  // the first sweep
	CauseSweep    Cause = "sweep"    // the periodic sweep
	CauseOverflow Cause = "overflow" // the sweep after lost events
	CauseMissing  Cause = "missing"  // the live log is not there
	CauseRetry    Cause = "retry"    // the last try failed
	CauseReload   Cause = "reload"   // the sweep after a change of limits
	CauseAge      Cause = "age"      // its oldest line is too old
	CausePressure Cause = "pressure" // the node's logs, or the disk, take too much
	CauseOperator Cause = "operator" // somebody asked for it
)

// Due is a live log whose rotation is due.
type Due struct {
	// Dir is the container's directory relative to podLogsDir, "pod/container".
	Dir string
	// Log is the live log's name, "N.log".
	Log   string
	Cause Cause
	// Size is the log's size in bytes when it was found due; 0 if it is missing.
	Size int64
	// Limit is Limits.MaxSize, in bytes.
	Limit int64
	// Growing: the log has grown since it was last looked at, a moment ago. So
	// somebody writes it now.
	Growing bool
}

// Outcome is what became of a Due. The zero value says: nothing was rotated,
// look again.
type Outcome struct {
	// Rotated is the size in bytes of what was rotated; 0: nothing was.
	Rotated int64
	// Ignore: this log is not to be rotated (its container does not run). It is
	// not reported again until it changes, and then once a second at most.
	Ignore bool
	// Failed: try again, later and later with each failure in a row, but not
	// before RetryAfter.
	Failed     bool
	RetryAfter time.Duration
}

// Config is what a Watcher is made of. All but Limits' results are fixed for
// its life.
type Config struct {
	// PodLogsDir is an absolute, clean path. It need not exist yet.
	PodLogsDir string
	// Limits returns the limits for a container's directory. Called in each sweep
	// and each time that the directory was listed; must be quick.
	Limits func(dir string) Limits
	// Due is called once for a due log, and not again for its directory until
	// Done was called. Must not block.
	Due func(Due)
	// Changed is called when a sweep finds a container's directory new, or changed
	// since the last one, and when another live log is found in it: there may be
	// housekeeping to do. Must not block.
	Changed func(dir string)
	// Beside is a directory outside PodLogsDir that is watched too, with the same
	// inotify instance; BesideChanged is called for events in it, at most
	// besideEvents a second, and at each sweep. "": none. Must not block.
	Beside        string
	BesideChanged func()
	// Swept is called at the end of each sweep, when all that it had to list was
	// listed and all that it found due was reported. Must not block.
	Swept func(Cause)
	Log   zerolog.Logger
}

// Watcher watches the live logs below one podLogsDir. Make one with New.
type Watcher struct {
	cfg    Config
	sweeps chan Cause
	done   chan done
	pings  chan struct{}
	stats  counters
	// open makes the inotify instance; tests put another in its place.
	open func() (notifier, error)
}

type done struct {
	dir     string
	outcome Outcome
}

// New makes a Watcher; Run starts it.
func New(cfg Config) *Watcher {
	return &Watcher{
		cfg:    cfg,
		sweeps: make(chan Cause, 1),
		done:   make(chan done),
		pings:  make(chan struct{}),
		open:   openInotify,
	}
}

// Sweep has the whole tree gone through; c is CauseStartup, CauseSweep or
// CauseOverflow. It does not wait for it; one that was asked for and not begun
// yet serves both.
func (w *Watcher) Sweep(c Cause) {
	select {
	case w.sweeps <- c:
	default:
	}
}

// Done tells what became of the Due for dir. It returns once the loop has it,
// or ctx is done.
func (w *Watcher) Done(ctx context.Context, dir string, o Outcome) {
	select {
	case w.done <- done{dir, o}:
	case <-ctx.Done():
	}
}

// Ping returns once Run's loop has turned, or ctx is done, with its error then:
// the loop is stuck, or does not run.
func (w *Watcher) Ping(ctx context.Context) error {
	select {
	case w.pings <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run watches until ctx is done; that is no error. It fails when there is no
// inotify instance to be had at the start, or when it is closed by an error.
func (w *Watcher) Run(ctx context.Context) error {
	n, err := w.open()
	if err != nil {
		return fmt.Errorf("watch %s: inotify: %w (the kernel allows a user fs.inotify.max_user_instances of them; raise it with sysctl)", w.cfg.PodLogsDir, err)
	}
	defer n.Close() //nolint:errcheck // nothing was written
	g, ctx := errgroup.WithContext(ctx)
	s := &scanner{root: w.cfg.PodLogsDir, requests: make(chan request), results: make(chan result)}
	g.Go(func() error { return s.run(ctx) })
	l := newLoop(w, n, s)
	g.Go(func() error { return l.run(ctx) })
	return g.Wait()
}
