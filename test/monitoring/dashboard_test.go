package monitoring

import (
	"strings"
	"testing"
)

// units are the units of Grafana that the panels use.
var units = map[string]bool{"none": true, "ops": true, "bytes": true, "binBps": true, "s": true, "percentunit": true}

const columns = 24 // in Grafana's grid

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.ID != nil || d.SchemaVersion < 39 {
		t.Errorf("uid %q, title %q, id %v, schemaVersion %d: want a uid, no id and at least 39 for Grafana 11", d.UID, d.Title, d.ID, d.SchemaVersion)
	}
	ids := map[int]string{}
	var shown []panel // together on the grid: a collapsed row has a grid of its own
	for _, p := range d.Panels {
		shown = append(shown, p)
		checkID(t, ids, p)
		if p.Type == "row" && p.Collapsed != (len(p.Panels) > 0) {
			t.Errorf("row %q: a row has panels if and only if it is collapsed", p.Title)
		}
		for _, sub := range p.Panels {
			checkID(t, ids, sub)
		}
		checkGrid(t, p.Panels)
	}
	checkGrid(t, shown)
	for _, p := range d.all() {
		checkPanel(t, p)
	}
	variables := map[string]bool{}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
		if v.Type == "query" && v.Datasource.UID != "${datasource}" {
			t.Errorf("variable %s: data source %q", v.Name, v.Datasource.UID)
		}
	}
	for _, name := range []string{"datasource", "job", "instance"} {
		if !variables[name] {
			t.Errorf("variable %s is missing", name)
		}
	}
}

func checkID(t *testing.T, ids map[int]string, p panel) {
	t.Helper()
	if other, ok := ids[p.ID]; ok || p.ID <= 0 {
		t.Errorf("panel %q: id %d is invalid or that of %q", p.Title, p.ID, other)
	}
	ids[p.ID] = p.Title
}

// checkGrid finds panels that overlap or leave the grid.
func checkGrid(t *testing.T, panels []panel) {
	t.Helper()
	for i, p := range panels {
		a := p.Grid
		if a.W <= 0 || a.H <= 0 || a.X < 0 || a.Y < 0 || a.X+a.W > columns {
			t.Errorf("panel %q leaves the grid: %+v", p.Title, a)
		}
		for _, q := range panels[:i] {
			b := q.Grid
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q overlap", p.Title, q.Title)
			}
		}
	}
}

func checkPanel(t *testing.T, p panel) {
	t.Helper()
	if p.Title == "" || len(p.Description) < 20 {
		t.Errorf("panel %d %q: description %q", p.ID, p.Title, p.Description)
	}
	if !units[p.unit()] {
		t.Errorf("panel %q: unit %q", p.Title, p.unit())
	}
	if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
		t.Errorf("panel %q: data source %q, %d queries", p.Title, p.Datasource.UID, len(p.Targets))
	}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if refs[q.RefID] || q.Datasource.UID != "${datasource}" || q.Legend == "" || q.Instant == q.Range {
			t.Errorf("panel %q: query %+v", p.Title, q)
		}
		refs[q.RefID] = true
		// Without these matchers the variables have no effect.
		for _, m := range reSelector.FindAllStringSubmatch(q.Expr, -1) {
			if !strings.HasPrefix(m[2], `job="$job", instance=~"$instance"`) {
				t.Errorf("panel %q: %s{%s} is not limited to $job and $instance", p.Title, m[1], m[2])
			}
		}
		if len(reSelector.FindAllString(q.Expr, -1)) != len(reMetric.FindAllString(q.Expr, -1)) {
			t.Errorf("panel %q: metric without a selector in %s", p.Title, q.Expr)
		}
	}
}

// TestQueries: promtool accepts each query of the panels and variables.
func TestQueries(t *testing.T) {
	d := readDashboard(t)
	var exprs []string
	for _, p := range d.all() {
		for _, q := range p.Targets {
			exprs = append(exprs, fill(q.Expr))
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			inner, ok := strings.CutPrefix(v.Definition, "label_values(")
			at := strings.LastIndex(inner, ",")
			if !ok || at < 0 {
				t.Fatalf("variable %s: %q", v.Name, v.Definition)
			}
			exprs = append(exprs, fill(inner[:at]))
		}
	}
	checkExprs(t, exprs)
}

// fill replaces the variables as Grafana does: all nodes, and a scrape interval of 1s.
func fill(expr string) string {
	return strings.NewReplacer("$job", "logwatch", "$instance", ".+", "$__rate_interval", "10s", "$__range", "60s").Replace(expr)
}
