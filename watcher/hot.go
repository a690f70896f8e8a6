package watcher

import (
	"container/heap"
	"time"
)

// A container's directory is in one of two states:
//
//	cold  watched; the sweep covers it when there is no watch to be had
//	hot   in the heap, to be checked at d.next; no watch
//
// setHot and setCold are the ways from one to the other.

func (d *logDir) isHot() bool { return d.index >= 0 }

// setHot makes a log hot, to be checked at a time; its watch is removed.
func (l *loop) setHot(d *logDir, at time.Time) {
	d.next = at
	if d.isHot() {
		heap.Fix(&l.hot, d.index)
		return
	}
	l.unwatch(d.rel, &d.watch)
	d.quiet = 0
	heap.Push(&l.hot, d)
	l.stats.setHot(d.rel, true, len(l.hot))
}

// offTimer takes a log out of the heap.
func (l *loop) offTimer(d *logDir) {
	if d.isHot() {
		heap.Remove(&l.hot, d.index)
		l.stats.setHot(d.rel, false, len(l.hot))
	}
}

// setCold makes a log cold: the watch first, then one more check, so that no
// write falls in between.
func (l *loop) setCold(d *logDir) {
	l.offTimer(d)
	d.burst = burst{}
	l.watch(d.rel, &d.watch)
	if l.dirChanged(d) {
		l.list(d, CauseWrite)
	}
	l.check(d, CauseWrite)
}

// checkHot checks the logs whose check is due. Each check puts the next one
// off, or makes the log cold.
func (l *loop) checkHot() {
	now := time.Now()
	for len(l.hot) > 0 && !l.hot[0].next.After(now) {
		l.check(l.hot[0], CauseWrite)
	}
}

// setTimer sets the timer to the next check of a hot log.
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

// over counts one event and reports whether the second has had more than limit.
func (b *burst) over(now time.Time, limit int) bool {
	if now.Sub(b.start) > time.Second {
		b.start, b.count = now, 0
	}
	b.count++
	return b.count > limit
}
