package monitoring

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/testutil"
)

// node is a real agent with metrics, on the fake runtime.
type node struct {
	*agenttest.Daemon
	runtime *fake.Runtime
	address string // of the metrics
	ask     chan os.Signal
	next    atomic.Pointer[loaded] // the result of the next reload
}

type loaded struct {
	cfg config.Config
	err error
}

// startNode runs a node with additional configuration in YAML until the test ends.
func startNode(t *testing.T, yaml string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "logwatch") // short enough for a socket path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	n := &node{address: freeAddress(t), ask: make(chan os.Signal, 1)}
	if n.runtime, err = fake.Start(fake.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.runtime.Close(); err != nil {
			t.Error(err)
		}
	})
	n.next.Store(&loaded{cfg: n.config(t, yaml)})
	n.Daemon = agenttest.NewDaemon(t, n.runtime.Endpoint(), n.runtime.PodLogsDir(), yaml)
	n.Options.Config, n.Options.Listen, n.Options.Version = n.next.Load().cfg, true, "v1.2.3"
	n.Options.Reload = agent.Reload{Ask: n.ask, Load: func() (config.Config, error) { l := n.next.Load(); return l.cfg, l.err }}
	n.Start()
	testutil.Eventually(t, "the first sweep", func() bool {
		text, err := get("http://" + n.address + "/metrics")
		return err == nil && !strings.Contains(text, "\nlogwatch_last_sweep_timestamp_seconds 0\n")
	})
	return n
}

// config parses YAML and adds the node's paths and addresses.
func (n *node) config(t *testing.T, yaml string) config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ContainerRuntimeEndpoint, cfg.PodLogsDir = n.runtime.Endpoint(), n.runtime.PodLogsDir()
	cfg.ControlSocket, cfg.Metrics.ListenAddress = "", n.address
	return cfg
}

// reload makes the agent reload and find a configuration or an error.
func (n *node) reload(l loaded) {
	n.next.Store(&l)
	n.ask <- os.Interrupt
}

var errBadFile = errors.New("containerLogMaxFiles: must be at least 2")

// freeAddress returns an address with an unused port.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // closed to be free again
	return l.Addr().String()
}

// client keeps no idle connections, which goleak would report.
var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func get(url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// exposed holds the labels of each exposed metric, and their values.
type exposed map[string]map[string]map[string]bool

func (n *node) exposed(t *testing.T) exposed {
	t.Helper()
	text, err := get("http://" + n.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	all := exposed{"up": {}}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, "{")
		if rest == "" {
			name, _, _ = strings.Cut(line, " ")
		}
		if all[name] == nil {
			all[name] = map[string]map[string]bool{}
		}
		// Queries use a native histogram by its name without a suffix.
		if base, ok := strings.CutSuffix(name, "_bucket"); ok && all[base] == nil {
			all[base] = map[string]map[string]bool{}
		}
		for _, m := range reMatcher.FindAllStringSubmatch(rest, -1) {
			all.add(name, m[1], m[3])
			if base, ok := strings.CutSuffix(name, "_bucket"); ok && m[1] != "le" {
				all.add(base, m[1], m[3])
			}
		}
	}
	return all
}

func (e exposed) add(name, label, value string) {
	if e[name][label] == nil {
		e[name][label] = map[string]bool{}
	}
	e[name][label][value] = true
}
