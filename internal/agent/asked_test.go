package agent_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
)

func listen(n *agenttest.Node) *api.Client {
	_, socket := n.Listen()
	return api.NewClient(socket)
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
	n := agenttest.New(t, fake.Options{}, strings.Replace(agenttest.Small, "1000", "4", 1)+"nodeLogBudget: 1Gi\nmetrics: {perContainer: true}\n")
	url, socket := n.Listen()
	client := api.NewClient(socket)
	n.Start()
	base := url()
	c := n.RunContainer(fake.ContainerSpec{Pod: "web", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.RunContainer(fake.ContainerSpec{Pod: "outside", LogPath: fake.NoLog})
	done := n.WaitRotations(8)
	c.Exit()
	var text string
	testutil.Eventually(t, "the numbers", func() bool {
		_, text = fetch(t, base+"/metrics")
		return value(t, text, `logwatch_pruned_files_total{reason="max_files"}`) > 0 && value(t, text, "logwatch_skipped_containers") == 1 &&
			value(t, text, "logwatch_compression_output_bytes_total") > 0 && value(t, text, "logwatch_compression_input_bytes_total") > 0 && // not set together
			value(t, text, "logwatch_node_log_bytes") > 0 &&
			value(t, text, "logwatch_rotation_overshoot_bytes_count") >= float64(len(done))
	})
	for series, least := range map[string]float64{
		`logwatch_rotations_total{cause="write",result="rotated"}`:    5,
		`logwatch_pool_work_duration_seconds_count{pool="rotate"}`:    8,
		`logwatch_pool_queue_duration_seconds_count{pool="compress"}`: 1,
		"logwatch_inotify_events_total":                               1,
		"logwatch_sweeps_total":                                       1,
		"logwatch_sweep_duration_seconds_count":                       1,
		"logwatch_runtime_up":                                         1,
		"logwatch_rotation_reaction_seconds_count":                    1,
		"logwatch_rotation_late_bytes_total":                          1,
		"logwatch_rotation_split_records_total":                       1,
		"logwatch_config_last_reload_successful":                      1,
		"logwatch_node_log_budget_bytes":                              1 << 30,
		`logwatch_tracked_logs{state="watched"}`:                      0,
		"process_open_fds":                                            1,
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
	s, err := client.Status(t.Context(), api.Names{Pod: "outside"}, true)
	if err != nil || len(s.Containers) != 1 || s.Containers[0].Skipped != podlogs.ErrNoPath.Error() || s.Node.Rotations < 8 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestPerContainer(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small+"metrics: {perContainer: true}\n")
	url, _ := n.Listen()
	c := n.RunContainer(fake.ContainerSpec{Pod: "web"})
	must(t, c.WriteNumbered("stdout", 100, 200))
	n.Start()
	base := url()
	const of = `{container="app",namespace="default",pod="web"}`
	testutil.Eventually(t, "the container", func() bool {
		_, text := fetch(t, base+"/metrics")
		return strings.Contains(text, "logwatch_container_written_bytes_total"+of)
	})
	n.WaitSweeps(2) // which note its size
	must(t, c.WriteNumbered("stdout", 500, 200))
	n.WaitRotations(1)
	testutil.Eventually(t, "the series", func() bool {
		_, text := fetch(t, base+"/metrics")
		rotations := value(t, text, "logwatch_container_rotations_total"+of) // more than one on a slow machine
		return rotations >= 1 && value(t, text, "logwatch_container_log_files"+of) == rotations+1 &&
			value(t, text, "logwatch_container_logs_bytes"+of) > 100_000 && value(t, text, "logwatch_container_oldest_line_age_seconds"+of) > 0 &&
			value(t, text, "logwatch_container_written_bytes_total"+of) > 90_000
	})
}

// TestHealthWithoutRuntime: alive, not ready, and the status says what is wrong.
func TestHealthWithoutRuntime(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	url, socket := n.Listen()
	client := api.NewClient(socket)
	must(t, n.Runtime.Stop())
	n.Start()
	base := url()
	testutil.Eventually(t, "readyz", func() bool {
		code, body := fetch(t, base+"/readyz")
		return code == 503 && strings.Contains(body, "the container runtime is unreachable")
	})
	if code, body := fetch(t, base+"/healthz"); code != 200 {
		t.Errorf("healthz: %d %s", code, body)
	}
	s, err := client.Status(t.Context(), api.Names{}, false)
	if err != nil || s.Node.Runtime.Reachable || s.Node.Runtime.Error == "" || s.Node.Runtime.Endpoint != n.Runtime.Endpoint() {
		t.Errorf("%+v, %v", s.Node, err)
	}
	if err := client.Rotate(t.Context(), api.Selector{All: true}, nil); err == nil || !strings.Contains(err.Error(), "the daemon: the container runtime is unreachable, so the running containers are unknown") {
		t.Errorf("rotate: %v", err)
	}
	must(t, n.Runtime.Restart())
	testutil.Eventually(t, "readyz", func() bool { code, _ := fetch(t, base+"/readyz"); return code == 200 })
}

// TestOperatorRotates: whatever the size, once, and no line is lost.
func TestOperatorRotates(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, strings.Replace(agenttest.Small, "64Ki", "-1", 1)) // rotation is off
	client := listen(n)
	c := n.RunContainer(fake.ContainerSpec{Pod: "web"})
	must(t, c.WriteNumbered("stdout", 10, 200))
	empty := n.RunContainer(fake.ContainerSpec{Pod: "empty"})
	n.RunContainer(fake.ContainerSpec{Pod: "outside", LogPath: fake.NoLog})
	exited := n.RunContainer(fake.ContainerSpec{Pod: "exited"})
	exited.Exit()
	n.Start()
	rotate := func(which api.Selector) map[string]api.Result {
		t.Helper()
		got := map[string]api.Result{}
		must(t, client.Rotate(t.Context(), which, func(r api.Result) { got[r.Pod] = r }))
		return got
	}
	testutil.Eventually(t, "the daemon", func() bool {
		s, err := client.Status(t.Context(), api.Names{}, false)
		return err == nil && !s.Node.LastSweep.IsZero()
	})
	got := rotate(api.Selector{All: true})
	if len(got) != 3 || got["web"].Result != api.Rotated || got["web"].To == "" || got["web"].Size == 0 ||
		got["empty"].Result != api.Empty || got["outside"].Result != api.Failed {
		t.Errorf("%+v", got)
	}
	must(t, c.WriteNumbered("stdout", 10, 200))
	got = rotate(api.Selector{Names: api.Names{Namespace: "default", Pod: "web"}})
	if got["web"].Result != api.Rotated || len(got) != 1 {
		t.Errorf("%+v", got)
	}
	must(t, os.Rename(c.LogPath(), filepath.Join(c.Dir(), "0.log.20200101-000000"))) // as a crash leaves it
	if got := rotate(api.Selector{Names: api.Names{Namespace: "default", Pod: "web"}}); got["web"].Result != api.Reopened && got["web"].Result != api.Empty {
		t.Errorf("missing: %+v", got)
	}
	if got := agenttest.List(t, empty.Dir()); got != "0.log" {
		t.Errorf("the empty one has %s", got)
	}
	s, err := client.Status(t.Context(), api.Names{Pod: "web"}, true)
	must(t, err)
	if w := s.Containers[0]; w.Rotations != 2 || w.LastRotation.Cause != "operator" || w.LastRotation.Overshoot != 0 || w.Limit != 0 || len(w.Policy) == 0 || w.Files < 3 {
		t.Errorf("%+v", w)
	}
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestOperatorAmongWriters: rotations asked for at the same time as many others
// are all answered, and lose nothing.
func TestOperatorAmongWriters(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	client := listen(n)
	n.Start()
	var all []*fake.Container
	for i := range 5 {
		all = append(all, n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprint("p", i), Writer: &fake.Pattern{BytesPerSecond: 1e6}}))
	}
	n.WaitRotations(1)
	answers := make(chan error)
	for range 3 {
		go func() {
			for range 10 {
				count := 0
				err := client.Rotate(t.Context(), api.Selector{All: true}, func(r api.Result) {
					count++
					if r.Result == api.Failed {
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
	n.Stop()
	for _, c := range all {
		n.Check(c)
	}
}

// TestStatusHasErrors: a runtime that does not reopen shows, until it does.
func TestStatusHasErrors(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	url, socket := n.Listen()
	client := api.NewClient(socket)
	c := n.RunContainer(fake.ContainerSpec{})
	c.Fail(fake.Failure{Mode: fake.Hang})
	must(t, c.WriteNumbered("stdout", 1000, 200))
	n.Options.Config.RuntimeRequestTimeout = 200 * time.Millisecond
	n.Start()
	base := url()
	last := func() *api.Problem {
		s, err := client.Status(t.Context(), api.Names{}, false)
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

// TestManyContainers: a status of 5000.
func TestManyContainers(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 5000 containers")
	}
	n := agenttest.New(t, fake.Options{}, strings.Replace(agenttest.Small, "1s", "60s", 1)+"metrics: {perContainer: true}\n")
	url, socket := n.Listen()
	client := api.NewClient(socket)
	for i := range 5000 {
		n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprint("p", i)})
	}
	n.Start()
	base := url()
	testutil.Eventually(t, "the lookups", func() bool { return n.Runtime.Calls("ContainerStatus") >= 5000 })
	testutil.Eventually(t, "the first sweep", func() bool { code, _ := fetch(t, base+"/readyz"); return code == 200 })
	begin := time.Now()
	s, err := client.Status(t.Context(), api.Names{}, true)
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

// TestStatusShowsHot: the high-volume log is polled on a timer, the quiet one is not.
func TestStatusShowsHot(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, strings.Replace(agenttest.Small, "64Ki", "1Gi", 1))
	client := listen(n)
	n.RunContainer(fake.ContainerSpec{Pod: "loud", Writer: &fake.Pattern{BytesPerSecond: 1e5}})
	n.RunContainer(fake.ContainerSpec{Pod: "quiet"})
	n.Start()
	testutil.Eventually(t, "the loud one alone to be hot", func() bool {
		s, err := client.Status(t.Context(), api.Names{}, false)
		return err == nil && len(s.Containers) == 2 && s.Containers[0].Polled && !s.Containers[1].Polled
	})
}
