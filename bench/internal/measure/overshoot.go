package measure

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/observe"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
)

// usual is kubelet's default policy.
var usual = subject.Policy{MaxSize: limit10, MaxFiles: 5}

func overshootColumns() []report.Column {
	return []report.Column{
		{Key: "rotations", Title: "rotations", Scale: 1},
		{Key: "p50", Title: "finished file p50 %", Scale: 1, Digits: 2},
		{Key: "p99", Title: "p99 %", Scale: 1, Digits: 2},
		{Key: "max", Title: "max %", Scale: 1, Digits: 2},
		{Key: "renamedP99", Title: "when renamed, p99 %", Scale: 1, Digits: 2},
		{Key: "largestLive", Title: "largest live log MB", Scale: mb, Digits: 2},
		{Key: "largestTotal", Title: "files together MB", Scale: mb, Digits: 1},
		{Key: "written", Title: "lines written", Scale: 1},
		{Key: "pruned", Title: "pruned", Scale: 1},
		{Key: "lost", Title: "lost", Scale: 1},
		{Key: "doubled", Title: "doubled", Scale: 1},
		{Key: "cpuPerGB", Title: "CPU s/GB", Scale: 1, Digits: 2},
		{Key: "peakRSS", Title: "peak RSS MB", Scale: mb, Digits: 1},
	}
}

func steady(ctx context.Context, e *Env, m *report.Measure) error {
	const rate = 8 * mb
	d := pick(e, 45*time.Second, 12*time.Second)
	m.How = fmt.Sprintf("limit 10 MiB, 5 files; 2 containers write %d MB/s each into their logs for %v", int(rate/mb), d)
	m.Columns, m.Ratio, m.Base = overshootColumns(), "p99", subject.Strict
	loads := []node.Load{{Name: "a", Rate: rate, Lines: linesFor(rate, d)}, {Name: "b", Rate: rate, Lines: linesFor(rate, d)}}
	err := e.each(ctx, m, e.subjects(subject.All...), func(name string) scenario {
		return scenario{subject: name, policy: usual, loads: loads, aside: -1}
	}, func(row *report.Row, out outcome) {
		overshoot(row, out.Rotations, limit10)
		noteRuntime(m, out)
	})
	checkLimit(m)
	checkRatio(m, "less than kubelet as shipped, p99", subject.Strict, subject.Kubelet, "p99", 2000)
	return err
}

// checkLimit adds the thresholds on containerd: at the limit, not past it, and not far
// below it.
func checkLimit(m *report.Measure) {
	check(m, "strict p99", subject.Strict, "p99", 0, 1, "%.2f%%")
	check(m, "strict max", subject.Strict, "max", 0.5, 1, "%.2f%%")
	checkMin(m, "strict p50", subject.Strict, "p50", -2, "%.2f%%")
}

func flatout(ctx context.Context, e *Env, m *report.Measure) error {
	bytes := pick(e, 2.5e9, 0.45e9)
	m.How = fmt.Sprintf("limit 10 MiB, 5 files; 1 container writes %.1f GB as fast as the runtime takes them", bytes/gb)
	m.Columns, m.Ratio, m.Base = overshootColumns(), "p99", subject.Strict
	m.Columns = slices.Insert(m.Columns, 1, report.Column{Key: "rate", Title: "MB/s", Scale: mb, Digits: 1})
	loads := []node.Load{{Name: "a", Lines: uint64(bytes / node.RecordBytes)}}
	err := e.each(ctx, m, e.subjects(subject.All...), func(name string) scenario {
		return scenario{subject: name, policy: usual, loads: loads, aside: -1}
	}, func(row *report.Row, out outcome) {
		overshoot(row, out.Rotations, limit10)
		row.Set("rate", out.bytes/out.writing.Seconds())
		ended := out.began.Add(out.writing).Sub(out.observed)
		row.Points = slices.DeleteFunc(out.Points, func(p observe.Point) bool { return p.At > ended })
		noteRuntime(m, out)
	})
	checkLimit(m)
	check(m, "default, files together", subject.Logwatch, "largestTotal", 5*limit10*1.02/mb, mb, "%.2f MB")
	return err
}

// conmon uses the embedded runtime only: its reopens take a known time.
func conmon(rate float64) func(context.Context, *Env, *report.Measure) error {
	return func(ctx context.Context, e *Env, m *report.Measure) error {
		d := pick(e, 30*time.Second, 8*time.Second)
		m.How = fmt.Sprintf("limit 10 MiB, 5 files; 1 container writes %.0f MB/s for %v; a reopen takes 20 to 80 ms, in which the runtime "+
			"writes on into the old file, up to %.1f MB", rate/mb, d, rate*.08/mb)
		m.Columns, m.Ratio, m.Base = overshootColumns(), "p99", subject.Strict
		m.Columns = slices.Insert(m.Columns, 1, report.Column{Key: "rate", Title: "MB/s", Scale: mb, Digits: 1})
		// conmon passes on no more than this rate after a stall either.
		loads := []node.Load{{Name: "a", Rate: rate, CatchUp: 2 * time.Millisecond, Lines: linesFor(rate, d)}}
		err := e.each(ctx, m, e.subjects(subject.Logwatch, subject.Strict, subject.Kubelet), func(name string) scenario {
			return scenario{subject: name, embedded: node.Conmon, policy: usual, loads: loads, aside: -1}
		}, func(row *report.Row, out outcome) {
			overshoot(row, out.Rotations, limit10)
			row.Set("rate", out.bytes/out.writing.Seconds())
			noteRuntime(m, out)
		})
		check(m, "strict p99", subject.Strict, "p99", 3, 1, "%.2f%%")
		check(m, "default, files together", subject.Logwatch, "largestTotal", 5*limit10*1.02/mb, mb, "%.2f MB")
		return err
	}
}

