package agent_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/testutil"
)

// TestStatusNotFoundOnce: the runtime lists a container as running, and does not find
// it once. It is rotated a moment later.
func TestStatusNotFoundOnce(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	c := n.RunContainer(fake.ContainerSpec{})
	c.Fail(fake.Failure{Method: "ContainerStatus", Mode: fake.ContainerGone, Times: 1})
	must(t, c.WriteNumbered("stdout", 1000, 200))
	n.Start()
	n.WaitRotations(1)
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestTwoContainersInOneDirectory: both run, and both logs are rotated.
func TestTwoContainersInOneDirectory(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	n.Start()
	a := n.RunContainer(fake.ContainerSpec{Pod: "p", UID: "u"})
	b := n.RunContainer(fake.ContainerSpec{Pod: "p", UID: "u", Attempt: 1})
	n.WaitSweeps(2)
	must(t, b.WriteNumbered("stdout", 1000, 200))
	must(t, a.WriteNumbered("stdout", 1000, 200))
	testutil.Eventually(t, "both rotations", func() bool { return sizeOf(a.LogPath()) < 64<<10 && sizeOf(b.LogPath()) < 64<<10 })
}

// TestCleanSparesAReusedPath: the log path of a removed container is used by the next
// one, whose logs stay.
func TestCleanSparesAReusedPath(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small+"cleanRemovedContainers: true\n")
	n.Start()
	a := n.RunContainer(fake.ContainerSpec{Pod: "p", UID: "u"})
	n.RunContainer(fake.ContainerSpec{Pod: "p", UID: "u", Name: "sidecar"})
	n.WaitSweeps(2)
	a.Exit()
	a.Remove()
	must(t, os.RemoveAll(a.Dir())) // kubelet's Clean
	b := n.RunContainer(fake.ContainerSpec{Pod: "p", UID: "u", Writer: &fake.Pattern{BytesPerSecond: 500e3}})
	if a.LogPath() != b.LogPath() {
		t.Fatal(b.LogPath())
	}
	n.WaitRotations(5)
	n.WaitSweeps(4)
	b.Exit()
	n.Stop()
	n.Check(b)
}

// TestListsThatLackARunningContainer: its pod is there, and its status says that it
// runs. Its logs stay.
func TestListsThatLackARunningContainer(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small+"cleanRemovedContainers: true\n")
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 500e3}})
	n.WaitRotations(2)
	n.WaitSweeps(1)
	n.Runtime.Fail(fake.Failure{Method: "StreamContainers", Mode: fake.NilWithoutActing, Times: 4})
	n.WaitSweeps(5)
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestReopenWithALostConnection: a reopen that the runtime has received, and not
// answered since it restarts, may still be carried out: conmon lives on.
func TestReopenWithALostConnection(t *testing.T) {
	n := agenttest.New(t, fake.Options{Style: fake.CRIO}, agenttest.Small)
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{})
	n.WaitSweeps(1)
	c.Fail(fake.Failure{Mode: fake.Hang})
	must(t, c.WriteNumbered("stdout", 1000, 200))
	testutil.Eventually(t, "the first reopen", func() bool { return n.Runtime.Calls("ReopenContainerLog") == 1 })
	first := time.Now()
	must(t, n.Runtime.Restart())
	testutil.Eventually(t, "the second", func() bool { return n.Runtime.Calls("ReopenContainerLog") >= 2 })
	if after := time.Since(first); after < 9*time.Second { // ten seconds from the loss on
		t.Errorf("the second reopen was sent %v after the first", after)
	}
	c.ClearFailures()
}

// TestTruncatedConfiguration: an editor truncates the file and writes it a moment
// later. The empty file's defaults prune nothing.
func TestTruncatedConfiguration(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	n.ConfigFile(agenttest.Small)
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{})
	must(t, c.WriteNumbered("stdout", 10, 200))
	for k := range 50 {
		must(t, os.WriteFile(fmt.Sprintf("%s/0.log.20260101-0000%02d", c.Dir(), k), []byte("x\n"), 0o600))
	}
	n.WaitSweeps(2)
	must(t, os.Truncate(n.Options.Reload.File, 0))
	n.WaitLog("configuration file is empty", 1)
	must(t, os.WriteFile(n.Options.Reload.File, []byte(agenttest.Small), 0o600))
	n.WaitSweeps(3)
	if _, files := dirSize(c.Dir()); files < 51 {
		t.Errorf("%d of 51 files are left", files)
	}
}

// TestReloadIsTriedAgain: a load that failed for a moment, for want of a descriptor
// say, is tried again by the next sweep.
func TestReloadIsTriedAgain(t *testing.T) {
	t.Parallel()
	large := strings.Replace(agenttest.Small, "64Ki", "1Gi", 1)
	n := agenttest.New(t, fake.Options{}, large)
	_, write := n.ConfigFile(large)
	load, calls := n.Options.Reload.Load, 0
	n.Options.Reload.Load = func() (cfg config.Config, err error) {
		if calls++; calls == 1 {
			return cfg, errors.New("too many open files")
		}
		return load()
	}
	n.Start()
	n.WaitSweeps(1)
	write(agenttest.Small)
	n.WaitLog("reload failed; previous configuration still active", 1)
	n.WaitLog("configuration reloaded", 1)
}

// TestFileSwappedBeforeTheStart: the file changes after the configuration was read
// from it, and before the agent runs.
func TestFileSwappedBeforeTheStart(t *testing.T) {
	large := strings.Replace(agenttest.Small, "64Ki", "1Gi", 1)
	n := agenttest.New(t, fake.Options{}, large)
	_, write := n.ConfigFile(large)
	n.Options.Reload.Content = []byte(large)
	write(agenttest.Small)
	n.Start()
	n.WaitLog("configuration reloaded", 1)
}
