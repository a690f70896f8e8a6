package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
)

// splits counts the lines that rotations split, and what reaches a rotated log after its
// exchange. Nothing is pruned, so that all rotated logs are read.
func splits(ctx context.Context, e *Env, m *report.Measure) error {
	const rate, limit, containers = 2 * mb, 1 << 20, 4
	d := pick(e, 80*time.Second, 30*time.Second)
	m.How = fmt.Sprintf("limit 1 MiB, nothing is pruned; %d containers write lines of %d bytes at %d MB/s each for %v. A line is split when "+
		"a rotated log ends with a partial record; late is what the runtime wrote to a rotated log after its exchange or rename",
		containers, node.ContentBytes, int(rate/mb), d)
	m.Columns = []report.Column{
		{Key: "rotations", Title: "rotations", Scale: 1},
		{Key: "splits", Title: "lines split", Scale: 1},
		{Key: "splitsPer1000", Title: "per 1000 rotations", Scale: 1, Digits: 1},
		{Key: "late", Title: "late kB a rotation", Scale: 1e3, Digits: 2},
		{Key: "p50", Title: "finished file p50 %", Scale: 1, Digits: 2},
		{Key: "p99", Title: "p99 %", Scale: 1, Digits: 2},
		{Key: "written", Title: "lines written", Scale: 1},
		{Key: "lost", Title: "lost", Scale: 1},
		{Key: "doubled", Title: "doubled", Scale: 1},
		{Key: "cpuPerGB", Title: "CPU s/GB", Scale: 1, Digits: 2},
	}
	m.Ratio, m.Base = "splitsPer1000", subject.Strict
	var loads []node.Load
	for i := range containers {
		loads = append(loads, node.Load{Name: fmt.Sprintf("c%d", i), Rate: rate, Lines: linesFor(rate, d)})
	}
	err := e.each(ctx, m, e.subjects(subject.Logwatch, subject.Strict, subject.Kubelet), func(name string) scenario {
		return scenario{subject: name, policy: subject.Policy{MaxSize: limit, MaxFiles: 10_000}, loads: loads, aside: -1}
	}, func(row *report.Row, out outcome) {
		overshoot(row, out.Rotations, limit)
		row.Set("splitsPer1000", 1000*float64(out.Splits)/float64(max(1, len(out.Rotations))))
		noteRuntime(m, out)
	})
	for _, name := range []string{subject.Logwatch, subject.Strict} {
		check(m, name+", splits per 1000 rotations", name, "splitsPer1000", 10, 1, "%.1f")
	}
	return err
}
