package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/testutil"
)

// tight is Small with three files a container.
var tight = strings.Replace(agenttest.Small, "1000", "3", 1)

// dirSize is what the files of a container's directory take, in bytes, and how many
// there are.
func dirSize(dir string) (bytes int64, files int) {
	entries, _ := os.ReadDir(dir) // it may not exist yet
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			bytes, files = bytes+info.Size(), files+1
		}
	}
	return bytes, files
}

func sizeOf(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// TestSweepFindsWhatIsDue: a log that is due is rotated by the next sweep, with no
// more bytes written to it, whatever happened before.
func TestSweepFindsWhatIsDue(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(t *testing.T, n *agenttest.Node, c *fake.Container){
		"after failed rotations": func(t *testing.T, n *agenttest.Node, c *fake.Container) {
			c.Fail(fake.Failure{Mode: fake.ErrorWithoutActing, Times: 2})
			must(t, c.WriteNumbered("stdout", 1000, 200))
			testutil.Eventually(t, "failed reopens", func() bool { return n.Runtime.Calls("ReopenContainerLog") >= 2 })
		},
		"beside a file that looks like a restart": func(t *testing.T, n *agenttest.Node, c *fake.Container) {
			for _, name := range []string{"1.log.bak", "7.log.1", "0.log.old"} {
				must(t, os.WriteFile(filepath.Join(c.Dir(), name), []byte("x"), 0o600))
			}
			n.WaitSweeps(1)
			must(t, c.WriteNumbered("stdout", 1000, 200))
		},
		"after a directory was replaced": func(t *testing.T, n *agenttest.Node, c *fake.Container) {
			aside := c.Dir() + ".aside"
			must(t, os.Rename(c.Dir(), aside))
			must(t, os.Mkdir(c.Dir(), 0o755))
			n.WaitSweeps(1)
			if os.Remove(c.Dir()) == nil {
				must(t, os.Rename(aside, c.Dir()))
			} else { // the runtime has reopened the log there: the sweep took more than a second
				must(t, os.RemoveAll(aside))
			}
			must(t, c.WriteNumbered("stdout", 1000, 200))
		},
		"when its status was slow": func(t *testing.T, n *agenttest.Node, c *fake.Container) {
			c.Fail(fake.Failure{Method: "ContainerStatus", Mode: fake.Slow, Delay: time.Second, Times: 2})
			must(t, c.WriteNumbered("stdout", 1000, 200))
		},
	} {
		t.Run(name, func(t *testing.T) {
			// With a second between two sweeps, a busy machine would see a second one
			// before the directory is back, which reopens the log.
			n := agenttest.New(t, fake.Options{}, strings.Replace(agenttest.Small, "1s", "3s", 1))
			n.Start()
			c := n.RunContainer(fake.ContainerSpec{})
			n.WaitSweeps(1)
			disturb(t, n, c)
			// After a failed reopen the log was exchanged already, and is only reopened.
			testutil.Eventually(t, "the rotation", func() bool {
				rotated := n.Log.Count(`"message":"rotated"`)+n.Log.Count("reopened a missing live log") > 0
				return rotated && sizeOf(c.LogPath()) < 64<<10
			})
			c.Exit()
			n.Stop()
			n.Check(c)
		})
	}
}

// TestNewFileEndsBackoff: after failed reopens the container's next request waits,
// but not for another file under the name, and not for an operator.
func TestNewFileEndsBackoff(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	client := listen(n)
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{})
	c.Fail(fake.Failure{Mode: fake.ErrorWithoutActing})
	must(t, c.WriteNumbered("stdout", 1000, 200))
	testutil.Eventually(t, "failed reopens", func() bool { return n.Runtime.Calls("ReopenContainerLog") >= 4 }) // the next one is due in 8 s
	c.ClearFailures()
	calls := n.Runtime.Calls("ReopenContainerLog")
	var got []api.Result
	must(t, client.Rotate(t.Context(), api.Selector{All: true}, func(r api.Result) { got = append(got, r) }))
	if len(got) != 1 || got[0].Result != "rotated" && got[0].Result != "reopened" {
		t.Errorf("the operator got %+v", got)
	}
	if n.Runtime.Calls("ReopenContainerLog") == calls {
		t.Error("no request was sent")
	}
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestShortHiccupCostsSeconds: a runtime that answers errors for half a second, as
// containerd 1.6 does after a restart, costs a second or two, not minutes.
func TestShortHiccupCostsSeconds(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, tight)
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.WaitRotations(3)
	c.Fail(fake.Failure{Mode: fake.ErrorWithoutActing})
	calls := n.Runtime.Calls("ReopenContainerLog")
	testutil.Eventually(t, "an error", func() bool { return n.Runtime.Calls("ReopenContainerLog") > calls })
	c.ClearFailures()
	n.SkipRotations()
	from := c.BytesWritten()
	n.WaitRotations(2)
	// A second's worth for the first retry, and as much again for a slow machine.
	if grew := c.BytesWritten() - from; grew > 5e6 {
		t.Errorf("%d bytes were written until rotation went on", grew)
	}
	c.Exit()
	n.Stop()
	n.CheckLines(c)
}

