package agent

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/telemetry"
)

// Status describes the daemon and the running containers that fit, for those who
// ask through the control socket. It costs a listing for each of those.
func (s *stats) Status(ctx context.Context, which control.Names, detail bool) control.Status {
	d := s.d.Load()
	if d == nil {
		return control.Status{
			Node:       control.Node{Version: s.version, PID: os.Getpid(), Started: s.started, Waiting: errStarting.Error()},
			Containers: []control.Container{},
		}
	}
	out := control.Status{Node: s.node(ctx, d), Containers: []control.Container{}}
	for _, c := range d.running(which) {
		if ctx.Err() != nil {
			break // whoever asked has gone
		}
		out.Containers = append(out.Containers, s.container(d, c, detail))
	}
	return out
}

// running are the running containers that fit, sorted.
func (d *Daemon) running(which control.Names) []cri.Container {
	all := slices.DeleteFunc(d.inventory.Running(), func(c cri.Container) bool { return !which.Fits(namesOf(c)) })
	slices.SortFunc(all, func(a, b cri.Container) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func namesOf(c cri.Container) control.Names {
	return control.Names{Namespace: c.Namespace, Pod: c.Pod, Container: c.Name}
}

func (s *stats) node(ctx context.Context, d *Daemon) control.Node {
	st := s.state()
	n := control.Node{
		Version: s.version, PID: os.Getpid(), Started: s.started, PodLogsDir: d.cfg.PodLogsDir,
		Runtime: control.Runtime{Endpoint: d.endpoint, Reachable: st.RuntimeReachable},
		Hot:     st.Hot, Cold: st.Cold, Backlog: control.Backlog{Files: st.BacklogFiles, Bytes: st.BacklogBytes},
		Rotations: d.counts.rotations.Load(), Failures: d.counts.failures.Load(), Refused: st.Refused, Rejects: st.Rejects,
		Overflows: st.Overflows, WatchErrors: st.WatchErrors,
		LastSweep: st.LastSweep, Config: control.Config{File: s.file, Loaded: st.Loaded},
	}
	if st.Budget > 0 {
		n.Budget = &control.Budget{Limit: st.Budget, Usage: st.Usage}
	}
	for _, p := range st.Pools {
		n.Pools = append(n.Pools, control.Pool{Name: p.Name, Queued: p.Queued, Running: p.Running, Workers: p.Limit})
	}
	if err := s.healthy(ctx); err != nil {
		n.Unhealthy = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.SweepSeconds = s.took.Seconds()
	if s.asked != nil {
		n.Runtime.Error = s.asked.Error()
	}
	if s.reload != nil {
		n.Config.Error, n.Config.Failed = s.reload.Error(), s.reloaded
	}
	return n
}

// container describes one.
func (s *stats) container(d *Daemon, c cri.Container, detail bool) control.Container {
	out := control.Container{Names: namesOf(c), ID: c.ID}
	dir, log, err := podlogs.SplitPath(d.cfg.PodLogsDir, c.LogPath)
	if err != nil {
		out.Refused = err.Error()
		return out
	}
	out.Dir, out.Log = dir, log
	p := d.effective(dir)
	out.Limit, out.MaxTotal, out.MaxFiles = p.MaxSize, p.MaxTotalSize, p.MaxFiles
	if detail {
		for _, f := range p.Fields() {
			out.Policy = append(out.Policy, control.Field{Name: f.Name, Value: f.Value, Source: f.Source})
		}
	}
	for _, r := range p.Rejected {
		out.Rejects = append(out.Rejects, control.Reject{Annotation: r.Annotation, Value: r.Value, Reason: r.Reason})
	}
	out.Hot = d.watcher.IsHot(dir)
	files, _ := podlogs.ListDir(d.fs, dir, maxFiles) // what cannot be listed is in LastError
	out.Size, out.Total, out.Files = sizes(files, log)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.dirs[dir]; e != nil {
		out.Written, out.Rate, out.Rotations, out.LastRotation = e.written, e.rate, e.rotations, e.last
		out.LastError = cmp.Or(e.rotating, e.tidying)
	}
	return out
}

// sizes are those of a directory's logs. Unfinished temps take room, and are no
// logs.
func sizes(files []podlogs.File, log string) (live, total int64, count int) {
	for _, f := range files {
		if !f.Regular {
			continue
		}
		total += f.Size
		if f.Kind != podlogs.Temp {
			count++
		}
		if f.Kind == podlogs.Live && f.Base == log {
			live = f.Size
		}
	}
	return live, total, count
}

// containers are for the metrics of each container.
func (s *stats) containers() (all []telemetry.Container) {
	d := s.d.Load()
	if d == nil {
		return nil
	}
	for _, c := range d.running(control.Names{}) {
		dir, log, err := podlogs.SplitPath(d.cfg.PodLogsDir, c.LogPath)
		if err != nil {
			continue
		}
		files, _ := podlogs.ListDir(d.fs, dir, maxFiles) // what cannot be listed has no numbers
		m := telemetry.Container{Namespace: c.Namespace, Pod: c.Pod, Container: c.Name}
		m.Live, m.Total, m.Files = sizes(files, log)
		if at := s.oldestLine(d, dir, files); !at.IsZero() {
			m.Retention = max(0, time.Since(at))
		}
		s.mu.Lock()
		if e := s.dirs[dir]; e != nil {
			m.Written, m.Rotations = e.written, e.rotations
		}
		s.mu.Unlock()
		all = append(all, m)
	}
	return all
}

// oldestLine is the time of the first line that is kept; zero if nobody can tell.
// A file is read once for it.
func (s *stats) oldestLine(d *Daemon, dir string, files []podlogs.File) time.Time {
	i := slices.IndexFunc(files, func(f podlogs.File) bool { return f.Regular && f.Kind != podlogs.Temp })
	if i < 0 {
		return time.Time{}
	}
	oldest := files[i]
	s.mu.Lock()
	e := s.dirLocked(dir)
	// A generation keeps its first line whatever it is compressed to; a live log
	// does so until it is rotated.
	key := oldest.Base + oldest.Stamp.String()
	if oldest.Kind == podlogs.Live {
		key = fmt.Sprintf("%s %d", oldest.Base, e.rotations)
	}
	known, at := e.oldest == key && !e.oldestAt.IsZero(), e.oldestAt
	s.mu.Unlock()
	if known {
		return at
	}
	at, _ = d.readFirst(dir, oldest.Name.String()) // empty or damaged: read again
	s.mu.Lock()
	defer s.mu.Unlock()
	e.oldest, e.oldestAt = key, at
	return at
}
