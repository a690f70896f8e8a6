package report

import (
	"strings"
	"testing"
)

// TestMedian: figures and checks of several runs are their medians, and a row that one
// run lacks is of the others.
func TestMedian(t *testing.T) {
	var runs []*Measure
	for i, v := range []float64{3, 1, 2} {
		m := &Measure{Name: "m", How: "so", Columns: []Column{{Key: "k", Title: "k", Scale: 1}}, Took: 1}
		m.Row("a").Set("k", v)
		m.Row("same").Set("k", 7)
		if i == 0 {
			m.Row("b").LeftOut = "failed"
			m.Row("c").LeftOut = "not installed"
		} else {
			m.Row("b").Set("k", v)
		}
		m.Checks = []Check{{What: "w", Value: v, Got: m.Columns[0].format(v), Reached: v <= 2}}
		runs = append(runs, m)
	}
	m := Median(runs)
	var b strings.Builder
	for _, r := range m.Rows {
		b.WriteString(r.Name + ": " + m.Brief(r) + "\n")
	}
	const want = "a: k 2 (1 to 3)\nsame: k 7\nb: k 2 (1 to 2)\nc: not installed\n"
	if b.String() != want {
		t.Errorf("rows\n%swant\n%s", b.String(), want)
	}
	if len(m.Checks) != 1 || m.Checks[0] != (Check{What: "w", Value: 2, Got: "2 (1 to 3)", Reached: true}) {
		t.Errorf("checks %+v", m.Checks)
	}
	if m.Took != 3 || !strings.Contains(m.How, "3 runs") || Median(runs[:1]) != runs[0] {
		t.Errorf("%+v", m)
	}
}
