package daemon

import (
	"testing"

	"github.com/logwatch/logwatch/cri/embedded"
	"github.com/logwatch/logwatch/internal/await"
)

// sweeps waits for so many sweeps from now on.
func (n *node) sweeps(count int) {
	n.t.Helper()
	from := n.log.count("sweep ended")
	await.That(n.t, "sweeps", func() bool { return n.log.count("sweep ended") >= from+count })
}

const cleaning = small + "cleanRemovedContainers: true\n"

// TestCleansRemoved: a container is removed while its pod is there.
func TestCleansRemoved(t *testing.T) {
	n := newNode(t, embedded.Options{}, cleaning)
	n.start()
	old := n.run(embedded.ContainerSpec{Pod: "p", UID: "u", Writer: &embedded.Pattern{BytesPerSecond: 1e6}})
	other := n.run(embedded.ContainerSpec{Pod: "p", UID: "u", Name: "sidecar"})
	must(t, other.WriteNumbered("stdout", 10, 100))
	n.waitRotations(2)
	n.sweeps(1)
	old.Exit()
	n.sweeps(3)
	if list(t, old.Dir()) == "" {
		t.Fatal("an exited container's logs were removed")
	}
	old.Remove()
	await.That(t, "the logs to go", func() bool { return list(t, old.Dir()) == "" })
	other.Exit()
	n.stop()
	n.check(other)
}

// TestKeepsLogsOfLostContainers: whatever a runtime forgets, its word alone
// removes nothing.
func TestKeepsLogsOfLostContainers(t *testing.T) {
	for name, lose := range map[string]func(*embedded.Runtime, *embedded.Container){
		"the pod is gone too": func(_ *embedded.Runtime, c *embedded.Container) { c.Exit(); c.Remove() },
		"lists are empty": func(rt *embedded.Runtime, _ *embedded.Container) {
			rt.Fail(embedded.Failure{Method: "StreamContainers", Mode: embedded.NilWithoutActing})
			rt.Fail(embedded.Failure{Method: "PodSandboxStatus", Mode: embedded.ContainerGone})
		},
		"lists are empty, and pods hang": func(rt *embedded.Runtime, _ *embedded.Container) {
			rt.Fail(embedded.Failure{Method: "StreamContainers", Mode: embedded.NilWithoutActing})
			rt.Fail(embedded.Failure{Method: "PodSandboxStatus", Mode: embedded.Unavailable})
		},
		"lists fail": func(rt *embedded.Runtime, _ *embedded.Container) {
			rt.Fail(embedded.Failure{Method: "StreamContainers", Mode: embedded.Unavailable})
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, embedded.Options{}, cleaning)
			n.start()
			c := n.run(embedded.ContainerSpec{Writer: &embedded.Pattern{BytesPerSecond: 1e6}})
			n.waitRotations(2)
			n.sweeps(1)
			lose(n.runtime, c)
			n.sweeps(4)
			n.runtime.ClearFailures()
			c.Exit()
			n.stop()
			n.check(c)
		})
	}
}
