package monitoring

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// results are the values of the label result. Some have series only once they occur.
var results = []string{
	telemetry.ResultRotated, telemetry.ResultReopened, telemetry.ResultNotDue, telemetry.ResultNotRunning, telemetry.ResultNotRegular,
	telemetry.ResultRefused, telemetry.ResultUnanswered, telemetry.ResultUnknown, telemetry.ResultFailed,
}

// requirements are what optional metrics need, by name prefix: mostly configuration keys.
var requirements = map[string]string{
	"logwatch_reader_":       "log reader",
	"logwatch_unread_bytes_": "log reader",
	"logwatch_container_":    "needs metrics.perContainer",
	"logwatch_node_log_":     "nodeLogBudget",
}

// TestCheckMetrics runs promtool check metrics on what an agent exposes.
func TestCheckMetrics(t *testing.T) {
	text, err := get("http://" + startNode(t, "metrics: {perContainer: true}\nnodeLogBudget: 1Gi\n").address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := promtoolInput(t, text, "check", "metrics"); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

var (
	reValues = regexp.MustCompile("(?m)^### `(\\w+)` of `(\\w+)`.*\n(?:[^|#].*\n|\n)*((?:\\|.*\n)+)")
	reValue  = regexp.MustCompile("(?m)^\\| `(\\w+)` \\|")
)

// TestLabelValues: docs/METRICS.md lists the values that an agent exposes for each
// label, and no others.
func TestLabelValues(t *testing.T) {
	doc, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	full := startNode(t, "").exposed(t)
	for _, r := range results {
		full.add("logwatch_rotations_total", "result", r)
	}
	full.add("logwatch_rotations_total", "cause", string(watcher.CauseMissing)) // has series only once it occurs
	undocumented := map[string]bool{}
	for metric, labels := range full {
		for label := range labels {
			// le, the labels of other collectors and those of the build are open sets.
			if strings.HasPrefix(metric, "logwatch_") && label != "le" && metric != "logwatch_build_info" {
				undocumented[label] = true
			}
		}
	}
	for _, m := range reValues.FindAllStringSubmatch(string(doc), -1) {
		label, metric := m[1], m[2]
		delete(undocumented, label)
		var values []string
		for _, v := range reValue.FindAllStringSubmatch(m[3], -1) {
			values = append(values, v[1])
		}
		slices.Sort(values)
		if exposed := slices.Sorted(maps.Keys(full[metric][label])); !slices.Equal(values, exposed) {
			t.Errorf("docs/METRICS.md, %s of %s:\nlisted  %v\nexposed %v", label, metric, values, exposed)
		}
	}
	if len(undocumented) > 0 {
		t.Errorf("docs/METRICS.md does not list the values of %v", slices.Sorted(maps.Keys(undocumented)))
	}
}

// TestNames: a real agent exposes each metric, label and label value of the rules and
// panels, by default or with the configuration that the description names.
func TestNames(t *testing.T) {
	byDefault := startNode(t, "").exposed(t)
	n := startNode(t, "metrics: {perContainer: true}\nnodeLogBudget: 1Gi\ncontainerLogMonitorInterval: 1s\n")
	if _, err := n.runtime.RunContainer(fake.ContainerSpec{}); err != nil {
		t.Fatal(err)
	}
	var full exposed
	testutil.Eventually(t, "the container's series", func() bool { full = n.exposed(t); return full["logwatch_container_oldest_line_age_seconds"] != nil })
	for _, r := range results {
		full.add("logwatch_rotations_total", "result", r)
	}
	for _, name := range []string{"logwatch_reader_lag_bytes", "logwatch_unread_bytes_pruned_total"} {
		full[name] = map[string]map[string]bool{"reader": {}} // has series only with a log reader
	}
	for _, a := range alertsOf(readRules(t)) {
		checkNames(t, a.Alert, a.Expr, a.Annotations["description"], byDefault, full)
	}
	for _, p := range readDashboard(t).all() {
		for _, q := range p.Targets {
			checkNames(t, p.Title, q.Expr, p.Description, byDefault, full)
			checkLegend(t, p.Title, q, full)
		}
	}
}

// checkLegend checks that the result of a query has the labels of its legend.
func checkLegend(t *testing.T, where string, q target, full exposed) {
	t.Helper()
	labels := map[string]bool{}
	if by := reGrouping.FindStringSubmatch(q.Expr); by != nil {
		for label := range strings.SplitSeq(by[1], ",") {
			labels[strings.TrimSpace(label)] = true
		}
	} else {
		labels["instance"] = true
		for label := range full[reMetric.FindString(q.Expr)] {
			labels[label] = true
		}
	}
	for _, m := range reField.FindAllStringSubmatch(q.Legend, -1) {
		if !labels[m[1]] {
			t.Errorf("%s: the legend uses {{%s}}, but the result of %s lacks it", where, m[1], q.Expr)
		}
	}
}

func checkNames(t *testing.T, where, expr, description string, byDefault, full exposed) {
	t.Helper()
	labels := map[string]bool{"job": true, "instance": true}
	for _, m := range reMetric.FindAllString(expr, -1) {
		if full[m] == nil {
			t.Errorf("%s: metric %s is not exposed", where, m)
		}
		if byDefault[m] == nil && !strings.Contains(description, needOf(m)) {
			t.Errorf("%s: %s is not exposed by default, but the description does not name %q", where, m, needOf(m))
		}
		for label := range full[m] {
			labels[label] = true
		}
	}
	for _, m := range reSelector.FindAllStringSubmatch(expr, -1) {
		for _, matcher := range reMatcher.FindAllStringSubmatch(m[2], -1) {
			checkMatcher(t, where, full, m[1], matcher[1], matcher[3])
		}
	}
	for _, m := range reGrouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !labels[label] {
				t.Errorf("%s: no metric of %s has the label %s", where, expr, label)
			}
		}
	}
}

// needOf returns what the description of a metric that is not exposed by default must contain.
func needOf(metric string) string {
	for prefix, need := range requirements {
		if strings.HasPrefix(metric, prefix) {
			return need
		}
	}
	return "\x00" // cannot occur
}

var reWord = regexp.MustCompile(`[^|()]+`)

// checkMatcher checks each alternative of a matcher.
func checkMatcher(t *testing.T, where string, full exposed, metric, label, value string) {
	t.Helper()
	if label == "job" || label == "instance" {
		return
	}
	for _, word := range reWord.FindAllString(value, -1) {
		if !full[metric][label][word] {
			t.Errorf("%s: %s has no series with %s=%q", where, metric, label, word)
		}
	}
}
