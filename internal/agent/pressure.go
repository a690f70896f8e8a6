package agent

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

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/pressure"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

const (
	// countShare is the part of a core that counting all logs may take, as a
	// divisor: a node of 250 containers with 5 files each takes 8 ms, and so the
	// next count comes 160 ms later at the earliest.
	countShare = 20
	countPause = 100 * time.Millisecond
	// overPause is when to look again while a limit is exceeded, whether or not
	// anything tells of a change.
	overPause = time.Second
	// yieldAfter is how long pruning waits for a compression that runs. A log of
	// 10 MiB takes half of that; one that is ended is begun again later.
	yieldAfter = 250 * time.Millisecond
	// yieldPause is for how long housekeeping is put off while prunes wait.
	yieldPause = 100 * time.Millisecond
	// stuckAfter is how long what a container has to give is tried for before
	// others are asked in its place, and stuckUntil when it is tried again. A
	// runtime closes a rotated log within milliseconds.
	stuckAfter = 10 * time.Second
	stuckUntil = time.Minute
	// maxFiles bounds the listing of one directory.
	maxFiles = 1 << 14
)

// pressure keeps the node's logs to their budget and the disk below its
// threshold (package budget says what goes). Its loop looks after each sweep and
// each rotation.
//
// A look costs a statfs(2), about 1 µs. The logs are counted only when a limit
// is exceeded by what is known, or after a sweep if there is a budget for them:
// between two counts, what was rotated since is added to the last one. That is
// too much rather than too little but for what live logs have grown by, at most
// their limits.
//
// What is to be pruned is noted by directory, and the directory's next job in the
// housekeeping pool does it, whoever asked for that job: so the pool's collapsing
// of jobs loses nothing, and pruning and housekeeping never overlap.
type pressurer struct {
	d      *Daemon
	limits atomic.Pointer[pressure.Limits]
	statfs func(path string) (pressure.Disk, error)

	wake  chan struct{} // room for one
	stale atomic.Bool   // there was a sweep since the last count
	grown atomic.Int64  // bytes rotated since the start

	// What follows is the loop's.
	over      pressure.Over
	usage     int64 // of the last count, in bytes
	grownThen int64 // grown, before that count
	nextCount time.Time

	mu      sync.Mutex
	wanted  map[string][]podlogs.Name     // to be pruned, by directory
	tidying map[string]context.CancelFunc // housekeeping that runs, by directory
	pass    *pass                         // under way; nil: none
	stuck   map[string]time.Time          // since when something fails, by directory or live log
}

// pass is one plan's prunes.
type pass struct {
	over  pressure.Over
	since time.Time
	left  int // directories
	freed int64
	files int
	busy  int
	from  map[string]int64 // bytes freed, by directory
	errs  []error
}

func newPressure(d *Daemon, o Options) *pressurer {
	p := &pressurer{
		d: d, statfs: o.statfs, wake: make(chan struct{}, 1),
		wanted: map[string][]podlogs.Name{}, tidying: map[string]context.CancelFunc{}, stuck: map[string]time.Time{},
	}
	if p.statfs == nil {
		p.statfs = statfs
	}
	limits := budgetOf(o.Config)
	p.limits.Store(&limits)
	return p
}

