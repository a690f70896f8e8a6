package pressure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/dispatch"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

const (
	// countShare is the share of a core that counting all logs may take, as a
	// divisor: 250 containers with 5 files each take 8 ms, so the next count comes
	// 160 ms later at the earliest.
	countShare    = 20
	minCountPause = 100 * time.Millisecond
	// overPause is the time between checks while a limit is exceeded, whether or not
	// a change is reported.
	overPause = time.Second
	// stuckAfter is how long pruning or rotating a container's logs may fail before
	// other containers' logs are used instead, and retryStuckAfter is when it is
	// retried. A runtime closes a rotated log within milliseconds.
	stuckAfter      = 10 * time.Second
	retryStuckAfter = time.Minute
	// maxListed bounds the listing of one directory.
	maxListed = 1 << 14
)

// Options configure a Controller. All but Statfs are required.
type Options struct {
	PodLogsDir string
	Dispatcher *dispatch.Dispatcher
	// Running returns the log paths of the running containers.
	Running func() []string
	// Statfs returns the size of a file system; nil: statfs(2).
	Statfs func(path string) (Disk, error)
	Log    zerolog.Logger
}

// Controller keeps the node's logs within their budget and the disk below its
// threshold, by plans from Build. Its loop checks after each sweep and each rotation.
//
// A check costs a statfs(2), about 1 µs. The logs are counted only if a limit seems
// exceeded, or after a sweep if there is a budget. Between two counts, rotated bytes
// are added to the last one. That overestimates, except for the growth of live logs,
// which is at most their limits.
type Controller struct {
	o      Options
	files  podlogs.FS
	limits atomic.Pointer[Limits]
	warn   dispatch.WarnOnce

	wake     chan struct{} // room for one
	stale    atomic.Bool   // there was a sweep since the last count
	grown    atomic.Int64  // bytes rotated since the start
	baseline atomic.Int64  // the last count, less what had been rotated before it

	// The following fields are owned by the loop.
	over      Over
	nextCount time.Time

	mu    sync.Mutex
	pass  *pass                // in progress; nil: none
	stuck map[string]time.Time // when it began to fail, by directory or live log
}

// pass is the progress of one plan's prunes.
type pass struct {
	over  Over
	left  int // directories
	freed int64
	files int
	busy  int
	from  map[string]int64 // bytes freed, by directory
	errs  []error
}

// NewController returns a Controller; Run starts it.
func NewController(o Options, l Limits) *Controller {
	if o.Statfs == nil {
		o.Statfs = statfs
	}
	p := &Controller{o: o, files: podlogs.At(o.PodLogsDir), wake: make(chan struct{}, 1), stuck: map[string]time.Time{}}
	p.limits.Store(&l)
	return p
}

func statfs(path string) (Disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Disk{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	unit := int64(st.Frsize) //nolint:unconvert // its type differs between architectures
	return Disk{
		Bytes: int64(st.Blocks) * unit, BytesFree: int64(st.Bavail) * unit,
		Inodes: int64(st.Files), InodesFree: int64(st.Ffree),
	}, nil
}

// SetLimits puts new limits into effect.
func (p *Controller) SetLimits(l Limits) {
	p.limits.Store(&l)
	p.Swept()
}

// Swept is called at each sweep.
func (p *Controller) Swept() {
	p.stale.Store(true)
	p.check()
}

// Rotated is called for each rotation, from its worker.
func (p *Controller) Rotated(r dispatch.Rotated) {
	p.grown.Add(r.Size)
	p.settled(r.Due.Dir + "/" + r.Due.Log)
	p.check()
}

// Usage returns the node's budget for logs and their size, in bytes: the last count,
// and what was rotated since. budget 0: no limit.
func (p *Controller) Usage() (budget, usage int64) {
	return p.limits.Load().NodeLogBudget, max(0, p.baseline.Load()+p.grown.Load())
}

// check wakes the loop.
func (p *Controller) check() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run checks until ctx ends.
func (p *Controller) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C:
		}
		if again := p.evaluate(ctx); again > 0 {
			timer.Reset(again)
		} else {
			timer.Stop()
		}
	}
}

