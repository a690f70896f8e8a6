package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
)

// prometheus is a running Prometheus server that scrapes a node every second.
type prometheus struct{ url string }

// startPrometheus runs Debian's Prometheus with logwatch's rules until the test ends.
func startPrometheus(t *testing.T, target string, flags ...string) *prometheus {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		needs(t, "Prometheus is not installed: apt-get install --no-install-recommends prometheus")
	}
	rules, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	cfg := filepath.Join(dir, "prometheus.yml")
	writeYAML(t, cfg, map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{rules},
		"scrape_configs": []any{map[string]any{
			"job_name":       "logwatch",
			"static_configs": []any{map[string]any{"targets": []string{target}, "labels": map[string]string{"instance": "node-1"}}},
		}},
	})
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append(flags, "--config.file="+cfg, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sync.OnceFunc(func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // Wait returns the error that matters
		if err := cmd.Wait(); err != nil {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("Prometheus: %v; its log ends with:\n%s", err, text[max(0, len(text)-2000):])
		}
		_ = log.Close()
	}))
	p := &prometheus{url: "http://" + address}
	testutil.Eventually(t, "Prometheus", func() bool { _, err := get(p.url + "/-/ready"); return err == nil })
	return p
}

// result is one series of a query result.
type result struct {
	Metric     map[string]string `json:"metric"`
	Value      []any             `json:"value"`
	Values     [][]any           `json:"values"`
	Histogram  []any             `json:"histogram"`
	Histograms [][]any           `json:"histograms"`
}

type point struct{ at, value float64 }

// points returns the samples that are numbers.
func (r result) points() (list []point) {
	all := r.Values
	if len(r.Value) == 2 {
		all = append(all, r.Value)
	}
	for _, pair := range all {
		at, _ := pair[0].(float64)
		text, _ := pair[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) {
			list = append(list, point{at, v})
		}
	}
	return list
}

// empty reports whether a panel would show nothing.
func (r result) empty() bool { return len(r.points())+len(r.Histogram)+len(r.Histograms) == 0 }

// call reads the data of a response of Prometheus' API.
func (p *prometheus) call(t *testing.T, path string, args url.Values, into any) {
	t.Helper()
	text, err := get(p.url + "/api/v1/" + path + "?" + args.Encode())
	if err == nil {
		err = json.Unmarshal([]byte(text), &struct{ Data any }{into})
	}
	if err != nil {
		t.Fatalf("Prometheus: %s %v: %v", path, args, err)
	}
}

type response struct {
	Result []result `json:"result"`
}

func (p *prometheus) query(t *testing.T, expr string) []result {
	t.Helper()
	var a response
	p.call(t, "query", url.Values{"query": {expr}}, &a)
	return a.Result
}

// panel returns the result of a panel's query over a time range.
func (p *prometheus) panel(t *testing.T, q target, from, to time.Time) []result {
	t.Helper()
	seconds := func(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
	var a response
	if q.Instant {
		p.call(t, "query", url.Values{"query": {fill(q.Expr)}, "time": {seconds(to)}}, &a)
	} else {
		p.call(t, "query_range", url.Values{"query": {fill(q.Expr)}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {"1"}}, &a)
	}
	return a.Result
}

// pending returns the alerts whose expression has a result now, regardless of for.
func (p *prometheus) pending(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, a := range alertsOf(readRules(t)) {
		if len(p.query(t, a.Expr)) > 0 {
			all[a.Alert] = true
		}
	}
	return all
}

// until waits until alerts are pending.
func (p *prometheus) until(t *testing.T, alerts ...string) {
	t.Helper()
	for _, name := range alerts {
		testutil.Eventually(t, name, func() bool { return p.pending(t)[name] })
	}
}

// scraped waits for that many scrapes.
func (p *prometheus) scraped(t *testing.T, count int) {
	t.Helper()
	testutil.Eventually(t, "scrapes", func() bool { return len(p.query(t, fmt.Sprintf("count_over_time(up[10m]) >= %d", count))) > 0 })
}

// calm is a configuration under which no alert is pending, even on a machine that stalls for seconds.
const calm = `
containerLogMaxSize: 1Mi
containerLogMaxFiles: 5
containerLogMaxTotalSize: 50Mi
containerLogMonitorInterval: 1s
minRotationInterval: 1s
metrics: {perContainer: true}
nodeLogBudget: `

// busyNode starts a node whose containers write about 4 MB/s together, each slowly
// enough to be rotated no earlier than minRotationInterval.
func busyNode(t *testing.T) *node {
	t.Helper()
	n := startNode(t, calm+"100Mi\n")
	for _, spec := range []fake.ContainerSpec{
		{Namespace: "shop", Name: "checkout", Writer: &fake.Pattern{BytesPerSecond: 1.8e6, On: 400 * time.Millisecond, Off: 600 * time.Millisecond}},
		{Namespace: "shop", Name: "payments", Writer: &fake.Pattern{BytesPerSecond: 400e3}},
		{Namespace: "shop", Name: "search", Writer: &fake.Pattern{BytesPerSecond: 900e3, On: 3 * time.Second, Off: 2 * time.Second}},
		{Namespace: "batch", Name: "import", Writer: &fake.Pattern{BytesPerSecond: 1.9e6, On: 8 * time.Second, Off: 4 * time.Second}},
		{Namespace: "ingress", Name: "proxy", Writer: &fake.Pattern{BytesPerSecond: 150e3}},
		{Namespace: "shop", Name: "quiet", Writer: &fake.Pattern{BytesPerSecond: 1e3}},
	} {
		c, err := n.runtime.RunContainer(spec)
		if err != nil {
			t.Fatal(err)
		}
		if spec.Name == "quiet" {
			follow(t, filepath.Join(c.Dir(), "0.log"))
		}
	}
	return n
}

// follow runs a log reader.
func follow(t *testing.T, log string) {
	t.Helper()
	reader := exec.Command("tail", "-n", "+1", "-F", log)
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(reader.Process.Kill(), reader.Wait()) }) // it ends by the signal
}

