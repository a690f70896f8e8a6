package dispatch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// TestPruningAfterCompressionEnded: a compression that ends by itself before it can be canceled
// is not in the way of pruning any longer.
func TestPruningAfterCompressionEnded(t *testing.T) {
	n := newNode(t, "containerLogMaxFiles: 4\n")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	first, _ := podlogs.ParseName("0.log.20260101-000000")
	n.with(dir, func(c *container) { c.compressing = first }) // as pruning found it
	rotatedLogs(t, ct.Dir(), 4)
	n.unblock(dir, rotator.Report{Blocked: true})
	n.with(dir, func(c *container) { c.compressing = podlogs.Name{} })
	testutil.Eventually(t, "the pruning", func() bool { return !strings.Contains(names(t, ct.Dir()), first.String()) })
}

// TestCompressesLater: a log is compressed some time after its rotation, not at once.
func TestCompressesLater(t *testing.T) {
	n := newNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	n.list(t)
	var first time.Time
	for i := range uint64(2) {
		must(t, ct.WriteNumbered("stdout", 10, 100))
		if i == 0 {
			first = time.Now()
		}
		n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
		testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == i+1 })
	}
	testutil.Eventually(t, "the compression", func() bool { return strings.Contains(names(t, ct.Dir()), ".gz") })
	if after := time.Since(first); after < compressAfter {
		t.Errorf("compressed after %v", after)
	}
}

// TestPruneOutlivesForget: a directory in which a prune takes long is not forgotten.
func TestPruneOutlivesForget(t *testing.T) {
	n := newNode(t, "")
	pruning := make(chan struct{})
	n.with("p/c", func(c *container) { c.pruning = pruning })
	n.Dispatcher.mu.Lock()
	n.containers["p/c"].state.seen = time.Now().Add(-forgetAfter - time.Second)
	n.Dispatcher.mu.Unlock()
	n.forget()
	n.pruned("p/c")
	<-pruning
}

// TestPruningAfterCompressionWithoutResult: pruning that a compression is in the way of follows
// its end, also where that had no result and was not canceled in time.
func TestPruningAfterCompressionWithoutResult(t *testing.T) {
	n := newNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	idle := func() bool { s := n.prunes.Stats(); return s.Done > 0 && s.Running+s.Queued == 0 }
	testutil.Eventually(t, "an idle queue", idle)
	answered := make(chan error, 1)
	first := rotatedLogs(t, ct.Dir(), 2)[:1]
	n.with(dir, func(c *container) {
		c.prunes = []pruneRequest{{names: first, done: func(_ rotator.Report, err error) { answered <- err }}}
		c.cancel = func() { // it comes too late
			must(t, os.Remove(filepath.Join(ct.Dir(), first[0].String())))
			n.compress(t.Context(), dir)
		}
	})
	n.unblock(dir, rotator.Report{Blocked: true})
	testutil.Eventually(t, "the answer", func() bool { return len(answered) == 1 })
	must(t, <-answered)
}

// TestRequestDuringPruning: a prune that is requested while one runs comes before the next
// rotation too.
func TestRequestDuringPruning(t *testing.T) {
	n := newNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	must(t, errors.Join(n.prunes.Stop(t.Context()), n.rotations.Stop(t.Context())))
	n.Prune(dir, nil, func(rotator.Report, error) { n.Changed(dir) }) // as a rotation does that ends
	n.pruneInTurn(t.Context(), dir)
	n.with(dir, func(c *container) { c.want = &want{Due: watcher.Due{Dir: dir, Log: "0.log", Limit: 1}} })
	if w, _ := n.begin(dir); w != nil {
		t.Error("a rotation began before the prune that was requested")
	}
}
