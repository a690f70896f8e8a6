// Package agenttest is the harness of tests that need a container runtime with the
// agent beside it: [Start] runs the agent on any runtime, [New] on the fake one.
//
// # Blocking and shutdown
//
// Daemon.Stop, which every test's cleanup calls, blocks until the agent has ended.
// The methods that wait fail the test after a generous deadline.
package agenttest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
)

// Small is a configuration with a small limit, a short sweep and no pruning.
const Small = `
containerLogMaxSize: 64Ki
containerLogMaxFiles: 1000
containerLogMonitorInterval: 1s
minRotationInterval: 0s
`

// Lines keeps what the agent logs.
type Lines struct {
	mu   sync.Mutex
	text strings.Builder
}

// maxLines bounds, in bytes, what is kept of a log.
const maxLines = 16 << 20

// Write implements io.Writer.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() < maxLines {
		l.text.Write(p)
	}
	return len(p), nil
}

// Count returns how many times a text was logged.
func (l *Lines) Count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// String returns what was logged.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Daemon is an agent that runs in the test's process.
type Daemon struct {
	Log Lines
	// Options are the agent's, which a test may change before Run.
	Options agent.Options

	t    testing.TB
	stop func()

	mu       sync.Mutex
	rotated  []agent.Rotated
	finished []agent.Finished
	taken    int // of rotated, by WaitRotations
}

// NewDaemon returns an agent for a runtime, with a configuration in YAML. It does
// not run yet.
func NewDaemon(t testing.TB, endpoint, podLogsDir, yaml string) *Daemon {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ContainerRuntimeEndpoint, cfg.PodLogsDir = endpoint, podLogsDir
	cfg.ControlSocket = filepath.Join(t.TempDir(), "s.sock") // beside it is the lock file
	d := &Daemon{t: t, stop: func() {}}
	d.Options = agent.Options{Config: cfg, Log: zerolog.New(&d.Log), Rotated: func(r agent.Rotated) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.rotated = append(d.rotated, r)
	}, Finished: func(f agent.Finished) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.finished = append(d.finished, f)
	}}
	return d
}

// Start is NewDaemon and Run.
func Start(t testing.TB, endpoint, podLogsDir, yaml string) *Daemon {
	t.Helper()
	d := NewDaemon(t, endpoint, podLogsDir, yaml)
	d.Start()
	return d
}

// Start runs the agent until Stop is called or the test ends.
func (d *Daemon) Start() {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx, d.Options) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			d.t.Errorf("the agent: %v", err)
		}
	})
	d.t.Cleanup(func() {
		d.Stop()
		if d.t.Failed() {
			text := d.Log.String()
			d.t.Log("the agent's log:\n" + text[max(0, len(text)-64<<10):])
		}
	})
}

// Stop ends the agent and waits for it.
func (d *Daemon) Stop() { d.stop() }

// Rotated returns the rotations so far.
func (d *Daemon) Rotated() []agent.Rotated {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.rotated)
}

// Finished returns the rotated logs that were closed so far.
func (d *Daemon) Finished() []agent.Finished {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.finished)
}

// WaitRotations waits for so many rotations that it has not returned before.
func (d *Daemon) WaitRotations(count int) []agent.Rotated {
	d.t.Helper()
	from := d.taken
	testutil.Eventually(d.t, fmt.Sprintf("%d rotations", count), func() bool { return len(d.Rotated()) >= from+count })
	d.taken = from + count
	return d.Rotated()[from:d.taken]
}

// SkipRotations makes WaitRotations wait for rotations that come from now on, and
// returns how many it had not returned.
func (d *Daemon) SkipRotations() (skipped int) {
	n := len(d.Rotated())
	skipped = n - d.taken
	d.taken = n
	return skipped
}

// WaitSweeps waits for so many sweeps to end.
func (d *Daemon) WaitSweeps(count int) {
	d.t.Helper()
	from := d.Log.Count("sweep ended")
	testutil.Eventually(d.t, "sweeps", func() bool { return d.Log.Count("sweep ended") >= from+count })
}

// WaitLog waits until a text was logged so many times.
func (d *Daemon) WaitLog(text string, count int) {
	d.t.Helper()
	testutil.Eventually(d.t, "the log message "+text, func() bool { return d.Log.Count(text) >= count })
}

