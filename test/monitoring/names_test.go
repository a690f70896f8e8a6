package monitoring

import (
	"regexp"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/internal/testutil"
)

// results are those that have series only once they occur.
var results = []string{
	telemetry.ResultRotated, telemetry.ResultReopened, telemetry.ResultNotDue, telemetry.ResultNotRunning, telemetry.ResultNotRegular,
	telemetry.ResultRefused, telemetry.ResultUnanswered, telemetry.ResultUnknown, telemetry.ResultFailed,
}

// wanted are the keys that metrics want which a default configuration does not have.
var wanted = map[string]string{
	"logwatch_container_":    "needs metrics.perContainer",
	"logwatch_node_usage_":   "nodeLogBudget",
	"logwatch_node_budget_b": "nodeLogBudget",
}

// TestNames: each metric, label and label's value in rules and panels is one that a
// real daemon exposes; with its defaults, or the panel says what it needs.
func TestNames(t *testing.T) {
	byDefault := startNode(t, "").exposed(t)
	n := startNode(t, "metrics: {perContainer: true}\nnodeLogBudget: 1Gi\ncontainerLogMonitorInterval: 1s\n")
	if _, err := n.runtime.RunContainer(fake.ContainerSpec{}); err != nil {
		t.Fatal(err)
	}
	var full exposed
	testutil.Eventually(t, "the container's series", func() bool { full = n.exposed(t); return full["logwatch_container_retention_seconds"] != nil })
	for _, r := range results {
		full.add("logwatch_rotations_total", "result", r)
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

// checkLegend: a label that a query's answer does not have would be left out.
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
			t.Errorf("%s: the legend has {{%s}}, and the answers to %s do not", where, m[1], q.Expr)
		}
	}
}

func checkNames(t *testing.T, where, expr, description string, byDefault, full exposed) {
	t.Helper()
	labels := map[string]bool{"job": true, "instance": true}
	for _, m := range reMetric.FindAllString(expr, -1) {
		if full[m] == nil {
			t.Errorf("%s: no daemon exposes %s", where, m)
		}
		if byDefault[m] == nil && !strings.Contains(description, needOf(m)) {
			t.Errorf("%s: by default there is no %s, and the description does not say %q", where, m, needOf(m))
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
				t.Errorf("%s: no metric of %s has a label %s", where, expr, label)
			}
		}
	}
}

// needOf is what a description must say if a metric is not there by default.
func needOf(metric string) string {
	for prefix, need := range wanted {
		if strings.HasPrefix(metric, prefix) {
			return need
		}
	}
	return "\x00" // nothing helps
}

var reWord = regexp.MustCompile(`[^|()]+`)

// checkMatcher checks each alternative of a matcher, which all are plain words.
func checkMatcher(t *testing.T, where string, full exposed, metric, label, value string) {
	t.Helper()
	if label == "job" || label == "instance" {
		return
	}
	for _, word := range reWord.FindAllString(value, -1) {
		if !full[metric][label][word] {
			t.Errorf("%s: %s never has %s=%q", where, metric, label, word)
		}
	}
}
