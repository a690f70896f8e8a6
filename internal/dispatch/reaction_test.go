package dispatch

import (
	"context"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
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
	note := func(count int, d time.Duration) {
		for range count {
			r.note(d)
		}
	}
	const us = time.Microsecond
	want(firstMedian, firstHigh)
	note(1, 32*ms)
	want(32*ms, 87500*us) // a healthy runtime is not known by one rotation
	note(1, 32*ms)
	want(32*ms, 75*ms)
	note(perOutlier-3, ms)
	want(ms, 32*ms+32*ms/7)
	note(1, ms)
	want(ms, 36*ms)
	note(perOutlier, ms)
	want(ms, ms+ms/16) // two outliers are left out once there are enough
	note(1, 34*ms)
	want(ms, 36*ms) // three are no longer exceptions
	note(recentTimes, 2*ms)
	want(2*ms, 2*ms+2*ms/recentTimes)
}

// TestLongestOfEvenTimes: times without an exception count, the longest too.
func TestLongestOfEvenTimes(t *testing.T) {
	var r recent
	for i := range recentTimes {
		r.note(time.Duration(20+60*i/recentTimes) * time.Millisecond)
	}
	if got := r.reaction(); got.High != 79*time.Millisecond*(recentTimes+1)/recentTimes {
		t.Errorf("of 20 to 79 ms: %v", got)
	}
}

// TestHold: a log that was found due early is left to grow, unless it must be rotated
// at once, was delayed, or others wait.
func TestHold(t *testing.T) {
	n := newNode(t, "")
	n.reopens.value.Store(&watcher.Reaction{High: 10 * time.Millisecond})
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
	n.reactions.value.Store(&watcher.Reaction{High: 20 * time.Millisecond})
	n.Due(watcher.Due{Dir: "pod/c", Log: "0.log", Limit: 1 << 20, Rate: 100e6})
	for _, test := range []struct{ total, want int64 }{{50e6, 3e6}, {4e6, 1e6}} {
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

// TestPruningTakesTurns: after a rotation the directory is pruned first, and the next
// rotation follows; it does not wait for a prune that takes long.
func TestPruningTakesTurns(t *testing.T) {
	n := newNode(t, "")
	c, dir := n.run(t, fake.ContainerSpec{})
	n.list(t)
	must(t, c.WriteNumbered("stdout", 10, 100))
	must(t, n.prunes.Stop(context.Background())) // no prune ends
	due := watcher.Due{Dir: dir, Log: "0.log", Limit: 1, Cause: watcher.CauseWrite, Growing: true}
	n.Due(due)
	testutil.Eventually(t, "a rotation", func() bool { return n.Totals().Rotations == 1 && n.rotations.Stats().Running == 0 })
	unpruned := false
	n.with(dir, func(e *container) { unpruned, e.yielded = e.unpruned, true })
	before := n.rotations.Stats().Done
	n.pruneInTurn(context.Background(), dir)
	testutil.Eventually(t, "the rotation that waited", func() bool { return n.rotations.Stats().Done > before })
	n.with(dir, func(e *container) {
		if !unpruned || e.unpruned {
			t.Errorf("to be pruned: %t after a rotation, %t after pruning", unpruned, e.unpruned)
		}
		e.unpruned, e.yielded, e.want = true, false, &want{Due: due}
	})
	if w, _ := n.begin(dir); w != nil {
		t.Error("the next rotation began before pruning")
	}
	if w, _ := n.begin(dir); w == nil {
		t.Error("the next rotation waits for a prune that does not end")
	}
}
