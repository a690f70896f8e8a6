package report

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Brief returns a row in one line.
func (m *Measure) Brief(r *Row) string {
	if r.LeftOut != "" {
		return r.LeftOut
	}
	var parts []string
	for _, c := range m.Columns {
		if _, ok := r.Figures[c.Key]; ok {
			parts = append(parts, c.Title+" "+r.format(c))
		}
	}
	return strings.Join(parts, " · ")
}

func (c Column) format(v float64) string {
	scale := c.Scale
	if scale == 0 {
		scale = 1
	}
	return strconv.FormatFloat(v/scale, 'f', c.Digits, 64)
}

// format is a figure, with the lowest and the highest of several runs if they differ.
func (r *Row) format(c Column) string {
	text := c.format(r.Figures[c.Key])
	if r.Low == nil {
		return text
	}
	if low, high := c.format(r.Low[c.Key]), c.format(r.High[c.Key]); low != high {
		text += " (" + low + " to " + high + ")"
	}
	return text
}

func (r *Report) markdown(plots map[string][]string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Benchmark, %s, %s run\n\n`%s`\n\n", r.Date.Format("2006-01-02 15:04 MST"), r.Mode, r.Command)
	for _, group := range []map[string]string{r.Machine, r.Versions} {
		for _, k := range slices.Sorted(maps.Keys(group)) {
			fmt.Fprintf(&b, "- %s: %s\n", k, group[k])
		}
	}
	b.WriteString("\n## Thresholds\n\n| measure | what | must be | is | |\n|---|---|---|---|---|\n")
	for _, m := range r.Measures {
		for _, c := range m.Checks {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.Name, c.What, c.Limit, c.Got, verdict(c.Reached))
		}
	}
	for _, m := range r.Measures {
		m.markdown(&b, plots[m.Name])
	}
	return b.Bytes()
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "**not reached**"
}

func (m *Measure) markdown(b *bytes.Buffer, plots []string) {
	fmt.Fprintf(b, "\n## %s (%s)\n\n%s. Took %s.\n\n", m.Title, m.Name, m.How, m.Took.Round(time.Second))
	base, hasBase := m.Get(m.Base, m.Ratio)
	hasBase = hasBase && base > 0
	fmt.Fprint(b, "| |")
	for _, c := range m.Columns {
		fmt.Fprintf(b, " %s |", c.Title)
	}
	rule := strings.Repeat("---:|", len(m.Columns))
	if hasBase {
		fmt.Fprintf(b, " %s: × %s |", m.ratioTitle(), m.Base)
		rule += "---:|"
	}
	fmt.Fprintf(b, "\n|---|%s\n", rule)
	for _, row := range m.Rows {
		fmt.Fprintf(b, "| %s |", row.Name)
		if row.LeftOut != "" {
			why, _, _ := strings.Cut(row.LeftOut, "\n")
			fmt.Fprintf(b, " %s |\n", why)
			continue
		}
		for _, c := range m.Columns {
			if _, ok := row.Figures[c.Key]; ok {
				fmt.Fprintf(b, " %s |", row.format(c))
			} else {
				fmt.Fprint(b, " – |")
			}
		}
		if v, ok := row.Figures[m.Ratio]; hasBase && ok {
			fmt.Fprintf(b, " %.4g |", v/base)
		} else if hasBase {
			fmt.Fprint(b, " – |")
		}
		b.WriteByte('\n')
	}
	for _, n := range m.Notes {
		fmt.Fprintf(b, "\n%s\n", n)
	}
	for _, p := range plots {
		fmt.Fprintf(b, "\n![%s](%s)\n", m.Title, p)
	}
}

func (m *Measure) ratioTitle() string {
	for _, c := range m.Columns {
		if c.Key == m.Ratio {
			return c.Title
		}
	}
	return m.Ratio
}