func statfs(path string) (pressure.Disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return pressure.Disk{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	unit := int64(st.Frsize) //nolint:unconvert // its type differs between architectures
	return pressure.Disk{
		Bytes: int64(st.Blocks) * unit, BytesFree: int64(st.Bavail) * unit,
		Inodes: int64(st.Files), InodesFree: int64(st.Ffree),
	}, nil
}

// swept is called at each sweep.
func (p *pressurer) swept() {
	p.stale.Store(true)
	p.look()
}

// rotated is called when a live log was renamed, from a rotation's worker.
func (p *pressurer) rotated(due watcher.Due, size int64) {
	p.grown.Add(size)
	p.settled(due.Dir + "/" + due.Log)
	p.look()
}

// look has the loop look soon.
func (p *pressurer) look() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run is the loop. It ends with ctx.
func (p *pressurer) run(ctx context.Context) error {
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

// evaluate has logs give when they take too much. It returns after how long to
// look again though nothing wakes the loop; 0: never.
func (p *pressurer) evaluate(ctx context.Context) (again time.Duration) {
	limits := *p.limits.Load()
	if !limits.On() || !p.d.reachable.Load() {
		return 0
	}
	if p.pending() {
		return yieldAfter // planned now, the same files would be counted on twice
	}
	var disk pressure.Disk
	if limits.OnDisk() {
		var err error
		if disk, err = p.statfs(p.d.cfg.PodLogsDir); err != nil {
			p.d.told.once("statfs", func() {
				p.d.log.Warn().Err(err).Msg("nobody knows how full the disk is: no log gives for it (see diskPressure)")
			})
			return 0
		}
		p.d.told.solved("statfs")
	}
	_, over := limits.Need(p.usage+p.grown.Load()-p.grownThen, disk, p.over)
	if !over.Any() && (limits.NodeLogBudget == 0 || !p.stale.Load()) {
		p.eased()
		return 0
	}
	now := time.Now()
	if wait := p.nextCount.Sub(now); wait > 0 {
		return wait
	}
	containers := p.count(ctx)
	if ctx.Err() != nil {
		return 0
	}
	need, over := limits.Need(p.usage, disk, p.over)
	if p.over = over; !over.Any() {
		p.eased()
		return 0
	}
	return p.act(pressure.Build(containers, need, now), over)
}

// eased is called when no limit is exceeded.
func (p *pressurer) eased() {
	p.over = pressure.Over{}
	p.d.told.solved("short")
}

// count lists all logs and notes what they take together.
func (p *pressurer) count(ctx context.Context) (containers []pressure.Container) {
	begin := time.Now()
	p.stale.Store(false)
	p.grownThen = p.grown.Load()
	live := map[string]bool{}
	for _, c := range p.d.inventory.Running() {
		live[c.LogPath] = true
	}
	p.mu.Lock()
	maps.DeleteFunc(p.stuck, func(_ string, since time.Time) bool { return begin.Sub(since) >= stuckUntil })
	p.mu.Unlock()
	p.usage = 0
	for _, dir := range podlogs.ContainerDirs(p.d.cfg.PodLogsDir) {
		if ctx.Err() != nil {
			return nil
		}
		files, err := podlogs.ListDir(p.d.fs, dir, maxFiles)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.d.log.Debug().Err(err).Str("dir", dir).Msg("not all logs could be counted")
		}
		if len(files) == 0 {
			continue
		}
		c := p.container(dir, files, live)
		p.usage += c.Usage()
		containers = append(containers, c)
	}
	p.d.stats.counted(p.usage, p.grownThen)
	p.nextCount = time.Now().Add(max(countPause, countShare*time.Since(begin)))
	return containers
}

// container describes one directory for the plan.
func (p *pressurer) container(dir string, files []podlogs.File, live map[string]bool) pressure.Container {
	policy := p.d.policy(dir)
	c := pressure.Container{
		Dir: dir, Files: files, Stuck: p.isStuck(dir),
		MaxFiles: policy.MaxFiles, MaxAge: policy.MaxAge,
	}
	for _, f := range files {
		if f.Kind == podlogs.Live && live[p.d.cfg.PodLogsDir+"/"+dir+"/"+f.Base] {
			c.Live = f.Base
		}
	}
	if p.d.limits(dir).MaxSize <= 0 || p.isStuck(dir+"/"+c.Live) {
		c.Live = "" // not to be rotated
	}
	return c
}

// act has a plan carried out.
func (p *pressurer) act(plan pressure.Plan, over pressure.Over) (again time.Duration) {
	if plan.Short != (pressure.Need{}) {
		p.d.told.once("short", func() {
			p.d.log.Warn().Strs("limits", over.Strings()).Int64("bytes", plan.Short.Bytes).Int64("inodes", plan.Short.Inodes).
				Msg("the logs take too much, and removing all that may go does not free enough: what is left is live logs, " +
					"or the disk is full of other things. Raise the limit, or lower containerLogMaxSize")
		})
	}
	if len(plan.Prunes)+len(plan.Rotates) == 0 {
		return 0 // until a rotation or the next sweep finds something
	}
	p.prune(plan.Prunes, over)
	p.rotate(plan.Rotates, over)
	return overPause
}

// prune notes what is to go, and has the directories' jobs run.
func (p *pressurer) prune(prunes []pressure.Prune, over pressure.Over) {
	var dirs []string // in the plan's order
	p.mu.Lock()
	for _, a := range prunes {
		if p.wanted[a.Dir] == nil {
			dirs = append(dirs, a.Dir)
		}
		p.wanted[a.Dir] = append(p.wanted[a.Dir], a.Name)
	}
	if len(dirs) > 0 {
		p.pass = &pass{over: over, since: time.Now(), left: len(dirs), from: map[string]int64{}}
	}
	p.mu.Unlock()
	for _, dir := range dirs {
		p.d.tidy(dir)
	}
}

// rotate has live logs rotated early, through the entrance that all rotations
// take. The limit from which they are due is what they have now: one that was
// rotated meanwhile is left alone.
func (p *pressurer) rotate(rotates []pressure.Rotate, over pressure.Over) {
	if len(rotates) == 0 {
		return
	}
	size, from := int64(0), map[string]int64{}
	for _, a := range rotates {
		size += a.Size
		from[a.Dir] = a.Size
		p.failed(a.Dir + "/" + a.Log) // unless rotated is called
		p.d.due(watcher.Due{Dir: a.Dir, Log: a.Log, Cause: watcher.CausePressure, Size: a.Size, Limit: a.Size})
	}
	p.d.log.Warn().Strs("limits", over.Strings()).Int("logs", len(rotates)).Int64("size", size).Dict("from", largest(from)).
		Msg("rotating live logs early: too much is taken, and rotated logs alone do not free enough")
}

// pending reports whether prunes are under way. Those that wait for long get the
// way cleared.
func (p *pressurer) pending() bool {
	p.mu.Lock()
	if p.pass == nil {
		p.mu.Unlock()
		return false
	}
	var late []string
	if time.Since(p.pass.since) >= yieldAfter {
		late = slices.Sorted(maps.Keys(p.wanted))
	}
	if len(late) > 0 {
		for _, cancel := range p.tidying {
			cancel()
		}
	}
	p.mu.Unlock()
	for _, dir := range late {
		p.d.tidy(dir) // should somebody have put another job in its place
	}
	return true
}

// job is a directory's job in the housekeeping pool: what is to be pruned first,
// then housekeeping. While prunes wait, in whatever directory, housekeeping is
// put off, so that they come to their turn.
func (p *pressurer) job(ctx context.Context, dir string, housekeep func(ctx context.Context, dir string)) {
	p.mu.Lock()
	names := p.wanted[dir]
	delete(p.wanted, dir)
	waiting := len(p.wanted) > 0
	tctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if names == nil && !waiting {
		p.tidying[dir] = cancel
	}
	p.mu.Unlock()
	switch {
	case names != nil:
		rep, err := p.d.rotator.Prune(ctx, dir, names, podlogs.Name{})
		p.d.stats.pruned(rep)
		p.pruned(dir, rep, err)
		p.d.tidyLater(dir, yieldPause)
	case waiting:
		p.d.tidyLater(dir, yieldPause)
	default:
		housekeep(tctx, dir)
		p.mu.Lock()
		delete(p.tidying, dir)
		p.mu.Unlock()
		if tctx.Err() != nil && ctx.Err() == nil { // it was in the way
			p.d.tidyLater(dir, yieldPause)
		}
	}
}

// pruned takes in what one directory gave. With the last one of a pass it says
// what all gave, and has the loop look again.
func (p *pressurer) pruned(dir string, rep rotator.Report, err error) {
	if len(rep.Done) == 0 && (rep.Busy > 0 || err != nil) {
		p.failed(dir)
	} else {
		p.settled(dir)
	}
	p.mu.Lock()
	ps := p.pass
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
	p.look()
	if err := errors.Join(ps.errs...); err != nil {
		p.d.told.once("pressure", func() {
			p.d.log.Warn().Err(err).Msg("some rotated logs cannot be removed, though too much is taken; trying again")
		})
	} else {
		p.d.told.solved("pressure")
	}
	if ps.files > 0 {
		p.d.log.Warn().Strs("limits", ps.over.Strings()).Int64("freed", ps.freed).Int("files", ps.files).Int("busy", ps.busy).
			Int("containers", len(ps.from)).Dict("from", largest(ps.from)).Msg("removed rotated logs early: too much is taken")
	}
}

// failed notes that something could not be done, and settled that it was.
func (p *pressurer) failed(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.stuck[what]; !ok {
		p.stuck[what] = time.Now()
	}
}

func (p *pressurer) settled(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.stuck, what)
}

// isStuck reports whether it has failed for so long that others are to give
// instead.
func (p *pressurer) isStuck(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	since, ok := p.stuck[what]
	return ok && time.Since(since) >= stuckAfter
}

// largest are the ten largest of what directories gave, in bytes; a line has to
// end somewhere.
func largest(from map[string]int64) *zerolog.Event {
	dirs := slices.SortedFunc(maps.Keys(from), func(a, b string) int {
		return cmp.Or(cmp.Compare(from[b], from[a]), cmp.Compare(a, b))
	})
	dict := zerolog.Dict()
	for _, dir := range dirs[:min(10, len(dirs))] {
		dict.Int64(dir, from[dir])
	}
	return dict
}
