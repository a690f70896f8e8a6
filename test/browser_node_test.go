package test

import (
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
)

// watched is an agent on the fake runtime, with its page in a browser.
type watched struct {
	*agenttest.Daemon
	t       *testing.T
	runtime *fake.Runtime
	base    string
}

// newWatched starts the runtime; start runs the daemon.
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
	d := agenttest.NewDaemon(t, rt.Endpoint(), rt.PodLogsDir(), yaml)
	d.Options.Listen, d.Options.Version = true, "v1.0.0"
	d.Options.Config.Metrics.ListenAddress, d.Options.Config.ControlSocket = "127.0.0.1:0", ""
	return &watched{Daemon: d, t: t, runtime: rt}
}

// start runs the agent until the test ends, or Stop is called.
func (n *watched) start() {
	n.t.Helper()
	at := make(chan net.Addr, 10)
	n.Options.Listening = func(a net.Addr) { at <- a }
	n.Start()
	n.base = "http://" + (<-at).String()
	n.Options.Config.Metrics.ListenAddress = n.base[len("http://"):] // the same after a restart
}

func (n *watched) run(spec fake.ContainerSpec) *fake.Container {
	n.t.Helper()
	c, err := n.runtime.RunContainer(spec)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// town starts containers as on a node: many quiet ones, and some busy ones.
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

// TestPictures draws the pictures in docs.
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
