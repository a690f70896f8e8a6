package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
	"github.com/logwatch/logwatch/bench/load"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/policy"
)

const kubeletPath = "kubelet's gzip"

func compression(ctx context.Context, e *Env, m *report.Measure) error {
	size := pick[int64](e, 1<<30, 64<<20)
	c := policy.Default()
	m.How = fmt.Sprintf("%d MiB of generated container log: JSON, klog and nginx lines mixed; each codec in a process of its own, CPU of that process; "+
		"kubelet's is compress/gzip at its default level with io.Copy, the others are klauspost/compress with 256 KiB reads and one goroutine; "+
		"logwatch's default is %s, level %d", size>>20, c.Codec, c.Level)
	m.Columns = []report.Column{
		{Key: "cpuPerGB", Title: "CPU s per GB of input", Scale: 1, Digits: 2},
		{Key: "cpuOfKubelet", Title: "of kubelet's %", Scale: 1, Digits: 1},
		{Key: "ratio", Title: "size % of input", Scale: 1, Digits: 2},
		{Key: "sizeOfKubelet", Title: "of kubelet's %", Scale: 1, Digits: 1},
		{Key: "peakRSS", Title: "peak RSS MB", Scale: mb, Digits: 1},
	}
	dir := e.scratch("compress")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := filepath.Join(dir, "text")
	if err := load.Text(text, size); err != nil {
		return err
	}
	if err := e.compress(ctx, m.Row(kubeletPath), load.CodecKubelet, 0, text); err != nil {
		return err
	}
	for level := 1; level <= 9; level++ {
		e.Log("%s: gzip %d", m.Name, level)
		if err := e.compress(ctx, m.Row(fmt.Sprintf("gzip %d", level)), load.CodecGzip, level, text); err != nil {
			return err
		}
	}
	for level, name := range []string{1: "fastest", 2: "default", 3: "better", 4: "best"} {
		if level == 0 {
			continue
		}
		e.Log("%s: zstd %s", m.Name, name)
		if err := e.compress(ctx, m.Row("zstd "+name), load.CodecZstd, level, text); err != nil {
			return err
		}
	}
	if err := memoryOf(ctx, e, m, dir, c); err != nil {
		return err
	}
	for _, row := range m.Rows {
		cpu, _ := m.Get(kubeletPath, "cpuPerGB")
		ratio, _ := m.Get(kubeletPath, "ratio")
		row.Set("cpuOfKubelet", 100*row.Figures["cpuPerGB"]/cpu)
		row.Set("sizeOfKubelet", 100*row.Figures["ratio"]/ratio)
	}
	mine := fmt.Sprintf("%s %d", c.Codec, c.Level)
	if _, ok := m.Get(mine, "ratio"); !ok {
		return fmt.Errorf("logwatch's default, %s, is none of the rows: add it", mine)
	}
	check(m, "logwatch's default: CPU of kubelet's", mine, "cpuOfKubelet", 50, 1, "%.1f%%")
	check(m, "logwatch's default: size of kubelet's", mine, "sizeOfKubelet", 110, 1, "%.1f%%")
	return os.RemoveAll(dir)
}

// memoryOf compresses an eighth of the text, to see whether memory grows with
// the size.
func memoryOf(ctx context.Context, e *Env, m *report.Measure, dir string, c policy.Policy) error {
	if c.Codec != podlogs.Gzip.Name {
		return nil
	}
	size := pick[int64](e, 128<<20, 8<<20)
	small := filepath.Join(dir, "small")
	if err := load.Text(small, size); err != nil {
		return err
	}
	row := &report.Row{}
	if err := e.compress(ctx, row, load.CodecGzip, c.Level, small); err != nil {
		return err
	}
	large, _ := m.Get(fmt.Sprintf("gzip %d", c.Level), "peakRSS")
	of := row.Figures["peakRSS"]
	m.Checks = append(m.Checks, report.Check{
		What: "memory flat in the file's size: all of it against an eighth", Limit: "≤ 1.25 ×",
		Got: fmt.Sprintf("%.1f MB against %.1f MB", large/mb, of/mb), Reached: large <= 1.25*of, Value: large / of,
	})
	return nil
}

func (e *Env) compress(ctx context.Context, row *report.Row, codec string, level int, text string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	packed := text + ".packed"
	out, err := exec.CommandContext(ctx, self, load.RoleCompress, codec, strconv.Itoa(level), text, packed).Output()
	if err != nil {
		return fmt.Errorf("compress with %s %d: %w", codec, level, err)
	}
	var c load.Compressed
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&c); err != nil {
		return err
	}
	row.Set("in", float64(c.In))
	row.Set("out", float64(c.Out))
	row.Set("cpuPerGB", c.CPU/(float64(c.In)/gb))
	row.Set("ratio", 100*float64(c.Out)/float64(c.In))
	row.Set("peakRSS", float64(c.PeakRSS))
	return os.Remove(packed)
}

func endtoend(ctx context.Context, e *Env, m *report.Measure) error {
	const rate, containers = 4 * mb, 2
	d := pick(e, time.Minute, 22*time.Second)
	// So many files that nothing is pruned: all do the same work, but for what
	// is still plain at the end.
	policy := subject.Policy{MaxSize: limit10, MaxFiles: 1000, TotalSize: 100 << 30}
	m.How = fmt.Sprintf("limit 10 MiB, nothing pruned; %d containers write %d MB/s each for %v; CPU of the subject until it has nothing left to do",
		containers, int(rate/mb), d)
	m.Columns = []report.Column{
		{Key: "cpuPerGB", Title: "CPU s per GB logged", Scale: 1, Digits: 2},
		{Key: "compressedShare", Title: "compressed of that %", Scale: 1, Digits: 1},
		{Key: "cpuPerGBCompressed", Title: "CPU s per GB compressed", Scale: 1, Digits: 2},
		{Key: "peakRSS", Title: "peak RSS MB", Scale: mb, Digits: 1},
		{Key: "rotations", Title: "rotations", Scale: 1},
		{Key: "lost", Title: "lost", Scale: 1},
		{Key: "doubled", Title: "doubled", Scale: 1},
	}
	m.Ratio, m.Base = "cpuPerGBCompressed", subject.Logwatch
	var loads []node.Load
	for i := range containers {
		loads = append(loads, node.Load{Name: fmt.Sprintf("e%d", i), Rate: rate, Lines: linesFor(rate, d)})
	}
	names := e.subjects(pick(e, []string{subject.Logwatch, subject.Kubelet, subject.KubeletAt, subject.Logrotate},
		[]string{subject.Logwatch, subject.Kubelet})...)
	err := e.each(ctx, m, names, func(name string) scenario {
		return scenario{subject: name, policy: policy, loads: loads, aside: -1}
	}, func(_ *report.Row, out outcome) { noteRuntime(m, out) })
	checkRatio(m, "less CPU per GB logged than kubelet as shipped", subject.Logwatch, subject.Kubelet, "cpuPerGB", 2)
	checkRatio(m, "less CPU per GB compressed than kubelet as shipped", subject.Logwatch, subject.Kubelet, "cpuPerGBCompressed", 2)
	return err
}
