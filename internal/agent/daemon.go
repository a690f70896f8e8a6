package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/pressure"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
	"github.com/logwatch/logwatch/workerpool"
)

// shutdownTimeout bounds the stop; with what comes before and after it, the
// process is gone 5 s after SIGTERM.
const shutdownTimeout = 4500 * time.Millisecond

// Options are what a Daemon is made of.
type Options struct {
	Config config.Config
	Log    zerolog.Logger
	// Notify tells the service manager about a change of state, in sd_notify's
	// words; nil: nobody is told.
	Notify func(state string)
	// Watchdog is how long the service manager waits for a sign of life before it
	// restarts the daemon; 0: it has no watchdog.
	Watchdog time.Duration
	// Rotated, if set, is called after each rotation, from its worker.
	Rotated func(Rotated)
	Reload  Reload
	// Listen: serve metrics, health and the control socket, where Config says.
	Listen bool
	// Version is what they say that this is.
	Version   string
	listening func(net.Addr)                           // tests' own; see telemetry.Server
	stats     *stats                                   // Run's own
	statfs    func(path string) (pressure.Disk, error) // tests' own; nil: the real one
}

// Rotated is a rotation that was done.
type Rotated struct {
	Container cri.Container
	Due       watcher.Due
	rotator.Rotation
	// Overshoot is how many bytes past its limit the log was when renamed.
	Overshoot int64
}

// Daemon is one run of logwatch.
type Daemon struct {
	cfg          config.Config
	log          zerolog.Logger
	notify       func(string)
	onRotated    func(Rotated)
	endpoint     string // the runtime's
	client       *cri.Client
	inventory    *cri.Inventory
	watcher      *watcher.Watcher
	rotator      *rotator.Rotator
	fs           podlogs.FS
	rotations    *workerpool.Pool
	housekeeping *workerpool.Pool
	pressure     *pressurer
	told         told
	stats        *stats
	asks         asks
	rotating     sync.Map              // directories with a rotation under way
	retries      sync.Map              // directories with a retry to come
	rules        atomic.Pointer[rules] // in force; the rest of cfg is of the start
	newcomers    newcomers
	// sweeps has room for one: the configuration's file is compared at each sweep.
	sweeps chan struct{}
	counts counts

	// reachable is set once the runtime has answered: until then nothing is
	// touched.
	reachable atomic.Bool

	mu sync.Mutex
	// later are the timers of housekeeping that is to run again, by directory.
	later map[string]*time.Timer
	// cleans are the live logs of removed containers, by directory.
	cleans map[string][]string
	// asked is when the inventory was refreshed for the sake of a log that it did
	// not know, by path.
	asked map[string]time.Time
	// What follows is the sweep's: the live logs that the last one did not find,
	// and when the oldest line of others was written, by container ID.
	missing map[string]bool
	oldest  map[string]time.Time
	seen    map[string]removal // containers that ran, by ID
}

// Run is the daemon: it runs until ctx ends, which is no error.
func Run(ctx context.Context, o Options) error {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if o.Rotated == nil {
		o.Rotated = func(Rotated) {}
	}
	// The start may wait for long, and the file be changed meanwhile.
	file := o.Reload.fileNow()
	// Whatever the way out: a stop may come while the start still waits. To say
	// it twice does no harm.
	defer o.Notify("STOPPING=1")
	o.stats = newStats(o)
	var g sync.WaitGroup
	defer g.Wait()
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.Go(func() { o.stats.watchdog(wctx, o) })
	lock, err := claim(ctx, o)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // a directory, opened to be locked
	defer serve(ctx, o, o.stats)()
	endpoint, err := findRuntime(ctx, o)
	if err != nil || ctx.Err() != nil {
		return err
	}
	client, err := cri.Dial(endpoint, o.Config.RuntimeRequestTimeout.Duration)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // nothing is lost
	o.Log.Info().Str("runtime", endpoint).Str("podLogsDir", o.Config.PodLogsDir).Msg("watching")
	r, err := newRules(o.Config)
	if err != nil {
		return err
	}
	d := newDaemon(o, client, r)
	d.endpoint = endpoint
	d.stats.d.Store(d)
	return d.run(ctx, o.Reload, file)
}

