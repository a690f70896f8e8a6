package dispatch

import (
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
