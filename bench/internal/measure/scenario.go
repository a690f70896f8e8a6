package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/observe"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
)

const (
	// donePoll is the interval of checks whether the containers are done.
	donePoll = 250 * time.Millisecond
	// A subject that has used less than idleShare of a core for two windows has
	// nothing left to compress.
	idleWindow = 500 * time.Millisecond
	idleShare  = 0.05
	// maxSettle bounds the wait for that.
	maxSettle = time.Minute
	// overtime is how much longer than planned the containers may take.
	overtime = 5 * time.Minute
)

// scenario is one run of one subject on a fresh runtime.
type scenario struct {
	subject  string
	embedded node.Style // "": the real one, if there is one
	policy   subject.Policy
	loads    []node.Load
	// beside runs in parallel once all containers write.
	beside func(ctx context.Context, n node.Node, cs []node.Container) error
	// linger waits at the end until so many rotations were seen, or so long.
	linger    int
	lingerFor time.Duration
	// aside is the container, by index in loads, that is neither observed nor
	// verified; -1: none.
	aside int
	// hurry does not wait until the subject has nothing left to do.
	hurry bool
}

// outcome is its result.
type outcome struct {
	observe.Result
	Lines
	began    time.Time // of the writing
	writing  time.Duration
	bytes    float64 // logged
	cpu      time.Duration
	peak     int64
	calls    map[string]int
	kind     string
	observed time.Time // when the observation began
	dirs     []string
}

// run runs a scenario. What it started has ended when it returns.
func (e *Env) run(ctx context.Context, s scenario) (out outcome, err error) {
	n, err := e.start(ctx, s.embedded)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	sub, err := e.Tools.Start(ctx, s.subject, e.scratch("subject"), n.Endpoint(), n.PodLogsDir(), s.policy)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, sub.Stop()) }()
	out.kind, out.observed = n.Kind(), time.Now()
	o, err := observe.Start(n.PodLogsDir(), s.policy.MaxSize)
	if err != nil {
		return out, err
	}
	err = e.write(ctx, s, n, o, sub, &out)
	seen, stopErr := o.Stop()
	out.Result = seen
	if err = errors.Join(err, stopErr); err != nil {
		return out, err
	}
	out.peak = sub.PeakRSS()
	if err := sub.Stop(); err != nil {
		return out, fmt.Errorf("%s: %w", s.subject, err)
	}
	written, err := n.Finish(ctx)
	if err != nil {
		return out, err
	}
	if s.aside >= 0 {
		delete(written, out.dirs[s.aside])
	}
	out.Lines, err = count(n.PodLogsDir(), written, s.policy)
	return out, err
}

// write runs the containers and waits for their end, and for what the subject does after
// it.
func (e *Env) write(ctx context.Context, s scenario, n node.Node, o *observe.Observer, sub subject.Running, out *outcome) error {
	before := sub.CPU()
	out.began = time.Now()
	var cs []node.Container
	for i, l := range s.loads {
		c, err := n.Run(ctx, l)
		if err != nil {
			return err
		}
		if i != s.aside {
			if err := o.Watch(c.Dir); err != nil {
				return err
			}
		}
		cs = append(cs, c)
		out.dirs = append(out.dirs, c.Dir)
		out.bytes += float64(l.Lines) * node.RecordBytes
	}
	beside := make(chan error, 1)
	besideCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if s.beside == nil {
			beside <- nil
			return
		}
		beside <- s.beside(besideCtx, n, cs)
	}()
	err := waitDone(ctx, n)
	out.writing = time.Since(out.began)
	for until := time.Now().Add(s.lingerFor); err == nil && o.Count() < s.linger && time.Now().Before(until); {
		time.Sleep(donePoll)
	}
	cancel()
	if err := errors.Join(err, <-beside); err != nil {
		return err
	}
	if !s.hurry {
		settle(ctx, sub)
	}
	out.cpu = sub.CPU() - before
	out.calls, err = n.Calls()
	return err
}

