package monitoring

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

func TestRules(t *testing.T) {
	if out, err := promtool(t, "check", "rules", "--lint=all", "--lint-fatal", alertsFile); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := promtool(t, append([]string{"test", "rules"}, ruleTestFiles(t)...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestEachAlertHasTests: one rule test fires each alert, and in another it stays silent
// although all its metrics have series.
func TestEachAlertHasTests(t *testing.T) {
	tests := readRuleTests(t)
	for _, a := range alertsOf(readRules(t)) {
		var fires, silent bool
		for _, r := range tests {
			switch {
			case strings.HasPrefix(r.Name, a.Alert+" fires "):
				if fires = true; !r.expects(a.Alert) {
					t.Errorf("%q does not expect %s", r.Name, a.Alert)
				}
			case strings.HasPrefix(r.Name, a.Alert+" is silent "):
				if silent = true; r.expects(a.Alert) {
					t.Errorf("%q expects %s", r.Name, a.Alert)
				}
				for _, m := range reMetric.FindAllString(a.Expr, -1) {
					if !r.has(m) && !classicOrNative(r, m) {
						t.Errorf("%q has no series of %s, so it is silent for lack of data", r.Name, m)
					}
				}
			}
		}
		if !fires || !silent {
			t.Errorf(`%s: missing test "%s fires …" (%v) or "… is silent …" (%v)`, a.Alert, a.Alert, fires, silent)
		}
	}
	known := map[string]bool{}
	for _, a := range alertsOf(readRules(t)) {
		known[a.Alert] = true
	}
	for _, r := range tests {
		if name, _, _ := strings.Cut(r.Name, " "); strings.HasPrefix(name, "Logwatch") && !known[name] {
			t.Errorf("%q names an unknown alert", r.Name)
		}
	}
}

func (r ruleTest) has(metric string) bool {
	return slices.ContainsFunc(r.Input, func(in struct {
		Series string `json:"series"`
	},
	) bool {
		return strings.HasPrefix(in.Series, metric+"{")
	})
}

// classicOrNative reports whether a test has the histogram of a metric in its other form.
func classicOrNative(r ruleTest, metric string) bool {
	base, classic := strings.CutSuffix(metric, "_bucket")
	return classic && r.has(base) || !classic && r.has(metric+"_bucket")
}

// TestBrokenRulesAreNoticed breaks each rule in several ways. The rule tests of that
// alert must fail.
func TestBrokenRulesAreNoticed(t *testing.T) {
	promtool(t, "--version") //nolint:errcheck // build it before the goroutines below need it, or skip
	rules := readRules(t)
	content := map[string]string{}
	for _, file := range ruleTestFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		content[filepath.Base(file)] = string(text)
	}
	var g errgroup.Group
	g.SetLimit(2)
	for i, a := range alertsOf(rules) {
		for name, broken := range breakages(a) {
			g.Go(func() error {
				f := ruleFile{Groups: []ruleGroup{{Name: "x", Rules: slices.Clone(alertsOf(rules))}}}
				f.Groups[0].Rules[i] = broken
				out := failing(t, a.Alert, f, content)
				if !strings.Contains(out, a.Alert) {
					t.Errorf("%s with %s: no test fails\nexpr: %s, for: %s\n%s", a.Alert, name, broken.Expr, broken.For, out)
				}
				return nil
			})
		}
	}
	_ = g.Wait()
}

// breakages returns variants of a rule that are wrong.
func breakages(a alert) map[string]alert {
	all := map[string]alert{}
	with := func(name string, change func(*alert)) {
		b := a
		change(&b)
		if b.Expr != a.Expr || b.For != a.For {
			all[name] = b
		}
	}
	with("a constant", func(b *alert) { b.Expr = "vector(0) > 1" })
	if a.For != "" {
		with("no for", func(b *alert) { b.For = "" })
	}
	with("a very long for", func(b *alert) { b.For = "1000h" })
	with("no threshold", func(b *alert) {
		b.Expr = regexp.MustCompile(` > (bool )?\d+`).ReplaceAllString(b.Expr, " > -1")
		b.Expr = strings.ReplaceAll(b.Expr, "log_bytes > ", "log_bytes > 0 * ")
	})
	with("another threshold", func(b *alert) {
		b.Expr = regexp.MustCompile(` > (\d+)`).ReplaceAllString(b.Expr, " > 1000 * (1 + $1)")
	})
	with("the opposite", func(b *alert) {
		b.Expr = strings.ReplaceAll(b.Expr, " == 0", " != 0")
	})
	for _, word := range []string{" or ", " and ", " unless "} {
		before, after, ok := strings.Cut(a.Expr, word)
		if !ok || strings.Count(before, "(") != strings.Count(before, ")") {
			continue
		}
		with("only the part before"+word, func(b *alert) { b.Expr = before })
		if word != " unless " {
			with("only the part after"+word, func(b *alert) { b.Expr = after })
		}
	}
	with("windows of days", func(b *alert) { b.Expr = regexp.MustCompile(`\[\w+\]`).ReplaceAllString(b.Expr, "[5d]") })
	return all
}

// failing runs the tests of one alert with other rules. It returns promtool's output,
// or "" if they pass.
func failing(t *testing.T, alert string, f ruleFile, tests map[string]string) string {
	dir := t.TempDir()
	rules := filepath.Join(dir, "alerts.yaml")
	writeYAML(t, rules, f)
	args := []string{"test", "rules", "--run", "^" + alert + " "}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		if !strings.Contains(tests[name], "- name: "+alert+" ") {
			continue
		}
		file := filepath.Join(dir, name)
		text := strings.ReplaceAll(tests[name], "../"+alertsFile, rules)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		args = append(args, file)
	}
	out, err := promtool(t, args...)
	if err == nil {
		return ""
	}
	return out
}

// TestAnnotationsNameTheirLabels: annotations use only labels that the alert has.
// Others would expand to an empty string.
func TestAnnotationsNameTheirLabels(t *testing.T) {
	tests := readRuleTests(t)
	for _, a := range alertsOf(readRules(t)) {
		labels := map[string]bool{}
		for _, r := range tests {
			for _, e := range r.Exprs {
				for _, s := range e.Samples {
					if strings.Contains(s.Labels, `alertname="`+a.Alert+`"`) {
						for _, m := range reMatcher.FindAllStringSubmatch(s.Labels, -1) {
							labels[m[1]] = true
						}
					}
				}
			}
		}
		text := fmt.Sprint(a.Annotations)
		for _, m := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
			if !labels[m[1]] {
				t.Errorf("%s: the annotations use $labels.%s, but the labels are %v", a.Alert, m[1], slices.Sorted(maps.Keys(labels)))
			}
		}
		if a.Alert != "LogwatchAbsent" && !strings.Contains(text, "$labels.instance") {
			t.Errorf("%s: the annotations do not name the node", a.Alert)
		}
	}
}