// TestOneContainerFailsAlone: a container whose status cannot be read costs no other
// one its rotation, pruning or compression, and does not make the node unready.
func TestOneContainerFailsAlone(t *testing.T) {
	t.Parallel()
	for _, mode := range []fake.Mode{fake.ErrorWithoutActing, fake.Hang} {
		n := agenttest.New(t, fake.Options{}, tight)
		url, socket := n.Listen()
		bad := n.RunContainer(fake.ContainerSpec{Pod: "bad"})
		bad.Fail(fake.Failure{Method: "ContainerStatus", Mode: mode})
		good := n.RunContainer(fake.ContainerSpec{Pod: "good", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
		n.Start()
		base := url()
		n.WaitRotations(10)
		testutil.Eventually(t, "three files", func() bool { _, files := dirSize(good.Dir()); return files <= 3 })
		calm := n.RunContainer(fake.ContainerSpec{Pod: "calm"}) // keeps its logs for long enough to compress them
		client, calmNames := api.NewClient(socket), api.Names{Namespace: "default", Pod: "calm"}
		for range 2 {
			must(t, calm.WriteNumbered("stdout", 10, 100))
			testutil.Eventually(t, "a rotation on request", func() (rotated bool) {
				must(t, client.Rotate(t.Context(), api.Selector{Names: calmNames}, func(r api.Result) { rotated = r.Result == api.Rotated }))
				return rotated
			})
		}
		testutil.Eventually(t, "a compression", func() bool {
			compressed, _ := filepath.Glob(filepath.Join(calm.Dir(), "*.gz"))
			return len(compressed) > 0
		})
		testutil.Eventually(t, "readyz", func() bool { code, _ := fetch(t, base+"/readyz"); return code == 200 })
		testutil.Eventually(t, "the reason in the status", func() bool {
			s, err := client.Status(t.Context(), api.Names{Pod: "bad"}, false)
			return err == nil && len(s.Containers) == 1 && s.Containers[0].Skipped != "" && s.Node.Skipped == 1
		})
		if n.Log.Count("container runtime is unreachable") > 0 {
			t.Error("the runtime counts as unreachable")
		}
		good.Exit() // else it writes while its lines are checked
		n.Stop()
		n.CheckLines(good)
		n.CheckLines(calm)
	}
}

// TestSlowStatusesDelayNoOther: 64 containers whose statuses take a second each do
// not keep another one from being rotated.
func TestSlowStatusesDelayNoOther(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	for i := range 64 {
		c := n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprint("slow", i)})
		c.Fail(fake.Failure{Method: "ContainerStatus", Mode: fake.Slow, Delay: time.Second})
	}
	well := n.RunContainer(fake.ContainerSpec{Pod: "well", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.Start()
	n.WaitRotations(1)
	if written := well.BytesWritten(); written > 4e6 {
		t.Errorf("the first rotation came after %d bytes at 1 MB/s", written)
	}
	well.Exit()
	n.Stop()
	n.Check(well)
}

// TestHangingContainersStarveNone: with 16 containers whose reopens hang, and four
// rotation workers, another container's log stays near its limit.
func TestHangingContainersStarveNone(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, tight)
	var hung []*fake.Container
	for i := range 16 {
		c := n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprint("hung", i), Writer: &fake.Pattern{BytesPerSecond: 10e3}})
		must(t, c.WriteNumbered("stdout", 1000, 200))
		c.Fail(fake.Failure{Mode: fake.Hang})
		hung = append(hung, c)
	}
	n.Start()
	testutil.Eventually(t, "reopens that hang", func() bool { return n.Runtime.Calls("ReopenContainerLog") >= 16 })
	well := n.RunContainer(fake.ContainerSpec{Pod: "well", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	largest := int64(0)
	testutil.Eventually(t, "8 s of lines", func() bool {
		largest = max(largest, sizeOf(well.LogPath()))
		return well.BytesWritten() > 8e6
	})
	if largest > 2e6 { // a full deadline would be 3 MB
		t.Errorf("the live log of the healthy container, limit 64 KiB, reached %d bytes", largest)
	}
	for _, c := range append(hung, well) {
		c.ClearFailures()
		c.Exit()
	}
	n.Stop()
	n.CheckLines(well)
}

// TestKeepsExitedContainersPolicy: the labels of a container that ended before the
// agent started decide what is kept of its logs.
func TestKeepsExitedContainersPolicy(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, tight+`
overrides:
- match: {labels: keep=many}
  maxFiles: 100
`)
	var dirs []string
	for i, labels := range []map[string]string{{"keep": "many"}, {"keep": "many"}, {"keep": "few"}} {
		c := n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprint("job", i), UID: "uid", Labels: labels})
		must(t, c.WriteNumbered("stdout", 1, 100)) // an empty live log would get its predecessor's content back
		for k := range 50 {
			must(t, os.WriteFile(fmt.Sprintf("%s/0.log.20260101-0000%02d", c.Dir(), k), []byte("x\n"), 0o600))
		}
		c.Exit()
		if i == 1 {
			c.Remove() // its container is removed, its pod and its logs are not
			n.RunContainer(fake.ContainerSpec{Pod: "job1", Name: "sidecar", UID: "uid", Labels: labels})
		}
		dirs = append(dirs, c.Dir())
	}
	// Nothing is known of this one: the runtime has no such pod.
	unknown := n.Runtime.PodLogsDir() + "/default_gone_uid/app"
	must(t, os.MkdirAll(unknown, 0o755))
	for k := range 50 {
		must(t, os.WriteFile(fmt.Sprintf("%s/0.log.20260101-0000%02d", unknown, k), []byte("x\n"), 0o600))
	}
	n.Start()
	testutil.Eventually(t, "the default policy where it applies", func() bool { _, files := dirSize(dirs[2]); return files <= 3 })
	n.WaitSweeps(3)
	for _, dir := range []string{dirs[0], dirs[1], unknown} {
		rotated := map[string]bool{} // one that is being compressed has two files
		for _, name := range agenttest.Names(t, dir) {
			if len(name) >= len("0.log.20260101-000000") {
				rotated[name[:len("0.log.20260101-000000")]] = true
			}
		}
		if len(rotated) != 50 {
			t.Errorf("%s: %d of 50 rotated logs are left", dir, len(rotated))
		}
	}
}