func waitDone(ctx context.Context, n node.Node) error {
	ctx, cancel := context.WithTimeout(ctx, overtime)
	defer cancel()
	for {
		done, err := n.Done(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the containers to write their lines: %w", ctx.Err())
		case <-time.After(donePoll):
		}
	}
}

// settle waits until the subject is idle.
func settle(ctx context.Context, sub subject.Running) {
	until := time.Now().Add(maxSettle)
	for quiet := 0; quiet < 2 && time.Now().Before(until) && ctx.Err() == nil; {
		before := sub.CPU()
		time.Sleep(idleWindow)
		if sub.CPU()-before < time.Duration(idleShare*float64(idleWindow)) {
			quiet++
		} else {
			quiet = 0
		}
	}
}

// each runs a scenario for each subject and passes the outcomes on. The row of a
// subject that is not installed, or fails, has the reason.
func (e *Env) each(ctx context.Context, m *report.Measure, names []string, make func(name string) scenario, take func(*report.Row, outcome)) error {
	for _, name := range names {
		e.Log("%s: %s", m.Name, name)
		row := m.Row(name)
		out, err := e.run(ctx, make(name))
		switch {
		case errors.Is(err, subject.ErrLeftOut):
			row.LeftOut = err.Error()
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			row.LeftOut = "failed: " + err.Error()
			e.Problems = append(e.Problems, fmt.Sprintf("%s, %s: %v", m.Name, name, err))
			continue
		}
		e.fill(m.Name, name, row, out)
		take(row, out)
		e.Log("  %s", m.Brief(row))
	}
	return nil
}

// fill sets the figures of every run: lines, CPU, memory.
func (e *Env) fill(measure, name string, row *report.Row, out outcome) {
	for key, v := range map[string]uint64{
		"written": out.Written, "found": out.Found, "lost": out.Lost, "doubled": out.Doubled, "pruned": out.Lines.Pruned,
		"disordered": out.Disordered, "corrupt": out.Corrupt,
	} {
		row.Set(key, float64(v))
	}
	row.Set("bytes", out.bytes)
	row.Set("splits", float64(out.Splits))
	row.Set("seconds", out.writing.Seconds())
	row.Set("rotations", float64(len(out.Rotations)))
	row.Set("largestLive", float64(out.LargestLive))
	row.Set("largestTotal", float64(out.LargestTotal))
	if name != subject.Nothing {
		row.Set("cpu", out.cpu.Seconds())
		row.Set("cpuPerGB", out.cpu.Seconds()/(out.bytes/gb))
		row.Set("peakRSS", float64(out.peak))
		row.Set("compressedShare", 100*float64(out.Compressed)/out.bytes)
		if out.Compressed > 0 {
			row.Set("cpuPerGBCompressed", out.cpu.Seconds()/(float64(out.Compressed)/gb))
		}
	}
	for method, n := range out.calls {
		row.Set("rpc"+method, float64(n))
	}
	if why := out.Lines.why(); why != "" && !subject.MaySkipLines(name) {
		e.Problems = append(e.Problems, fmt.Sprintf("%s, %s: %s", measure, name, why))
	}
}

// overshoot sets the percentiles of the finished files' sizes over the rotations, in
// percent of the limit.
func overshoot(row *report.Row, rotations []observe.Rotation, limit int64) {
	if len(rotations) == 0 {
		return
	}
	var at, final []float64
	late := 0.
	for _, r := range rotations {
		late += float64(r.Final - r.Size)
		at = append(at, 100*float64(r.Size-limit)/float64(limit))
		final = append(final, 100*float64(r.Final-limit)/float64(limit))
	}
	slices.Sort(at)
	slices.Sort(final)
	row.Set("late", late/float64(len(rotations)))
	row.Set("p50", percentile(final, .5))
	row.Set("p99", percentile(final, .99))
	row.Set("max", final[len(final)-1])
	row.Set("renamedP99", percentile(at, .99))
}
