package watcher

import (
	"container/heap"
	"time"
)

// A container's directory is in exactly one of three states:
//
//	cold     watched, unless no watch is to be had: the sweep covers it then
//	hot      in the heap, to be checked at d.next; no watch
//	pending  reported due, until Done; neither
//
// heatAt, coolDown and due are the ways from one to another.

// isHot reports whether a log is on the timer.
func (d *logDir) isHot() bool { return d.index >= 0 }

func (d *logDir) isCold() bool { return d.index < 0 && !d.pending }

// heatAt has a log checked at a time; it is hot then.
func (l *loop) heatAt(d *logDir, at time.Time) {
	d.next = at
	if d.isHot() {
		heap.Fix(&l.hot, d.index)
		return
	}
	l.unwatchDir(d)
	d.quiet = 0
	heap.Push(&l.hot, d)
	l.stats.heats(d.rel, len(l.hot))
}

// offTimer takes a log out of the heap. What it is from then on is the caller's
// to say.
func (l *loop) offTimer(d *logDir) {
	if d.isHot() {
		heap.Remove(&l.hot, d.index)
		l.stats.cools(d.rel, len(l.hot))
	}
}

// coolDown makes a log cold: the watch first, then one more look, so that no
// write falls in between.
func (l *loop) coolDown(d *logDir) {
	l.offTimer(d)
	d.burst = burst{}
	d.watched = l.watch(d.rel)
	if l.dirChanged(d) {
		l.list(d, CauseWrite)
	}
	l.check(d, CauseWrite)
}

func (l *loop) unwatchDir(d *logDir) {
	if d.watched {
		l.unwatch(d.rel)
		d.watched = false
	}
}

// checkHot checks what is to be checked by now. Each check puts the next one
// off, or takes the log out of the heap.
func (l *loop) checkHot() {
	now := time.Now()
	for len(l.hot) > 0 && !l.hot[0].next.After(now) {
		l.check(l.hot[0], CauseWrite)
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
	d := x.(*logDir)
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
