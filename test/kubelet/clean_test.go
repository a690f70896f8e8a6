package kubelet

import (
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
	testutil.Eventually(t, "rotated logs", func() bool { return len(p.names("0.log.")) > 0 })
	// kubelet keeps one ended container.
	testutil.Eventually(t, "the end of the first run's logs", func() bool { return len(p.names("0.log")) == 0 })
	testutil.Eventually(t, "the last line of the run before in kubectl logs --previous", func() bool {
		return strings.Contains(p.text("previous=true&tailLines=1"), number(lines))
	})
	p.remove()
	testutil.Eventually(t, "the end of all logs", func() bool { return len(p.names("")) == 0 })
}
