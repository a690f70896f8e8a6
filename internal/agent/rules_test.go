package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
)

// TestReload: new limits hold at once, without a restart; a bad file changes
// nothing; no line is lost in the meantime.
func TestReload(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, strings.Replace(agenttest.Small, "64Ki", "1Gi", 1))
	ask, write := n.ConfigFile(strings.Replace(agenttest.Small, "64Ki", "1Gi", 1))
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	testutil.Eventually(t, "a log over what is to be its limit", func() bool { return c.BytesWritten() > 200<<10 })
	if len(n.Rotated()) > 0 {
		t.Fatal("rotated at 1Gi")
	}
	write(agenttest.Small) // the change of the file is reason enough
	n.WaitRotations(3)
	if got := n.Log.Count("configuration reloaded"); got != 1 {
		t.Errorf("reloaded %d times for one change", got)
	}
	write("containerLogMaxSize: none\n")
	testutil.Eventually(t, "the error", func() bool { return n.Log.Count("reload failed; previous configuration still active") == 1 })
	n.WaitRotations(3) // the old one holds
	ask <- unix.SIGHUP
	testutil.Eventually(t, "the error again, for who asks", func() bool { return n.Log.Count("reload failed; previous configuration still active") == 2 })
	write(strings.Replace(agenttest.Small, "64Ki", "-1", 1))
	testutil.Eventually(t, "the reload", func() bool { return n.Log.Count("configuration reloaded") == 2 })
	n.SkipRotations()
	size := c.BytesWritten()
	testutil.Eventually(t, "more lines", func() bool { return c.BytesWritten() > size+300<<10 })
	if n.SkipRotations() > 1 { // one may have been under way
		t.Error("rotated, though rotation is off")
	}
	write(agenttest.Small + "podLogsDir: /elsewhere\ncontainerLogMaxWorkers: 9\n")
	testutil.Eventually(t, "the warning", func() bool { return n.Log.Count("take effect at the next start") == 1 })
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestOverridesAndAnnotations: each container gets its own limit; a ceiling
// holds; a bad annotation is ignored, and logged once.
func TestOverridesAndAnnotations(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, `
containerLogMaxSize: 4Mi
containerLogMaxFiles: 1000
containerLogMonitorInterval: 1s
minRotationInterval: 0s
annotations: {enabled: true, ceilings: {maxSize: 4Mi}}
overrides:
- match: {labels: tier=agenttest.Small}
  maxSize: 300Ki
- match: {namespaces: ["by-*"], containers: [named]}
  maxSize: 600Ki
`)
	n.Start()
	// An image is pulled in the meantime: the directory is there before the container.
	write := &fake.Pattern{BytesPerSecond: 2e6}
	want := map[*fake.Container]int64{
		n.RunContainer(fake.ContainerSpec{Pod: "labelled", Labels: map[string]string{"tier": "agenttest.Small"}, Writer: write}):             300 << 10,
		n.RunContainer(fake.ContainerSpec{Namespace: "by-name", Pod: "p", Name: "named", Writer: write}):                                     600 << 10,
		n.RunContainer(fake.ContainerSpec{Pod: "asks", Annotations: map[string]string{"logwatch/max-size": "1Mi"}, Writer: write}):           1 << 20,
		n.RunContainer(fake.ContainerSpec{Pod: "asks-much", Annotations: map[string]string{"logwatch/max-size": "1Gi"}, Writer: write}):      4 << 20,
		n.RunContainer(fake.ContainerSpec{Pod: "asks-nonsense", Annotations: map[string]string{"logwatch/max-size": "10mb"}, Writer: write}): 4 << 20,
	}
	limits := map[string]int64{}
	for len(limits) < len(want) {
		r := n.WaitRotations(1)[0]
		if _, again := limits[r.Due.Dir]; !again && r.Size-r.Due.Limit < 200<<10 {
			limits[r.Due.Dir] = r.Due.Limit
		}
	}
	for c, limit := range want {
		dir, err := filepath.Rel(n.Runtime.PodLogsDir(), c.Dir())
		must(t, err)
		if limits[dir] != limit {
			t.Errorf("%s was rotated at %d, want %d", dir, limits[dir], limit)
		}
		c.Exit()
	}
	n.Stop()
	for c := range want {
		n.Check(c)
	}
	if got := n.Log.Count("pod annotation ignored or capped"); got != 2 {
		t.Errorf("told %d times of two annotations that do not hold", got)
	}
}

