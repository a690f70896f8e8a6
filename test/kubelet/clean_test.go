package kubelet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
)

// TestClean: the logs of removed containers are removed with those that logwatch has
// rotated, by kubelet as the backstop, or by logwatch if kubelet's rotation is off.
func TestClean(t *testing.T) {
	t.Parallel()
	t.Run("kubelet", func(t *testing.T) {
		t.Parallel()
		clean(t, newNode(t, "", backstop), all)
	})
	t.Run("logwatch", func(t *testing.T) {
		t.Parallel()
		clean(t, newNode(t, "containerLogMaxSize: \"-1\"\n", ""), all+"cleanRemovedContainers: true\n")
	})
}

func clean(t *testing.T, n *node, yaml string) {
	t.Helper()
	agenttest.Start(t, n.Endpoint(), n.PodLogsDir(), yaml)
	const lines = 30_000
	p := n.run(podSpec{name: "crashes", rate: 4e6, lines: lines, restart: true})
	for attempt := range 3 {
		live := fmt.Sprintf("%d.log", attempt)
		testutil.Eventually(t, "rotated logs of "+live, func() bool { return len(p.names(live+".")) >= 2 })
		if attempt > 0 { // kubectl logs --previous
			testutil.Eventually(t, "the last line of the restart before", func() bool {
				return strings.Contains(p.text("previous=true&tailLines=1"), number(lines))
			})
		}
	}
	// kubelet keeps one ended container.
	testutil.Eventually(t, "the end of the first restart's logs", func() bool { return len(p.names("0.log")) == 0 })
	if left := p.names("1.log"); len(left) < 3 {
		t.Errorf("left of the restart before: %v", left)
	}
	p.remove()
	testutil.Eventually(t, "the end of all logs", func() bool { return len(p.names("")) == 0 })
}
