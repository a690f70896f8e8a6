package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
	"github.com/logwatch/logwatch/workerpool"
)

const (
	// slowAfter is when a call to the runtime counts as slow: a hundred times what
	// a healthy one takes.
	slowAfter = 100 * time.Millisecond
	// maxSlow bounds the runs that wait for a slow runtime, each a goroutine and a
	// call: half of what kubelet allows as pods a node by default, plus some.
	maxSlow = 128
	// pruneWorkers: an unlink waits for the disk, and one slow disk operation must
	// not hold all others back.
	pruneWorkers = 2
	// lookupWorkers: a node that starts with thousands of containers should not
	// flood its runtime.
	lookupWorkers = 8
)

// Options configure a Dispatcher. All but Readers, Rotated, Finished, Failed and Log are
// required.
type Options struct {
	// PodLogsDir is an absolute, clean path.
	PodLogsDir string
	Client     *cri.Client
	Inventory  *cri.Inventory
	Resolver   *policy.Resolver
	Readers    Readers // nil: log readers are not known
	Metrics    *telemetry.Metrics
	// ReopenTimeout bounds one ReopenContainerLog call.
	ReopenTimeout time.Duration
	// RotateWorkers and CompressWorkers are how many rotations and compressions
	// may run at once.
	RotateWorkers, CompressWorkers int
	// Check makes the watcher look at a directory soon. Must not block.
	Check func(dir string)
	// Rotated is called after each rotation and each reopened live log, Failed for
	// each problem that begins, Finished for each rotated log once it is closed. All
	// are called from a worker.
	Rotated  func(Rotated)
	Finished func(Finished)
	Failed   func(Failed)
	Log      zerolog.Logger
}

// Rotated is a rotation that was done.
type Rotated struct {
	Time      time.Time
	Container cri.Container
	Due       watcher.Due
	// Rotation.To is empty if a live log was only reopened.
	rotator.Rotation
}

// Failed is a problem of one container's directory that has just begun.
type Failed struct {
	Dir          string
	Cause        watcher.Cause // "": of housekeeping
	Housekeeping bool
	Err          error
}

// Dispatcher runs the path of an event. Create it with New.
type Dispatcher struct {
	o       Options
	fs      podlogs.FS
	rotator *rotator.Rotator
	log     zerolog.Logger
	warn    WarnOnce

	rotations    *workerpool.Pool
	prunes       *workerpool.Pool
	compressions *workerpool.Pool
	lookups      *workerpool.Pool

	started   time.Time
	rules     atomic.Pointer[rules]
	clock     clock
	allowance allowance
	reachable atomic.Bool // the runtime has answered; until then nothing is touched

	// reactions are the times from a log's being due until its rotation is done, and
	// reopens those from the exchange on.
	reactions, reopens recent

	rotated, failures, rejected atomic.Uint64

	mu         sync.Mutex
	containers map[string]*container
	readLooked time.Time // see readElsewhere
	readResult elsewhere
	accesses   accesses

	// How long a rotation waits for a process that is not known, and if it reads the logs of
	// other containers: maxUnseenWait, maxDiscovery. settled is the age from which a live log
	// says whether there are such processes: maxDiscovery.
	unseenWait, discovery, settled time.Duration
}

// rules are what a reload replaces.
type rules struct {
	resolver     *policy.Resolver
	cleanRemoved bool
}

// New returns a Dispatcher. It does nothing until it is called.
func New(o Options) *Dispatcher {
	if o.Rotated == nil {
		o.Rotated = func(Rotated) {}
	}
	if o.Finished == nil {
		o.Finished = func(Finished) {}
	}
	if o.Failed == nil {
		o.Failed = func(Failed) {}
	}
	d := &Dispatcher{
		o: o, fs: podlogs.At(o.PodLogsDir), log: o.Log, started: time.Now(), containers: map[string]*container{},
		unseenWait: maxUnseenWait, discovery: maxDiscovery, settled: maxDiscovery,
	}
	d.rotator = rotator.New(rotator.Options{PodLogsDir: o.PodLogsDir, Runtime: reopener{o.Client}, ReopenTimeout: o.ReopenTimeout})
	pool := func(name string, workers, slow int, run func(context.Context, string)) *workerpool.Pool {
		return workerpool.New(workerpool.Options{
			Workers: workers, MaxSlow: slow, SlowAfter: slowAfter, Run: run,
			Observe: func(queued, ran time.Duration) { o.Metrics.Worked(name, queued, ran) },
		})
	}
	d.rotations = pool(telemetry.PoolRotate, o.RotateWorkers, maxSlow, d.rotate)
	d.prunes = pool(telemetry.PoolPrune, pruneWorkers, maxSlow, d.pruneInTurn)
	d.compressions = pool(telemetry.PoolCompress, o.CompressWorkers, 0, d.compress)
	d.lookups = pool(telemetry.PoolLookup, lookupWorkers, maxSlow, d.lookup)
	return d
}

