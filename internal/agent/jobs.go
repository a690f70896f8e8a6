package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

const (
	// unknownPause is the least time between two questions to the runtime about
	// one log that it had not named: a foreign file that looks like a log and
	// grows must not become a flood of RPCs, nor must unknownAtOnce of them. A
	// new container's log is asked about at once.
	unknownPause  = time.Second
	unknownAtOnce = 64
	// hangPause gives a runtime that hangs the time to do what it was asked: on
	// CRI-O a second reopen behind the first truncates the fresh log. A runtime
	// that is gone has nothing pending; it is asked again after awayPause.
	hangPause = 10 * time.Second
	awayPause = time.Second
	// refusedPause is for a runtime that does not reopen logs at all.
	refusedPause = 10 * time.Minute
	// rotatingPause is far more than a rotation takes while the runtime is well.
	rotatingPause = 100 * time.Millisecond
)

// due is the one entrance: whatever the cause, a rotation starts here. After a
// failure the watcher's reports wait for the retry.
func (d *Daemon) due(due watcher.Due) {
	if _, waits := d.retries.Load(due.Dir); waits && due.Cause != watcher.CauseOperator {
		return
	}
	d.stats.found(due)
	d.rotations.Submit(due.Dir, d.stats.Timed(telemetry.PoolRotations, func(ctx context.Context) { d.attempt(ctx, due) }))
}

// retryLater repeats a failed rotation after a pause.
func (d *Daemon) retryLater(due watcher.Due, after time.Duration) {
	d.retries.Store(due.Dir, nil)
	time.AfterFunc(after, func() {
		d.retries.Delete(due.Dir)
		due.Cause, due.Growing = watcher.CauseRetry, false
		d.due(due)
	})
}

// rotate is the rotation job, and returns after what pause to try again; 0: not
// at all. It runs once at a time for a directory.
func (d *Daemon) rotate(ctx context.Context, due watcher.Due) (retry time.Duration) {
	c, err := d.container(ctx, d.cfg.PodLogsDir+"/"+due.Dir+"/"+due.Log, due.Growing)
	d.stats.lookup(ctx, due, err)
	switch {
	case ctx.Err() != nil: // stopping
		return 0
	case errors.Is(err, cri.ErrNotRunning):
		return 0
	case err != nil:
		d.told.once("lookup", func() {
			d.log.Warn().Err(err).Str("dir", due.Dir).Msg("a log is due, but the runtime does not say whose it is; trying again")
		})
		return unknownPause
	}
	d.told.solved("lookup")
	minSize := due.Limit
	if minSize <= 0 { // rotation is off; a missing live log is still mended
		minSize = math.MaxInt64
	}
	d.rotating.Store(due.Dir, nil)
	done, err := d.rotator.Rotate(ctx, rotator.Request{Dir: due.Dir, Log: due.Log, ContainerID: c.ID, MinSize: minSize})
	d.rotating.Delete(due.Dir)
	if done.To != "" {
		d.tidy(due.Dir)
		d.pressure.rotated(due, done.Size)
	}
	if err != nil {
		return d.failed(c, due, err)
	}
	d.told.solved("rotate " + c.ID)
	d.report(c, due, done)
	return 0
}

// report logs a rotation that was done.
func (d *Daemon) report(c cri.Container, due watcher.Due, done rotator.Rotation) {
	d.stats.rotated(c, due, done, d.limits(due.Dir).MinInterval)
	ev := named(d.log.Info(), c).Str("cause", string(due.Cause)).Dur("duration_ms", done.Took)
	if done.To == "" {
		ev.Msg("reopened a live log that was missing")
		return
	}
	r := Rotated{Container: c, Due: due, Rotation: done, Overshoot: done.Size - due.Limit}
	d.counts.rotations.Add(1)
	ev.Int64("size", done.Size).Int64("overshoot", r.Overshoot).Str("to", done.To).Msg("rotated")
	d.onRotated(r)
}

// failed says what follows from a rotation's error. The same container's
// lasting error is logged once.
func (d *Daemon) failed(c cri.Container, due watcher.Due, err error) (retry time.Duration) {
	d.stats.failed(due, err)
	tell := func(msg string) {
		d.counts.failures.Add(1)
		d.told.once("rotate "+c.ID, func() {
			named(d.log.Warn(), c).Err(err).Str("cause", string(due.Cause)).Msg(msg)
		})
	}
	switch {
	case errors.Is(err, rotator.ErrNotDue), errors.Is(err, context.Canceled):
		return 0
	case errors.Is(err, rotator.ErrNotRunning), errors.Is(err, fs.ErrNotExist):
		return 0
	case errors.Is(err, podlogs.ErrNotRegular):
		d.refuse(c, err)
		return 0
	case errors.Is(err, rotator.ErrRefused):
		tell("the runtime does not reopen this container's log; it keeps its name and grows. Trying again every 10 minutes")
		return refusedPause
	case errors.Is(err, rotator.ErrUnanswered):
		tell("renamed a log, but the runtime has not reopened it yet; no line is lost, it writes on into the renamed file. Trying again")
		if errors.Is(err, context.DeadlineExceeded) {
			return hangPause
		}
		return awayPause
	default:
		tell("a log was not rotated; trying again")
		return awayPause
	}
}

