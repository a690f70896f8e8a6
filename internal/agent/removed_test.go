package agent_test

import (
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
)

const cleaning = agenttest.Small + "cleanRemovedContainers: true\n"

// TestCleansRemoved: a container is removed while its pod is there.
func TestCleansRemoved(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, cleaning)
	n.Start()
	old := n.RunContainer(fake.ContainerSpec{Pod: "p", UID: "u", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	other := n.RunContainer(fake.ContainerSpec{Pod: "p", UID: "u", Name: "sidecar"})
	must(t, other.WriteNumbered("stdout", 10, 100))
	n.WaitRotations(2)
	n.WaitSweeps(1)
	old.Exit()
	n.WaitSweeps(3)
	if agenttest.List(t, old.Dir()) == "" {
		t.Fatal("an exited container's logs were removed")
	}
	old.Remove()
	testutil.Eventually(t, "the logs to go", func() bool { return agenttest.List(t, old.Dir()) == "" })
	other.Exit()
	n.Stop()
	n.Check(other)
}

// TestKeepsLogsOfLostContainers: whatever a runtime forgets, its word alone
// removes nothing.
func TestKeepsLogsOfLostContainers(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*fake.Runtime, *fake.Container){
		"the pod is gone too": func(_ *fake.Runtime, c *fake.Container) { c.Exit(); c.Remove() },
		"lists are empty": func(rt *fake.Runtime, _ *fake.Container) {
			rt.Fail(fake.Failure{Method: "StreamContainers", Mode: fake.NilWithoutActing})
			rt.Fail(fake.Failure{Method: "ListPodSandbox", Mode: fake.NilWithoutActing})
		},
		"lists are empty, and pods hang": func(rt *fake.Runtime, _ *fake.Container) {
			rt.Fail(fake.Failure{Method: "StreamContainers", Mode: fake.NilWithoutActing})
			rt.Fail(fake.Failure{Method: "ListPodSandbox", Mode: fake.Unavailable})
		},
		"lists fail": func(rt *fake.Runtime, _ *fake.Container) {
			rt.Fail(fake.Failure{Method: "StreamContainers", Mode: fake.Unavailable})
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := agenttest.New(t, fake.Options{}, cleaning)
			n.Start()
			c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
			n.WaitRotations(2)
			n.WaitSweeps(1)
			lose(n.Runtime, c)
			n.WaitSweeps(4)
			n.Runtime.ClearFailures()
			c.Exit()
			n.Stop()
			n.Check(c)
		})
	}
}
