package workerpool

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options configure a Pool. Workers and Run are required.
type Options struct {
	// Workers is how many keys may run at once.
	Workers int
	// Run does the work of one key. Its context ends when Stop is called.
	Run func(ctx context.Context, key string)
	// MaxSlow is how many runs may take longer than SlowAfter without occupying
	// a worker. A key whose last run was slow counts as slow from the start of its
	// next one, so that keys that hang never hold all workers. 0: every run
	// occupies a worker.
	MaxSlow int
	// SlowAfter is when a run counts as slow. Required with MaxSlow.
	SlowAfter time.Duration
	// Observe, if set, is called after each run with the time that the key was
	// queued and the time that it ran.
	Observe func(queued, ran time.Duration)
}

// Pool runs a function for keys. Create it with New.
type Pool struct {
	o      Options
	group  *errgroup.Group
	do     func(key string)   // Options.Run with the context of all runs
	cancel context.CancelFunc // ends that context
	idle   chan struct{}      // closed when the pool is stopped and nothing runs

	mu      sync.Mutex
	stopped bool
	// dirty holds the keys that wait for a run, with the time since when. A key
	// that is dirty and not running is in queue or slowQueue.
	dirty     map[string]time.Time
	running   map[string]*run
	queue     []string
	slowQueue []string
	wasSlow   map[string]struct{} // keys whose last run was slow
	delayed   map[string]*delay
	fast      int // runs that occupy a worker
	slow      int // runs that do not
	done      uint64
}

// run is one execution of a key.
type run struct {
	key    string
	queued time.Duration
	slow   bool
}

type delay struct {
	timer *time.Timer
	at    time.Time
}

// maxRemembered bounds the memory for slow keys: far more than can hang at once.
const maxRemembered = 10_000

// Stats is a snapshot of a pool.
type Stats struct {
	Queued  int    // keys that wait, including those that wait for their own run to end
	Running int    // runs in progress, slow ones included
	Slow    int    // slow runs in progress
	Done    uint64 // runs completed since New
}

