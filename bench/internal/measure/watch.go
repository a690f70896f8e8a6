package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/logwatch/logwatch/bench/internal/proc"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/load"
)

// Rows of the watching measures.
const (
	unwatched  = "unwatched"
	byLogwatch = "logwatch's watcher"
	byFsnotify = "plain fsnotify watch"
)

const watchedFiles = 50

// watched runs the writers beside a watcher and returns writes a second and the
// watcher's share of a core.
func (e *Env) watched(ctx context.Context, root, by string, rate float64, d time.Duration) (perSecond, share float64, peak int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, 0, err
	}
	var p *proc.Process
	if by != unwatched {
		role := map[string]string{byLogwatch: load.RoleWatch, byFsnotify: load.RoleNotify}[by]
		if p, err = proc.Start(root+".out", load.Ready, self, role, root); err != nil {
			return 0, 0, 0, err
		}
		defer func() { err = errors.Join(err, p.Stop()) }()
		if _, err := p.Ready(ctx); err != nil {
			return 0, 0, 0, err
		}
	}
	before := time.Duration(0)
	if p != nil {
		before = p.CPU()
	}
	out, err := exec.CommandContext(ctx, self, load.RoleWriters, root,
		strconv.FormatFloat(rate, 'f', 0, 64), d.String()).Output()
	if err != nil {
		return 0, 0, 0, fmt.Errorf("the writers: %w", err)
	}
	var w load.Wrote
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&w); err != nil {
		return 0, 0, 0, fmt.Errorf("the writers' report: %w", err)
	}
	if p != nil {
		share, peak = 100*(p.CPU()-before).Seconds()/w.Seconds, p.PeakRSS()
	}
	return float64(w.Writes) / w.Seconds, share, peak, nil
}

func (e *Env) watchTree() (string, error) {
	root := filepath.Join(e.scratch("watch"), "pods")
	return root, load.Tree(root, watchedFiles)
}

func watchcost(ctx context.Context, e *Env, m *report.Measure) error {
	rounds, d := pick(e, 9, 4), pick(e, 4*time.Second, 1500*time.Millisecond)
	m.How = fmt.Sprintf("%d files in as many directories, a process with one thread writes 100 bytes to each in turn as fast as it can; "+
		"medians of %d rounds of %v for each, taken in turn, the speed set against the same round's unwatched one", watchedFiles, rounds, d)
	m.Columns = []report.Column{
		{Key: "writes", Title: "writes/s (thousands)", Scale: 1e3},
		{Key: "speed", Title: "of unwatched %", Scale: 1, Digits: 1},
		{Key: "share", Title: "CPU % of a core", Scale: 1, Digits: 2},
		{Key: "peakRSS", Title: "peak RSS MB", Scale: mb, Digits: 1},
	}
	m.Ratio, m.Base = "share", byLogwatch
	root, err := e.watchTree()
	if err != nil {
		return err
	}
	// The first round fills caches and raises the clock.
	if _, _, _, err := e.watched(ctx, root, unwatched, 0, time.Second); err != nil {
		return err
	}
	names := []string{unwatched, byLogwatch, byFsnotify}
	for _, by := range names {
		m.Row(by) // in this order in the table, whatever comes first
	}
	writes, speeds, shares := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for round := range rounds {
		e.Log("%s: round %d of %d", m.Name, round+1, rounds)
		got := map[string]float64{}
		for i := range names {
			by := names[(i+round)%len(names)]
			w, share, peak, err := e.watched(ctx, root, by, 0, d)
			if err != nil {
				return err
			}
			got[by] = w
			writes[by], shares[by] = append(writes[by], w), append(shares[by], share)
			if peak > 0 {
				m.Row(by).Set("peakRSS", float64(peak))
			}
		}
		for _, by := range names {
			speeds[by] = append(speeds[by], 100*got[by]/got[unwatched])
		}
	}
	for _, by := range names {
		row := m.Row(by)
		row.Set("writes", median(writes[by]))
		row.Set("speed", median(speeds[by]))
		if by != unwatched {
			row.Set("share", median(shares[by]))
		}
	}
	if v, ok := m.Get(byLogwatch, "speed"); ok {
		m.Checks = append(m.Checks, report.Check{
			What: "writers' speed", Limit: "≥ 98% of unwatched", Got: fmt.Sprintf("%.1f%%", v), Reached: v >= 98, Value: v,
		})
	}
	check(m, "CPU of a core", byLogwatch, "share", 1, 1, "%.2f%%")
	return os.RemoveAll(filepath.Dir(root))
}

// rates are writes a second over all files.
var rates = []float64{1e3, 1e4, 1e5, 1e6}

func writerate(ctx context.Context, e *Env, m *report.Measure) error {
	d := pick(e, 5*time.Second, 2*time.Second)
	m.How = fmt.Sprintf("as watchcost, at given rates, %v each; reached: what the writers came to", d)
	m.Columns = []report.Column{
		{Key: "rate", Title: "writes/s asked", Scale: 1},
		{Key: "writes", Title: "reached", Scale: 1},
		{Key: "share", Title: "CPU % of a core", Scale: 1, Digits: 2},
	}
	root, err := e.watchTree()
	if err != nil {
		return err
	}
	for _, by := range []string{byLogwatch, byFsnotify} {
		for _, rate := range rates {
			e.Log("%s: %s at %.0f/s", m.Name, by, rate)
			w, share, _, err := e.watched(ctx, root, by, rate, d)
			if err != nil {
				return err
			}
			row := m.Row(fmt.Sprintf("%s, %.0f k/s", by, rate/1e3))
			row.Set("rate", rate)
			row.Set("writes", w)
			row.Set("share", share)
		}
	}
	low, _ := m.Get(byLogwatch+", 10 k/s", "share")
	high, _ := m.Get(byLogwatch+", 1000 k/s", "share")
	m.Checks = append(m.Checks, report.Check{
		What: "nothing grows with the write rate: CPU at 1 M/s against 10 k/s", Limit: "≤ 2 ×",
		Got: fmt.Sprintf("%.2f%% against %.2f%%", high, low), Reached: high <= 2*low, Value: high / max(low, 1e-6),
	})
	return os.RemoveAll(filepath.Dir(root))
}