// TestReloadReachesRunningContainers: label and annotation matching that a reload
// turns on applies to the containers that run; while the pods cannot be read, what
// was known stays, and rotation goes on.
func TestReloadReachesRunningContainers(t *testing.T) {
	t.Parallel()
	large := strings.Replace(agenttest.Small, "64Ki", "1Gi", 1)
	n := agenttest.New(t, fake.Options{}, large)
	_, write := n.ConfigFile(large)
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Annotations: map[string]string{"logwatch/max-size": "300Ki"}, Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.WaitSweeps(2)
	n.Runtime.Fail(fake.Failure{Method: "ListPodSandbox", Mode: fake.ErrorWithoutActing})
	write(large + "annotations: {enabled: true}\n")
	n.WaitLog("configuration reloaded", 1)
	n.WaitSweeps(2)
	if len(n.Rotated()) > 0 {
		t.Fatal("rotated at an unknown limit")
	}
	n.Runtime.ClearFailures()
	if r := n.WaitRotations(2)[1]; r.Due.Limit != 300<<10 {
		t.Errorf("the limit is %d after the reload", r.Due.Limit)
	}
	n.Runtime.Fail(fake.Failure{Method: "ListPodSandbox", Mode: fake.ErrorWithoutActing})
	n.WaitSweeps(2)
	n.SkipRotations()
	if r := n.WaitRotations(2)[1]; r.Due.Limit != 300<<10 {
		t.Errorf("the limit is %d while the pods cannot be read", r.Due.Limit)
	}
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestPauseBetweenReopens: after a reopen that was not answered the next one is sent
// ten seconds after its deadline at the earliest, at the start too, whatever the
// causes; a runtime that acts late loses no line then.
func TestPauseBetweenReopens(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{Style: fake.CRIO}, agenttest.Small+"runtimeRequestTimeout: 1s\n")
	client := listen(n)
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 100e3}})
	testutil.Eventually(t, "lines", func() bool { return c.BytesWritten() > 10_000 })
	must(t, os.Rename(c.LogPath(), c.LogPath()+".20260101-000000")) // as a crash of the fallback form leaves it
	c.Fail(fake.Failure{Mode: fake.DeadlineThenActs, Delay: 5 * time.Second})
	n.Start()
	testutil.Eventually(t, "the first reopen", func() bool { return n.Runtime.Calls("ReopenContainerLog") == 1 })
	first := time.Now()
	go func() { // another cause, in the meantime
		_ = client.Rotate(t.Context(), api.Selector{All: true}, func(api.Result) {})
	}()
	testutil.Eventually(t, "the second reopen", func() bool {
		return n.Runtime.Calls("ReopenContainerLog") >= 2 || c.BytesWritten() > 1_500_000
	})
	if after := time.Since(first); n.Runtime.Calls("ReopenContainerLog") >= 2 && after < 10*time.Second {
		t.Errorf("the second reopen was sent %v after the first", after)
	}
	c.ClearFailures()
	c.Exit()
	n.Stop()
	n.Check(c)
}
