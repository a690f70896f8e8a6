package dispatch

import (
	"testing"
	"time"

	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

func TestReaction(t *testing.T) {
	const ms = time.Millisecond
	var r recent
	want := func(median, high time.Duration) {
		t.Helper()
		if got := r.reaction(); got != (watcher.Reaction{Median: median, High: high}) {
			t.Errorf("after %d times: %v, want %v and %v", len(r.times), got, median, high)
		}
	}
	want(firstTime, firstTime)
	r.note(50 * ms)
	want(50*ms, 50*ms)
	for range firstExceeded - 2 {
		r.note(ms)
	}
	want(ms, 50*ms)
	r.note(ms)
	want(ms, ms) // one long time is forgiven once there are enough
	for range recentTimes / 2 {
		r.note(ms)
	}
	want(ms, ms)
	for range recentTimes / 4 {
		r.note(80 * ms)
	}
	want(ms, 80*ms)
	for range recentTimes {
		r.note(2 * ms)
	}
	want(2*ms, 2*ms)
}

// TestHold: a log that was found due early is left to grow, unless it must be rotated
// at once, was delayed, or others wait.
func TestHold(t *testing.T) {
	n := newNode(t, "")
	n.reopens.note(10 * time.Millisecond)
	w := want{Due: watcher.Due{Limit: 1 << 20, Target: 1 << 20, Rate: 1e6}, at: time.Now()}
	if got := n.hold(w); got != (rotator.Hold{Until: 1<<20 - 10_000, Gap: 1<<20 - 14_000, Max: maxHold}) {
		t.Errorf("hold %+v", got)
	}
	atOnce, delayed := w, w
	atOnce.merge(watcher.Due{Limit: 1, Cause: watcher.CauseOperator}, nil)
	delayed.at = time.Time{}
	for name, w := range map[string]want{"at once": atOnce, "delayed": delayed} {
		if got := n.hold(w); got != (rotator.Hold{}) {
			t.Errorf("%s: hold %+v", name, got)
		}
	}
	w.Dir = "pod/c"
	n.with(w.Dir, func(c *container) { c.deferred = time.Now() })
	if got := n.hold(w); got != (rotator.Hold{}) {
		t.Errorf("while pruning waits: hold %+v", got)
	}
}

// TestReserve: what a log that was found due writes until the next prune is kept free,
// for a while.
func TestReserve(t *testing.T) {
	n := newNode(t, "")
	n.reactions.note(20 * time.Millisecond)
	n.Due(watcher.Due{Dir: "pod/c", Log: "0.log", Limit: 1 << 20, Rate: 100e6})
	for _, test := range []struct{ total, want int64 }{{50e6, 2e6}, {4e6, 1e6}} {
		if got := n.reserve("pod/c", test.total); got != test.want {
			t.Errorf("of a total of %d: %d, want %d", test.total, got, test.want)
		}
	}
	if got := n.reserve("pod/other", 50e6); got != 0 {
		t.Errorf("of a log that was not due: %d", got)
	}
	n.with("pod/c", func(c *container) { c.rateAt = time.Now().Add(-rateLasts) })
	if got := n.reserve("pod/c", 50e6); got != 0 {
		t.Errorf("of a log that was due long ago: %d", got)
	}
}
