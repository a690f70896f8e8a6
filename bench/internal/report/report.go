// Package report holds the figures and writes them as JSON, Markdown and SVG.
package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/logwatch/logwatch/bench/internal/observe"
)

// Report is everything of one run.
type Report struct {
	Date     time.Time         `json:"date"`
	Mode     string            `json:"mode"` // full or short
	Command  string            `json:"command"`
	Machine  map[string]string `json:"machine"`
	Versions map[string]string `json:"versions"`
	Measures []*Measure        `json:"measures"`
}

// Measure is one table.
type Measure struct {
	Name    string        `json:"name"`
	Title   string        `json:"title"`
	How     string        `json:"how"` // of this run: runtime, loads, limits
	Took    time.Duration `json:"took"`
	Columns []Column      `json:"columns"`
	Rows    []*Row        `json:"rows"`
	Checks  []Check       `json:"checks,omitempty"`
	Notes   []string      `json:"notes,omitempty"`
	// Ratio is the key of the figure that is compared with that of the row Base.
	Ratio string `json:"ratio,omitempty"`
	Base  string `json:"base,omitempty"`
}

// Column is a figure of the table.
type Column struct {
	Key    string  `json:"key"`
	Title  string  `json:"title"` // with its unit
	Scale  float64 `json:"scale"` // divides the figure
	Digits int     `json:"digits"`
}

// Row is a subject's figures. A figure that is absent is unknown.
type Row struct {
	Name    string             `json:"name"`
	Figures map[string]float64 `json:"figures,omitempty"` // the medians, with several runs
	Low     map[string]float64 `json:"low,omitempty"`     // the lowest of several runs
	High    map[string]float64 `json:"high,omitempty"`
	LeftOut string             `json:"leftOut,omitempty"` // why there are none
	Points  []observe.Point    `json:"points,omitempty"`
}

// Set sets a figure.
func (r *Row) Set(key string, value float64) {
	if r.Figures == nil {
		r.Figures = map[string]float64{}
	}
	r.Figures[key] = value
}

// Check is a threshold of the issue.
type Check struct {
	What    string  `json:"what"`
	Limit   string  `json:"limit"`
	Got     string  `json:"got"`
	Reached bool    `json:"reached"`
	Value   float64 `json:"value"`
}

// Row returns the row of a name, and adds it if it is absent.
func (m *Measure) Row(name string) *Row {
	for _, r := range m.Rows {
		if r.Name == name {
			return r
		}
	}
	r := &Row{Name: name}
	m.Rows = append(m.Rows, r)
	return r
}

// Get returns a figure of a row.
func (m *Measure) Get(row, key string) (float64, bool) {
	for _, r := range m.Rows {
		if r.Name == row {
			v, ok := r.Figures[key]
			return v, ok
		}
	}
	return 0, false
}

// Measure returns a table by name; nil: not measured.
func (r *Report) Measure(name string) *Measure {
	for _, m := range r.Measures {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Write writes everything into dir.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "results.json"), append(out, '\n'), 0o644); err != nil {
		return err
	}
	plots, err := r.plots(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "results.md"), r.markdown(plots), 0o644)
}

// Read reads results.json.
func Read(dir string) (*Report, error) {
	text, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		return nil, err
	}
	var r Report
	return &r, json.Unmarshal(text, &r)
}
