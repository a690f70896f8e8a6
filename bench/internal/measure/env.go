// Package measure holds the measures: what is run, and the figures.
package measure

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
)

// Env is the environment of all measures.
type Env struct {
	Tools    subject.Tools
	Dir      string // for files; removed by the caller
	Short    bool
	Embedded bool // no root: no real containerd
	Subjects []string
	Log      func(format string, args ...any)

	// Problems are failed runs, and subjects that lost, doubled or damaged lines that
	// they should not have.
	Problems []string
	runs     atomic.Int64
}

// Measure can be selected by name.
type Measure struct {
	Name  string
	Title string
	Run   func(context.Context, *Env, *report.Measure) error
}

// All are the measures in the order of the report.
var All = []Measure{
	{"steady2x8", "Overshoot: 2 containers, 8 MB/s each", steady},
	{"flatout1", "Overshoot: 1 container as fast as the runtime goes", flatout},
	{"conmon110", "Overshoot: conmon with slow reopens, 110 MB/s", conmon(110 * mb)},
	{"conmon150", "Overshoot: conmon with slow reopens, 150 MB/s", conmon(150 * mb)},
	{"splits", "Lines split by a rotation: 4 containers, 2 MB/s each", splits},
	{"s6log", "A rotator in the writer's way: s6-log", s6log},
	{"hundred", "100 containers that cross their limit at the same time", hundred},
	{"idleburst", "Idle for a minute, then 100 MB in a second", idleburst},
	{"watchcost", "What watching costs the writers", watchcost},
	{"growth", "The same bytes over more and more containers", growth},
	{"idle1000", "1000 idle containers", idle},
	{"compression", "Compression", compression},
	{"isolation", "Rotation while a huge log is compressed", isolation},
	{"endtoend", "End to end: rotate and compress", endtoend},
	{"writerate", "Watching against the write rate", writerate},
}

const (
	limit10 = 10 << 20
	mb      = 1e6
	gb      = 1e9
)

// pick returns the value for this mode.
func pick[T any](e *Env, full, short T) T {
	if e.Short {
		return short
	}
	return full
}

// scratch returns the name of a new directory.
func (e *Env) scratch(name string) string {
	return filepath.Join(e.Dir, fmt.Sprintf("%s-%d", name, e.runs.Add(1)))
}

// start starts a runtime: a real containerd, or the embedded one.
// embedded "": the real one, if there is one.
func (e *Env) start(ctx context.Context, embedded node.Style) (node.Node, error) {
	if embedded != "" || e.Embedded {
		return node.StartEmbedded(cmp.Or(embedded, node.Containerd))
	}
	return node.StartReal(ctx, func(s string) { e.Log("  %s", s) })
}

// subjects returns those of names that are selected.
func (e *Env) subjects(names ...string) []string {
	var out []string
	for _, n := range names {
		if slices.Contains(e.Subjects, n) {
			out = append(out, n)
		}
	}
	return out
}

// linesFor returns the number of lines of a rate in bytes a second over a time.
func linesFor(rate float64, d time.Duration) uint64 {
	return uint64(rate * d.Seconds() / node.RecordBytes)
}

// percentile returns the nearest-rank percentile of sorted values.
func percentile(sorted []float64, p float64) float64 {
	i := int(math.Ceil(p*float64(len(sorted)))) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// check adds a threshold: a figure, in units of scale and shown with a format, must be
// at most limit.
func check(m *report.Measure, what, row, key string, limit, scale float64, format string) {
	if v, ok := m.Get(row, key); ok {
		v /= scale
		m.Checks = append(m.Checks, report.Check{
			What: what, Limit: "≤ " + fmt.Sprintf(format, limit), Got: fmt.Sprintf(format, v), Reached: v <= limit, Value: v,
		})
	}
}

// checkMin adds a threshold: a figure must be at least limit.
func checkMin(m *report.Measure, what, row, key string, limit float64, format string) {
	if v, ok := m.Get(row, key); ok {
		m.Checks = append(m.Checks, report.Check{
			What: what, Limit: "≥ " + fmt.Sprintf(format, limit), Got: fmt.Sprintf(format, v), Reached: v >= limit, Value: v,
		})
	}
}

// checkRatio adds a threshold on two rows' figures: other ÷ row must be at least limit.
func checkRatio(m *report.Measure, what, row, other, key string, limit float64) {
	v, ok := m.Get(row, key)
	o, ok2 := m.Get(other, key)
	if !ok || !ok2 {
		return
	}
	c := report.Check{What: what, Limit: fmt.Sprintf("≥ %.0f ×", limit), Got: "∞", Reached: true}
	if v > 0 {
		c.Value = o / v
		c.Got, c.Reached = fmt.Sprintf("%.1f ×", c.Value), c.Value >= limit
	}
	m.Checks = append(m.Checks, c)
}
