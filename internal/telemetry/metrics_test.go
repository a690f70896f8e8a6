package telemetry

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// full returns a registry with every metric.
func full(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m := New(reg, Build{Version: "v1"}, func() State {
		return State{ReaderLag: map[string]int64{"shipper": 1}, Budget: 100, Usage: 40, Hot: 1, Cold: 2, Pools: []Pool{{Name: PoolRotate}, {Name: PoolPrune}, {Name: PoolCompress}}, Loaded: time.Unix(1, 0)}
	})
	m.Expect([]string{"write"}, []string{"max_files"})
	m.Worked(PoolRotate, 0, 0)
	m.UnreadPruned.WithLabelValues("shipper")
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
