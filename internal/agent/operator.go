package agent

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/watcher"
)

// asks are the rotations that operators asked for and that have not begun. They
// are noted by directory, and the directory's next job does them, whoever had it
// queued: so the pool's collapsing of jobs loses none.
type asks struct {
	mu      sync.Mutex
	waiting map[string][]ask
}

type ask struct {
	names control.Names
	log   string
	size  int64                 // from which it is rotated
	tell  chan<- control.Result // has room
}

func (a *asks) add(dir string, q ask) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[string][]ask{}
	}
	a.waiting[dir] = append(a.waiting[dir], q)
}

func (a *asks) take(dir string) []ask {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.waiting[dir]
	delete(a.waiting, dir)
	return list
}

// Rotate has the logs of the running containers that fit rotated, whatever their
// sizes; empty ones are left. See control.Daemon.
func (s *stats) Rotate(ctx context.Context, which control.Names) (<-chan control.Result, int, error) {
	d := s.d.Load()
	if d == nil {
		return nil, 0, errStarting
	}
	err := d.inventory.Refresh(ctx) // for a container that is new
	all := d.running(which)
	if err != nil && len(all) == 0 {
		return nil, 0, fmt.Errorf("the container runtime does not answer, so nobody knows what runs: %w", err)
	}
	out := make(chan control.Result, len(all))
	for _, c := range all {
		names := namesOf(c)
		dir, log, err := podlogs.SplitPath(d.cfg.PodLogsDir, c.LogPath)
		if err != nil {
			out <- control.Result{Names: names, Outcome: control.Failed, Error: err.Error()}
			continue
		}
		size, there := sizeOf(c.LogPath)
		switch {
		case there && size == 0:
			out <- control.Result{Names: names, Outcome: control.Empty}
			continue
		case !there:
			size = math.MaxInt64 // to be reopened if it is missing still
		}
		d.asks.add(dir, ask{names, log, size, out})
		d.due(watcher.Due{Dir: dir, Log: log, Cause: watcher.CauseOperator, Size: size, Limit: size})
	}
	return out, len(all), nil
}

// attempt is a rotation job, with what operators asked of its directory.
func (d *Daemon) attempt(ctx context.Context, due watcher.Due) {
	asked := d.asks.take(due.Dir)
	for _, a := range asked {
		if a.log == due.Log && (due.Limit <= 0 || a.size < due.Limit) {
			due.Limit, due.Cause = a.size, watcher.CauseOperator
		}
	}
	retry := d.rotate(ctx, due)
	result, ok := d.stats.result(due.Dir)
	if !ok {
		result = control.Result{Outcome: control.Failed, Error: "the daemon stops"}
	}
	for _, a := range asked {
		r := result
		if a.log != due.Log {
			r = control.Result{Outcome: control.Gone}
		}
		r.Names = a.names
		a.tell <- r
	}
	if retry > 0 {
		d.retryLater(due, retry)
	}
	d.watcher.Check(due.Dir)
}