// evaluate frees what exceeds the limits. It returns the time until the next check if
// nothing wakes the loop; 0: none.
func (p *Controller) evaluate(ctx context.Context) (again time.Duration) {
	limits := *p.limits.Load()
	if !limits.On() || !p.o.Dispatcher.Reachable() {
		return 0
	}
	if p.pruning() {
		return overPause // a plan made now would include the same files again
	}
	var disk Disk
	if limits.OnDisk() {
		var err error
		if disk, err = p.o.Statfs(p.o.PodLogsDir); err != nil {
			p.warn.Do("statfs", func() {
				p.o.Log.Warn().Err(err).Msg("statfs failed; disk-pressure pruning is paused")
			})
			return 0
		}
		p.warn.Clear("statfs")
	}
	_, usage := p.Usage()
	_, over := limits.Need(usage, disk, p.over)
	if !over.Any() && (limits.NodeLogBudget == 0 || !p.stale.Load()) {
		p.relieved()
		return 0
	}
	now := time.Now()
	if wait := p.nextCount.Sub(now); wait > 0 {
		return wait
	}
	containers, usage := p.count(ctx)
	if ctx.Err() != nil {
		return 0
	}
	need, over := limits.Need(usage, disk, p.over)
	if p.over = over; !over.Any() {
		p.relieved()
		return 0
	}
	return p.act(Build(containers, need, now), over)
}

// relieved is called when no limit is exceeded.
func (p *Controller) relieved() {
	p.over = Over{}
	p.warn.Clear("short")
}

// count lists all logs and returns their total size in bytes.
func (p *Controller) count(ctx context.Context) (containers []Container, usage int64) {
	begin := time.Now()
	p.stale.Store(false)
	grown := p.grown.Load()
	live := map[string]bool{}
	for _, path := range p.o.Running() {
		live[path] = true
	}
	p.mu.Lock()
	maps.DeleteFunc(p.stuck, func(_ string, since time.Time) bool { return begin.Sub(since) >= retryStuckAfter })
	p.mu.Unlock()
	for _, dir := range podlogs.ContainerDirs(p.o.PodLogsDir) {
		if ctx.Err() != nil {
			return nil, 0
		}
		files, err := podlogs.ListDir(p.files, dir, maxListed)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.o.Log.Debug().Err(err).Str("dir", dir).Msg("cannot count all logs")
		}
		if len(files) == 0 {
			continue
		}
		c := p.container(dir, files, live)
		usage += c.Usage()
		containers = append(containers, c)
	}
	p.baseline.Store(usage - grown)
	p.nextCount = time.Now().Add(max(minCountPause, countShare*time.Since(begin)))
	return containers, usage
}

// container describes one directory for the plan.
func (p *Controller) container(dir string, files []podlogs.File, live map[string]bool) Container {
	policy, known := p.o.Dispatcher.Policy(dir)
	c := Container{Dir: dir, Files: files, Stuck: p.isStuck(dir)}
	if known { // nothing is beyond a policy that is not known
		c.MaxFiles, c.MaxAge = policy.MaxFiles, policy.MaxAge
	}
	for _, f := range files {
		if f.Kind == podlogs.Live && live[p.o.PodLogsDir+"/"+dir+"/"+f.Base] {
			c.Live = f.Base
		}
	}
	if policy.MaxSize <= 0 || p.isStuck(dir+"/"+c.Live) {
		c.Live = "" // must not be rotated
	}
	return c
}

// act carries out a plan.
func (p *Controller) act(plan Plan, over Over) (again time.Duration) {
	if plan.Short != (Need{}) {
		p.warn.Do("short", func() {
			p.o.Log.Warn().Strs("limits", over.Strings()).Int64("bytes", plan.Short.Bytes).Int64("inodes", plan.Short.Inodes).
				Msg("logs exceed the limit and there is nothing left to prune; raise the limit or lower containerLogMaxSize")
		})
	}
	if len(plan.Prunes)+len(plan.Rotates) == 0 {
		return 0 // until a rotation or the next sweep wakes the loop
	}
	p.prune(plan.Prunes, over)
	p.rotate(plan.Rotates, over)
	return overPause
}

