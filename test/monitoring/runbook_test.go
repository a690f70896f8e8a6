package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/logwatch/logwatch/internal/config"
)

func readRunbook(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	reSection = regexp.MustCompile(`(?m)^## (Logwatch\w+)$`)
	severity  = []string{"critical", "warning"}
)

// TestRunbook: each alert has a severity, texts and a section, and each section an alert.
func TestRunbook(t *testing.T) {
	text := readRunbook(t)
	sections := map[string]string{}
	at := reSection.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		sections[text[m[2]:m[3]]] = text[m[1]:end]
	}
	for _, a := range alertsOf(readRules(t)) {
		if !slices.Contains(severity, a.Labels["severity"]) {
			t.Errorf("%s: severity %q, want one of %v", a.Alert, a.Labels["severity"], severity)
		}
		for _, key := range []string{"summary", "description"} {
			if a.Annotations[key] == "" {
				t.Errorf("%s has no %s", a.Alert, key)
			}
		}
		if want := runbookURL + strings.ToLower(a.Alert); a.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, want %q", a.Alert, a.Annotations["runbook_url"], want)
		}
		section, ok := sections[a.Alert]
		if !ok {
			t.Errorf("docs/RUNBOOK.md lacks the section ## %s", a.Alert)
		}
		for _, part := range []string{"**Severity**: " + a.Labels["severity"], "**Meaning**", "**Impact**", "**Diagnosis**", "**Mitigation**"} {
			if ok && !strings.Contains(section, part) {
				t.Errorf("docs/RUNBOOK.md, %s: %s is missing", a.Alert, part)
			}
		}
		delete(sections, a.Alert)
	}
	for _, m := range regexp.MustCompile(`\]\(#([\w-]+)\)`).FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`(?mi)^## ` + m[1] + `$`).MatchString(text) {
			t.Errorf("docs/RUNBOOK.md: broken link to #%s", m[1])
		}
	}
	for name := range sections {
		t.Errorf("docs/RUNBOOK.md: section %s has no alert", name)
	}
}

var reBlock = regexp.MustCompile("(?s)```(sh|yaml)\n(.*?)```")

// blocks returns the code blocks of the runbook in a language.
func blocks(t *testing.T, language string) (all []string) {
	t.Helper()
	for _, m := range reBlock.FindAllStringSubmatch(readRunbook(t), -1) {
		if m[1] == language {
			all = append(all, m[2])
		}
	}
	return all
}

// TestRunbookConfigs: the configuration examples are valid.
func TestRunbookConfigs(t *testing.T) {
	tried := 0
	for _, b := range blocks(t, "yaml") {
		if strings.Contains(b, "scrape_configs:") || strings.Contains(b, "inhibit_rules:") {
			continue // of Prometheus or Alertmanager
		}
		tried++
		cfg, err := config.Parse("RUNBOOK.md", []byte(b))
		if err == nil {
			err = cfg.Validate()
		}
		if err != nil {
			t.Errorf("%v\n%s", err, b)
		}
	}
	if tried == 0 {
		t.Error("no examples")
	}
}

// TestRunbookCommands: the commands of logwatch exist, with their flags, and the syntax
// of all commands is valid.
func TestRunbookCommands(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "logwatch")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/logwatch").CombinedOutput(); err != nil {
		t.Fatalf("build logwatch: %v\n%s", err, out)
	}
	tried := map[string]bool{}
	for _, b := range blocks(t, "sh") {
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", "-c", b).CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, b)
		}
		for _, m := range regexp.MustCompile(`(?m)(?:^|/)logwatch ([a-z][a-z-]+)([^|#;\n]*)`).FindAllStringSubmatch(b, -1) {
			args := append([]string{m[1]}, strings.Fields(m[2])...)
			if tried[strings.Join(args, " ")] {
				continue
			}
			tried[strings.Join(args, " ")] = true
			if out, err := exec.CommandContext(t.Context(), binary, append(args, "--help")...).CombinedOutput(); err != nil || !strings.Contains(string(out), "logwatch "+m[1]) {
				t.Errorf("logwatch %v: %v\n%s", args, err, out)
			}
		}
	}
	if len(tried) < 6 {
		t.Errorf("only these commands found: %v", tried)
	}
}

// TestPrometheusRule runs the command that creates a PrometheusRule.
func TestPrometheusRule(t *testing.T) {
	all := blocks(t, "sh")
	i := slices.IndexFunc(all, func(b string) bool { return strings.Contains(b, "kind: PrometheusRule") })
	if i < 0 {
		t.Fatal("no such command")
	}
	command, _, ok := strings.Cut(all[i], "| kubectl")
	if !ok {
		t.Fatal(all[i])
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Kind     string         `json:"kind"`
		Metadata map[string]any `json:"metadata"`
		Spec     ruleFile       `json:"spec"`
	}
	if err := yaml.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	if made.Kind != "PrometheusRule" || made.Metadata["name"] != "logwatch" || !reflect.DeepEqual(made.Spec, readRules(t)) {
		t.Errorf("got %+v", made)
	}
}
