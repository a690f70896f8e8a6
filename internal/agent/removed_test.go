package agent

import (
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
)

// sweeps waits for so many sweeps from now on.
func (n *node) sweeps(count int) {
	n.t.Helper()
	from := n.log.count("sweep ended")
	testutil.Eventually(n.t, "sweeps", func() bool { return n.log.count("sweep ended") >= from+count })
}

const cleaning = small + "cleanRemovedContainers: true\n"

// TestCleansRemoved: a container is removed while its pod is there.
func TestCleansRemoved(t *testing.T) {
	n := newNode(t, fake.Options{}, cleaning)
	n.start()
	old := n.run(fake.ContainerSpec{Pod: "p", UID: "u", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	other := n.run(fake.ContainerSpec{Pod: "p", UID: "u", Name: "sidecar"})
	must(t, other.WriteNumbered("stdout", 10, 100))
	n.waitRotations(2)
	n.sweeps(1)
	old.Exit()
	n.sweeps(3)
	if list(t, old.Dir()) == "" {
		t.Fatal("an exited container's logs were removed")
	}
	old.Remove()
	testutil.Eventually(t, "the logs to go", func() bool { return list(t, old.Dir()) == "" })
	other.Exit()
	n.stop()
	n.check(other)
}

// TestKeepsLogsOfLostContainers: whatever a runtime forgets, its word alone
// removes nothing.
func TestKeepsLogsOfLostContainers(t *testing.T) {
	for name, lose := range map[string]func(*fake.Runtime, *fake.Container){
		"the pod is gone too": func(_ *fake.Runtime, c *fake.Container) { c.Exit(); c.Remove() },
		"lists are empty": func(rt *fake.Runtime, _ *fake.Container) {
			rt.Fail(fake.Failure{Method: "StreamContainers", Mode: fake.NilWithoutActing})
			rt.Fail(fake.Failure{Method: "PodSandboxStatus", Mode: fake.ContainerGone})
		},
		"lists are empty, and pods hang": func(rt *fake.Runtime, _ *fake.Container) {
			rt.Fail(fake.Failure{Method: "StreamContainers", Mode: fake.NilWithoutActing})
			rt.Fail(fake.Failure{Method: "PodSandboxStatus", Mode: fake.Unavailable})
		},
		"lists fail": func(rt *fake.Runtime, _ *fake.Container) {
			rt.Fail(fake.Failure{Method: "StreamContainers", Mode: fake.Unavailable})
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, fake.Options{}, cleaning)
			n.start()
			c := n.run(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
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
