package agent

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/dispatch"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/telemetry"
)

// Status is the snapshot that status, top, the page and doctor show. It costs a
// listing for each container that matches.
func (a *agent) Status(ctx context.Context, which api.Names, detail bool) api.Status {
	out := api.Status{Containers: []api.Container{}}
	if err := a.waiting(); err != nil {
		out.Node = api.Node{Version: a.o.Version, PID: os.Getpid(), Started: a.progress.started, Waiting: err.Error()}
		return out
	}
	p := a.parts.Load()
	out.Node = a.node(ctx, p)
	for _, c := range p.running(which) {
		if ctx.Err() != nil {
			break // the client has disconnected
		}
		out.Containers = append(out.Containers, p.describe(c, detail))
	}
	return out
}

// running are the running containers that match, sorted.
func (p *parts) running(which api.Names) []cri.Container {
	all := slices.DeleteFunc(p.inventory.Running(), func(c cri.Container) bool { return !which.Matches(namesOf(c)) })
	slices.SortFunc(all, func(a, b cri.Container) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func namesOf(c cri.Container) api.Names {
	return api.Names{Namespace: c.Namespace, Pod: c.Pod, Container: c.Name}
}

// node describes the agent as a whole.
func (a *agent) node(ctx context.Context, p *parts) api.Node {
	w, t := p.watcher.Stats(), p.dispatcher.Totals()
	budget, usage := p.pressure.Usage()
	n := api.Node{
		Version: a.o.Version, PID: os.Getpid(), PodLogsDir: p.cfg.PodLogsDir,
		Runtime: api.Runtime{Endpoint: p.endpoint},
		Polled:  w.Hot, Watched: max(0, w.Tracked-w.Hot), Backlog: api.Backlog(t.Backlog),
		Rotations: t.Rotations, Failures: t.Failures, Skipped: uint64(t.Skipped), Rejected: t.Rejected, Renamed: uint64(t.Fallbacks),
		Overflows: w.Overflows, WatchErrors: w.WatchErrors,
		Config: api.Config{File: a.o.Reload.File},
	}
	if budget > 0 {
		n.Budget = &api.Budget{Limit: budget, Usage: usage}
	}
	r := p.readers.Stats()
	n.Readers, n.ReadersUnseen, n.ReadersExact = []api.Reader{}, r.Unreadable, r.Exact
	for _, r := range r.Readers {
		n.Readers = append(n.Readers, api.Reader{PID: r.PID, Command: r.Command, Exited: r.Dead, Containers: r.Containers, Lag: r.LagBytes, Since: r.Since})
	}
	n.Unread.Limit, n.Unread.Usage = p.dispatcher.UnreadBudget()
	for _, q := range p.dispatcher.Pools() {
		n.Pools = append(n.Pools, api.Pool{Name: q.Name, Queued: q.Queued, Running: q.Running, Workers: q.Workers})
	}
	if err := a.healthy(ctx); err != nil {
		n.Unhealthy = err.Error()
	}
	s := &a.progress
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Started, n.LastSweep, n.SweepSeconds, n.Config.Loaded = s.started, s.swept, s.took.Seconds(), s.loaded
	if n.Runtime.Reachable = s.lastListErr == nil; !n.Runtime.Reachable {
		n.Runtime.Error = s.lastListErr.Error()
	}
	if s.reloadErr != nil {
		n.Config.Error, n.Config.Failed = s.reloadErr.Error(), s.reloaded
	}
	return n
}

// describe describes one container.
func (p *parts) describe(c cri.Container, detail bool) api.Container {
	out := api.Container{Names: namesOf(c), ID: c.ID, Lag: -1}
	if why := p.dispatcher.WhySkipped(c); why != nil {
		out.Skipped = why.Error()
		return out
	}
	dir, log, err := podlogs.SplitPath(p.cfg.PodLogsDir, c.LogPath)
	if err != nil { // being looked up
		return out
	}
	s := p.dispatcher.Describe(dir, log, false)
	out.Dir, out.Log, out.Polled = dir, log, p.watcher.IsHot(dir)
	out.Limit, out.MaxTotal, out.MaxFiles = s.Policy.MaxSize, s.Policy.MaxTotalSize, s.Policy.MaxFiles
	out.Fallback = s.Fallback
	out.Size, out.Total, out.Files = s.Size, s.Total, s.Files
	out.Written, out.Rate, out.Rotations = s.Written, s.Rate, s.Rotations
	if detail {
		for _, f := range s.Policy.Fields() {
			out.Policy = append(out.Policy, api.Field{Name: f.Name, Value: f.Value, Source: f.Source})
		}
	}
	for _, r := range s.Policy.Rejected {
		out.Rejected = append(out.Rejected, api.RejectedAnnotation{Annotation: r.Annotation, Value: r.Value, Reason: r.Reason})
	}
	if r := s.Last; r != nil {
		out.LastRotation = &api.Rotation{
			Time: r.Time, Cause: string(r.Due.Cause), To: r.To, Size: r.FinalSize, Overshoot: r.Overshoot(), Seconds: r.Took.Seconds(),
		}
	}
	if w := s.Waiting; w != nil {
		out.Waiting = &api.Waiting{PID: w.PID, Command: w.Command, Since: w.Since, Unread: w.Unread}
	}
	out.Lag = s.Lag
	if s.Problem != nil {
		out.LastError = &api.Problem{Time: s.Problem.Time, Text: s.Problem.Text}
	}
	return out
}

// Rotate rotates the logs of the running containers that match, whatever their
// sizes; empty ones are left.
func (a *agent) Rotate(ctx context.Context, which api.Names) (<-chan api.Result, int, error) {
	if err := a.waiting(); err != nil {
		return nil, 0, err
	}
	p := a.parts.Load()
	err := p.inventory.Refresh(ctx) // for a container that is new
	if err == nil {
		p.dispatcher.Listed()
	}
	all := p.running(which)
	p.resolve(ctx, all)
	if err != nil && len(all) == 0 {
		return nil, 0, fmt.Errorf("the container runtime is unreachable, so the running containers are unknown: %w", err)
	}
	out := make(chan api.Result, len(all))
	for _, c := range all {
		p.dispatcher.RotateNow(c, func(r dispatch.Answer) {
			res := api.Result{Names: namesOf(c), Result: r.Result, To: r.To, Size: r.Size, Seconds: r.Took.Seconds()}
			if r.Err != nil && r.Result == dispatch.AnswerFailed {
				res.Error = r.Err.Error()
			}
			out <- res
		})
	}
	return out, len(all), nil
}

// maxConcurrent bounds the calls to the runtime for one request.
const maxConcurrent = 8

// resolve looks up the log paths of containers that have just been listed. One that
// cannot be looked up stays unchanged.
func (p *parts) resolve(ctx context.Context, all []cri.Container) {
	var g errgroup.Group
	g.SetLimit(maxConcurrent)
	for i, c := range all {
		if c.Resolved {
			continue
		}
		g.Go(func() error {
			if now, err := p.inventory.Resolve(ctx, c.ID); err == nil {
				all[i] = now
			}
			return nil
		})
	}
	_ = g.Wait() // no function fails
}

// state is for the node's metrics.
func (a *agent) state() telemetry.State {
	p := a.parts.Load()
	if p == nil {
		return telemetry.State{Loaded: a.progress.started}
	}
	w, t := p.watcher.Stats(), p.dispatcher.Totals()
	st := telemetry.State{
		Events: w.Events, Checks: w.Checks, Overflows: w.Overflows, WatchErrors: w.WatchErrors, Sweeps: w.Sweeps,
		Hot: w.Hot, Cold: max(0, w.Tracked-w.Hot), Skipped: t.Skipped, Waiting: t.Waiting, Rejects: t.Rejected,
		BacklogFiles: t.Backlog.Files, BacklogBytes: t.Backlog.Bytes,
	}
	st.UnreadBudget, st.Borrowed = p.dispatcher.UnreadBudget()
	st.ReaderLag = map[string]int64{}
	for _, r := range p.readers.Stats().Readers {
		st.ReaderLag[r.Command] += r.LagBytes
	}
	for _, q := range p.dispatcher.Pools() {
		st.Pools = append(st.Pools, telemetry.Pool{Name: q.Name, Queued: q.Queued, Running: q.Running, Done: q.Done, Limit: q.Workers})
	}
	st.Budget, st.Usage = p.pressure.Usage()
	a.progress.mu.Lock()
	defer a.progress.mu.Unlock()
	st.RuntimeReachable = a.progress.lastListErr == nil
	st.LastSweep, st.Loaded, st.ReloadFailed = a.progress.swept, a.progress.loaded, a.progress.reloadErr != nil
	return st
}

// containers are for the metrics of each container.
func (a *agent) containers() (all []telemetry.Container) {
	p := a.parts.Load()
	if p == nil {
		return nil
	}
	for _, c := range p.running(api.Names{}) {
		dir, log, err := podlogs.SplitPath(p.cfg.PodLogsDir, c.LogPath)
		if err != nil {
			continue
		}
		s := p.dispatcher.Describe(dir, log, true)
		m := telemetry.Container{
			Namespace: c.Namespace, Pod: c.Pod, Container: c.Name, Live: s.Size, Total: s.Total, Files: s.Files,
			Written: s.Written, Rotations: s.Rotations,
		}
		if !s.OldestLine.IsZero() {
			m.Retention = max(0, time.Since(s.OldestLine))
		}
		all = append(all, m)
	}
	return all
}
