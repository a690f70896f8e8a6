package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// want is a rotation that is wanted, whatever and however many the causes.
type want struct {
	watcher.Due // of the strongest cause
	operators   []operator
	// at is when it was found due; zero once it has waited for more than its turn.
	at time.Time
	// missed are the commands of the log readers that have not opened the log.
	missed []string
}

// operator is a rotation that an operator asked for.
type operator struct {
	log    string
	answer func(Answer)
}

// merge adds another cause to what is wanted. Of two live logs, which two restarts of
// the container have, the one that a running container writes counts: the next sweep
// finds the other one again if it is due.
func (w *want) merge(due watcher.Due, runs func(log string) bool) {
	if w.Log != due.Log {
		if runs(due.Log) || !runs(w.Log) {
			w.Due = due
		}
		return
	}
	if due.Limit < w.Limit {
		w.Limit, w.Lead = due.Limit, due.Lead
	}
	w.Target = min(w.Target, due.Target)
	w.Size = max(w.Size, due.Size)
	w.Growing = w.Growing || due.Growing
	now, _ := rank(w.Cause)
	if more, _ := rank(due.Cause); more > now {
		w.Cause = due.Cause
	}
}

// Due requests a rotation. It is the one entrance, whatever the cause; the log is
// rotated if it still has due.Limit bytes when its turn comes.
func (d *Dispatcher) Due(due watcher.Due) { d.request(due, nil) }

func (d *Dispatcher) request(due watcher.Due, more func(*want)) {
	if due.Limit <= 0 { // rotation is off; a missing live log is still reopened
		due.Limit = math.MaxInt64
	}
	d.with(due.Dir, func(c *container) {
		if due.Rate > 0 {
			c.rate, c.rateAt = due.Rate, time.Now()
		}
		if c.want == nil {
			c.want = &want{Due: due, at: time.Now()}
			if bySweep(due.Cause) {
				d.o.Metrics.SweepFinds.Inc()
			}
		} else {
			c.want.merge(due, func(log string) bool {
				writer, ok := d.o.Inventory.ByLogPath(d.o.PodLogsDir + "/" + due.Dir + "/" + log)
				return ok && writer.Running
			})
		}
		if more != nil {
			more(c.want)
		}
	})
	d.rotations.Add(due.Dir)
}

// Restore requests that an exited container's log gets its name back, if a
// rotation that was never completed took it. kubectl logs --previous needs it.
func (d *Dispatcher) Restore(dir, log string) {
	d.with(dir, func(c *container) {
		if !slices.Contains(c.restores, log) {
			c.restores = append(c.restores, log)
		}
	})
	d.rotations.Add(dir)
}

// rotate is the run of the rotate queue.
func (d *Dispatcher) rotate(ctx context.Context, dir string) {
	w, restores := d.begin(dir)
	for _, log := range restores {
		d.restore(ctx, dir, log)
	}
	if w == nil {
		d.with(dir, func(c *container) { c.rotating = time.Time{} })
		return
	}
	if d.awaitReaders(dir, w) {
		return
	}
	c, done, err := d.attempt(ctx, *w)
	d.finish(ctx, *w, c, done, err)
}

// pruneTurn is how long a rotation waits for a directory's pruning, which waits for
// rotations in its turn. A fast log's follow each other at once, and what one is going
// to write must have room first.
const pruneTurn = 10 * time.Millisecond

// pruneInTurn is the run of the prune queue. A rotation that waits for it follows.
func (d *Dispatcher) pruneInTurn(ctx context.Context, dir string) {
	d.prune(ctx, dir)
	waits := false
	d.with(dir, func(c *container) { waits = c.yielded })
	if waits {
		d.rotations.Add(dir)
	}
}

