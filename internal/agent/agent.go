package agent

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/dispatch"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/pressure"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// shutdownTimeout bounds the stop; with what comes before and after it, the
// process ends within 5 s of SIGTERM.
const shutdownTimeout = 4500 * time.Millisecond

// Options configure a run of the agent.
type Options struct {
	Config config.Config
	Log    zerolog.Logger
	// Notify reports a change of state to the service manager, in sd_notify's
	// words; nil: there is none.
	Notify func(state string)
	// Watchdog is how long the service manager waits for a sign of life before it
	// restarts the agent; 0: it has no watchdog.
	Watchdog time.Duration
	// Rotated, if set, is called after each rotation, from its worker.
	Rotated func(Rotated)
	// Finished, if set, is called once the runtime has closed a rotated log.
	Finished func(Finished)
	Reload   Reload
	// Listen: serve metrics, health and the control socket, where Config says.
	Listen bool
	// Version is reported by status and metrics.
	Version string
	// Listening, if set, is called with the address of the metrics server, Statfs in
	// place of statfs(2); both are for tests.
	Listening func(net.Addr)
	Statfs    func(path string) (pressure.Disk, error)
}

// Rotated is a rotation that was done.
type Rotated = dispatch.Rotated

// Finished is a rotated log that its runtime has closed.
type Finished = dispatch.Finished

// agent is one run. It exists before its parts, since the start may have to wait.
type agent struct {
	o        Options
	log      zerolog.Logger
	warn     dispatch.WarnOnce
	metrics  *telemetry.Metrics
	registry *prometheus.Registry
	events   *events
	progress progress
	parts    atomic.Pointer[parts] // nil: it waits for a runtime
	reloadc  chan struct{}         // has room for one: the file may have changed
	// reloadRequests carries requests to reload; the result is sent back.
	reloadRequests chan chan error
}

// parts are what does the work, once there is a runtime.
type parts struct {
	cfg        config.Config // of the start; a reload replaces what it can in policies and limits
	endpoint   string        // the runtime's
	client     *cri.Client
	inventory  *cri.Inventory
	dispatcher *dispatch.Dispatcher
	watcher    *watcher.Watcher
	pressure   *pressure.Controller
	readers    *readers.Tracker
}

// Run runs the agent until ctx ends, which is not an error.
func Run(ctx context.Context, o Options) error {
	a := newAgent(o)
	// The file may have changed since it was read, and may while the start waits.
	file := o.Reload.Content
	if file == nil {
		file = o.Reload.fileNow()
	}
	// Whatever the way out: a stop may come while the start still waits. To report
	// it twice does no harm.
	defer a.o.Notify("STOPPING=1")
	var g sync.WaitGroup
	defer g.Wait()
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.Go(func() { a.watchdog(wctx) })
	g.Go(func() { a.serve(wctx) })
	locks, err := a.claim(ctx)
	defer locks.release()
	if err != nil || ctx.Err() != nil {
		return err
	}
	endpoint, err := findRuntime(ctx, a.o)
	if err != nil || ctx.Err() != nil {
		return err
	}
	client, err := cri.Dial(endpoint, o.Config.RuntimeRequestTimeout)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // nothing is lost
	resolver, err := policy.New(o.Config.Rules)
	if err != nil {
		return err
	}
	a.warnOf(o.Config.Rules)
	a.log.Info().Str("runtime", endpoint).Str("podLogsDir", o.Config.PodLogsDir).Msg("watching")
	p := a.newParts(client, resolver)
	p.endpoint = endpoint
	a.parts.Store(p)
	return a.run(ctx, p, file)
}

func newAgent(o Options) *agent {
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if o.Rotated == nil {
		o.Rotated = func(Rotated) {}
	}
	a := &agent{o: o, log: o.Log, registry: prometheus.NewRegistry(), events: newEvents(o), reloadc: make(chan struct{}, 1), reloadRequests: make(chan chan error)}
	a.progress.start()
	build := telemetry.Build{Version: o.Version}
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range bi.Settings {
			if setting.Key == "vcs.revision" {
				build.Revision = setting.Value
			}
		}
	}
	a.metrics = telemetry.New(a.registry, build, a.state)
	a.metrics.Expect(dispatch.Causes(), pruneReasons)
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.Config.Metrics.PerContainer {
		a.registry.MustRegister(telemetry.Containers(a.containers))
	}
	return a
}

// pruneReasons have series from the start.
var pruneReasons = []string{string(rotator.ByFiles), string(rotator.BySize), string(rotator.ByAge), string(rotator.ByPressure)}

