package dispatch

import (
	"math"
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// TestNoReturnAfterOwnReopen: what this process rotated is reopened, also after the runtime was
// unreachable.
func TestNoReturnAfterOwnReopen(t *testing.T) {
	n, _ := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 100, 200))
	n.list(t)
	ct.Fail(fake.Failure{Method: "ReopenContainerLog", Mode: fake.ErrorWithoutActing, Times: 1})
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
	testutil.Eventually(t, "the failure", func() bool { return n.Totals().Failures == 1 })
	n.with(dir, func(c *container) { c.want, c.missing = nil, true })
	n.retryNow()
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseMissing, Limit: math.MaxInt64})
	testutil.Eventually(t, "the reopen", func() bool {
		if n.logged("restored the live log's name") > 0 {
			t.Fatal("it got its name back")
		}
		return n.logged("reopened a missing live log") == 1
	})
}