// TestMaxAge: a quiet container's old lines go, live log and all.
func TestMaxAge(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small+"containerLogMaxAge: 1m\n")
	c := n.RunContainer(fake.ContainerSpec{})
	old := time.Now().Add(-time.Hour)
	line := old.UTC().Format(time.RFC3339Nano) + " stdout F an old line\n"
	must(t, os.WriteFile(c.LogPath(), []byte(line), 0o600))
	must(t, os.Chtimes(c.LogPath(), old, old))
	rotated := c.LogPath() + ".20200101-000000"
	must(t, os.WriteFile(rotated, []byte(line), 0o600))
	must(t, os.Chtimes(rotated, old, old))
	young := n.RunContainer(fake.ContainerSpec{Pod: "young"})
	must(t, young.WriteNumbered("stdout", 3, 100))
	n.Start()
	testutil.Eventually(t, "the old lines to go", func() bool {
		st, err := os.Stat(c.LogPath())
		return err == nil && st.Size() == 0 && agenttest.List(t, c.Dir()) == "0.log"
	})
	if got := n.Log.Count(`"cause":"age"`); got != 1 {
		t.Errorf("%d rotations for an age", got)
	}
	young.Exit()
	n.Stop()
	n.Check(young)
}

// TestReloadOfAChangeWhileStarting: a file that is changed while the start waits for
// podLogsDir is not the one that was loaded.
func TestReloadOfAChangeWhileStarting(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, strings.Replace(agenttest.Small, "64Ki", "1Gi", 1))
	_, write := n.ConfigFile(strings.Replace(agenttest.Small, "64Ki", "1Gi", 1))
	away := n.Runtime.PodLogsDir() + "-away"
	must(t, os.Rename(n.Runtime.PodLogsDir(), away))
	n.Start()
	testutil.Eventually(t, "the start to wait", func() bool { return n.Log.Count("podLogsDir does not exist; waiting for it") == 1 })
	write(agenttest.Small)
	must(t, os.Rename(away, n.Runtime.PodLogsDir()))
	testutil.Eventually(t, "the reload", func() bool { return n.Log.Count("configuration reloaded") == 1 })
}

func TestFind(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	if _, err := agent.Find(n.Runtime.PodLogsDir()); err == nil || !strings.Contains(err.Error(), "no logwatch works on") {
		t.Errorf("without a daemon: %v", err)
	}
	n.Start()
	testutil.Eventually(t, "the start", func() bool { return n.Log.Count(`"message":"watching"`) == 1 })
	if pid, err := agent.Find(n.Runtime.PodLogsDir()); err != nil || pid != os.Getpid() {
		t.Errorf("found %d, %v; this is %d", pid, err, os.Getpid())
	}
}

// TestLeavesExitedLogs: an exited container's live log keeps its name, which
// kubectl logs --previous reads: also when the inventory, up to a sweep old, has
// it running still.
func TestLeavesExitedLogs(t *testing.T) {
	large := strings.NewReplacer("64Ki", "1Gi", "MonitorInterval: 1s", "MonitorInterval: 1h").Replace(agenttest.Small)
	n := agenttest.New(t, fake.Options{}, large)
	ask, write := n.ConfigFile(large)
	long := n.RunContainer(fake.ContainerSpec{Pod: "long-gone"})
	must(t, long.WriteNumbered("stdout", 1000, 200))
	long.Exit()
	just := n.RunContainer(fake.ContainerSpec{Pod: "just-gone"})
	must(t, just.WriteNumbered("stdout", 1000, 200))
	n.Start()
	n.WaitSweeps(1)
	just.Exit()
	write(strings.Replace(large, "1Gi", "64Ki", 1))
	ask <- unix.SIGHUP // no sweep compares the file
	testutil.Eventually(t, "the reload", func() bool { return n.Log.Count("configuration reloaded") == 1 })
	lookups := n.Runtime.Calls("ContainerStatus")
	testutil.Eventually(t, "the question whether it runs", func() bool { return n.Runtime.Calls("ContainerStatus") > lookups || lookups > 1 })
	n.Stop()
	for _, c := range []*fake.Container{long, just} {
		if got := agenttest.List(t, c.Dir()); got != "0.log" {
			t.Errorf("%s holds %s", c.Dir(), got)
		}
	}
	if got := n.Runtime.Calls("ReopenContainerLog"); got != 0 {
		t.Errorf("%d reopens", got)
	}
}
