package agent

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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// listen has the node's daemon listen, and returns how to ask it.
func (n *node) listen() (url func() string, c *control.Client) {
	n.t.Helper()
	dir, err := os.MkdirTemp("", "logwatch") // short enough for a socket
	must(n.t, err)
	n.t.Cleanup(func() { must(n.t, os.RemoveAll(dir)) })
	n.cfg.Metrics.ListenAddress, n.cfg.ControlSocket = "127.0.0.1:0", filepath.Join(dir, "s.sock")
	at := make(chan net.Addr, 10)
	n.listening = func(a net.Addr) { at <- a }
	n.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return func() string {
		select {
		case a := <-at:
			return "http://" + a.String()
		case <-time.After(10 * time.Second):
			n.t.Fatal("it does not listen")
			return ""
		}
	}, control.NewClient(n.cfg.ControlSocket)
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(body)
}

// value is a series' value; -1: there is none.
func value(t *testing.T, metrics, series string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(metrics)
	if m == nil {
		return -1
	}
	v, err := strconv.ParseFloat(m[1], 64)
	must(t, err)
	return v
}

// TestMetricsOfADaemon: after some work each number is what the work was.
func TestMetricsOfADaemon(t *testing.T) {
	n := newNode(t, fake.Options{}, strings.Replace(small, "1000", "4", 1)+"nodeLogBudget: 1Gi\nmetrics: {perContainer: true}\n")
	url, client := n.listen()
	n.start()
	base := url()
	c := n.run(fake.ContainerSpec{Pod: "web", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.run(fake.ContainerSpec{Pod: "outside", LogPath: fake.NoLog})
	done := n.waitRotations(8)
	c.Exit()
	var text string
	testutil.Eventually(t, "the numbers", func() bool {
		_, text = fetch(t, base+"/metrics")
		return value(t, text, `logwatch_pruned_files_total{reason="max-files"}`) > 0 && value(t, text, "logwatch_refused_logs_total") == 1 &&
			value(t, text, "logwatch_compression_output_bytes_total") > 0 && value(t, text, "logwatch_node_usage_bytes") > 0
	})
	if got := value(t, text, "logwatch_rotation_overshoot_bytes_count"); got < float64(len(done)) {
		t.Errorf("%v overshoots for %d rotations", got, len(done))
	}
	for series, least := range map[string]float64{
		`logwatch_rotations_total{cause="write",result="rotated"}`: 5,
		`logwatch_pool_run_seconds_count{pool="rotations"}`:        8,
		`logwatch_pool_wait_seconds_count{pool="housekeeping"}`:    1,
		"logwatch_inotify_events_total":                            1,
		"logwatch_sweeps_total":                                    1,
		"logwatch_sweep_duration_seconds_count":                    1,
		"logwatch_runtime_reachable":                               1,
		"logwatch_config_last_reload_successful":                   1,
		"logwatch_node_budget_bytes":                               1 << 30,
		`logwatch_logs{state="cold"}`:                              0,
		"process_open_fds":                                         1,
	} {
		if got := value(t, text, series); got < least {
			t.Errorf("%s = %v, want at least %v", series, got, least)
		}
	}
	if in, out := value(t, text, "logwatch_compression_input_bytes_total"), value(t, text, "logwatch_compression_output_bytes_total"); in <= out {
		t.Errorf("compressed %v bytes to %v", in, out)
	}
	families, err := promlint.New(strings.NewReader(text)).Lint()
	must(t, err)
	for _, p := range families {
		if strings.HasPrefix(p.Metric, "logwatch_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	s, err := client.Status(t.Context(), control.Names{Pod: "outside"}, true)
	if err != nil || len(s.Containers) != 1 || s.Containers[0].Refused != podlogs.ErrNoPath.Error() || s.Node.Rotations < 8 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestPerContainer(t *testing.T) {
	n := newNode(t, fake.Options{}, small+"metrics: {perContainer: true}\n")
	url, _ := n.listen()
	c := n.run(fake.ContainerSpec{Pod: "web"})
	must(t, c.WriteNumbered("stdout", 100, 200))
	n.start()
	base := url()
	testutil.Eventually(t, "the first sweep", func() bool { code, _ := fetch(t, base+"/readyz"); return code == 200 })
	must(t, c.WriteNumbered("stdout", 500, 200))
	n.waitRotations(1)
	testutil.Eventually(t, "the series", func() bool {
		_, text := fetch(t, base+"/metrics")
		const of = `{container="app",namespace="default",pod="web"}`
		return value(t, text, "logwatch_container_rotations_total"+of) == 1 && value(t, text, "logwatch_container_log_files"+of) == 2 &&
			value(t, text, "logwatch_container_logs_bytes"+of) > 100_000 && value(t, text, "logwatch_container_retention_seconds"+of) > 0 &&
			value(t, text, "logwatch_container_written_bytes_total"+of) > 90_000
	})
}

// TestHealthWithoutRuntime: alive, not ready, and the status says what is wrong.
func TestHealthWithoutRuntime(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	url, client := n.listen()
	must(t, n.runtime.Stop())
	n.start()
	base := url()
	testutil.Eventually(t, "readyz", func() bool {
		code, body := fetch(t, base+"/readyz")
		return code == 503 && strings.Contains(body, "the container runtime does not answer")
	})
	if code, body := fetch(t, base+"/healthz"); code != 200 {
		t.Errorf("healthz: %d %s", code, body)
	}
	s, err := client.Status(t.Context(), control.Names{}, false)
	if err != nil || s.Node.Runtime.Reachable || s.Node.Runtime.Error == "" || s.Node.Runtime.Endpoint != n.runtime.Endpoint() {
		t.Errorf("%+v, %v", s.Node, err)
	}
	if err := client.Rotate(t.Context(), control.Selector{All: true}, nil); err == nil || !strings.Contains(err.Error(), "the daemon: the container runtime does not answer, so nobody knows what runs") {
		t.Errorf("rotate: %v", err)
	}
	must(t, n.runtime.Restart())
	testutil.Eventually(t, "readyz", func() bool { code, _ := fetch(t, base+"/readyz"); return code == 200 })
}

// TestAskedWhileStarting: it answers while it waits for a runtime's socket.
func TestAskedWhileStarting(t *testing.T) {
	s := newStats(Options{Config: config.Default(), Version: "v1"})
	if err := s.healthy(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.ready(); err == nil {
		t.Error("ready")
	}
	if st := s.Status(t.Context(), control.Names{}, true); st.Node.Waiting == "" || st.Node.Version != "v1" {
		t.Errorf("%+v", st)
	}
	if _, _, err := s.Rotate(t.Context(), control.Names{}); !errors.Is(err, errStarting) {
		t.Errorf("rotated: %v", err)
	}
	if _, err := s.registry.Gather(); err != nil {
		t.Error(err)
	}
}

// TestOperatorRotates: whatever the size, once, and no line is lost.
func TestOperatorRotates(t *testing.T) {
	n := newNode(t, fake.Options{}, strings.Replace(small, "64Ki", "-1", 1)) // rotation is off
	_, client := n.listen()
	c := n.run(fake.ContainerSpec{Pod: "web"})
	must(t, c.WriteNumbered("stdout", 10, 200))
	empty := n.run(fake.ContainerSpec{Pod: "empty"})
	n.run(fake.ContainerSpec{Pod: "outside", LogPath: fake.NoLog})
	exited := n.run(fake.ContainerSpec{Pod: "exited"})
	exited.Exit()
	n.start()
	rotate := func(which control.Selector) map[string]control.Result {
		t.Helper()
		got := map[string]control.Result{}
		must(t, client.Rotate(t.Context(), which, func(r control.Result) { got[r.Pod] = r }))
		return got
	}
	testutil.Eventually(t, "the daemon", func() bool {
		s, err := client.Status(t.Context(), control.Names{}, false)
		return err == nil && !s.Node.LastSweep.IsZero()
	})
	got := rotate(control.Selector{All: true})
	if len(got) != 3 || got["web"].Outcome != control.Rotated || got["web"].To == "" || got["web"].Size == 0 ||
		got["empty"].Outcome != control.Empty || got["outside"].Outcome != control.Failed {
		t.Errorf("%+v", got)
	}
	must(t, c.WriteNumbered("stdout", 10, 200))
	got = rotate(control.Selector{Names: control.Names{Namespace: "default", Pod: "web"}})
	if got["web"].Outcome != control.Rotated || len(got) != 1 {
		t.Errorf("%+v", got)
	}
	must(t, os.Rename(c.LogPath(), filepath.Join(c.Dir(), "0.log.20200101-000000"))) // as a crash leaves it
	if got := rotate(control.Selector{Names: control.Names{Namespace: "default", Pod: "web"}}); got["web"].Outcome != control.Reopened && got["web"].Outcome != control.Empty {
		t.Errorf("missing: %+v", got)
	}
	if got := list(t, empty.Dir()); got != "0.log" {
		t.Errorf("the empty one has %s", got)
	}
	s, err := client.Status(t.Context(), control.Names{Pod: "web"}, true)
	must(t, err)
	if w := s.Containers[0]; w.Rotations != 2 || w.LastRotation.Cause != "operator" || w.LastRotation.Overshoot != 0 || w.Limit != 0 || len(w.Policy) == 0 || w.Files < 3 {
		t.Errorf("%+v", w)
	}
	c.Exit()
	n.stop()
	n.check(c)
}

// TestOperatorAmongWriters: rotations asked for at the same time as many others
// are all answered, and lose nothing.
func TestOperatorAmongWriters(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	_, client := n.listen()
	n.start()
	var all []*fake.Container
	for i := range 5 {
		all = append(all, n.run(fake.ContainerSpec{Pod: fmt.Sprint("p", i), Writer: &fake.Pattern{BytesPerSecond: 1e6}}))
	}
	n.waitRotations(1)
	answers := make(chan error)
	for range 3 {
		go func() {
			for range 10 {
				count := 0
				err := client.Rotate(t.Context(), control.Selector{All: true}, func(r control.Result) {
					count++
					if r.Outcome == control.Failed {
						t.Errorf("%+v", r)
					}
				})
				if err != nil || count != 5 {
					answers <- fmt.Errorf("%d answers, %w", count, err)
					return
				}
			}
			answers <- nil
		}()
	}
	for range 3 {
		must(t, <-answers)
	}
	for _, c := range all {
		c.Exit()
	}
	n.stop()
	for _, c := range all {
		n.check(c)
	}
}

// TestReplacedJobServesTheOperator: the watcher's job for a directory comes
// instead of the operator's, and does what he asked.
func TestReplacedJobServesTheOperator(t *testing.T) {
	n := newNode(t, fake.Options{}, strings.Replace(small, "64Ki", "1Gi", 1))
	c := n.run(fake.ContainerSpec{})
	must(t, c.WriteNumbered("stdout", 10, 200))
	client, err := cri.Dial(n.runtime.Endpoint(), time.Second)
	must(t, err)
	defer client.Close() //nolint:errcheck // nothing is lost
	r, err := newRules(n.cfg)
	must(t, err)
	d := newDaemon(Options{Config: n.cfg, Log: zerolog.Nop(), Rotated: func(Rotated) {}}, client, r)
	must(t, d.inventory.Refresh(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- d.watcher.Run(ctx) }()
	dir, log, err := podlogs.SplitPath(n.cfg.PodLogsDir, c.LogPath())
	must(t, err)
	size, _ := sizeOf(c.LogPath())
	told := make(chan control.Result, 2)
	d.asks.add(dir, ask{control.Names{Pod: "mine"}, log, size, told})
	d.asks.add(dir, ask{control.Names{Pod: "before"}, "9.log", size, told})
	d.attempt(ctx, watcher.Due{Dir: dir, Log: log, Cause: watcher.CauseWrite, Limit: 1 << 30})
	for range 2 {
		r := <-told
		if want := map[string]string{"mine": control.Rotated, "before": control.Gone}[r.Pod]; r.Outcome != want {
			t.Errorf("%+v, want %s", r, want)
		}
	}
	cancel()
	must(t, <-stopped)
	must(t, d.stop())
}

// TestStatusHasErrors: a runtime that does not reopen shows, until it does.
func TestStatusHasErrors(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	url, client := n.listen()
	c := n.run(fake.ContainerSpec{})
	c.Fail(fake.Failure{Mode: fake.Hang})
	must(t, c.WriteNumbered("stdout", 1000, 200))
	n.cfg.RuntimeRequestTimeout = 200 * time.Millisecond
	n.start()
	base := url()
	last := func() *control.Problem {
		s, err := client.Status(t.Context(), control.Names{}, false)
		if err != nil || len(s.Containers) != 1 {
			return nil
		}
		return s.Containers[0].LastError
	}
	testutil.Eventually(t, "the error", func() bool { return last() != nil })
	if text := last().Text; !strings.Contains(text, "did not answer") || strings.Contains(text, "\n") {
		t.Errorf("%q", text)
	}
	_, text := fetch(t, base+"/metrics")
	if value(t, text, `logwatch_reopen_failures_total{reason="timeout"}`) < 1 {
		t.Error("no timeout was counted")
	}
	c.ClearFailures()
	testutil.Eventually(t, "the error to go", func() bool { return last() == nil })
}

// TestStatsOfSizes: what was written never goes back, whatever happens to logs.
func TestStatsOfSizes(t *testing.T) {
	s := newStats(Options{Config: config.Default()})
	c, due := cri.Container{ID: "1"}, watcher.Due{Dir: "p/c", Cause: watcher.CauseWrite, Limit: 100}
	written := func(want int64) {
		t.Helper()
		if got := s.dirs["p/c"].written; got != want {
			t.Errorf("written %d, want %d", got, want)
		}
	}
	s.saw("1", "p/c", 50)
	written(0) // it was there before
	s.saw("1", "p/c", 90)
	written(40)
	s.rotated(c, due, rotator.Rotation{To: "x", Size: 120}, time.Hour)
	s.saw("1", "p/c", 5)
	written(75)
	s.saw("1", "p/c", 0) // truncated
	written(75)
	s.saw("1", "p/c", 30)
	written(100)
	s.saw("2", "p/c", 10) // restarted
	written(110)
	s.rotated(cri.Container{ID: "2"}, due, rotator.Rotation{To: "y", Size: 110}, time.Hour)
	s.forget()
	s.dirs["p/c"].seen = time.Now().Add(-statsKept - time.Second)
	s.forget()
	if len(s.dirs) != 0 {
		t.Error("it remembers what has gone")
	}
}

// TestManyContainers: a status of 5000.
func TestManyContainers(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 5000 containers")
	}
	n := newNode(t, fake.Options{}, strings.Replace(small, "1s", "60s", 1)+"metrics: {perContainer: true}\n")
	url, client := n.listen()
	for i := range 5000 {
		n.run(fake.ContainerSpec{Pod: fmt.Sprint("p", i)})
	}
	n.start()
	base := url()
	testutil.Eventually(t, "the first sweep", func() bool { code, _ := fetch(t, base+"/readyz"); return code == 200 })
	begin := time.Now()
	s, err := client.Status(t.Context(), control.Names{}, true)
	if err != nil || len(s.Containers) != 5000 {
		t.Errorf("%d containers, %v", len(s.Containers), err)
	}
	t.Logf("status: %v", time.Since(begin))
	begin = time.Now()
	if code, text := fetch(t, base+"/metrics"); code != 200 || strings.Count(text, "logwatch_container_log_files{") != 5000 {
		t.Errorf("%d", code)
	}
	t.Logf("metrics of each: %v", time.Since(begin))
}

// TestStatusShowsHot: the loud one is looked at on a timer, the quiet one not.
func TestStatusShowsHot(t *testing.T) {
	n := newNode(t, fake.Options{}, strings.Replace(small, "64Ki", "1Gi", 1))
	_, client := n.listen()
	n.run(fake.ContainerSpec{Pod: "loud", Writer: &fake.Pattern{BytesPerSecond: 1e5}})
	n.run(fake.ContainerSpec{Pod: "quiet"})
	n.start()
	testutil.Eventually(t, "the loud one alone to be hot", func() bool {
		s, err := client.Status(t.Context(), control.Names{}, false)
		return err == nil && len(s.Containers) == 2 && s.Containers[0].Hot && !s.Containers[1].Hot
	})
}