func newDaemon(o Options, client *cri.Client, r *rules) *Daemon {
	d := &Daemon{
		cfg: o.Config, log: o.Log, notify: o.Notify, onRotated: o.Rotated,
		client: client, inventory: cri.NewInventory(client),
		rotations:    workerpool.New(o.Config.ContainerLogMaxWorkers),
		housekeeping: workerpool.New(o.Config.Compression.Workers),
		told:         told{seen: map[string]bool{}},
		later:        map[string]*time.Timer{},
		asked:        map[string]time.Time{},
		missing:      map[string]bool{},
		oldest:       map[string]time.Time{},
		seen:         map[string]removal{},
		cleans:       map[string][]string{},

		sweeps:    make(chan struct{}, 1),
		newcomers: newcomers{wake: make(chan struct{}, 1), seen: map[string]bool{}},
	}
	if d.stats = o.stats; d.stats == nil {
		d.stats = newStats(o)
	}
	d.rules.Store(r)
	if r.readsPods() {
		d.inventory.ReadPods()
	}
	d.fs = podlogs.At(o.Config.PodLogsDir)
	d.rotator = rotator.New(rotator.Options{
		PodLogsDir: o.Config.PodLogsDir, Runtime: reopener{client},
		ReopenTimeout: o.Config.RuntimeRequestTimeout.Duration,
	})
	d.pressure = newPressure(d, o)
	d.watcher = watcher.New(watcher.Config{
		PodLogsDir: o.Config.PodLogsDir,
		Limits:     d.limits,
		Due:        d.due,
		Changed:    d.tidy,
		Swept: func(c watcher.Cause) {
			d.stats.sweepEnds(c)
			d.log.Debug().Str("cause", string(c)).Msg("sweep ended")
		},
		Log: o.Log,
	})
	return d
}

func (d *Daemon) run(ctx context.Context, reload Reload, file []byte) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.watcher.Run(gctx) })
	g.Go(func() error { return d.pressure.run(gctx) })
	g.Go(func() error { return d.reloads(gctx, reload, file) })
	g.Go(func() error { return d.meetNewcomers(gctx) })
	g.Go(func() error {
		cause := watcher.CauseStartup
		wait.UntilWithContext(gctx, func(ctx context.Context) {
			d.sweep(ctx, cause)
			cause = watcher.CauseSweep
		}, d.cfg.ContainerLogMonitorInterval.Duration)
		return nil
	})
	err := g.Wait()
	d.notify("STOPPING=1")
	return errors.Join(err, d.stop())
}

// stop waits for what is under way.
func (d *Daemon) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	d.mu.Lock()
	for _, t := range d.later {
		t.Stop()
	}
	d.mu.Unlock()
	// Together: a compression ends at once, while a rotation may wait for the
	// runtime.
	var g errgroup.Group
	g.Go(func() error { return d.rotations.Stop(ctx) })
	g.Go(func() error { return d.housekeeping.Stop(ctx) })
	if err := g.Wait(); err != nil {
		// Nothing is lost: the next start reopens what is missing.
		d.log.Warn().Err(err).Msg("stopped with work under way; the next start repairs what it left")
	}
	w := d.watcher.Stats()
	d.log.Info().Uint64("rotations", d.counts.rotations.Load()).Uint64("failures", d.counts.failures.Load()).
		Uint64("refused", d.counts.refused.Load()).Uint64("events", w.Events).Uint64("checks", w.Checks).Uint64("sweeps", w.Sweeps).
		Uint64("overflows", w.Overflows).Uint64("watchErrors", w.WatchErrors).Msg("stopped")
	return nil
}

// counts are what happened since the start.
type counts struct {
	rotations atomic.Uint64
	failures  atomic.Uint64 // rotations that are to be tried again
	refused   atomic.Uint64 // containers whose logs are not ours to rotate
	rejects   atomic.Uint64 // annotations that do not hold as they are

	reloadFailed atomic.Bool // the last reload
}

