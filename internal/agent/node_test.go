package agent

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/linecheck"
)

// node is an embedded runtime with a daemon beside it.
type node struct {
	t       *testing.T
	runtime *fake.Runtime
	cfg     config.Config
	rotated chan Rotated
	stop    func()
	log     *logs
	reload  Reload
	notify  func(string)
	// listening, if set, has the daemon listen.
	listening func(net.Addr)
}

// logs keeps what the daemon logs.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count says how many lines have a text in them.
func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func newNode(t *testing.T, opts fake.Options, yaml string) *node {
	t.Helper()
	opts.Dir = t.TempDir()
	rt, err := fake.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ContainerRuntimeEndpoint, cfg.PodLogsDir = rt.Endpoint(), rt.PodLogsDir()
	return &node{t: t, runtime: rt, cfg: cfg, rotated: make(chan Rotated, 10_000), stop: func() {}, log: &logs{}}
}

// start runs the daemon until the test ends, or stop is called.
func (n *node) start() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Config: n.cfg, Log: zerolog.New(n.log), Reload: n.reload, Notify: n.notify,
			Rotated: func(r Rotated) { n.rotated <- r },
			Listen:  n.listening != nil, listening: n.listening,
		})
	}()
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("the daemon: %v", err)
		}
	}
	n.t.Cleanup(func() {
		n.stop()
		if n.t.Failed() {
			n.t.Log("the daemon's log:\n" + n.log.text.String())
		}
	})
}

func (n *node) run(spec fake.ContainerSpec) *fake.Container {
	n.t.Helper()
	c, err := n.runtime.RunContainer(spec)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// waitRotations waits for so many rotations.
func (n *node) waitRotations(count int) []Rotated {
	n.t.Helper()
	timeout := time.After(30 * time.Second)
	var all []Rotated
	for len(all) < count {
		select {
		case r := <-n.rotated:
			all = append(all, r)
		case <-timeout:
			n.t.Fatalf("%d rotations in 30 s, want %d", len(all), count)
		}
	}
	return all
}

// check makes sure that each line the container wrote is there once.
func (n *node) check(c *fake.Container) linecheck.Result {
	n.t.Helper()
	rel, err := filepath.Rel(n.runtime.PodLogsDir(), c.Dir())
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := linecheck.Container(n.runtime.PodLogsDir(), rel)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := res.OK(c.Written()); err != nil || res.Pruned() > 0 {
		n.t.Errorf("%s: %v, %d pruned", rel, err, res.Pruned())
	}
	return res
}
