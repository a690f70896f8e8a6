package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/internal/web"
)

// running is a server that runs until the test ends.
func running(t *testing.T, o Options) (address func() string) {
	t.Helper()
	listening := make(chan net.Addr, 10)
	o.Listening = func(a net.Addr) { listening <- a }
	o.retry = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() { Run(ctx, o) })
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

// public serves everything on an address, with a metric whose label is hostile.
func public(address string, log zerolog.Logger) Options {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "m", ConstLabels: prometheus.Labels{"pod": "<script>\n\x1b[2J"}}, func() float64 { return 1 }))
	fine := func(context.Context) error { return nil }
	return Options{ListenAddress: address, Log: log, Registry: reg, Healthy: fine, Ready: fine, Snapshot: fake{}.Status}
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
	return send(t, req)
}

func send(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
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

func TestServes(t *testing.T) {
	o := public("127.0.0.1:0", zerolog.Nop())
	o.Healthy = func(context.Context) error { return errors.New("no sweep for 1h") }
	base := "http://" + running(t, o)()
	for _, tt := range []struct {
		path string
		code int
		want string
	}{
		{"/metrics", 200, `m{`},
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
	address := running(t, public(taken.Addr().String(), zerolog.New(log)))
	testutil.Eventually(t, "word of the port", func() bool { return log.count("another process has this port") == 1 })
	if log.count("metrics server unavailable") != 1 {
		t.Error("it does not say what is unavailable")
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
	o := public("127.0.0.1:0", zerolog.New(log))
	o.WebConfigFile = file
	address := running(t, o)
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

// TestForeignNames: a name that was made to resolve to this host gets no answer, on
// any path.
func TestForeignNames(t *testing.T) {
	o := public("127.0.0.1:0", zerolog.Nop())
	o.Events, o.HostNames = web.NewHub(), "proxy.example,Logs.example"
	base := "http://" + running(t, o)()
	for host, code := range map[string]int{
		"localhost": 200, "localhost:9790": 200, "LocalHost.:1": 200, "a.localhost:2": 200, "127.0.0.1:9": 200, "[::1]:9790": 200, "10.1.2.3:80": 200,
		"proxy.example": 200, "logs.example:80": 200, "LOGS.example.": 200, "example": 403, "x.proxy.example": 403, "proxy.example,logs.example": 403,
		"evil.example": 403, "evil.example:9790": 403, "localhost.evil.example": 403, "127.0.0.1.nip.io:9790": 403, "xlocalhost": 403,
	} {
		for _, path := range []string{"/", "/ui/app.js", "/api/v1/status", "/metrics", "/healthz", "/readyz"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			if got, body := send(t, req); got != code || code == 403 && !strings.Contains(body, "localhost") {
				t.Errorf("%s%s: %d, want %d: %.200s", host, path, got, code, body)
			}
		}
	}
	// The names of other addresses are unknown.
	req := httptest.NewRequest("GET", "http://node7.example:9790/", nil)
	for addr, want := range map[string]bool{"10.0.0.7:9790": true, "127.0.0.1:9790": false, "[::1]:9790": false} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := ownName(req.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(a))), ""); got != want {
			t.Errorf("node7.example at %s: %t", addr, got)
		}
	}
}

// TestStopsStreams: the stop ends streams of events at once.
func TestStopsStreams(t *testing.T) {
	o, at := public("127.0.0.1:0", zerolog.Nop()), make(chan net.Addr, 1)
	o.Events, o.Listening = web.NewHub(), func(a net.Addr) { at <- a }
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() { Run(ctx, o) })
	defer g.Wait()
	defer cancel()
	defer http.DefaultClient.CloseIdleConnections()
	o.Events.Publish(web.Event{ID: "first"})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+(<-at).String()+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	in := bufio.NewScanner(resp.Body)
	for in.Scan() && !strings.Contains(in.Text(), "first") {
		continue
	}
	begin := time.Now()
	cancel()
	for in.Scan() {
		if strings.HasPrefix(in.Text(), "data") {
			t.Errorf("after the stop came %q", in.Text())
		}
	}
	g.Wait()
	if took := time.Since(begin); took > stopTimeout*9/10 { // before it is forced
		t.Errorf("the stop took %v", took)
	}
}
