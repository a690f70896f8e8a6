package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

const (
	// listKey is the key of the lookup queue under which the containers are
	// listed; every other key is a container ID.
	listKey = ""
	// firstLookup is how long after a new directory the runtime is asked: other
	// directories may appear too. One that writes as fast as the runtime passes it on
	// reaches the default limit 150 ms after its start. Each further try for a directory
	// comes after twice as long: an image may have to be pulled. After maxLookups it is
	// left to the sweep.
	firstLookup = 50 * time.Millisecond
	maxLookups  = 7
)

// cachedPolicy is a directory's policy, and what it was resolved for.
type cachedPolicy struct {
	rules       *rules
	containerID string
	known       bool // with the pod's labels and annotations, if they matter
	effective   policy.Effective
}

// Policy returns a directory's policy. known is false while the directory's pod is
// not known although labels or annotations may decide: the policy is then what
// the names give, or what was known before.
func (d *Dispatcher) Policy(dir string) (effective policy.Effective, known bool) {
	r := d.rules.Load()
	c, found := d.o.Inventory.ByDir(d.o.PodLogsDir + "/" + dir)
	var pod cri.Pod
	known = true
	if r.resolver.NeedsPod() {
		pod, known = d.o.Inventory.PodOf(dir, c)
	}
	if !known || !found {
		defer d.noteUnknown(dir, false) //nolint:errcheck // the caller continues with what is known
	}
	d.mu.Lock()
	cached := d.containerLocked(dir).policy
	d.mu.Unlock()
	if cached.rules == r && cached.containerID == c.ID && (cached.known || !known) {
		return cached.effective, cached.known
	}
	s := policy.Subject{Namespace: c.Namespace, Pod: c.Pod, Container: c.Name, Labels: pod.Labels, Annotations: pod.Annotations}
	if !found {
		o := podlogs.OwnerOf(dir) // kubelet builds the path from these names
		s.Namespace, s.Pod, s.Container = o.Namespace, o.Pod, o.Container
	}
	effective = r.resolver.For(s)
	d.with(dir, func(e *container) { e.policy = cachedPolicy{r, c.ID, known, effective} })
	if found {
		d.warnRejected(c, effective)
	}
	return effective, known
}

// policy returns what a directory's logs are kept to; known is false while nothing
// may be removed.
func (d *Dispatcher) policy(dir string) (p rotator.Policy, known bool) {
	e, known := d.Policy(dir)
	if !d.clock.trusts(e.MaxAge) {
		e.MaxAge = 0
	}
	p = rotator.Policy{
		MaxFiles: e.MaxFiles, MaxTotalSize: e.MaxTotalSize, Limit: e.MaxSize, MaxAge: e.MaxAge,
		Grace: e.Grace, Codec: podlogs.CodecNamed(e.Codec), Level: e.Level, Reserve: d.reserve(dir, e.MaxTotalSize),
		CompressAfter: compressAfter,
	}
	d.unreadPolicy(dir, &p)
	return p, known && d.reachable.Load()
}

// Limits returns a directory's limits, for the watcher.
func (d *Dispatcher) Limits(dir string) watcher.Limits {
	e, _ := d.Policy(dir)
	reaction := d.reactions.reaction()
	reaction.Median += gapTime
	reaction.High += gapTime
	return watcher.Limits{MaxSize: e.MaxSize, MaxTotalSize: e.MaxTotalSize, MinInterval: d.minInterval(dir, e.MinInterval), Reaction: reaction}
}

// warnRejected reports once which of a pod's annotations have no effect as written.
func (d *Dispatcher) warnRejected(c cri.Container, e policy.Effective) {
	for _, r := range e.Rejected {
		d.warn.Do(fmt.Sprintf("annotation %s %s", c.ID, r.Annotation), func() {
			d.rejected.Add(1)
			named(d.log.Warn(), c).Str("annotation", r.Annotation).Str("value", r.Value).Str("reason", r.Reason).
				Msg("pod annotation ignored or capped")
		})
	}
}

// noteUnknown requests a list of the runtime's containers for a directory whose
// container, or pod, is not known. After several lists in vain, which it returns as
// errUnidentified, the directory is left to the sweep's lists. due is set if a log in
// it is due already: the first list comes at once then.
func (d *Dispatcher) noteUnknown(dir string, due bool) error {
	lookups := 0
	d.with(dir, func(c *container) {
		c.unknown = true
		lookups = c.lookups
	})
	if lookups >= maxLookups {
		return errUnidentified
	}
	after := firstLookup << lookups
	if due && lookups == 0 {
		after = 0
	}
	d.lookups.AddAfter(listKey, after)
	return errUnknown
}

// lookup is the run of the lookup queue.
func (d *Dispatcher) lookup(ctx context.Context, key string) {
	if key != listKey {
		d.resolve(ctx, key)
		return
	}
	if d.o.Inventory.Refresh(ctx) == nil {
		d.Listed()
	}
}

// Listed is called after each successful list of the runtime's containers: it has
// those resolved that are new, and directories looked at again that were unknown.
func (d *Dispatcher) Listed() {
	first := !d.reachable.Swap(true)
	for _, id := range d.o.Inventory.Unresolved() { // resolve itself retries what has failed
		d.lookups.Add(id)
	}
	d.mu.Lock()
	var known []string
	again := time.Duration(0)
	for dir, c := range d.containers {
		if !c.unknown {
			continue
		}
		if d.knows(dir) {
			known = append(known, dir)
			c.unknown, c.lookups = false, 0
			continue
		}
		if c.lookups++; c.lookups < maxLookups {
			again = max(again, firstLookup<<c.lookups)
		}
	}
	if first { // what was added before had to wait
		for dir := range d.containers {
			d.prunes.Add(dir)
		}
	}
	d.mu.Unlock()
	for _, dir := range known {
		d.o.Check(dir)
		d.prunes.Add(dir)
	}
	if again > 0 {
		d.lookups.AddAfter(listKey, again)
	}
}

// knows reports whether a directory's container and pod are known.
func (d *Dispatcher) knows(dir string) bool {
	c, ok := d.o.Inventory.ByDir(d.o.PodLogsDir + "/" + dir)
	if d.rules.Load().resolver.NeedsPod() {
		_, pod := d.o.Inventory.PodOf(dir, c)
		return pod
	}
	return ok && (c.Running || c.Exited)
}

// resolve asks the runtime for one container's log path. One that cannot be read
// is asked for again later and later; it holds nothing else up.
func (d *Dispatcher) resolve(ctx context.Context, id string) {
	c, err := d.o.Inventory.Resolve(ctx, id)
	switch {
	case ctx.Err() != nil || c.ID == "": // removed in the meantime
		return
	case err != nil:
		d.warn.Do("resolve "+id, func() {
			named(d.log.Warn(), c).Err(err).Msg("cannot read the status of a container; its log is not rotated until it can be read; retrying")
		})
		d.lookups.AddAfter(id, min(firstRetry<<min(c.Failures-1, 10), maxRetry))
		return
	}
	d.warn.Clear("resolve " + id)
	d.inspect(watcher.CauseStartup, c) // this process has not seen it before
	dir, _, err := podlogs.SplitPath(d.o.PodLogsDir, c.LogPath)
	if err != nil {
		return
	}
	d.with(dir, func(e *container) {
		if d.knows(dir) {
			e.unknown, e.lookups = false, 0
		}
	})
	d.o.Check(dir)
	d.prunes.Add(dir)
}
