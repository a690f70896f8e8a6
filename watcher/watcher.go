package watcher

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// Cause is what found that a log is due.
type Cause string

// The causes of a rotation, as they stand in logs and metrics.
const (
	CauseWrite    Cause = "write"    // an event, a check of a hot log, or Check
	CauseStartup  Cause = "startup"  // the first sweep
	CauseSweep    Cause = "sweep"    // the periodic sweep
	CauseOverflow Cause = "overflow" // the sweep after lost events
	CauseMissing  Cause = "missing"  // the live log is absent
	CauseRetry    Cause = "retry"    // the last attempt failed
	CauseReload   Cause = "reload"   // the sweep after a change of limits
	CauseAge      Cause = "age"      // its oldest line is too old
	CausePressure Cause = "pressure" // the node's logs, or the disk, take too much
	CauseOperator Cause = "operator" // an operator's request
)

// Due is a hint that a live log is due for rotation.
type Due struct {
	// Dir is the container's directory relative to podLogsDir, "pod/container".
	Dir string
	// Log is the live log's name, "N.log".
	Log   string
	Cause Cause
	// Size is the log's size in bytes when it was found due; 0 if it is missing.
	Size int64
	// Limit is the log's limit in bytes: the lesser of Limits.MaxSize and half of
	// Limits.MaxTotalSize. 0: rotation is off.
	Limit int64
	// Lead is by how many bytes the log is due before it has Limit bytes.
	Lead int64
	// Rate is how fast the log grows in bytes/s, at the most of late; 0: it does not
	// grow.
	Rate float64
	// Target is the size in bytes that the log should have when its rotation is
	// done: Limit, or half of MaxTotalSize if MinInterval has held it back. 0: it is
	// to be rotated at once.
	Target int64
	// Growing: the log has grown since the check before, a moment ago, so a
	// process is writing it.
	Growing bool
}

// Config configures a Watcher. All but Limits' results are fixed for its life.
// None of the functions may block.
type Config struct {
	// PodLogsDir is an absolute, clean path. It need not exist yet.
	PodLogsDir string
	// Limits returns the limits for a container's directory. It is called at each
	// listing, sweep and Check of the directory.
	Limits func(dir string) Limits
	// Due is called for a log that is due, and again while it stays due.
	Due func(Due)
	// Changed is called when there may be housekeeping to do: when a sweep finds a
	// container's directory new, or changed since the last one; when another live
	// log is found in it; and when its logs together have reached MaxTotalSize.
	Changed func(dir string)
	// Swept is called at the end of each sweep, when all that it had to list was
	// listed and all that it found due was reported.
	Swept func(Cause)
	Log   zerolog.Logger
}

// Watcher watches the live logs below one podLogsDir.
type Watcher struct {
	cfg      Config
	requests requests
	pings    chan struct{}
	stats    counters
	// open opens the inotify instance; tests replace it.
	open func() (notifier, error)
}

// New returns a Watcher; Run starts it.
func New(cfg Config) *Watcher {
	return &Watcher{
		cfg:      cfg,
		requests: requests{wake: make(chan struct{}, 1), dirs: map[string]bool{}},
		pings:    make(chan struct{}),
		open:     openInotify,
	}
}

// Sweep requests a sweep of the whole tree; c is CauseStartup, CauseOverflow,
// CauseReload or CauseSweep. It does not wait for it. Requests that meet make
// one sweep, which does what each of them asks for and has the strongest cause,
// in this order. A request during a sweep makes one more.
func (w *Watcher) Sweep(c Cause) { w.requests.sweep(c) }

// Check requests that one container's directory is listed and its live log
// checked at once, with its limits read again: after a rotation, or when its
// policy has become known. It does not wait for it. A log that is due and has grown
// is reported, even if it was a moment ago. A directory that was not found yet is looked up.
func (w *Watcher) Check(dir string) { w.requests.check(dir) }

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

// Run watches until ctx is done and returns nil then. With no inotify instance to
// be had it works from sweeps and timers, and tries again at each sweep.
func (w *Watcher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	s := newScanner(w.cfg.PodLogsDir)
	g.Go(func() error { return s.run(ctx) })
	g.Go(func() error { return newLoop(w, s).run(ctx) })
	return g.Wait()
}

// pace bounds how often one thing is reported while nothing improves.
type pace struct {
	next  time.Time // when it may be reported again
	pause time.Duration
}

// delay puts next off: by shortest, then by twice as long each time, at most by
// longest. After a long time it starts over.
func (p *pace) delay(now time.Time, shortest, longest time.Duration) {
	if now.Sub(p.next) > longest {
		p.pause = 0
	}
	p.pause = min(max(2*p.pause, shortest), longest)
	p.next = now.Add(p.pause)
}