// newParts wires the parts together.
func (a *agent) newParts(client *cri.Client, resolver *policy.Resolver) *parts {
	cfg := a.o.Config
	p := &parts{cfg: cfg, client: client, inventory: cri.NewInventory(client)}
	p.readers = readers.New(readers.Options{PodLogsDir: cfg.PodLogsDir, Proc: "/proc", Ignore: cfg.LogReaders.Ignored(), Timeout: cfg.LogReaders.Timeout})
	p.dispatcher = dispatch.New(dispatch.Options{
		PodLogsDir: cfg.PodLogsDir, Client: client, Inventory: p.inventory, Metrics: a.metrics, Readers: p.readers,
		ReopenTimeout: cfg.RuntimeRequestTimeout,
		RotateWorkers: cfg.ContainerLogMaxWorkers, CompressWorkers: cfg.Compression.Workers,
		Check: func(dir string) { p.watcher.Check(dir) },
		Rotated: func(r Rotated) {
			a.events.rotated(r)
			if r.To != "" {
				p.pressure.Rotated(r)
				a.o.Rotated(r)
			}
		},
		Finished: a.o.Finished,
		Failed:   a.events.failed,
		Log:      a.log,
	})
	p.dispatcher.SetRules(resolver, cfg.CleanRemovedContainers, cfg.UnreadLogBudget)
	p.pressure = pressure.NewController(pressure.Options{
		PodLogsDir: cfg.PodLogsDir, Dispatcher: p.dispatcher, Running: p.livePaths, Statfs: a.o.Statfs, Log: a.log,
	}, limitsOf(cfg))
	p.watcher = watcher.New(watcher.Config{
		PodLogsDir: cfg.PodLogsDir,
		Limits:     p.dispatcher.Limits,
		Due:        p.dispatcher.Due,
		Changed:    p.dispatcher.Changed,
		Swept: func(c watcher.Cause) {
			if took := a.progress.sweepEnded(c); took > 0 {
				a.metrics.SweepSeconds.Observe(took.Seconds())
			}
			a.log.Debug().Str("cause", string(c)).Msg("sweep ended")
		},
		Log: a.log,
	})
	return p
}

// livePaths are the log paths of the running containers.
func (p *parts) livePaths() (paths []string) {
	for _, c := range p.inventory.Running() {
		if c.LogPath != "" {
			paths = append(paths, c.LogPath)
		}
	}
	return paths
}

// limitsOf is what all logs together are kept to.
func limitsOf(c config.Config) pressure.Limits {
	return pressure.Limits{
		NodeLogBudget: c.NodeLogBudget, HighPercent: c.DiskPressure.HighThresholdPercent, LowPercent: c.DiskPressure.LowThresholdPercent,
		InodesHighPercent: c.DiskPressure.InodesHighThresholdPercent, InodesLowPercent: c.DiskPressure.InodesLowThresholdPercent,
	}
}

// run runs the loops until ctx ends.
func (a *agent) run(ctx context.Context, p *parts, file []byte) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.watcher.Run(gctx) })
	g.Go(func() error { return p.pressure.Run(gctx) })
	g.Go(func() error { a.discover(gctx, p); return nil })
	g.Go(func() error { return a.reloads(gctx, p, file) })
	g.Go(func() error {
		cause := watcher.CauseStartup
		wait.UntilWithContext(gctx, func(ctx context.Context) {
			a.sweep(ctx, p, cause)
			cause = watcher.CauseSweep
		}, p.cfg.ContainerLogMonitorInterval)
		return nil
	})
	err := g.Wait()
	a.o.Notify("STOPPING=1")
	return errors.Join(err, a.stop(p))
}

// stop waits for the work in progress.
func (a *agent) stop(p *parts) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := p.dispatcher.Stop(ctx); err != nil {
		// Nothing is lost: the next start reopens what is missing.
		a.log.Warn().Err(err).Msg("shutdown timed out with work in progress; it is repaired on next start")
	}
	w, t := p.watcher.Stats(), p.dispatcher.Totals()
	a.log.Info().Uint64("rotations", t.Rotations).Uint64("failures", t.Failures).Int("skipped", t.Skipped).
		Uint64("events", w.Events).Uint64("checks", w.Checks).Uint64("sweeps", w.Sweeps).
		Uint64("overflows", w.Overflows).Uint64("inotifyErrors", w.WatchErrors).Msg("stopped")
	return nil
}

// sweep lists the runtime's containers and checks everything.
func (a *agent) sweep(ctx context.Context, p *parts, cause watcher.Cause) {
	a.progress.sweepBegun()
	a.progress.checkDescriptors()
	err := p.inventory.Refresh(ctx)
	if ctx.Err() != nil {
		return
	}
	recovered := a.progress.listed(err) && err == nil
	if err != nil {
		a.warn.Do("runtime", func() {
			a.o.Notify("STATUS=container runtime is unreachable; rotation is suspended: " + oneLine(err))
			a.log.Warn().Err(err).Msg("container runtime is unreachable; rotation is suspended (see containerRuntimeEndpoint)")
		})
	} else {
		if a.warn.Clear("runtime") {
			a.o.Notify("STATUS=watching " + p.cfg.PodLogsDir)
			a.log.Info().Msg("container runtime is reachable again")
		}
		p.dispatcher.Listed()
	}
	a.progress.sweepQueued()
	p.watcher.Sweep(cause)
	p.pressure.Swept()
	if err == nil {
		p.dispatcher.Sweep(ctx, cause, recovered)
	}
	a.fileMayHaveChanged()
}

const (
	// discoverInterval is how often all processes are scanned for log readers: a scan of a
	// node with three collectors and 250 containers takes 20 ms. A reader is known with its
	// second scan, which comes early after the start.
	discoverInterval      = 10 * time.Second
	firstDiscoverInterval = 2500 * time.Millisecond
)

// discover keeps the log readers known.
func (a *agent) discover(ctx context.Context, p *parts) {
	for interval := firstDiscoverInterval; ctx.Err() == nil; interval = discoverInterval {
		if err := p.readers.Discover(ctx); err == nil {
			a.warn.Clear("readers")
		} else if ctx.Err() == nil {
			a.warn.Do("readers", func() { a.log.Warn().Err(err).Msg("cannot find log readers; using minRotationInterval") })
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
