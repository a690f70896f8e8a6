package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"sigs.k8s.io/yaml"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	alertsFile    = "../../configs/alerts.yaml"
	dashboardFile = "../../configs/grafana-dashboard.json"
	runbookFile   = "../../docs/RUNBOOK.md"
	// runbookURL is the public address of runbookFile.
	runbookURL = "https://github.com/logwatch/logwatch/blob/main/docs/RUNBOOK.md#"
)

// ruleFile is a Prometheus rule file.
type ruleFile struct {
	Groups []ruleGroup `json:"groups"`
}

type ruleGroup struct {
	Name  string  `json:"name"`
	Rules []alert `json:"rules"`
}

type alert struct {
	Alert       string            `json:"alert,omitempty"`
	Record      string            `json:"record,omitempty"` // used by checkExprs only
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func readRules(t *testing.T) ruleFile {
	t.Helper()
	var f ruleFile
	parse(t, alertsFile, &f, yaml.UnmarshalStrict)
	if len(alertsOf(f)) < 10 {
		t.Fatalf("%s has %d alerts", alertsFile, len(alertsOf(f)))
	}
	return f
}

func alertsOf(f ruleFile) (all []alert) {
	for _, g := range f.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// ruleTests is a file of promtool rule tests.
type ruleTests struct {
	Tests []ruleTest `json:"tests"`
}

type ruleTest struct {
	Name  string `json:"name"`
	Input []struct {
		Series string `json:"series"`
	} `json:"input_series"`
	Exprs []struct {
		Expr    string `json:"expr"`
		Samples []struct {
			Labels string `json:"labels"`
		} `json:"exp_samples"`
	} `json:"promql_expr_test"`
}

// expects reports whether an alert fires at some time of the test.
func (r ruleTest) expects(alert string) bool {
	for _, e := range r.Exprs {
		for _, s := range e.Samples {
			if strings.Contains(s.Labels, `alertname="`+alert+`"`) {
				return true
			}
		}
	}
	return false
}

func ruleTestFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("rules/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rule tests: %v", err)
	}
	return files
}

func readRuleTests(t *testing.T) (all []ruleTest) {
	t.Helper()
	for _, file := range ruleTestFiles(t) {
		var f ruleTests
		parse(t, file, &f, func(b []byte, v any, _ ...yaml.JSONOpt) error { return yaml.Unmarshal(b, v) })
		all = append(all, f.Tests...)
	}
	return all
}

// dashboard is the part of Grafana's dashboard model that the tests use.
type dashboard struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	ID            *int    `json:"id"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []struct {
			Name       string     `json:"name"`
			Type       string     `json:"type"`
			Definition string     `json:"definition"`
			Datasource datasource `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	Grid        grid       `json:"gridPos"`
	Collapsed   bool       `json:"collapsed"`
	Panels      []panel    `json:"panels"` // of a collapsed row
	Targets     []target   `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Options struct {
		YAxis struct {
			Unit string `json:"unit"`
		} `json:"yAxis"`
	} `json:"options"`
}

type grid struct{ H, W, X, Y int }

type target struct {
	RefID      string     `json:"refId"`
	Expr       string     `json:"expr"`
	Legend     string     `json:"legendFormat"`
	Instant    bool       `json:"instant"`
	Range      bool       `json:"range"`
	Datasource datasource `json:"datasource"`
}

// unit returns the panel's unit; heatmaps keep it elsewhere.
func (p panel) unit() string {
	if p.Type == "heatmap" {
		return p.Options.YAxis.Unit
	}
	return p.FieldConfig.Defaults.Unit
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	parse(t, dashboardFile, &d, func(b []byte, v any, _ ...yaml.JSONOpt) error { return json.Unmarshal(b, v) })
	if len(d.all()) < 20 {
		t.Fatalf("%s has %d panels", dashboardFile, len(d.all()))
	}
	return d
}

// all returns the panels except rows, including those of collapsed rows.
func (d dashboard) all() (list []panel) {
	for _, p := range d.Panels {
		if p.Type == "row" {
			list = append(list, p.Panels...)
			continue
		}
		list = append(list, p)
	}
	return list
}

func parse(t *testing.T, file string, into any, how func([]byte, any, ...yaml.JSONOpt) error) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err == nil {
		err = how(content, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Parts of an expression that promtool has found valid.
var (
	reMetric   = regexp.MustCompile(`\b(?:logwatch|process|go)_\w+\b|\bup\b`)
	reSelector = regexp.MustCompile(`\b((?:logwatch|process|go)_\w+|up)\{([^}]*)\}`)
	reMatcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	reGrouping = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
	reField    = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)`)
)
