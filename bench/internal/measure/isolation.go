package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/observe"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
	"github.com/logwatch/logwatch/bench/load"
)

const (
	isolationLimit = 4 << 20
	bursters       = 20
	// The huge log's name, and that of a later one: the newest is not compressed.
	hugeName  = "0.log.20200101-000000"
	newerName = "0.log.20200102-000000"
)

// isolation moves a huge rotated log into a container's directory and measures the
// others' rotations while it is being compressed.
func isolation(ctx context.Context, e *Env, m *report.Measure) error {
	size, d := pick[int64](e, 4<<30, 512<<20), pick(e, 45*time.Second, 14*time.Second)
	m.How = fmt.Sprintf("limit 4 MiB; a container has a rotated log of %d MiB to be compressed; %d others write 4 MB/s for a second every five, for %v; "+
		"overshoot is theirs, of rotations while the huge log was being compressed", size>>20, bursters, d)
	m.Columns = []report.Column{
		{Key: "compressing", Title: "compressing for s", Scale: 1, Digits: 1},
		{Key: "counted", Title: "rotations then", Scale: 1},
		{Key: "p50", Title: "overshoot p50 %", Scale: 1, Digits: 2},
		{Key: "p99", Title: "p99 %", Scale: 1, Digits: 2},
		{Key: "max", Title: "max %", Scale: 1, Digits: 2},
		{Key: "largestLive", Title: "largest live log MB", Scale: mb, Digits: 2},
		{Key: "rotations", Title: "rotations in all", Scale: 1},
		{Key: "lost", Title: "lost", Scale: 1},
		{Key: "doubled", Title: "doubled", Scale: 1},
	}
	dir := e.scratch("isolation")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := filepath.Join(dir, "text")
	if err := load.Text(text, min(size, 256<<20)); err != nil {
		return err
	}
	for _, name := range e.subjects(subject.Strict, subject.Kubelet) {
		for _, huge := range []bool{false, true} {
			if err := e.isolated(ctx, m, name, huge, text, size, d); err != nil {
				return err
			}
		}
	}
	with, ok := m.Get(subject.Strict+", with", "p99")
	without, ok2 := m.Get(subject.Strict+", without", "p99")
	if ok && ok2 {
		// A burst's rate is 4 MB/s: 0.1 percentage points are a millisecond.
		m.Checks = append(m.Checks, report.Check{
			What: "strict p99 as without it", Limit: "≤ 1.25 × or 0.1% more", Got: fmt.Sprintf("%.2f%% against %.2f%%", with, without),
			Reached: with <= max(1.25*without, without+0.1), Value: with / max(without, 1e-9),
		})
	}
	return os.RemoveAll(dir)
}

func (e *Env) isolated(ctx context.Context, m *report.Measure, name string, huge bool, text string, size int64, d time.Duration) error {
	loads := []node.Load{{Name: "huge", Rate: 2 * mb, Lines: linesFor(2*mb, d)}}
	for i := range bursters {
		loads = append(loads, node.Load{
			Name: fmt.Sprintf("burst%02d", i), Rate: 4 * mb, Lines: linesFor(4*mb/5, d), On: time.Second, Off: 4 * time.Second,
		})
	}
	var window spell
	s := scenario{
		subject: name, loads: loads, aside: 0, hurry: true,
		// Files enough that the huge log, which is the oldest, is not pruned.
		policy: subject.Policy{MaxSize: isolationLimit, MaxFiles: 100, TotalSize: 64 << 30},
	}
	title := name + ", without"
	if huge {
		title = name + ", with"
		s.beside = func(ctx context.Context, n node.Node, cs []node.Container) error {
			return window.watch(ctx, filepath.Join(n.PodLogsDir(), cs[0].Dir), text, size)
		}
	}
	return e.each(ctx, m, []string{title}, func(string) scenario { return s }, func(row *report.Row, out outcome) {
		others := slices.DeleteFunc(slices.Clone(out.Rotations), func(r observe.Rotation) bool {
			return huge && !window.holds(r.At)
		})
		overshoot(row, others, isolationLimit)
		row.Set("counted", float64(len(others)))
		if huge {
			row.Set("compressing", window.to.Sub(window.from).Seconds())
		}
		noteRuntime(m, out)
	})
}

// spell is the time in which the huge log is being compressed.
type spell struct{ from, to time.Time }

func (s *spell) holds(t time.Time) bool { return t.After(s.from) && t.Before(s.to) }

// watch puts the huge log in place and waits for its compression to begin and to
// end, or for ctx.
func (s *spell) watch(ctx context.Context, dir, text string, size int64) error {
	// Written outside the pod logs directory, and moved in when it is complete: on the
	// same file system, since both are below the temporary directory.
	made := text + ".huge"
	if err := repeat(made, text, size); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, newerName), nil, 0o640); err != nil {
		return err
	}
	if err := os.Rename(made, filepath.Join(dir, hugeName)); err != nil {
		return err
	}
	now := time.Now()
	s.from, s.to = now, now
	begun := func() bool { return exists(filepath.Join(dir, hugeName+".tmp")) }
	for !begun() && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	s.from = time.Now()
	for exists(filepath.Join(dir, hugeName)) && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	s.to = time.Now()
	return nil
}

// repeat writes a file again and again until there are size bytes.
func repeat(to, from string, size int64) error {
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	for n := int64(0); n < size && err == nil; {
		var src *os.File
		if src, err = os.Open(from); err == nil {
			var copied int64
			copied, err = io.Copy(dst, src)
			n += copied
			err = errors.Join(err, src.Close())
		}
	}
	return errors.Join(err, dst.Close())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
