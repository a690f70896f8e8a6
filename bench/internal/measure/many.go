package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
)

// sweepEvery is the default interval of both logwatch and kubelet.
const sweepEvery = 10 * time.Second

// crowd starts the embedded runtime with a number of silent containers.
func (e *Env) crowd(ctx context.Context, containers int) (*node.Embedded, error) {
	n, err := node.StartEmbedded(node.Containerd)
	if err != nil {
		return nil, err
	}
	for i := range containers {
		if _, err := n.Run(ctx, node.Load{Name: fmt.Sprintf("some-deployment-5d4f8c7b9-%05d", i)}); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

func growth(ctx context.Context, e *Env, m *report.Measure) error {
	const rate, batch = 5 * mb, 6
	d := pick(e, 20*time.Second, 4*time.Second)
	m.How = fmt.Sprintf("embedded runtime, limit 10 MiB, nothing reaches it; %.0f MB in writes of about 1 kB, to each container in turn, over %v",
		rate*d.Seconds()/mb, d)
	m.Columns = []report.Column{
		{Key: "containers", Title: "containers", Scale: 1},
		{Key: "startup", Title: "start-up to fully watching ms", Scale: 1e-3},
		{Key: "cpu", Title: "CPU s", Scale: 1, Digits: 3},
		{Key: "cpuPer", Title: "CPU ms per container", Scale: 1e-3, Digits: 3},
		{Key: "share", Title: "CPU % of a core", Scale: 1, Digits: 2},
		{Key: "peakRSS", Title: "peak RSS MB", Scale: mb, Digits: 1},
		{Key: "rpcs", Title: "RPCs", Scale: 1},
	}
	names := pick(e, e.subjects(subject.Logwatch, subject.Kubelet), e.subjects(subject.Logwatch))
	for _, name := range names {
		for _, containers := range []int{10, 100, 1000, 5000} {
			e.Log("%s: %s, %d containers", m.Name, name, containers)
			row := m.Row(fmt.Sprintf("%s, %d", name, containers))
			if err := e.grow(ctx, row, name, containers, node.Spreading{Rate: rate, Batch: batch, For: d}); err != nil {
				return fmt.Errorf("%s: %w", row.Name, err)
			}
			e.Log("  %s", m.Brief(row))
		}
	}
	check(m, "RSS at 1000", "logwatch, 1000", "peakRSS", 40, mb, "%.1f MB")
	check(m, "RSS at 5000", "logwatch, 5000", "peakRSS", 90, mb, "%.1f MB")
	check(m, "start-up to fully watching 5000", "logwatch, 5000", "startup", 2, 1, "%.2f s")
	few, ok := m.Get("logwatch, 100", "cpuPer")
	many, ok2 := m.Get("logwatch, 5000", "cpuPer")
	if ok && ok2 {
		m.Checks = append(m.Checks, report.Check{
			What: "CPU per container flat: at 5000 against 100", Limit: "≤ 1.5 ×",
			Got: fmt.Sprintf("%.3f ms against %.3f ms", many*1e3, few*1e3), Reached: many <= 1.5*few, Value: many / max(few, 1e-9),
		})
	}
	return nil
}

func (e *Env) grow(ctx context.Context, row *report.Row, name string, containers int, p node.Spreading) (err error) {
	n, err := e.crowd(ctx, containers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	sub, err := e.Tools.Start(ctx, name, e.scratch("subject"), n.Endpoint(), n.PodLogsDir(), usual)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sub.Stop()) }()
	before := sub.CPU()
	began := time.Now()
	if _, err := n.Spread(p); err != nil {
		return err
	}
	used, took := (sub.CPU() - before).Seconds(), time.Since(began).Seconds()
	calls, err := n.Calls()
	if err != nil {
		return err
	}
	rpcs := 0
	for _, c := range calls {
		rpcs += c
	}
	row.Set("containers", float64(containers))
	if name == subject.Logwatch {
		row.Set("startup", sub.Startup().Seconds())
	}
	row.Set("cpu", used)
	row.Set("cpuPer", used/float64(containers))
	row.Set("share", 100*used/took)
	row.Set("peakRSS", float64(sub.PeakRSS()))
	row.Set("rpcs", float64(rpcs))
	return nil
}

func idle(ctx context.Context, e *Env, m *report.Measure) error {
	const containers = 1000
	d := pick(e, time.Minute, sweepEvery)
	m.How = fmt.Sprintf("embedded runtime, %d containers that write nothing (one row: 250), %v", containers, d)
	m.Columns = []report.Column{
		{Key: "share", Title: "CPU % of a core", Scale: 1, Digits: 3},
		{Key: "perSweep", Title: "RPCs a sweep", Scale: 1, Digits: 1},
		{Key: "rss", Title: "RSS MB", Scale: mb, Digits: 1},
	}
	m.Ratio, m.Base = "share", subject.Logwatch
	names := pick(e, []string{subject.Logwatch, subject.Kubelet, subject.Logrotate}, []string{subject.Logwatch, subject.Kubelet})
	for _, name := range e.subjects(names...) {
		e.Log("%s: %s", m.Name, name)
		row := m.Row(name)
		err := e.idle(ctx, row, name, containers, d)
		switch {
		case errors.Is(err, subject.ErrLeftOut):
			row.LeftOut = err.Error()
		case err != nil:
			return err
		}
		e.Log("  %s", m.Brief(row))
	}
	if slices.Contains(e.Subjects, subject.Logwatch) {
		row := m.Row("logwatch, 250")
		if err := e.idle(ctx, row, subject.Logwatch, 250, d); err != nil {
			return err
		}
		e.Log("  %s", m.Brief(row))
	}
	check(m, "CPU of a core", subject.Logwatch, "share", 0.2, 1, "%.3f%%")
	check(m, "RSS at 250", "logwatch, 250", "rss", 30, mb, "%.1f MB")
	check(m, "RPCs a sweep", subject.Logwatch, "perSweep", 1, 1, "%.1f")
	return nil
}

func (e *Env) idle(ctx context.Context, row *report.Row, name string, containers int, d time.Duration) (err error) {
	n, err := e.crowd(ctx, containers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	sub, err := e.Tools.Start(ctx, name, e.scratch("subject"), n.Endpoint(), n.PodLogsDir(), usual)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sub.Stop()) }()
	// Past the first sweep, in the middle between two.
	time.Sleep(sweepEvery / 2)
	callsBefore, err := n.Calls()
	if err != nil {
		return err
	}
	before := sub.CPU()
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	row.Set("share", 100*(sub.CPU()-before).Seconds()/d.Seconds())
	calls, err := n.Calls()
	if err != nil {
		return err
	}
	rpcs := 0
	for method, c := range calls {
		rpcs += c - callsBefore[method]
	}
	row.Set("rpcs", float64(rpcs))
	if name != subject.Logrotate { // it does not call the runtime
		row.Set("perSweep", float64(rpcs)/(d.Seconds()/sweepEvery.Seconds()))
		row.Set("rss", float64(sub.RSS()))
	}
	return nil
}
