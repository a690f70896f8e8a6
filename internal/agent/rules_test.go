package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/testutil"
)

// withFile has the node's configuration in a file, as a ConfigMap's volume has
// it: behind two links. write swaps it.
func (n *node) withFile(yaml string) (ask chan os.Signal, write func(yaml string)) {
	n.t.Helper()
	dir := n.t.TempDir()
	version := 0
	write = func(yaml string) {
		n.t.Helper()
		version++
		data := filepath.Join(dir, fmt.Sprintf("..v%d", version))
		must(n.t, os.Mkdir(data, 0o755))
		must(n.t, os.WriteFile(filepath.Join(data, "logwatch.yaml"), []byte(yaml), 0o600))
		must(n.t, os.Symlink(data, filepath.Join(dir, "..data_tmp")))
		must(n.t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	write(yaml)
	file := filepath.Join(dir, "logwatch.yaml")
	must(n.t, os.Symlink("..data/logwatch.yaml", file))
	ask = make(chan os.Signal, 1)
	n.reload = Reload{File: file, Ask: ask, Load: func() (config.Config, error) {
		c, err := config.Load(file)
		c.ContainerRuntimeEndpoint, c.PodLogsDir = n.runtime.Endpoint(), n.runtime.PodLogsDir()
		return c, err
	}}
	return ask, write
}

// TestReload: new limits hold at once, without a restart; a bad file changes
// nothing; no line is lost meanwhile.
func TestReload(t *testing.T) {
	n := newNode(t, fake.Options{}, strings.Replace(small, "64Ki", "1Gi", 1))
	ask, write := n.withFile(strings.Replace(small, "64Ki", "1Gi", 1))
	n.start()
	c := n.run(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	testutil.Eventually(t, "a log over what is to be its limit", func() bool { return c.BytesWritten() > 200<<10 })
	if len(n.rotated) > 0 {
		t.Fatal("rotated at 1Gi")
	}
	write(small) // the change of the file is reason enough
	n.waitRotations(3)
	if got := n.log.count("the configuration was reloaded"); got != 1 {
		t.Errorf("reloaded %d times for one change", got)
	}
	write("containerLogMaxSize: none\n")
	testutil.Eventually(t, "the error", func() bool { return n.log.count("the configuration was not reloaded") == 1 })
	n.waitRotations(3) // the old one holds
	ask <- unix.SIGHUP
	testutil.Eventually(t, "the error again, for who asks", func() bool { return n.log.count("the configuration was not reloaded") == 2 })
	write(strings.Replace(small, "64Ki", "-1", 1))
	testutil.Eventually(t, "the reload", func() bool { return n.log.count("the configuration was reloaded") == 2 })
	for len(n.rotated) > 0 {
		<-n.rotated
	}
	size := c.BytesWritten()
	testutil.Eventually(t, "more lines", func() bool { return c.BytesWritten() > size+300<<10 })
	if len(n.rotated) > 1 { // one may have been under way
		t.Error("rotated, though rotation is off")
	}
	write(small + "podLogsDir: /elsewhere\ncontainerLogMaxWorkers: 9\n")
	testutil.Eventually(t, "the warning", func() bool { return n.log.count("take effect at the next start") == 1 })
	c.Exit()
	n.stop()
	n.check(c)
}

// TestOverridesAndAnnotations: each container gets its own limit; a ceiling
// holds; a bad annotation is ignored, and told of once.
func TestOverridesAndAnnotations(t *testing.T) {
	n := newNode(t, fake.Options{}, `
containerLogMaxSize: 4Mi
containerLogMaxFiles: 1000
containerLogMonitorInterval: 1s
minRotationInterval: 0s
annotations: {enabled: true, ceilings: {maxSize: 4Mi}}
overrides:
- match: {labels: tier=small}
  maxSize: 300Ki
- match: {namespaces: ["by-*"], containers: [named]}
  maxSize: 600Ki
`)
	n.start()
	// An image is pulled meanwhile: the directory is there before the container.
	write := &fake.Pattern{BytesPerSecond: 2e6}
	want := map[*fake.Container]int64{
		n.run(fake.ContainerSpec{Pod: "labelled", Labels: map[string]string{"tier": "small"}, Writer: write}):                       300 << 10,
		n.run(fake.ContainerSpec{Namespace: "by-name", Pod: "p", Name: "named", Writer: write}):                                     600 << 10,
		n.run(fake.ContainerSpec{Pod: "asks", Annotations: map[string]string{"logwatch/max-size": "1Mi"}, Writer: write}):           1 << 20,
		n.run(fake.ContainerSpec{Pod: "asks-much", Annotations: map[string]string{"logwatch/max-size": "1Gi"}, Writer: write}):      4 << 20,
		n.run(fake.ContainerSpec{Pod: "asks-nonsense", Annotations: map[string]string{"logwatch/max-size": "10mb"}, Writer: write}): 4 << 20,
	}
	limits := map[string]int64{}
	for len(limits) < len(want) {
		r := n.waitRotations(1)[0]
		if _, again := limits[r.Due.Dir]; !again && r.Overshoot < 200<<10 {
			limits[r.Due.Dir] = r.Due.Limit
		}
	}
	for c, limit := range want {
		dir, err := filepath.Rel(n.runtime.PodLogsDir(), c.Dir())
		must(t, err)
		if limits[dir] != limit {
			t.Errorf("%s was rotated at %d, want %d", dir, limits[dir], limit)
		}
		c.Exit()
	}
	n.stop()
	for c := range want {
		n.check(c)
	}
	if got := n.log.count("a pod's annotation does not hold as it is"); got != 2 {
		t.Errorf("told %d times of two annotations that do not hold", got)
	}
}

// TestMaxAge: a quiet container's old lines go, live log and all.
func TestMaxAge(t *testing.T) {
	n := newNode(t, fake.Options{}, small+"containerLogMaxAge: 1m\n")
	c := n.run(fake.ContainerSpec{})
	old := time.Now().Add(-time.Hour)
	line := old.UTC().Format(time.RFC3339Nano) + " stdout F an old line\n"
	must(t, os.WriteFile(c.LogPath(), []byte(line), 0o600))
	must(t, os.Chtimes(c.LogPath(), old, old))
	rotated := c.LogPath() + ".20200101-000000"
	must(t, os.WriteFile(rotated, []byte(line), 0o600))
	must(t, os.Chtimes(rotated, old, old))
	young := n.run(fake.ContainerSpec{Pod: "young"})
	must(t, young.WriteNumbered("stdout", 3, 100))
	n.start()
	testutil.Eventually(t, "the old lines to go", func() bool {
		st, err := os.Stat(c.LogPath())
		return err == nil && st.Size() == 0 && list(t, c.Dir()) == "0.log"
	})
	if got := n.log.count(`"cause":"age"`); got != 1 {
		t.Errorf("%d rotations for an age", got)
	}
	young.Exit()
	n.stop()
	n.check(young)
}

// TestReloadOfAChangeWhileStarting: a file that is changed while the start waits for
// podLogsDir is not the one that was loaded.
func TestReloadOfAChangeWhileStarting(t *testing.T) {
	n := newNode(t, fake.Options{}, strings.Replace(small, "64Ki", "1Gi", 1))
	_, write := n.withFile(strings.Replace(small, "64Ki", "1Gi", 1))
	away := n.runtime.PodLogsDir() + "-away"
	must(t, os.Rename(n.runtime.PodLogsDir(), away))
	n.start()
	testutil.Eventually(t, "the start to wait", func() bool { return n.log.count("podLogsDir does not exist; waiting for it") == 1 })
	write(small)
	must(t, os.Rename(away, n.runtime.PodLogsDir()))
	testutil.Eventually(t, "the reload", func() bool { return n.log.count("the configuration was reloaded") == 1 })
}

// TestTidiesNotWhileRotating: between rename and reopen there is a rotated log more
// than the policy keeps. None goes for that: if the container has just exited, it
// gets its name back.
func TestTidiesNotWhileRotating(t *testing.T) {
	d := withoutLoops(t)
	d.reachable.Store(true)
	const dir = "default_web_uid/app"
	path := filepath.Join(d.cfg.PodLogsDir, dir)
	must(t, os.MkdirAll(path, 0o755))
	for i := range d.cfg.ContainerLogMaxFiles {
		must(t, os.WriteFile(fmt.Sprintf("%s/0.log.20260101-00000%d", path, i), []byte("a line\n"), 0o600))
	}
	left := func() int {
		entries, err := os.ReadDir(path)
		must(t, err)
		return len(entries)
	}
	d.rotating.Store(dir, nil)
	d.housekeep(t.Context(), dir)
	if left() != d.cfg.ContainerLogMaxFiles {
		t.Error("a log was removed as if the rotation were done")
	}
	d.rotating.Delete(dir)
	testutil.Eventually(t, "housekeeping afterwards", func() bool { return left() == d.cfg.ContainerLogMaxFiles-1 })
	must(t, d.stop())
}

func TestFind(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	if _, err := Find(n.runtime.PodLogsDir()); err == nil || !strings.Contains(err.Error(), "no logwatch works on") {
		t.Errorf("without a daemon: %v", err)
	}
	n.start()
	testutil.Eventually(t, "the start", func() bool { return n.log.count(`"message":"watching"`) == 1 })
	if pid, err := Find(n.runtime.PodLogsDir()); err != nil || pid != os.Getpid() {
		t.Errorf("found %d, %v; this is %d", pid, err, os.Getpid())
	}
}

// TestLeavesExitedLogs: an exited container's live log keeps its name, which
// kubectl logs --previous reads: also when the inventory, up to a sweep old, has
// it running still.
func TestLeavesExitedLogs(t *testing.T) {
	large := strings.NewReplacer("64Ki", "1Gi", "MonitorInterval: 1s", "MonitorInterval: 1h").Replace(small)
	n := newNode(t, fake.Options{}, large)
	ask, write := n.withFile(large)
	long := n.run(fake.ContainerSpec{Pod: "long-gone"})
	must(t, long.WriteNumbered("stdout", 1000, 200))
	long.Exit()
	just := n.run(fake.ContainerSpec{Pod: "just-gone"})
	must(t, just.WriteNumbered("stdout", 1000, 200))
	n.start()
	n.sweeps(1)
	just.Exit()
	write(strings.Replace(large, "1Gi", "64Ki", 1))
	ask <- unix.SIGHUP
	testutil.Eventually(t, "the reload", func() bool { return n.log.count("the configuration was reloaded") == 1 })
	lookups := n.runtime.Calls("ContainerStatus")
	testutil.Eventually(t, "the question whether it runs", func() bool { return n.runtime.Calls("ContainerStatus") > lookups || lookups > 1 })
	n.stop()
	for _, c := range []*fake.Container{long, just} {
		if got := list(t, c.Dir()); got != "0.log" {
			t.Errorf("%s holds %s", c.Dir(), got)
		}
	}
	if got := n.runtime.Calls("ReopenContainerLog"); got != 0 {
		t.Errorf("%d reopens", got)
	}
}
