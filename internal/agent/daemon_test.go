package agent_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
)

func TestRotatesUnderLoad(t *testing.T) {
	for name, style := range map[string]fake.Style{"containerd": fake.Containerd, "crio": fake.CRIO} {
		t.Run(name, func(t *testing.T) {
			n := agenttest.New(t, fake.Options{Style: style}, `
containerLogMaxSize: 256Ki
containerLogMaxFiles: 1000
minRotationInterval: 0s
`)
			n.Start()
			pattern := &fake.Pattern{BytesPerSecond: 4e6, StderrEvery: 5, LongEvery: 200}
			a := n.RunContainer(fake.ContainerSpec{Name: "a", Writer: pattern})
			b := n.RunContainer(fake.ContainerSpec{Name: "b", Writer: pattern})
			n.WaitRotations(40)
			a.Exit()
			b.Exit()
			n.Stop()
			n.Check(a)
			n.Check(b)
		})
	}
}

// TestLateTail: the runtime writes the rest of the old file long after the
// reopen has returned. Neither compression nor pruning may come before.
func TestLateTail(t *testing.T) {
	n := agenttest.New(t, fake.Options{TailDelay: 3 * time.Second}, `
containerLogMaxSize: 256Ki
containerLogMaxFiles: 1000
minRotationInterval: 0s
`)
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 4e6}})
	n.WaitRotations(30)
	testutil.Eventually(t, "a compression", func() bool { return n.Log.Count(`"action":"compress"`) > 0 })
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestWritesOnIntoRotated: a crash between rename and reopen, with a runtime
// that does not reopen for a while: the rotated log is the one that is written,
// so it is neither compressed nor pruned, whatever the policy says.
func TestWritesOnIntoRotated(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, `
containerLogMaxSize: 256Ki
containerLogMaxFiles: 2
containerLogMonitorInterval: 1s
minRotationInterval: 0s
`)
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	testutil.Eventually(t, "lines", func() bool { return c.BytesWritten() > 10_000 })
	c.Fail(fake.Failure{Mode: fake.Hang})
	written := filepath.Join(c.Dir(), "0.log.20200101-000000")
	must(t, os.Rename(c.LogPath(), written))
	newer := filepath.Join(c.Dir(), "0.log.20200102-000000")
	must(t, os.WriteFile(newer, []byte("2020-01-02T00:00:00Z stdout F x\n"), 0o600))
	n.Start()
	testutil.Eventually(t, "three sweeps", func() bool { return n.Log.Count("sweep ended") >= 3 })
	if _, err := os.Stat(written); err != nil {
		t.Fatalf("the file that the runtime writes: %v", err)
	}
	must(t, os.Remove(newer)) // it is not the container's
	c.ClearFailures()
	testutil.Eventually(t, "the live log", func() bool { _, err := os.Lstat(c.LogPath()); return err == nil })
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestSilentAfterRotation: a container that logs nothing after a rotation has an empty
// live log, which neither sweeps nor a start of the agent take for one to be reopened,
// rotated or removed.
func TestSilentAfterRotation(t *testing.T) {
	for name, style := range map[string]fake.Style{"containerd": fake.Containerd, "crio": fake.CRIO} {
		t.Run(name, func(t *testing.T) {
			n := agenttest.New(t, fake.Options{Style: style}, agenttest.Small+"containerLogMaxAge: 1h\n")
			n.Options.Config.ContainerLogMonitorInterval = 10 * time.Millisecond
			n.Start()
			c := n.RunContainer(fake.ContainerSpec{})
			must(t, c.WriteNumbered("stdout", 1000, 200))
			to := n.WaitRotations(1)[0].To
			rotated, err := os.Lstat(filepath.Join(c.Dir(), to))
			must(t, err)
			live, err := os.Lstat(c.LogPath())
			must(t, err)
			silent := func() {
				t.Helper()
				n.WaitSweeps(25)
				n.Stop()
				for path, before := range map[string]os.FileInfo{c.LogPath(): live, filepath.Join(c.Dir(), to): rotated} {
					if now, err := os.Lstat(path); err != nil || !os.SameFile(now, before) || now.Size() != before.Size() {
						t.Errorf("%s is another file (%v)", path, err)
					}
				}
				if list := agenttest.List(t, c.Dir()); list != "0.log "+to || live.Size() != 0 {
					t.Errorf("files: %s; the live log had %d bytes", list, live.Size())
				}
				if reopens := n.Runtime.Calls("ReopenContainerLog"); reopens != 1 || n.Log.Count(`"level":"warn"`) > 0 {
					t.Errorf("%d reopens, want that of the rotation; warnings: %d", reopens, n.Log.Count(`"level":"warn"`))
				}
			}
			silent()
			again := agenttest.NewDaemon(t, n.Runtime.Endpoint(), n.Runtime.PodLogsDir(), agenttest.Small)
			again.Options.Config.ContainerLogMonitorInterval = 10 * time.Millisecond
			n.Daemon = again
			n.Start()
			silent()
			n.Check(c)
			must(t, c.WriteNumbered("stdout", 1, 100)) // it is the container's
			n.Check(c)
		})
	}
}