// sweep asks the runtime for its containers and has everything looked at.
func (d *Daemon) sweep(ctx context.Context, cause watcher.Cause) {
	d.stats.sweepBegins()
	select {
	case d.sweeps <- struct{}{}:
	default:
	}
	err := d.inventory.Refresh(ctx)
	d.stats.listed(err)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		d.told.once("runtime", func() {
			d.notify("STATUS=the runtime does not answer, so nothing is rotated: " + oneLine(err))
			d.log.Warn().Err(err).Msg("the runtime does not answer; nothing is rotated until it does (see containerRuntimeEndpoint)")
		})
	default:
		if d.told.solved("runtime") {
			d.notify("STATUS=watching " + d.cfg.PodLogsDir)
			d.log.Info().Msg("the runtime answers again")
		}
		d.reachable.Store(true)
	}
	d.stats.sweepHanded()
	d.watcher.Sweep(cause)
	d.pressure.swept()
	if err == nil {
		d.sweepRunning(cause)
		d.sweepRemoved(ctx)
	}
	d.stats.forget()
}

// sweepRunning makes sure that each running container has a live log, whatever
// the watcher knows: without one, the runtime writes into a file that it cannot
// rotate.
func (d *Daemon) sweepRunning(cause watcher.Cause) {
	missing, running := map[string]bool{}, map[string]bool{}
	for _, c := range d.inventory.Running() {
		running[c.ID] = true
		dir, log, err := podlogs.SplitPath(d.cfg.PodLogsDir, c.LogPath)
		if err != nil {
			d.refuse(c, err)
			continue
		}
		if size, ok := sizeOf(c.LogPath); ok {
			d.stats.saw(c.ID, dir, size)
			d.sweepAge(c, dir, log, size)
			continue
		}
		missing[c.ID] = true
		// Another rotator may be between its rename and its reopen: what was
		// there at the last sweep gets until the next one.
		if cause == watcher.CauseStartup || d.missing[c.ID] {
			d.due(watcher.Due{Dir: dir, Log: log, Cause: watcher.CauseMissing, Limit: d.limits(dir).MaxSize})
		}
	}
	d.missing = missing
	maps.DeleteFunc(d.oldest, func(id string, _ time.Time) bool { return !running[id] })
}

// refuse says once that a container's log is not ours to rotate.
func (d *Daemon) refuse(c cri.Container, why error) {
	d.told.once("refused "+c.ID, func() {
		d.counts.refused.Add(1)
		d.log.Warn().Err(why).Str("namespace", c.Namespace).Str("pod", c.Pod).Str("container", c.Name).
			Str("path", c.LogPath).Msg("a container's log is not rotated")
	})
}

// reopener is the runtime as the rotator sees it.
type reopener struct{ client *cri.Client }

func (r reopener) ReopenContainerLog(ctx context.Context, id string) error {
	err := r.client.ReopenContainerLog(ctx, id)
	switch {
	case errors.Is(err, cri.ErrNotRunning):
		return fmt.Errorf("%w: %w", rotator.ErrNotRunning, err)
	case errors.Is(err, cri.ErrUnanswered):
		return fmt.Errorf("%w: %w", rotator.ErrUnanswered, err)
	default:
		return err
	}
}

// told remembers what was said, so that a lasting problem is one line.
type told struct {
	mu   sync.Mutex
	seen map[string]bool
}

// toldAtMost bounds the memory: past it, lasting problems are told once more.
const toldAtMost = 4096

func (t *told) once(what string, tell func()) {
	t.mu.Lock()
	if len(t.seen) >= toldAtMost {
		clear(t.seen)
	}
	first := !t.seen[what]
	t.seen[what] = true
	t.mu.Unlock()
	if first {
		tell()
	}
}

// solved reports whether the problem had been told, and lets it be told again.
func (t *told) solved(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.seen[what]
	delete(t.seen, what)
	return was
}
