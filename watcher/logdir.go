package watcher

import (
	"container/heap"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// assumedBurst is the rate in bytes/s at which a log may grow from one
	// moment to the next: about twice what containerd passes on for one
	// container on two cores (50–60 MB/s). It decides when to look next.
	assumedBurst = 100e6
	// minCheck is the shortest time between two checks of one log: what Go's
	// timers resolve to. At assumedBurst a log grows by 100 kB meanwhile.
	minCheck = time.Millisecond
	// maxCheck is the longest for a hot log, however large its limit.
	maxCheck = time.Second
	// quietChecks without growth make a hot log cold.
	quietChecks = 5
	// maxBackoff is how much longer than minCheck a check that is due at once
	// may be put off, while nothing grows, as a power of two.
	maxBackoff = 2
	// coldEvents a second are cheaper as events than a hot log's checks are.
	coldEvents = 8
	// podEvents a second are more than a node's pods can cause.
	podEvents = 1000
	// missingPause is for how long a live log must be absent before that is
	// reported: another rotator may be between its rename and its reopen.
	missingPause = time.Second
	// Failed rotations are tried again after firstRetry, then twice that and so
	// on, at most lastRetry apart: by then it is the sweep's business.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// logDir is one container's directory.
type logDir struct {
	rel, path string

	watched bool // cold, and its watch is on
	index   int  // in the heap of the hot; -1 if cold
	pending bool // reported due, and Done was not called yet
	asked   bool // a listing is under way
	seen    uint64
	cause   Cause // what the next Due is put down to
	burst   burst

	limits   Limits
	known    bool      // was listed
	live     string    // the live log's name; "" if none is known
	livePath string    // where it is
	modified time.Time // of the directory; see listing
	rest     int64     // bytes in the other logs
	restAt   time.Time // when rest was counted

	size    int64
	inode   uint64
	checked time.Time
	quiet   int // checks in a row without growth

	next     time.Time // when to check, if hot
	rotated  time.Time // the last rotation that we know of
	missing  time.Time // since when the live log is absent
	failures int       // in a row
	ignored  bool      // no rotation while it is as it is
}

// written is called for an event in a container's directory.
func (l *loop) written(d *logDir, made bool) {
	if made {
		l.list(d)
	}
	if d.index >= 0 || d.pending {
		return // an event that was queued before the watch was taken off
	}
	if d.burst.over(time.Now(), coldEvents) {
		l.heat(d)
	}
	l.check(d)
}

// list has a container's directory listed.
func (l *loop) list(d *logDir) {
	if !d.asked {
		d.asked = true
		l.queue = append(l.queue, request{rel: d.rel, cause: d.cause})
	}
}

// listed takes in the listing of a container's directory.
func (l *loop) listed(d *logDir, res result) {
	d.asked = false
	if res.err != nil {
		if isGone(res.err) || isNoDir(res.err) {
			l.forget(d.rel)
			return
		}
		l.problem(d.rel, res.err)
		return
	}
	l.solved(d.rel)
	isNew := !d.known
	d.known = true
	d.limits = l.cfg.Limits(d.rel)
	d.modified = res.list.modified
	d.rest, d.restAt = res.list.rest, time.Now()
	if d.live != res.list.live && res.list.live != "" {
		d.live, d.livePath = res.list.live, d.path+"/"+res.list.live
		d.inode, d.size, d.ignored, d.missing = 0, 0, false, time.Time{}
	}
	if d.live != "" && !d.pending {
		l.check(d)
	}
	if isNew || res.cause != CauseWrite {
		l.cfg.Changed(d.rel)
	}
}

// swept looks at a directory for the sweep.
func (l *loop) swept(d *logDir, c Cause) {
	if d.pending {
		return
	}
	d.cause = c
	d.limits = l.cfg.Limits(d.rel)
	if l.dirChanged(d) {
		l.list(d)
	}
	if d.index >= 0 {
		return
	}
	if !d.watched {
		d.watched = l.watch(d.rel)
	}
	grown := l.check(d)
	if grown && !d.watched && d.index < 0 && !d.pending {
		l.heat(d) // no watch is to be had: while it grows, the timer does
	}
	d.cause = CauseWrite
}

// dirChanged reports whether names came or went since the last listing.
func (l *loop) dirChanged(d *logDir) bool {
	var st unix.Stat_t
	if unix.Lstat(d.path, &st) != nil {
		return true
	}
	return d.modified.IsZero() || !time.Unix(st.Mtim.Unix()).Equal(d.modified)
}

// check stats the live log, reports it if it is due, and sees to the next
// check if it is hot. It reports whether the log has grown.
func (l *loop) check(d *logDir) (grown bool) {
	l.stats.checks.Add(1)
	now := time.Now()
	if d.live == "" {
		l.list(d)
		l.cool(d)
		return false
	}
	var st unix.Stat_t
	if err := unix.Lstat(d.livePath, &st); err != nil {
		l.absent(d, now)
		return false
	}
	d.missing = time.Time{}
	before := d.size
	if st.Ino != d.inode || st.Size < before { // rotated or truncated, by whomever
		before = 0
	}
	grown = st.Size > before || st.Ino != d.inode
	if d.inode != 0 && st.Ino != d.inode {
		d.rotated = now // by somebody else
	}
	if grown || st.Size != d.size {
		d.ignored = false
	}
	elapsed := now.Sub(d.checked)
	d.size, d.inode, d.checked = st.Size, st.Ino, now
	l.judge(d, now, before, elapsed, grown)
	return grown
}

// judge decides what follows from a check.
func (l *loop) judge(d *logDir, now time.Time, before int64, elapsed time.Duration, grown bool) {
	if d.ignored || d.limits.MaxSize <= 0 {
		l.rest(d, grown, maxCheck)
		return
	}
	since := d.limits.MinInterval
	if !d.rotated.IsZero() {
		since = now.Sub(d.rotated)
	}
	due, wait, headroom := d.limits.judge(d.size, d.rest, since)
	if due && since < d.limits.MinInterval && now.Sub(d.restAt) > clockTick {
		// Due only for its total, which housekeeping may have made smaller.
		l.list(d)
		l.heatAt(d, now.Add(minCheck))
		return
	}
	if due {
		l.due(d)
		return
	}
	rate := assumedBurst
	if elapsed > 0 {
		rate = max(rate, float64(d.size-before)/elapsed.Seconds())
	}
	in := maxCheck
	if headroom > 0 {
		in = min(in, time.Duration(float64(headroom)/rate*float64(time.Second)))
	}
	if wait > 0 { // at its limit, and only the interval is to pass
		l.heatAt(d, now.Add(max(minCheck, min(wait, in))))
		return
	}
	l.rest(d, grown, in)
}

// rest leaves a log alone: a cold one until the next event, a hot one for in,
// or until the next event if it has been quiet.
func (l *loop) rest(d *logDir, grown bool, in time.Duration) {
	if d.index < 0 {
		return
	}
	if grown {
		d.quiet = 0
	} else if d.quiet++; d.quiet >= quietChecks {
		l.coolDown(d)
		return
	}
	in = max(in, minCheck<<min(d.quiet, maxBackoff))
	l.heatAt(d, d.checked.Add(min(in, maxCheck)))
}

// due reports a log and leaves it alone until Done.
func (l *loop) due(d *logDir) {
	// The rotation itself would be a flood of events.
	l.unwatchDir(d)
	l.cool(d)
	d.pending = true
	cause := d.cause
	if cause == "" {
		cause = CauseWrite
	}
	if d.failures > 0 {
		cause = CauseRetry
	}
	l.cfg.Due(Due{Dir: d.rel, Log: d.live, Cause: cause, Size: d.size, Limit: d.limits.MaxSize})
	d.cause = CauseWrite
}

// absent is called when the live log is not there.
func (l *loop) absent(d *logDir, now time.Time) {
	switch {
	case d.ignored:
		l.cool(d)
	case d.missing.IsZero() && d.failures == 0:
		d.missing = now
		l.list(d) // the container may have been started anew
		l.heatAt(d, now.Add(missingPause))
	case now.Sub(d.missing) < missingPause && d.failures == 0:
		l.heatAt(d, d.missing.Add(missingPause))
	default:
		d.size, d.inode = 0, 0
		d.cause = CauseMissing
		l.due(d)
	}
}

// finished takes in what became of a Due.
func (l *loop) finished(f done) {
	d := l.dirs[f.dir]
	if d == nil || !d.pending {
		return
	}
	d.pending = false
	now := time.Now()
	o := f.outcome
	switch {
	case o.Failed:
		wait := min(firstRetry<<min(d.failures, 10), lastRetry)
		d.failures++
		l.heatAt(d, now.Add(max(wait, o.RetryAfter)))
		return
	case o.Ignore:
		d.ignored = true
		d.failures = 0
		l.coolDown(d)
		return
	case o.Rotated > 0:
		d.rotated = now
		d.rest += o.Rotated
		d.size, d.inode, d.checked, d.quiet = 0, 0, now, 0
	}
	d.failures = 0
	l.heatAt(d, now)
	l.check(d)
}

// heat takes the watch off and puts the log on the timer.
func (l *loop) heat(d *logDir) {
	l.unwatchDir(d)
	d.quiet = 0
	l.heatAt(d, time.Now())
}

func (l *loop) unwatchDir(d *logDir) {
	if d.watched {
		l.unwatch(d.rel)
		d.watched = false
	}
}

// heatAt has a log checked at a time.
func (l *loop) heatAt(d *logDir, at time.Time) {
	d.next = at
	if d.index < 0 {
		l.unwatchDir(d)
		heap.Push(&l.hot, d)
	} else {
		heap.Fix(&l.hot, d.index)
	}
	l.stats.hot.Store(int64(len(l.hot)))
}

// cool takes a log off the timer.
func (l *loop) cool(d *logDir) {
	if d.index >= 0 {
		heap.Remove(&l.hot, d.index)
		l.stats.hot.Store(int64(len(l.hot)))
	}
}

// coolDown makes a log cold: the watch first, then one more look, so that no
// write falls in between.
func (l *loop) coolDown(d *logDir) {
	l.cool(d)
	d.burst = burst{}
	d.watched = l.watch(d.rel)
	if l.dirChanged(d) {
		l.list(d)
	}
	if d.live != "" && !d.pending {
		l.check(d)
	}
}

// checkHot checks what is to be checked by now.
func (l *loop) checkHot() {
	now := time.Now()
	for len(l.hot) > 0 && !l.hot[0].next.After(now) {
		d := l.hot[0]
		at := d.next
		l.check(d)
		if d.index >= 0 && d.next.Equal(at) { // must not be: it would spin
			l.heatAt(d, now.Add(maxCheck))
		}
	}
}

// setTimer has the timer fire when the next hot log is to be checked.
func (l *loop) setTimer() {
	if len(l.hot) == 0 {
		l.timer.Stop()
		return
	}
	l.timer.Reset(max(0, time.Until(l.hot[0].next)))
}

// hotHeap orders the hot by the time of their next check.
type hotHeap []*logDir

func (h hotHeap) Len() int           { return len(h) }
func (h hotHeap) Less(i, j int) bool { return h[i].next.Before(h[j].next) }
func (h hotHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }

func (h *hotHeap) Push(x any) {
	d := x.(*logDir) //nolint:forcetypeassert // nothing else is in it
	d.index = len(*h)
	*h = append(*h, d)
}

func (h *hotHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	d.index = -1
	return d
}

// burst counts events within a second.
type burst struct {
	start time.Time
	count int
}

// over counts one event and reports whether there were more than limit within
// the second.
func (b *burst) over(now time.Time, limit int) bool {
	if now.Sub(b.start) > time.Second {
		b.start, b.count = now, 0
	}
	b.count++
	return b.count > limit
}
