package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Median joins the runs of one measure: each figure is the median, beside the lowest and
// the highest, and so is what is compared with a threshold. Plots over time are of the
// first run.
func Median(runs []*Measure) *Measure {
	if len(runs) == 1 {
		return runs[0]
	}
	m := *runs[0]
	m.How += fmt.Sprintf("; the median of %d runs (the lowest to the highest)", len(runs))
	m.Rows, m.Checks, m.Notes, m.Took = nil, nil, nil, 0
	for _, run := range runs {
		m.Took += run.Took
		for _, n := range run.Notes {
			if !slices.Contains(m.Notes, n) {
				m.Notes = append(m.Notes, n)
			}
		}
		for _, r := range run.Rows {
			m.Row(r.Name)
		}
		for _, c := range run.Checks {
			if !slices.ContainsFunc(m.Checks, func(o Check) bool { return o.What == c.What }) {
				m.Checks = append(m.Checks, medianCheck(runs, c.What))
			}
		}
	}
	for _, r := range m.Rows {
		r.median(runs)
	}
	return &m
}

// median sets a row's figures, from those runs that have any.
func (r *Row) median(runs []*Measure) {
	values := map[string][]float64{}
	for _, run := range runs {
		for _, o := range run.Rows {
			switch {
			case o.Name != r.Name:
			case o.LeftOut != "":
				r.LeftOut = o.LeftOut
			default:
				for key, v := range o.Figures {
					values[key] = append(values[key], v)
				}
				if r.Points == nil {
					r.Points = o.Points
				}
			}
		}
	}
	if len(values) == 0 {
		return
	}
	r.LeftOut, r.Figures, r.Low, r.High = "", map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		v := slices.Sorted(slices.Values(values[key]))
		r.Figures[key] = (v[(len(v)-1)/2] + v[len(v)/2]) / 2
		r.Low[key], r.High[key] = v[0], v[len(v)-1]
	}
}

// medianCheck is the check of the run in the middle; of two, the one with the higher
// value.
func medianCheck(runs []*Measure, what string) Check {
	var all []Check
	for _, run := range runs {
		for _, c := range run.Checks {
			if c.What == what {
				all = append(all, c)
			}
		}
	}
	slices.SortFunc(all, func(a, b Check) int { return cmp.Compare(a.Value, b.Value) })
	c := all[len(all)/2]
	if low, high := all[0].Got, all[len(all)-1].Got; low != high {
		c.Got += " (" + low + " to " + high + ")"
	}
	return c
}