func noteRuntime(m *report.Measure, out outcome) {
	if note := "runtime: " + out.kind; !slices.Contains(m.Notes, note) {
		m.Notes = append(m.Notes, note)
	}
}

// hundred uses the embedded runtime only: with a real one, starting a hundred pods
// takes longer than what is measured.
func hundred(ctx context.Context, e *Env, m *report.Measure) error {
	const containers, rate = 100, 1 * mb
	lasts := pick(e, 22*time.Second, 12*time.Second) // crosses after 10.5 s, and again
	crossings := containers * int(lasts.Seconds()*rate/limit10)
	m.How = fmt.Sprintf("limit 10 MiB; %d containers write 1 MB/s each from the same moment on, for %v; the time is from the last look "+
		"that found a log below its limit (every 2 ms) to its rename", containers, lasts)
	m.Columns = []report.Column{
		{Key: "rotations", Title: "rotations", Scale: 1},
		{Key: "latencyP50", Title: "crossing → renamed p50 ms", Scale: 1, Digits: 1},
		{Key: "latencyP99", Title: "p99 ms", Scale: 1, Digits: 1},
		{Key: "latencyMax", Title: "max ms", Scale: 1, Digits: 1},
		{Key: "p99", Title: "overshoot p99 %", Scale: 1, Digits: 2},
		{Key: "largestLive", Title: "largest live log MB", Scale: mb, Digits: 2},
		{Key: "pruned", Title: "pruned", Scale: 1},
		{Key: "lost", Title: "lost", Scale: 1},
		{Key: "doubled", Title: "doubled", Scale: 1},
		{Key: "cpuPerGB", Title: "CPU s/GB", Scale: 1, Digits: 2},
		{Key: "rpcs", Title: "RPCs", Scale: 1},
	}
	m.Ratio, m.Base = "latencyP99", subject.Strict
	var loads []node.Load
	for i := range containers {
		loads = append(loads, node.Load{Name: fmt.Sprintf("c%03d", i), Rate: rate, Lines: linesFor(rate, lasts)})
	}
	names := e.subjects(pick(e, []string{subject.Logwatch, subject.Strict, subject.Kubelet, subject.KubeletAt, subject.Logrotate},
		[]string{subject.Logwatch, subject.Strict, subject.Kubelet})...)
	err := e.each(ctx, m, names, func(name string) scenario {
		return scenario{
			subject: name, embedded: node.Containerd, policy: usual, loads: loads, aside: -1,
			linger: crossings, lingerFor: 11 * time.Second,
		}
	}, func(row *report.Row, out outcome) {
		overshoot(row, out.Rotations, limit10)
		latencies(row, out.Rotations)
		total := 0
		for _, n := range out.calls {
			total += n
		}
		row.Set("rpcs", float64(total))
		noteRuntime(m, out)
	})
	check(m, "p99 crossing → renamed, strict", subject.Strict, "latencyP99", 100, 1, "%.1f ms")
	check(m, "p99 crossing → renamed, default", subject.Logwatch, "latencyP99", 100, 1, "%.1f ms")
	return err
}

func latencies(row *report.Row, rotations []observe.Rotation) {
	var ms []float64
	for _, r := range rotations {
		if r.Latency > 0 {
			ms = append(ms, r.Latency.Seconds()*1e3)
		}
	}
	if len(ms) == 0 {
		return
	}
	slices.Sort(ms)
	row.Set("latencyP50", percentile(ms, .5))
	row.Set("latencyP99", percentile(ms, .99))
	row.Set("latencyMax", ms[len(ms)-1])
}

// idleburst uses the embedded runtime only: a real one does not pass on 100 MB in a
// second.
func idleburst(ctx context.Context, e *Env, m *report.Measure) error {
	const rate = 100 * mb
	idle := pick(e, time.Minute, 8*time.Second)
	m.How = fmt.Sprintf("limit 10 MiB; a container writes 100 MB in a second, is quiet for %v, and writes 100 MB in a second again: "+
		"overshoot and largest live log are of the second burst", idle)
	m.Columns, m.Ratio, m.Base = overshootColumns(), "p99", subject.Strict
	loads := []node.Load{{Name: "burst", Rate: rate, Lines: linesFor(rate, 2*time.Second), On: time.Second, Off: idle}}
	names := e.subjects(pick(e, []string{subject.Logwatch, subject.Strict, subject.Kubelet, subject.Logrotate},
		[]string{subject.Strict, subject.Kubelet})...)
	err := e.each(ctx, m, names, func(name string) scenario {
		return scenario{
			subject: name, embedded: node.Containerd, policy: usual, loads: loads, aside: -1,
			// For subjects that check every few seconds: the log does not change.
			linger: math.MaxInt, lingerFor: pick(e, 11*time.Second, 4*time.Second),
		}
	}, func(row *report.Row, out outcome) {
		from := out.began.Add(idle / 2)
		late := slices.DeleteFunc(slices.Clone(out.Rotations), func(r observe.Rotation) bool { return r.At.Before(from) })
		overshoot(row, late, limit10)
		row.Set("rotations", float64(len(late)))
		largest := int64(0)
		for _, p := range out.Points {
			if out.observed.Add(p.At).After(from) {
				largest = max(largest, p.Size)
			}
		}
		for _, r := range late {
			largest = max(largest, r.Size)
		}
		row.Set("largestLive", float64(largest))
		noteRuntime(m, out)
	})
	check(m, "strict, largest live log", subject.Strict, "largestLive", limit10*1.1/mb, mb, "%.2f MB")
	return err
}