// Listen makes the agent serve metrics, page and control socket. url waits for the
// address; socket is the control socket's path.
func (d *Daemon) Listen() (url func() string, socket string) {
	d.t.Helper()
	dir, err := os.MkdirTemp("", "logwatch") // short enough for a socket
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			d.t.Error(err)
		}
	})
	d.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	c := &d.Options.Config
	c.Metrics.ListenAddress, c.ControlSocket = "127.0.0.1:0", filepath.Join(dir, "s.sock")
	at := make(chan net.Addr, 10)
	d.Options.Listen, d.Options.Listening = true, func(a net.Addr) { at <- a }
	return func() string {
		select {
		case a := <-at:
			return "http://" + a.String()
		case <-time.After(10 * time.Second):
			d.t.Fatal("the agent does not listen")
			return ""
		}
	}, c.ControlSocket
}

// Node is the fake runtime with an agent beside it.
type Node struct {
	*Daemon
	Runtime *fake.Runtime
}

// New returns a fake runtime, and an agent that does not run yet.
func New(t testing.TB, o fake.Options, yaml string) *Node {
	t.Helper()
	o.Dir = t.TempDir()
	rt, err := fake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Node{NewDaemon(t, rt.Endpoint(), rt.PodLogsDir(), yaml), rt}
}

// RunContainer starts a container.
func (n *Node) RunContainer(spec fake.ContainerSpec) *fake.Container {
	n.t.Helper()
	c, err := n.Runtime.RunContainer(spec)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// Dir is a container's directory, relative to podLogsDir.
func (n *Node) Dir(c *fake.Container) string {
	n.t.Helper()
	rel, err := filepath.Rel(n.Runtime.PodLogsDir(), c.Dir())
	if err != nil {
		n.t.Fatal(err)
	}
	return rel
}

// CheckLines fails the test unless each line that the container wrote is there
// once, in order. Lines may be missing at the front: it returns how many.
func (n *Node) CheckLines(c *fake.Container) (pruned uint64) {
	n.t.Helper()
	res, err := linecheck.Container(n.Runtime.PodLogsDir(), n.Dir(c))
	if err != nil {
		n.t.Fatal(err)
	}
	if err := res.OK(c.Written()); err != nil {
		n.t.Errorf("%s: %v", n.Dir(c), err)
	}
	return res.Pruned()
}

// Check is CheckLines of logs of which nothing may be pruned.
func (n *Node) Check(c *fake.Container) {
	n.t.Helper()
	if pruned := n.CheckLines(c); pruned > 0 {
		n.t.Errorf("%s: %d lines are missing at the front", n.Dir(c), pruned)
	}
}

// ConfigFile puts the agent's configuration into a file, as a ConfigMap's volume has
// it: behind two links. write swaps it. ask requests a reload.
func (n *Node) ConfigFile(yaml string) (ask chan os.Signal, write func(yaml string)) {
	n.t.Helper()
	must := func(err error) {
		n.t.Helper()
		if err != nil {
			n.t.Fatal(err)
		}
	}
	dir := n.t.TempDir()
	version := 0
	write = func(yaml string) {
		n.t.Helper()
		version++
		data := filepath.Join(dir, fmt.Sprintf("..v%d", version))
		must(os.Mkdir(data, 0o755))
		must(os.WriteFile(filepath.Join(data, "logwatch.yaml"), []byte(yaml), 0o600))
		must(os.Symlink(data, filepath.Join(dir, "..data_tmp")))
		must(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	write(yaml)
	file := filepath.Join(dir, "logwatch.yaml")
	must(os.Symlink("..data/logwatch.yaml", file))
	ask = make(chan os.Signal, 1)
	n.Options.Reload = agent.Reload{File: file, Ask: ask, Load: func() (config.Config, error) {
		c, err := config.Load(file)
		c.ContainerRuntimeEndpoint, c.PodLogsDir = n.Runtime.Endpoint(), n.Runtime.PodLogsDir()
		c.ControlSocket = n.Options.Config.ControlSocket
		return c, err
	}}
	return ask, write
}

// List returns the names in a directory, in order, joined by spaces.
func List(t testing.TB, dir string) string { return strings.Join(Names(t, dir), " ") }

// Names returns the names in a directory, in order.
func Names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