// prune requests the prunes of a plan from the dispatcher.
func (p *Controller) prune(prunes []Prune, over Over) {
	names := map[string][]podlogs.Name{}
	var dirs []string // in the plan's order
	for _, a := range prunes {
		if names[a.Dir] == nil {
			dirs = append(dirs, a.Dir)
		}
		names[a.Dir] = append(names[a.Dir], a.Name)
	}
	if len(dirs) == 0 {
		return
	}
	ps := &pass{over: over, left: len(dirs), from: map[string]int64{}}
	p.mu.Lock()
	p.pass = ps
	p.mu.Unlock()
	for _, dir := range dirs {
		p.o.Dispatcher.Prune(dir, names[dir], func(rep rotator.Report, err error) { p.pruned(ps, dir, rep, err) })
	}
}

// rotate requests early rotations of live logs. The current size is the limit, so
// that a log that is rotated in the meantime is not rotated again.
func (p *Controller) rotate(rotates []Rotate, over Over) {
	if len(rotates) == 0 {
		return
	}
	size, from := int64(0), map[string]int64{}
	for _, a := range rotates {
		size += a.Size
		from[a.Dir] = a.Size
		p.failed(a.Dir + "/" + a.Log) // unless Rotated is called
		p.o.Dispatcher.Due(watcher.Due{Dir: a.Dir, Log: a.Log, Cause: watcher.CausePressure, Size: a.Size, Limit: a.Size})
	}
	p.o.Log.Warn().Strs("limits", over.Strings()).Int("logs", len(rotates)).Int64("size", size).Dict("from", largest(from)).
		Msg("rotated live logs early to relieve pressure")
}

// pruning reports whether prunes are in progress.
func (p *Controller) pruning() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pass != nil
}

// pruned records the result for one directory. After the last one of a pass it logs
// the total and wakes the loop.
func (p *Controller) pruned(ps *pass, dir string, rep rotator.Report, err error) {
	if len(rep.Done) == 0 && (rep.Busy > 0 || err != nil) {
		p.failed(dir)
	} else {
		p.settled(dir)
	}
	p.mu.Lock()
	for _, s := range rep.Done {
		ps.freed += s.Size
		ps.files++
		ps.from[dir] += s.Size
	}
	ps.busy += rep.Busy
	ps.errs = append(ps.errs, err)
	ps.left--
	last := ps.left == 0
	if last {
		p.pass = nil
	}
	p.mu.Unlock()
	if !last {
		return
	}
	p.check()
	if err := errors.Join(ps.errs...); err != nil {
		p.warn.Do("prune", func() {
			p.o.Log.Warn().Err(err).Msg("cannot remove some rotated logs although there is too little space; retrying")
		})
	} else {
		p.warn.Clear("prune")
	}
	if ps.files > 0 {
		p.o.Log.Warn().Strs("limits", ps.over.Strings()).Int64("freed", ps.freed).Int("files", ps.files).Int("busy", ps.busy).
			Int("containers", len(ps.from)).Dict("from", largest(ps.from)).Msg("pruned rotated logs to relieve pressure")
	}
}

// failed records that pruning or rotating failed, settled that it succeeded.
func (p *Controller) failed(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.stuck[what]; !ok {
		p.stuck[what] = time.Now()
	}
}

func (p *Controller) settled(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stuck, what)
}

// isStuck reports whether it has failed for so long that other containers' logs
// should be used instead.
func (p *Controller) isStuck(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, ok := p.stuck[what]
	return ok && time.Since(since) >= stuckAfter
}

// maxShown is the maximum number of directories in one log line.
const maxShown = 10

// largest returns the directories with the largest sizes, in bytes.
func largest(from map[string]int64) *zerolog.Event {
	dirs := slices.SortedFunc(maps.Keys(from), func(a, b string) int {
		return cmp.Or(cmp.Compare(from[b], from[a]), cmp.Compare(a, b))
	})
	dict := zerolog.Dict()
	for _, dir := range dirs[:min(maxShown, len(dirs))] {
		dict.Int64(dir, from[dir])
	}
	return dict
}
