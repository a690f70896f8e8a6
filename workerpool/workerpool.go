package workerpool

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Pool runs keyed jobs. Make it with New.
type Pool struct {
	limit  int
	group  *errgroup.Group
	worker func() error       // what the group runs; it carries the jobs' context
	cancel context.CancelFunc // ends the jobs' context
	idle   chan struct{}      // closed when the pool is stopped and its last worker has left

	mu      sync.Mutex
	stopped bool
	// A key in queue is in pending and not in running. A key in pending alone
	// runs now and joins queue when that run ends.
	queue   []string
	pending map[string]func(context.Context) // the newest job of each key that waits
	running map[string]struct{}
	// A worker leaves only when it sees queue empty, under mu. Whoever adds to
	// queue starts a worker if there are fewer than limit: so no key is left behind.
	workers int
	done    uint64
}

// Stats is a snapshot of a pool.
type Stats struct {
	Queued  int    // keys that wait, those that wait for their own run to end included
	Running int    // jobs that run now
	Done    uint64 // jobs that have returned since New
}

// New returns a pool that runs at most limit jobs at once. It panics when limit
// is below 1, since such a pool would take work and never do it.
func New(limit int) *Pool {
	if limit < 1 {
		panic(fmt.Sprintf("workerpool: limit is %d: it must be at least 1", limit))
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pool{
		limit:   limit,
		group:   new(errgroup.Group),
		cancel:  cancel,
		idle:    make(chan struct{}),
		pending: make(map[string]func(context.Context)),
		running: make(map[string]struct{}),
	}
	p.group.SetLimit(limit)
	p.worker = func() error {
		p.work(ctx)
		return nil
	}
	return p
}

// Submit queues job under key and returns without waiting for any job. It
// reports false, and drops the job, once Stop has been called. The context that
// the job gets ends when Stop is called.
func (p *Pool) Submit(key string, job func(ctx context.Context)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	_, waits := p.pending[key]
	p.pending[key] = job
	if waits {
		return true
	}
	if _, runs := p.running[key]; runs {
		return true // finish queues it
	}
	p.queue = append(p.queue, key)
	if p.workers < p.limit {
		p.workers++
		// Not TryGo: a worker that has left the count may not have given its
		// place in the group back yet. TryGo would fail then, and the key would
		// lie in the queue with nobody to take it. All that Go can wait for is
		// that worker's return, which needs neither mu nor a job.
		p.group.Go(p.worker)
	}
	return true
}

// Stop drops queued jobs, cancels the context of those that run and waits for
// them. When ctx ends first it returns an error that wraps ctx.Err(); the jobs
// are then still running, and Stop may be called again to go on waiting.
func (p *Pool) Stop(ctx context.Context) error {
	p.mu.Lock()
	if !p.stopped {
		p.stopped = true
		p.queue = nil
		clear(p.pending)
		p.cancel()
		if p.workers == 0 {
			close(p.idle)
		}
	}
	p.mu.Unlock()

	select {
	case <-p.idle:
	case <-ctx.Done():
		// Both may be ready: what counts is whether a job still runs.
		if n := p.Stats().Running; n > 0 {
			return fmt.Errorf("workerpool: stop: %d jobs still running: %w", n, ctx.Err())
		}
	}
	// No job runs and none can start: this waits for goroutines to return.
	return p.group.Wait()
}

// Stats returns the current numbers.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Queued: len(p.pending), Running: len(p.running), Done: p.done}
}

// work runs queued jobs until there is none. There is no recover, on purpose:
// see the package comment.
func (p *Pool) work(ctx context.Context) {
	for {
		key, job, ok := p.next()
		if !ok {
			return
		}
		job(ctx)
		p.finish(key)
	}
}

// next takes the oldest key and marks it as running. When there is none it
// takes the caller off the count of workers, in the same critical section: see
// workers.
func (p *Pool) next() (string, func(context.Context), bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.workers--
		if p.stopped && p.workers == 0 {
			close(p.idle)
		}
		return "", nil, false
	}
	key := p.queue[0]
	p.queue[0] = "" // the array lives on; the key need not
	p.queue = p.queue[1:]
	job := p.pending[key]
	delete(p.pending, key)
	p.running[key] = struct{}{}
	return key, job, true
}

// finish unlocks key, and queues it again when it was submitted meanwhile. The
// caller takes the next key, so no worker need be started.
func (p *Pool) finish(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, key)
	p.done++
	if _, waits := p.pending[key]; waits {
		p.queue = append(p.queue, key)
	}
}