// begin takes what is wanted, if it may be done now. If not, the key is added
// again when it may.
func (d *Dispatcher) begin(dir string) (w *want, restores []string) {
	inode := d.inodeInBackoff(dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.containerLocked(dir)
	if restores, c.restores = c.restores, nil; len(restores) > 0 {
		c.rotating = time.Now()
	}
	if w = c.want; w == nil {
		return nil, restores
	}
	now := time.Now()
	if !c.yielded && (c.unpruned || c.blocked || c.pruning != nil || !c.deferred.IsZero()) {
		c.yielded = true
		d.prunes.Add(dir)
		d.rotations.AddAfter(dir, pruneTurn)
		return nil, restores
	}
	if now.Before(c.notBefore) && (len(w.operators) > 0 || inode != 0 && inode != c.inode) {
		c.failures, c.notBefore = 0, time.Time{} // an operator, or another file: no reason to wait
	}
	// Whatever the cause: the runtime may still carry out the last reopen.
	if writer, ok := d.o.Inventory.ByLogPath(d.o.PodLogsDir + "/" + dir + "/" + w.Log); ok && writer.ID != c.reopenID {
		c.reopenAfter = time.Time{}
	}
	if wait := max(c.notBefore.Sub(now), c.reopenAfter.Sub(now)); wait > 0 {
		w.at = time.Time{}
		d.rotations.AddAfter(dir, wait)
		return nil, restores
	}
	c.want, c.yielded = nil, false
	c.rotating = time.Now()
	return w, restores
}

// inodeInBackoff returns the inode of a live log whose next request is delayed; 0 if
// none is, or it cannot be read. The disk is not touched under the lock.
func (d *Dispatcher) inodeInBackoff(dir string) uint64 {
	log := ""
	d.with(dir, func(c *container) {
		if c.want != nil && time.Now().Before(c.notBefore) {
			log = c.want.Log
		}
	})
	if log == "" {
		return 0
	}
	return inodeOf(d.o.PodLogsDir + "/" + dir + "/" + log)
}

// attempt looks up the container and rotates its log.
func (d *Dispatcher) attempt(ctx context.Context, w want) (cri.Container, rotator.Rotation, error) {
	c, err := d.lookUp(ctx, w)
	if err != nil {
		return c, rotator.Rotation{}, err
	}
	undo, crashed := false, false
	d.with(w.Dir, func(e *container) {
		undo = e.failures >= failuresBeforeUndo
		// The reopen is missing because of a crash of the daemon before this one.
		crashed = w.Cause == watcher.CauseMissing && e.failures == 0 && !e.moved
	})
	done, err := d.rotator.Rotate(ctx, rotator.Request{
		Dir: w.Dir, Log: w.Log, ContainerID: c.ID, MinSize: w.Limit - w.Lead, Hold: d.hold(w), Undo: undo,
		Return: crashed && d.appends(ctx),
	})
	if err == nil && done.To != "" && !w.at.IsZero() && w.Cause == watcher.CauseWrite {
		took := time.Since(w.at) - done.Held
		d.reactions.note(took)
		d.o.Metrics.Reaction.Observe(took.Seconds())
		d.reopens.note(done.Took - done.Moved)
	}
	return c, done, err
}

// appends reports whether the runtime appends to a log that it reopens.
func (d *Dispatcher) appends(ctx context.Context) bool {
	version, err := d.o.Client.Version(ctx)
	return err == nil && strings.HasPrefix(version, "containerd ")
}

const (
	// gapTime is how long a rotation waits for a gap between two writes.
	gapTime = 4 * time.Millisecond
	// maxHold bounds the time for which a rotation is held in all.
	maxHold = 25 * time.Millisecond
)

// hold is how long a log that was found due early is left to grow, with its rotation
// prepared: until its runtime's reopen takes it to its target. Neither another log nor
// pruning waits for that.
func (d *Dispatcher) hold(w want) rotator.Hold {
	waits := d.rotations.Stats().Queued > 0
	d.with(w.Dir, func(c *container) { waits = waits || !c.deferred.IsZero() || len(c.prunes) > 0 })
	if w.Target == 0 || w.at.IsZero() || waits {
		return rotator.Hold{}
	}
	until := w.Target - int64(w.Rate*d.reopens.reaction().High.Seconds())
	return rotator.Hold{Until: until, Gap: until - int64(w.Rate*gapTime.Seconds()), Max: maxHold}
}

// failuresBeforeUndo is after how many failed reopens in a row a log gets its name
// back: for as long the runtime writes on into the renamed file, and the live log
// is empty.
const failuresBeforeUndo = 2

var (
	// errUnknown: the runtime has not reported a container that logs there yet.
	errUnknown = errors.New("the runtime reports no container for this log")
	// errUnidentified: nor has it after several lists.
	errUnidentified = fmt.Errorf("%w after several requests", errUnknown)
)

// lookUp returns the running container that writes the log. A log that is growing
// proves that its container runs; otherwise the runtime is asked: an exited
// container's log is not renamed, since kubectl logs --previous reads it.
func (d *Dispatcher) lookUp(ctx context.Context, w want) (cri.Container, error) {
	path := d.o.PodLogsDir + "/" + w.Dir + "/" + w.Log
	c, ok := d.o.Inventory.ByLogPath(path)
	switch {
	case !d.reachable.Load() || !ok:
		return c, fmt.Errorf("%s: %w", path, d.noteUnknown(w.Dir, true))
	case !c.Running && !c.Exited: // created; it may have been started since it was listed
		_ = d.noteUnknown(w.Dir, true)
		if w.Growing {
			return c, nil
		}
		return c, fmt.Errorf("%s: %w", path, cri.ErrNotRunning)
	case !c.Running:
		return c, fmt.Errorf("%s: %w", path, cri.ErrNotRunning)
	case w.Growing:
		return c, nil
	}
	now, err := d.o.Inventory.Lookup(ctx, c.ID)
	if err != nil {
		return c, err
	}
	if c.Running, c.Exited = now.Running, now.Exited; !c.Running {
		return c, cri.ErrNotRunning
	}
	return c, nil
}

// finish records the result of an attempt, and does what follows from it.
func (d *Dispatcher) finish(ctx context.Context, w want, c cri.Container, done rotator.Rotation, err error) {
	o := outcomeOf(err)
	if o.stopped && c.Exited {
		d.restore(ctx, w.Dir, w.Log)
	}
	retry, inode := time.Duration(0), uint64(0)
	if o.retry > 0 {
		inode = inodeOf(d.o.PodLogsDir + "/" + w.Dir + "/" + w.Log)
	}
	d.with(w.Dir, func(e *container) {
		e.rotating = time.Time{}
		now := time.Now()
		if o.retry == 0 {
			e.failures, e.notBefore = 0, time.Time{}
		} else {
			retry = min(o.retry<<min(e.failures, 10), maxRetry)
			e.failures++
			e.notBefore, e.inode = now.Add(retry), inode
			if e.want == nil {
				again := w.Due
				again.Cause, again.Growing, again.Target = watcher.CauseRetry, false, 0
				e.want = &want{Due: again}
			}
		}
		if o.hangs {
			e.reopenAfter, e.reopenID = now.Add(hangPause), c.ID
		}
		if done.Returned {
			e.returned = now
		}
		if done.To != "" {
			e.provenInode = 0 // the next empty file may get the inode
			e.moved = true
			delete(e.missed, done.Inode) // of a log that had the inode before
		}
		if done.To != "" && len(w.missed) > 0 {
			if e.missed == nil {
				e.missed = map[uint64]missedLog{}
			}
			e.missed[done.Inode] = missedLog{w.missed, now}
		}
	})
	if retry > 0 {
		d.rotations.AddAfter(w.Dir, retry)
	}
	if done.To != "" {
		d.watchReads(w.Dir, w.Log)
	}
	if done.To != "" || done.Reopened || done.Returned {
		defer d.Changed(w.Dir) // once it is reported
		d.o.Check(w.Dir)
	}
	if ctx.Err() != nil && err != nil {
		w.answer(Answer{Result: AnswerFailed, Err: errStopping})
		return
	}
	d.report(w, c, done, o, err)
}

var errStopping = errors.New("the daemon is stopping")

// restore gives an exited container's log its name back, unless a process has the
// live log or the newest rotated log open for writing.
func (d *Dispatcher) restore(ctx context.Context, dir, log string) {
	restored, err := d.rotator.Restore(ctx, dir, log)
	switch {
	case err != nil:
		d.warn.Do("restore "+dir, func() {
			d.log.Warn().Err(err).Str("dir", dir).Str("log", log).Msg("cannot restore the name of an exited container's log; retrying with each sweep")
		})
	case restored:
		d.warn.Clear("restore " + dir)
		d.log.Info().Str("dir", dir).Str("log", log).Msg("restored the name of an exited container's log")
	}
}

// inodeOf returns a file's inode; 0 if it cannot be read.
func inodeOf(path string) uint64 {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

// reopener is the runtime as the rotator needs it.
type reopener struct{ client *cri.Client }

func (r reopener) ReopenContainerLog(ctx context.Context, id string) error {
	err := r.client.ReopenContainerLog(ctx, id)
	switch {
	case errors.Is(err, cri.ErrNotRunning):
		return fmt.Errorf("%w: %w", rotator.ErrNotRunning, err)
	case errors.Is(err, cri.ErrUnanswered), errors.Is(err, cri.ErrNotSent):
		return fmt.Errorf("%w: %w", rotator.ErrUnanswered, err)
	default:
		return err
	}
}

// RotateNow rotates a running container's log whatever its size, unless it is
// empty. answer is called once, from a worker or before RotateNow returns.
func (d *Dispatcher) RotateNow(c cri.Container, answer func(Answer)) {
	if why := d.WhySkipped(c); why != nil {
		answer(Answer{Result: AnswerFailed, Err: why})
		return
	}
	dir, log, err := podlogs.SplitPath(d.o.PodLogsDir, c.LogPath)
	if err != nil {
		answer(Answer{Result: AnswerFailed, Err: fmt.Errorf("the log path is being looked up: try again in a moment (%w)", err)})
		return
	}
	size := int64(0)
	st, err := os.Lstat(c.LogPath)
	if err == nil {
		size = st.Size()
	}
	if lost, _ := d.rotator.NeedsReopen(dir, log); size == 0 && !lost {
		answer(Answer{Result: AnswerEmpty})
		return
	}
	due := watcher.Due{Dir: dir, Log: log, Cause: watcher.CauseOperator, Size: size, Limit: max(1, size)}
	d.request(due, func(w *want) { w.operators = append(w.operators, operator{log, answer}) })
}
