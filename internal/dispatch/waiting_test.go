package dispatch

import (
	"math"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// TestOperatorEndsWait: a rotation that an operator requests ends the wait for a log reader.
func TestOperatorEndsWait(t *testing.T) {
	n, f := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 3000, 1000))
	n.list(t)
	f.set(at(0, ct.LogPath()))
	waiting := func() *Waiting { return n.Describe(dir, "0.log", false).Waiting }
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
	testutil.Eventually(t, "the wait", func() bool { return waiting() != nil })
	cont, _ := n.o.Inventory.ByDir(ct.Dir())
	answers := make(chan Answer, 1)
	n.RotateNow(cont, func(a Answer) { answers <- a })
	if a := <-answers; a.Result != AnswerRotated {
		t.Fatalf("%+v", a)
	}
	if w := waiting(); w != nil {
		t.Errorf("still waits for %+v", w)
	}
}

// TestNoTotalBorrowsNothing: what a container has that has no total is not taken from the
// allowance of the others.
func TestNoTotalBorrowsNothing(t *testing.T) {
	n, f := readNode(t, "containerLogMaxSize: -1\ncontainerLogMaxAge: 1h\nunreadLogBudget: 64Mi\n")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 1000, 1000))
	n.list(t)
	f.set(at(0, ct.LogPath()))
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseAge, Limit: 1})
	testutil.Eventually(t, "the wait", func() bool { return n.Describe(dir, "0.log", false).Waiting != nil })
	if _, used := n.UnreadBudget(); used > 0 {
		t.Errorf("%d bytes of the allowance are used", used)
	}
}

// TestNextLook: a wait for a log reader is looked at again before the log has no room.
func TestNextLook(t *testing.T) {
	n := newNode(t, "")
	const dir = "pod/c"
	for _, test := range []struct {
		rate float64
		room int64
		want time.Duration
	}{{0, 1, readerPause}, {1e6, 1, minReaderPause}, {1e6, 50_000, 50 * time.Millisecond}, {1e6, math.MaxInt64, readerPause}} {
		n.with(dir, func(c *container) { c.rate, c.rateAt = test.rate, time.Now() })
		if got := n.nextLook(dir, test.room); got != test.want {
			t.Errorf("%.0f bytes/s, room for %d: %v, want %v", test.rate, test.room, got, test.want)
		}
	}
}

// TestLooksOftenWithoutRoom: the rotation of a log that is about to have no room is tried again
// far more often than that of another one.
func TestLooksOftenWithoutRoom(t *testing.T) {
	n, f := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 3000, 1000))
	n.list(t)
	f.set(at(0, ct.LogPath()))
	n.with(dir, func(c *container) { c.rate, c.rateAt = 1e12, time.Now().Add(time.Hour) })
	const looks = 50
	began, before := time.Now(), n.rotations.Stats().Done
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
	testutil.Eventually(t, "looks", func() bool { return n.rotations.Stats().Done >= before+looks })
	if took := time.Since(began); took > looks*readerPause/2 {
		t.Errorf("%d looks took %v", looks, took)
	}
}

// TestSeenReaderReplacesInterval: minRotationInterval applies where no log reader is seen, as of the last
// sweep.
func TestSeenReaderReplacesInterval(t *testing.T) {
	n, f := readNode(t, "minRotationInterval: 1m\n")
	ct, dir := n.run(t, fake.ContainerSpec{})
	n.list(t)
	expected, kubelet := at(0, ct.LogPath()), at(0, ct.LogPath())
	expected.Expected, kubelet.Kubelet = true, true
	for _, c := range []struct {
		name    string
		readers []readers.Follower
		want    time.Duration
	}{
		{"one", []readers.Follower{expected, at(0, ct.LogPath())}, 0},
		{"none", nil, time.Minute},
		{"one of other containers, and kubelet", []readers.Follower{expected, kubelet}, time.Minute},
	} {
		f.set(c.readers...)
		n.Sweep(t.Context(), watcher.CauseSweep, false)
		if got := n.Limits(dir).MinInterval; got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestLongWaitIsLogged: once, until it has ended.
func TestLongWaitIsLogged(t *testing.T) {
	n := newNode(t, "")
	now := time.Now()
	for _, c := range []struct {
		since  time.Duration // -1: it has ended
		logged int
	}{{0, 0}, {longWait - 1, 0}, {longWait, 1}, {2 * longWait, 1}, {-1, 1}, {longWait, 2}, {0, 2}, {longWait, 3}} {
		w := &Waiting{Command: "fluent-bit", PID: 7, Since: now.Add(-c.since)}
		if c.since < 0 {
			w = nil
		}
		n.noteWait("a/b", w, now)
		if got := n.logged(`"reader":"fluent-bit","pid":7`); got != c.logged {
			t.Errorf("after %v it is logged %d times, want %d", c.since, got, c.logged)
		}
	}
}

// TestBusyReaderIsGivenUp: a process that cannot be seen and is behind elsewhere all the time is waited for
// as long as one that has stopped.
func TestBusyReaderIsGivenUp(t *testing.T) {
	u := newUnseen(t)
	for ago, waits := range map[time.Duration]bool{unseenTimeout - 1: true, unseenTimeout: false} {
		u.with("", func(*container) { u.readLooked, u.readResult.busy = u.now, u.now })
		if got := u.awaited(u.dir, reads{}, u.now.Add(-ago), u.now.Add(-ago), u.now); got != waits {
			t.Errorf("after %v it waits: %v", ago, got)
		}
	}
}
