package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// full returns a registry with every metric.
func full(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m := New(reg, Build{Version: "v1"}, func() State {
		return State{Budget: 100, Usage: 40, Hot: 1, Cold: 2, Pools: []Pool{{Name: PoolRotate}, {Name: PoolPrune}, {Name: PoolCompress}}, Loaded: time.Unix(1, 0)}
	})
	m.Expect([]string{"write"}, []string{"max_files"})
	m.Worked(PoolRotate, 0, 0)
	reg.MustRegister(Containers(func() []Container {
		return []Container{
			{Namespace: "a", Pod: "b", Container: "c", Live: 1, Written: 5},
			{Namespace: "a", Pod: "b", Container: "c", Live: 2, Retention: time.Minute}, // its successor
			{Namespace: "a", Pod: "\xff", Container: "c", Files: 1},
			{Namespace: "a", Pod: "\xfe", Container: "c", Files: 1},
			{Namespace: "a", Pod: "<script>\n\x1b[2J", Container: "c"},
		}
	}))
	return reg
}

func TestLint(t *testing.T) {
	families, err := full(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if len(families) < 35 {
		t.Errorf("%d metrics", len(families))
	}
}

// TestDocumented: docs/METRICS.md has a row for each metric, with its help, and no other.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	families, err := full(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, " "), f.GetHelp())
		if !strings.Contains(string(doc), row) {
			t.Errorf("docs/METRICS.md lacks the row\n%s", row)
		}
	}
	if n := strings.Count(string(doc), "\n| `logwatch_"); n != len(families) {
		t.Errorf("docs/METRICS.md has %d rows for %d metrics", n, len(families))
	}
}

// reHelp matches the first words that Prometheus' own programs use.
var reHelp = regexp.MustCompile(`^(Total (number|bytes) of |Total bytes |Time spent |Current |Maximum number |Unix timestamp |Whether |Bytes by which |Build information)`)

// TestHelp: each help text starts with the usual words, and is a sentence.
func TestHelp(t *testing.T) {
	families, err := full(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		help := f.GetHelp()
		if !reHelp.MatchString(help) || !strings.HasSuffix(help, ".") {
			t.Errorf("%s: help %q", f.GetName(), help)
		}
		if strings.HasPrefix(help, "Total ") != strings.HasSuffix(f.GetName(), "_total") {
			t.Errorf("%s: help %q says Total, or does not", f.GetName(), help)
		}
	}
}

func TestDistinct(t *testing.T) {
	families, err := full(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "logwatch_container_live_log_bytes" {
			continue
		}
		if n := len(f.Metric); n != 3 {
			t.Errorf("%d series, want 3: pods with equal names share one", n)
		}
		for _, m := range f.Metric {
			if m.Label[2].GetValue() == "b" && m.Gauge.GetValue() != 3 {
				t.Errorf("%v bytes, want the sum", m.Gauge.GetValue())
			}
		}
	}
}

// running is a Server that runs until the test ends.
func running(t *testing.T, s *Server) (address func() string) {
	t.Helper()
	listening := make(chan net.Addr, 10)
	s.Listening = func(a net.Addr) { listening <- a }
	s.retry = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		g.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return func() string {
		select {
		case a := <-listening:
			return a.String()
		case <-time.After(10 * time.Second):
			t.Fatal("it does not listen")
			return ""
		}
	}
}

func get(t *testing.T, url, user string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, "test")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func mux(t *testing.T, healthy, ready Health) http.Handler {
	t.Helper()
	return NewMux(full(t), healthy, ready, zerolog.Nop())
}

func fine() error { return nil }

func TestServes(t *testing.T) {
	stuck := func() error { return errors.New("no sweep for 1h") }
	s := &Server{Address: "127.0.0.1:0", Handler: mux(t, stuck, fine), Log: zerolog.Nop()}
	base := "http://" + running(t, s)()
	for _, tt := range []struct {
		path string
		code int
		want string
	}{
		{"/metrics", 200, `logwatch_build_info{`},
		{"/metrics", 200, `pod="<script>\n` + "\x1b" + `[2J"`},
		{"/healthz", 503, "no sweep for 1h"},
		{"/readyz", 200, "ok"},
		{"/", 404, ""}, // the page is internal/web's
		{"/debug/pprof/", 404, ""},
		{"/v1/status", 404, ""},
	} {
		code, body := get(t, base+tt.path, "")
		if code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d, want %d with %q:\n%.300s", tt.path, code, tt.code, tt.want, body)
		}
	}
}

// TestPortTaken: it is said once, and the server is there when the port is free.
func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	s := &Server{Address: taken.Addr().String(), Handler: mux(t, fine, fine), Log: zerolog.New(log)}
	address := running(t, s)
	testutil.Eventually(t, "word of the port", func() bool { return log.count("another process has this port") == 1 })
	if log.count("logs are rotated all the same") != 1 {
		t.Error("it does not say that rotation goes on")
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, "http://"+address()+"/readyz", ""); code != 200 {
		t.Errorf("%d", code)
	}
	if n := log.count("another process has this port"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestWebConfig: a bad file is said, a good one asks for the password.
func TestWebConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("basic_auth_usrs: {}\n")
	log := &lines{}
	s := &Server{Address: "127.0.0.1:0", WebConfigFile: file, Handler: mux(t, fine, fine), Log: zerolog.New(log)}
	address := running(t, s)
	testutil.Eventually(t, "word of the file", func() bool { return log.count("metrics.webConfigFile") == 1 })
	write("basic_auth_users: {alice: $2a$04$BN60utRS4e4dwRGVGs3scOi0T/DwswE9cbTNk01cy2YHnoQey7eJW}\n") // "test"
	base := "http://" + address()
	if code, _ := get(t, base+"/metrics", ""); code != 401 {
		t.Errorf("without a password: %d", code)
	}
	if code, _ := get(t, base+"/metrics", "alice"); code != 200 {
		t.Errorf("with it: %d", code)
	}
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}
