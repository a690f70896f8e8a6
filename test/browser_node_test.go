package test

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/testutil"
)

// watched is a real daemon on the embedded runtime, whose page is looked at.
type watched struct {
	t       *testing.T
	runtime *fake.Runtime
	cfg     config.Config
	log     *text
	rotated chan agent.Rotated
	base    string
	stop    func()
}

// text keeps what the daemon logs.
type text struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// newWatched has the runtime; start runs the daemon.
func newWatched(t *testing.T, yaml string) *watched {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is not for -short")
	}
	dir, err := os.MkdirTemp("", "logwatch-") // pictures show it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	rt, err := fake.Start(fake.Options{Dir: dir})
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
	cfg.Metrics.ListenAddress, cfg.ControlSocket = "127.0.0.1:0", ""
	return &watched{t: t, runtime: rt, cfg: cfg, rotated: make(chan agent.Rotated, 10_000)}
}

var address = regexp.MustCompile(`"address":"([^"]+)","webConfig"`)

// start runs the daemon until the test ends, or stop is called.
func (n *watched) start() {
	n.t.Helper()
	n.log = &text{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- agent.Run(ctx, agent.Options{
			Config: n.cfg, Log: zerolog.New(n.log), Listen: true, Version: "v1.0.0",
			Rotated: func(r agent.Rotated) {
				select {
				case n.rotated <- r:
				default: // nobody counts them
				}
			},
		})
	}()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("the daemon: %v", err)
		}
	})
	n.t.Cleanup(n.stop)
	testutil.Eventually(n.t, "the server", func() bool { return address.MatchString(n.log.String()) })
	n.base = "http://" + address.FindStringSubmatch(n.log.String())[1]
	n.cfg.Metrics.ListenAddress = n.base[len("http://"):] // the same after a restart
}

func (n *watched) run(spec fake.ContainerSpec) *fake.Container {
	n.t.Helper()
	c, err := n.runtime.RunContainer(spec)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// town has containers as a node does: many that are quiet, some that are not.
func (n *watched) town() {
	n.t.Helper()
	kinds := []struct {
		namespace, pod, name string
		rate                 float64
		on, off              time.Duration
	}{
		{"shop", "checkout-7c9f5d6b8-x2kvq", "app", 900e3, 0, 0},
		{"shop", "checkout-7c9f5d6b8-x2kvq", "istio-proxy", 60e3, 0, 0},
		{"shop", "catalogue-66d8c9-9hm4z", "app", 250e3, 2 * time.Second, 3 * time.Second},
		{"shop", "basket-0", "redis", 4e3, 0, 0},
		{"payments", "ledger-5f7b9c-tq2lm", "app", 400e3, time.Second, 2 * time.Second},
		{"payments", "ledger-5f7b9c-tq2lm", "audit", 30e3, 0, 0},
		{"payments", "webhook-78f-lr9wd", "app", 9e3, 0, 0},
		{"ingress", "nginx-controller-w8c2p", "controller", 700e3, 0, 0},
		{"monitoring", "prometheus-0", "prometheus", 2e3, 0, 0},
		{"monitoring", "prometheus-0", "config-reloader", 300, 0, 0},
		{"monitoring", "node-exporter-dzk4h", "node-exporter", 200, 0, 0},
		{"kube-system", "coredns-5d78c9869d-4tn6r", "coredns", 20e3, 0, 0},
		{"kube-system", "cilium-lq8hs", "agent", 50e3, 4 * time.Second, 5 * time.Second},
		{"kube-system", "kube-proxy-kd2jp", "kube-proxy", 150, 0, 0},
		{"batch", "nightly-import-28511460-mz7xk", "import", 1.6e6, 3 * time.Second, 4 * time.Second},
		{"batch", "thumbnails-6bd4c-7wq8n", "worker", 120e3, time.Second, time.Second},
	}
	for _, k := range kinds {
		uid := fmt.Sprintf("%08x-6a1e-4d0b-9b7a-2c51d0e4a97f", crc32.ChecksumIEEE([]byte(k.pod)))
		n.run(fake.ContainerSpec{
			Namespace: k.namespace, Pod: k.pod, UID: uid, Name: k.name,
			Writer: &fake.Pattern{BytesPerSecond: k.rate, On: k.on, Off: k.off, StderrEvery: 7},
		})
	}
	n.run(fake.ContainerSpec{
		Namespace: "batch", Pod: "report-7d4-k9vlp", Name: "report", Annotations: map[string]string{"logwatch/max-size": "lots"},
		Writer: &fake.Pattern{BytesPerSecond: 15e3},
	})
}

// TestPictures makes the pictures in docs.
func TestPictures(t *testing.T) {
	if *screenshots == "" {
		t.Skip("pictures are made with: go test ./test -run TestPictures -screenshots=../docs/img")
	}
	n := newWatched(t, "containerLogMaxSize: 1Mi\nnodeLogBudget: 64Mi\ncontainerLogMonitorInterval: 3s\nannotations: {enabled: true}\n")
	n.start()
	b := browse(t, n.base)
	n.town()
	b.open()
	b.scheme("light")
	// Long enough for the rates' lines.
	testutil.Eventually(t, "a minute and a half of work", func() bool { return eval[float64](b, `performance.now()`) > 90_000 })
	b.shoot("page.png")
	b.scheme("dark")
	b.shoot("page-dark.png")
	b.size(360, 740)
	eval[any](b, `document.getElementById("events-title").scrollIntoView(), null`)
	b.shoot("page-narrow.png")
	b.size(1440, 900)
	b.scheme("light")
	eval[any](b, `scrollTo(0, 0), [...document.querySelectorAll("tr.row .open")].find((e) => e.title.endsWith("/controller")).click(), null`)
	b.await(`document.querySelectorAll(".policy dt").length > 5`)
	b.shoot("page-details.png")
}
