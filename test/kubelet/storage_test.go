package kubelet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
)

// TestEphemeralStorage: kubelet decides to evict a pod whose logs exceed its limit for
// ephemeral storage, but not one that logs as much beside logwatch. It evicts no static
// pod: the decision is what it logs.
func TestEphemeralStorage(t *testing.T) {
	t.Parallel()
	const rate, limit = 4e6, "16Mi"
	t.Run("kubelet", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, "containerLogMaxSize: 1Mi\n", "")
		p := n.run(podSpec{name: "writes", rate: rate, storage: limit})
		testutil.Eventually(t, "the decision to evict", func() bool { return n.evicts(p) > 0 })
	})
	t.Run("logwatch", func(t *testing.T) {
		t.Parallel()
		n := newNode(t, "", backstop)
		agenttest.Start(t, n.Endpoint(), n.PodLogsDir(), "containerLogMaxSize: 1Mi\nminRotationInterval: 0s\n")
		p := n.run(podSpec{name: "writes", rate: rate, storage: limit})
		control := n.run(podSpec{name: "control", rate: rate, lines: 20_000, linger: true, storage: "1Mi"})
		testutil.Eventually(t, "three decisions to evict another pod", func() bool { return n.evicts(control) >= 3 })
		if count := n.evicts(p); count > 0 {
			t.Errorf("kubelet wants to evict it: %d times", count)
		}
		bytes, _ := n.logBytes(p.name)
		t.Logf("its logs have %d bytes", bytes)
	})
}

// evicts returns how many times kubelet has decided to evict a pod.
func (n *node) evicts(p *pod) (count int) {
	for line := range strings.Lines(n.kubeletLog()) {
		if strings.Contains(line, "cannot evict a critical pod") && strings.Contains(line, fmt.Sprintf("default/%s-%s", p.name, hostname)) {
			count++
		}
	}
	return count
}
