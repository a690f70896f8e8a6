package test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

// workload describes the numbered lines that a container writes.
type workload struct {
	name                   string
	lines                  uint64
	rate                   int // bytes/s; 0: as fast as it goes
	stderrEvery, longEvery int
	noFinalNewline         bool // real runtimes only
}

func (w workload) written() map[string]uint64 {
	if w.stderrEvery == 0 {
		return map[string]uint64{crilog.Stdout: w.lines}
	}
	err := w.lines / uint64(w.stderrEvery)
	return map[string]uint64{crilog.Stdout: w.lines - err, crilog.Stderr: err}
}

// node is a runtime under test.
type node interface {
	Endpoint() string
	PodLogsDir() string
	// run starts a container in a pod of its own.
	run(t *testing.T, w workload) container
	// bounce takes the runtime away and brings it back; containers live on.
	bounce(t *testing.T)
}

// container is a container under test.
type container interface {
	// dir is relative to PodLogsDir.
	dir() string
	// wait blocks until all lines are written and the container has exited, its
	// log closed.
	wait(t *testing.T)
	exited() bool
	// restart waits for the container's end and starts it again, with 1.log.
	restart(t *testing.T) container
}

const waitAtMost = 2 * time.Minute

// onEachNode runs a test on each kind of runtime.
func onEachNode(t *testing.T, test func(*testing.T, node)) {
	for name, fresh := range map[string]func(*testing.T) node{
		"containerd": func(t *testing.T) node { needRoot(t); return newReal(t, "") },
		"embedded":   func(t *testing.T) node { return newEmbedded(t, fake.Containerd) },
		"conmon":     func(t *testing.T) node { return newEmbedded(t, fake.CRIO) },
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// start runs the agent on a node, with additional configuration in YAML.
func start(t *testing.T, n node, yaml string) *agenttest.Daemon {
	t.Helper()
	return agenttest.Start(t, n.Endpoint(), n.PodLogsDir(), yaml)
}

// found reads a container's logs and fails on lines that are damaged, doubled, out of
// order or missing, except for pruned ones at the beginning.
func found(t *testing.T, n node, dir string, written map[string]uint64) linecheck.Result {
	t.Helper()
	res, err := linecheck.Container(n.PodLogsDir(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.OK(written); err != nil {
		t.Errorf("%s: %v", dir, err)
	}
	return res
}

// all is like found, for logs of which nothing was pruned.
func all(t *testing.T, n node, dir string, written map[string]uint64) linecheck.Result {
	t.Helper()
	res := found(t, n, dir, written)
	if res.Pruned() > 0 {
		t.Errorf("%s: %d lines are missing at the front", dir, res.Pruned())
	}
	return res
}

// embeddedNode is the embedded runtime.
type embeddedNode struct{ *fake.Runtime }

func newEmbedded(t *testing.T, b fake.Style) node {
	t.Helper()
	rt, err := fake.Start(fake.Options{Dir: t.TempDir(), Style: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return embeddedNode{rt}
}

func (n embeddedNode) bounce(t *testing.T) {
	t.Helper()
	if err := errors.Join(n.Stop(), n.Restart()); err != nil {
		t.Fatal(err)
	}
}

func (n embeddedNode) run(t *testing.T, w workload) container {
	t.Helper()
	return n.start(t, w, fake.ContainerSpec{Pod: w.name, Name: "app", UID: "uid-" + w.name})
}

func (n embeddedNode) start(t *testing.T, w workload, spec fake.ContainerSpec) container {
	t.Helper()
	spec.Writer = &fake.Pattern{
		BytesPerSecond: float64(w.rate), StderrEvery: w.stderrEvery, LongEvery: w.longEvery, Lines: w.lines,
	}
	c, err := n.RunContainer(spec)
	if err != nil {
		t.Fatal(err)
	}
	return &embeddedContainer{c, n, w, spec}
}

type embeddedContainer struct {
	*fake.Container
	node embeddedNode
	load workload
	spec fake.ContainerSpec
}

func (c *embeddedContainer) dir() string { return relative(c.node, c.Dir()) }

// exited reports that all lines are written; wait then ends the container.
func (c *embeddedContainer) exited() bool {
	w := c.Written()
	return w[crilog.Stdout]+w[crilog.Stderr] == c.load.lines
}

func (c *embeddedContainer) wait(t *testing.T) {
	t.Helper()
	testutil.Eventually(t, "the container to write its lines", c.exited)
	c.Exit()
}

func (c *embeddedContainer) restart(t *testing.T) container {
	t.Helper()
	c.wait(t)
	c.spec.Attempt++
	return c.node.start(t, c.load, c.spec)
}

// realNode is a real containerd.
type realNode struct{ *containerd.Containerd }

func (n realNode) bounce(t *testing.T) {
	t.Helper()
	if err := errors.Join(n.Kill(), n.Restart(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// lineLength is the length of a workload's short lines, in bytes, newline included.
const lineLength = 121

func (n realNode) run(t *testing.T, w workload) container {
	t.Helper()
	args := []string{
		"-linger=false", "-line=" + strconv.Itoa(lineLength-1), "-lines=" + strconv.FormatUint(w.lines, 10), "-rate=" + strconv.Itoa(w.rate),
		"-stderr-every=" + strconv.Itoa(w.stderrEvery), "-long-every=" + strconv.Itoa(w.longEvery),
		"-no-final-newline=" + strconv.FormatBool(w.noFinalNewline),
	}
	pod, err := n.RunPod(t.Context(), containerd.PodSpec{
		Name: w.name, Containers: []containerd.ContainerSpec{{Name: "app", Args: args}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &realContainer{pod.Containers()[0], pod, n}
}

type realContainer struct {
	*containerd.Container
	pod  *containerd.Pod
	node realNode
}

func (c *realContainer) dir() string { return relative(c.node, c.Dir) }

func (c *realContainer) exited() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st, err := c.node.Runtime().ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: c.ID})
	return err == nil && st.Status.State == runtimeapi.ContainerState_CONTAINER_EXITED
}

func (c *realContainer) wait(t *testing.T) {
	t.Helper()
	testutil.Eventually(t, "the container to exit", c.exited)
}

func (c *realContainer) restart(t *testing.T) container {
	t.Helper()
	c.wait(t)
	again, err := c.pod.RestartContainer(t.Context(), c.Spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	return &realContainer{again, c.pod, c.node}
}

// newReal starts a private containerd; installed is the directory of a distribution's,
// "" builds one.
func newReal(t *testing.T, installed string) realNode {
	t.Helper()
	ctx, log := t.Context(), func(s string) { t.Log(s) }
	var tools containerd.Tools
	var err error
	if installed == "" {
		tools, err = containerd.Build(ctx, log)
	} else {
		tools, err = containerd.ToolsFromPath(ctx, installed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return startReal(t, tools, containerd.Options{Log: log})
}

// newRealOn starts a containerd whose pods log to podLogsDir.
func newRealOn(t *testing.T, podLogsDir string) realNode {
	t.Helper()
	log := func(s string) { t.Log(s) }
	tools, err := containerd.Build(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	return startReal(t, tools, containerd.Options{Log: log, PodLogsDir: podLogsDir})
}

func startReal(t *testing.T, tools containerd.Tools, opts containerd.Options) realNode {
	t.Helper()
	c, err := containerd.Start(t.Context(), tools, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.LogTail())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return realNode{c}
}

// needRoot skips the test without root; in CI it fails.
func needRoot(t *testing.T) {
	t.Helper()
	const why = "a real containerd needs root to mount and to make cgroups: sudo env \"PATH=$PATH\" make test"
	switch {
	case testing.Short():
		t.Skip("a real containerd is not for -short")
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

// needInstalled skips when the distribution's containerd is not installed.
func needInstalled(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/usr/bin/containerd"); errors.Is(err, fs.ErrNotExist) {
		const why = "no containerd is installed in /usr/bin: apt-get install --no-install-recommends containerd runc"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
}

func relative(n node, dir string) string {
	rel, err := filepath.Rel(n.PodLogsDir(), dir)
	if err != nil {
		return dir
	}
	return rel
}