// SetRules puts the policies of a configuration into effect.
// unreadBudget is the disk space in bytes that logs may take beyond their containers'
// totals because log readers have not read them.
func (d *Dispatcher) SetRules(r *policy.Resolver, cleanRemoved bool, unreadBudget int64) {
	d.allowance.set(unreadBudget)
	if r.NeedsPod() {
		d.o.Inventory.ReadPods()
	}
	d.rules.Store(&rules{resolver: r, cleanRemoved: cleanRemoved})
}

// Stop drops queued work and waits for the work in progress.
func (d *Dispatcher) Stop(ctx context.Context) error {
	var g errgroup.Group // a compression ends at once, while a rotation may wait for the runtime
	for _, p := range []*workerpool.Pool{d.rotations, d.prunes, d.compressions, d.lookups} {
		g.Go(func() error { return p.Stop(ctx) })
	}
	defer d.accesses.close()
	return g.Wait()
}

// container is all that is known and wanted of one container's directory.
type container struct {
	// What is wanted, merged; the next run takes it.
	want     *want
	restores []string // live logs of exited containers that lost their names
	prunes   []pruneRequest
	cleans   []removal // containers that were removed
	unknown  bool      // the directory's container or pod is not known
	lookups  int       // lists that were requested for that

	// How fast it was written when it was found due last.
	rate   float64 // bytes/s
	rateAt time.Time

	// What is under way.
	rotating    time.Time          // since when; zero: no rotation
	compressing podlogs.Name       // zero: nothing
	cancel      context.CancelFunc // of the compression
	blocked     bool               // pruning waits for the compression to end
	pruning     chan struct{}      // closed when the prune ends that is under way; nil: none
	deferred    time.Time          // since when pruning waits for a rotation
	unpruned    bool               // it was requested, and has not run
	yielded     bool               // a rotation waits for pruning

	// When the next request may be sent.
	failures    int
	followed    bool                 // log readers have been seen
	seen        bool                 // and are, as of the last sweep or rotation
	returned    time.Time            // when the live log got its name back
	moved       bool                 // the live log was, by this process
	reads       reads                // by processes that cannot be seen
	looks       sync.Mutex           // see look
	missed      map[uint64]missedLog // by inode
	inode       uint64               // of the live log that failed
	notBefore   time.Time            // for requests in general
	reopenAfter time.Time            // for another reopen of reopenID
	reopenID    string

	unfinished []Rotated // whose logs may be open for writing

	policy  cachedPolicy
	missing bool // the last sweep did not find the live log
	// provenInode is that of an empty live log that was open for writing at proven.
	provenInode uint64
	proven      time.Time
	ran         map[string]*removal // containers that ran here, by ID
	state       state
}

// containerLocked returns a directory's entry, and creates it. The caller holds mu.
func (d *Dispatcher) containerLocked(dir string) *container {
	c := d.containers[dir]
	if c == nil {
		c = &container{}
		d.containers[dir] = c
	}
	c.state.seen = time.Now()
	return c
}

// with calls f with a directory's entry, under the lock.
func (d *Dispatcher) with(dir string, f func(c *container)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.containerLocked(dir))
}

// forgetAfter is how long a directory is remembered that has no running container:
// one that crashes again and again keeps its last error in the meantime.
const forgetAfter = 10 * time.Minute

// forget drops entries of which nothing is known or wanted any longer.
func (d *Dispatcher) forget() {
	now := time.Now()
	d.mu.Lock()
	for dir, c := range d.containers {
		idle := c.want == nil && len(c.restores)+len(c.prunes)+len(c.cleans)+len(c.ran) == 0 && c.rotating.IsZero() && c.compressing.Base == "" && c.pruning == nil
		if idle && now.Sub(c.state.seen) > forgetAfter {
			delete(d.containers, dir)
		}
	}
	d.mu.Unlock()
	if d.o.Readers != nil {
		d.accesses.forget(max(forgetAccess, d.o.Readers.Unseen()))
	}
}

// Pool is the state of one queue.
type Pool struct {
	workerpool.Stats
	Name    string
	Workers int
}

// Pools returns the state of the queues.
func (d *Dispatcher) Pools() []Pool {
	return []Pool{
		{d.rotations.Stats(), telemetry.PoolRotate, d.o.RotateWorkers},
		{d.prunes.Stats(), telemetry.PoolPrune, pruneWorkers},
		{d.compressions.Stats(), telemetry.PoolCompress, d.o.CompressWorkers},
		{d.lookups.Stats(), telemetry.PoolLookup, lookupWorkers},
	}
}

// Reachable reports whether the runtime has ever answered.
func (d *Dispatcher) Reachable() bool { return d.reachable.Load() }

// named adds a container's names to a log line.
func named(ev *zerolog.Event, c cri.Container) *zerolog.Event {
	return ev.Str("namespace", c.Namespace).Str("pod", c.Pod).Str("container", c.Name)
}
