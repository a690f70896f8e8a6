package daemon

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/cri/embedded"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an embedded runtime with a daemon beside it.
type node struct {
	t       *testing.T
	runtime *embedded.Runtime
	cfg     config.Config
	rotated chan Rotated
	stop    func()
}

func newNode(t *testing.T, opts embedded.Options, yaml string) *node {
	t.Helper()
	opts.Dir = t.TempDir()
	rt, err := embedded.Start(opts)
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
	return &node{t: t, runtime: rt, cfg: cfg, rotated: make(chan Rotated, 10_000), stop: func() {}}
}

// start runs the daemon until the test ends, or stop is called.
func (n *node) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Config: n.cfg, Log: zerolog.New(zerolog.NewTestWriter(n.t)).Level(zerolog.InfoLevel),
			Rotated: func(r Rotated) { n.rotated <- r },
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
	n.t.Cleanup(n.stop)
}

func (n *node) run(spec embedded.ContainerSpec) *embedded.Container {
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
func (n *node) check(c *embedded.Container) verify.Result {
	n.t.Helper()
	rel, err := filepath.Rel(n.runtime.PodLogsDir(), c.Dir())
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := verify.Container(n.runtime.PodLogsDir(), rel)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := res.OK(c.Written()); err != nil || res.Pruned() > 0 {
		n.t.Errorf("%s: %v, %d pruned", rel, err, res.Pruned())
	}
	return res
}

func TestRotatesUnderLoad(t *testing.T) {
	for name, behaviour := range map[string]embedded.Behaviour{"containerd": embedded.Containerd, "conmon": embedded.Conmon} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, embedded.Options{Behaviour: behaviour}, `
containerLogMaxSize: 256Ki
containerLogMaxFiles: 1000
minRotationInterval: 0s
`)
			n.start()
			pattern := &embedded.Pattern{BytesPerSecond: 4e6, StderrEvery: 5, LongEvery: 200}
			a := n.run(embedded.ContainerSpec{Name: "a", Writer: pattern})
			b := n.run(embedded.ContainerSpec{Name: "b", Writer: pattern})
			for _, r := range n.waitRotations(40) {
				t.Logf("%s overshoot %d size %d in %v", r.Container.Name, r.Overshoot, r.Size, r.Took)
			}
			a.Exit()
			b.Exit()
			n.stop()
			n.check(a)
			n.check(b)
		})
	}
}