// TestRealDaemon: on a healthy node no alert is pending; faults make the matching
// alerts pending, with complete annotations; and each panel has data.
func TestRealDaemon(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of load is not for -short")
	}
	n := busyNode(t)
	from := time.Now()
	p := startPrometheus(t, n.address)
	native := startPrometheus(t, n.address, "--enable-feature=native-histograms")
	p.scraped(t, 12)
	for name := range p.pending(t) {
		t.Errorf("%s is pending on a healthy node", name)
	}

	// Faults: a container without a log, a hanging runtime, a budget that is too small and
	// an invalid configuration.
	if _, err := n.runtime.RunContainer(fake.ContainerSpec{Name: "strange", LogPath: fake.NoLog}); err != nil {
		t.Fatal(err)
	}
	n.runtime.Fail(fake.Failure{Mode: fake.Hang, Times: 3})
	n.reload(loaded{cfg: n.config(t, calm+"8Mi\n")})
	p.until(t, "LogwatchSkippedContainers", "LogwatchReopenFailing", "LogwatchPressurePruning")
	n.reload(loaded{err: errBadFile})
	p.until(t, "LogwatchReloadFailed")
	p.scraped(t, 27)
	to := time.Now()
	for _, panel := range readDashboard(t).all() {
		for _, q := range panel.Targets {
			checkData(t, panel, q, p.panel(t, q, from, to), "")
			if strings.Contains(q.Expr, "_bucket") {
				checkData(t, panel, q, native.panel(t, q, from, to), " with native histograms")
			}
		}
	}
	if len(native.query(t, "logwatch_rotation_overshoot_bytes_bucket")) > 0 {
		t.Error("classic buckets exist beside the native histograms, so the native queries are untested")
	}

	if err := n.runtime.Stop(); err != nil {
		t.Fatal(err)
	}
	p.until(t, "LogwatchRuntimeUnreachable")
	p.checkTexts(t)
	n.Stop()
	p.until(t, "LogwatchDown")
}

// checkData checks that a query has data, and that each series has the labels of its
// legend.
func checkData(t *testing.T, p panel, q target, got []result, how string) {
	t.Helper()
	data := false
	for _, r := range got {
		data = data || !r.empty()
		for _, m := range reField.FindAllStringSubmatch(q.Legend, -1) {
			if r.Metric[m[1]] == "" && how == "" {
				t.Errorf("panel %q: %v lacks the label %s of its legend", p.Title, r.Metric, m[1])
			}
		}
	}
	if !data {
		t.Errorf("panel %q, query %s: no data%s: %s", p.Title, q.RefID, how, fill(q.Expr))
	}
}

// checkTexts checks the annotations as expanded by Prometheus.
func (p *prometheus) checkTexts(t *testing.T) {
	t.Helper()
	var got struct {
		Alerts []struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"alerts"`
	}
	p.call(t, "alerts", nil, &got)
	if len(got.Alerts) < 4 {
		t.Errorf("%d alerts are pending or firing, want at least 4", len(got.Alerts))
	}
	for _, a := range got.Alerts {
		t.Logf("%s: %s", a.Labels["alertname"], a.Annotations["description"])
		for _, text := range a.Annotations {
			if strings.Contains(text, "<") || strings.Contains(text, "{{") {
				t.Errorf("%s: %s", a.Labels["alertname"], text)
			}
		}
	}
}