// container returns the running container that writes the log at path, as the
// runtime says now. ErrNotRunning: there is none. A log that is growing proves
// itself that its container runs; the runtime, which may be busy, is not asked
// then about one that it is known to have.
func (d *Daemon) container(ctx context.Context, path string, growing bool) (cri.Container, error) {
	c, ok := d.inventory.ByLogPath(path)
	if !ok {
		if err := d.refreshFor(ctx, path); err != nil {
			return c, err
		}
		if c, ok = d.inventory.ByLogPath(path); !ok {
			return c, fmt.Errorf("%s: %w", path, cri.ErrNotRunning)
		}
	}
	if !c.Running {
		return c, cri.ErrNotRunning
	}
	if growing {
		return c, nil
	}
	// The inventory is up to a sweep old. An exited container's log is not
	// renamed: kubectl logs --previous reads it.
	now, err := d.inventory.Lookup(ctx, c.ID)
	switch {
	case err != nil:
		return c, err
	case !now.Running:
		return c, cri.ErrNotRunning
	case now.LogPath != path:
		return c, fmt.Errorf("container %s: its log path is %q now, and was %q", c.ID, now.LogPath, path)
	}
	return c, nil
}

var errAskedJustNow = errors.New("the runtime was asked about it a moment ago")

// refreshFor refreshes the inventory for the sake of a log that it does not
// know, unless that was done a moment ago.
func (d *Daemon) refreshFor(ctx context.Context, path string) error {
	d.mu.Lock()
	now := time.Now()
	for p, at := range d.asked {
		if now.Sub(at) >= unknownPause {
			delete(d.asked, p)
		}
	}
	_, early := d.asked[path]
	early = early || len(d.asked) >= unknownAtOnce
	if !early {
		d.asked[path] = now
	}
	d.mu.Unlock()
	if early {
		return errAskedJustNow
	}
	return d.inventory.Refresh(ctx)
}

// tidy has a container's rotated logs brought within the policy.
func (d *Daemon) tidy(dir string) {
	d.housekeeping.Submit(dir, d.stats.Timed(telemetry.PoolHousekeeping, func(ctx context.Context) { d.pressure.job(ctx, dir, d.housekeep) }))
}

// housekeep is the housekeeping job. It runs once at a time for a directory.
func (d *Daemon) housekeep(ctx context.Context, dir string) {
	if !d.reachable.Load() {
		d.tidyLater(dir, d.cfg.ContainerLogMonitorInterval.Duration)
		return
	}
	if _, rotating := d.rotating.Load(dir); rotating {
		// Between rename and reopen there is a rotated log too many, which gets its
		// name back if its container has just exited.
		d.tidyLater(dir, rotatingPause)
		return
	}
	d.cleanRemoved(ctx, dir)
	rep, err := d.rotator.Housekeep(ctx, dir, d.policy(dir))
	d.stats.housekept(d, dir, rep, err)
	for _, s := range rep.Done {
		ev := d.log.Debug()
		if s.Forced {
			ev = d.log.Warn()
		}
		ev.Str("dir", dir).Str("file", s.Name.String()).Str("action", s.Action.String()).
			Str("reason", string(s.Reason)).Int64("size", s.Size).Bool("withinGrace", s.Forced).Msg("housekeeping")
	}
	switch {
	case ctx.Err() != nil:
		return
	case rep.NoSpace:
		d.told.once("space", func() {
			d.log.Warn().Err(err).Msg("no space left to compress in; rotating and pruning go on")
		})
	case err != nil:
		d.told.once("tidy "+dir, func() {
			d.log.Warn().Err(err).Str("dir", dir).Msg("housekeeping failed for some files; trying again")
		})
	default:
		d.told.solved("space")
		d.told.solved("tidy " + dir)
	}
	if rep.Again > 0 {
		d.tidyLater(dir, rep.Again)
	}
}

// tidyLater has housekeeping done after a time. Stop makes Submit do nothing,
// so that a timer that fires late does no harm.
func (d *Daemon) tidyLater(dir string, after time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.later[dir]; t != nil {
		t.Stop()
	}
	d.later[dir] = time.AfterFunc(after, func() {
		d.mu.Lock()
		delete(d.later, dir)
		d.mu.Unlock()
		d.tidy(dir)
	})
}

func named(ev *zerolog.Event, c cri.Container) *zerolog.Event {
	return ev.Str("namespace", c.Namespace).Str("pod", c.Pod).Str("container", c.Name)
}

// sizeOf is a file's size in bytes; 0 if nobody can tell, and false only if it is
// not there.
func sizeOf(path string) (int64, bool) {
	st, err := os.Lstat(path)
	if err != nil {
		return 0, !errors.Is(err, fs.ErrNotExist)
	}
	return st.Size(), true
}