// New returns a pool. It panics if Workers is below 1 or Run is nil: such a pool
// would accept work and never do it.
func New(o Options) *Pool {
	if o.Workers < 1 || o.Run == nil {
		panic(fmt.Sprintf("workerpool: Workers is %d: must be at least 1, and Run must be set", o.Workers))
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pool{
		o: o, group: new(errgroup.Group), cancel: cancel,
		do:      func(key string) { o.Run(ctx, key) },
		idle:    make(chan struct{}),
		dirty:   make(map[string]time.Time),
		running: make(map[string]*run),
		wasSlow: make(map[string]struct{}),
		delayed: make(map[string]*delay),
	}
	p.group.SetLimit(o.Workers + o.MaxSlow)
	return p
}

// Add queues a key and returns without waiting for any run. A key that is queued
// already keeps its place; one that runs is run once more afterwards. Add reports
// false once Stop has been called.
func (p *Pool) Add(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	if _, waits := p.dirty[key]; waits {
		return true
	}
	p.dirty[key] = time.Now()
	if p.running[key] == nil {
		p.enqueueLocked(key)
		p.startLocked()
	}
	return true
}

// AddAfter adds a key after d. Of several pending calls for one key the earliest
// counts. A key that is added in the meantime is added again when d has passed.
func (p *Pool) AddAfter(key string, d time.Duration) {
	if d <= 0 {
		p.Add(key)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Now().Add(d)
	if old := p.delayed[key]; old != nil {
		if !at.Before(old.at) {
			return
		}
		old.timer.Stop()
	}
	if p.stopped {
		return
	}
	next := &delay{at: at}
	next.timer = time.AfterFunc(d, func() {
		p.mu.Lock()
		current := p.delayed[key] == next
		if current {
			delete(p.delayed, key)
		}
		p.mu.Unlock()
		if current {
			p.Add(key)
		}
	})
	p.delayed[key] = next
}

// Stop drops queued and delayed keys, cancels the context of the runs in progress
// and waits for them. When ctx ends first it returns an error that wraps
// ctx.Err(); Stop may then be called again to continue waiting.
func (p *Pool) Stop(ctx context.Context) error {
	p.mu.Lock()
	if !p.stopped {
		p.stopped = true
		p.queue, p.slowQueue = nil, nil
		clear(p.dirty)
		for _, d := range p.delayed {
			d.timer.Stop()
		}
		clear(p.delayed)
		p.cancel()
		if len(p.running) == 0 {
			close(p.idle)
		}
	}
	p.mu.Unlock()

	select {
	case <-p.idle:
	case <-ctx.Done():
		// Both may be ready: what counts is whether a run is still in progress.
		if n := p.Stats().Running; n > 0 {
			return fmt.Errorf("workerpool: stop: %d runs still in progress: %w", n, ctx.Err())
		}
	}
	return p.group.Wait() // for goroutines to return: nothing runs and nothing can start
}

// Stats returns the current numbers.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Queued: len(p.dirty), Running: len(p.running), Slow: p.slow, Done: p.done}
}

func (p *Pool) enqueueLocked(key string) {
	if _, slow := p.wasSlow[key]; slow {
		p.slowQueue = append(p.slowQueue, key)
	} else {
		p.queue = append(p.queue, key)
	}
}

// startLocked starts a goroutine for each queued key that has room.
func (p *Pool) startLocked() {
	for r := p.nextLocked(); r != nil; r = p.nextLocked() {
		// Not TryGo: a goroutine whose run has ended may not have left the group
		// yet. Go waits only for that return, which needs neither mu nor a run.
		p.group.Go(func() error {
			for next := r; next != nil; {
				next = p.execute(next)
			}
			return nil
		})
	}
}

// nextLocked takes the oldest key that has room; nil if there is none.
func (p *Pool) nextLocked() *run {
	var key string
	var slow bool
	switch {
	case len(p.queue) > 0 && p.fast < p.o.Workers:
		key, p.queue = p.queue[0], p.queue[1:]
		p.fast++
	case len(p.slowQueue) > 0 && p.slow < p.o.MaxSlow:
		key, p.slowQueue = p.slowQueue[0], p.slowQueue[1:]
		slow = true
		p.slow++
	default:
		return nil
	}
	r := &run{key: key, slow: slow, queued: time.Since(p.dirty[key])}
	delete(p.dirty, key)
	p.running[key] = r
	return r
}

// execute does one run and returns the next one for the same goroutine. There is
// no recover, on purpose: see the package comment.
func (p *Pool) execute(r *run) *run {
	begin := time.Now()
	if p.o.MaxSlow > 0 && !r.slow {
		defer time.AfterFunc(p.o.SlowAfter, func() { p.becomeSlow(r) }).Stop()
	}
	p.do(r.key)
	ran := time.Since(begin)
	if p.o.Observe != nil {
		p.o.Observe(r.queued, ran)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, r.key)
	p.done++
	if r.slow {
		p.slow--
	} else {
		p.fast--
	}
	p.rememberLocked(r.key, p.o.MaxSlow > 0 && ran >= p.o.SlowAfter)
	if p.stopped {
		if len(p.running) == 0 {
			close(p.idle)
		}
		return nil
	}
	if _, again := p.dirty[r.key]; again {
		p.enqueueLocked(r.key) // at the back: a busy key does not starve the others
	}
	next := p.nextLocked()
	p.startLocked() // a slow run that ended may have made room for more than one
	return next
}

// rememberLocked notes whether a key's last run was slow.
func (p *Pool) rememberLocked(key string, slow bool) {
	if !slow {
		delete(p.wasSlow, key)
		return
	}
	if len(p.wasSlow) >= maxRemembered {
		clear(p.wasSlow)
	}
	p.wasSlow[key] = struct{}{}
}

// becomeSlow frees the worker of a run that takes long, if there is room for one
// more slow run.
func (p *Pool) becomeSlow(r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[r.key] != r || r.slow || p.slow >= p.o.MaxSlow {
		return
	}
	r.slow = true
	p.fast--
	p.slow++
	p.startLocked()
}
