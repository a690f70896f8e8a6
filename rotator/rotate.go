package rotator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Request asks for one live log's rotation.
type Request struct {
	// Dir is the container's directory relative to PodLogsDir, "pod/container".
	Dir string
	// Log is the live log's name, "N.log".
	Log string
	// ContainerID is the running container that writes it.
	ContainerID string
	// MinSize is the size in bytes from which the log is due. A smaller one is
	// left alone: it was rotated between the decision and this call.
	MinSize int64
	// Hold is for how long a log that is due is left to grow before it is moved.
	Hold Hold
	// Undo gives the live log its name back if the runtime refuses to reopen it.
	// Without it, the runtime writes on into the rotated log, and another call
	// requests the reopen again.
	Undo bool
	// Return gives the live log its name back, instead of the reopen that is missing after
	// an exchange, if the runtime still writes the newest rotated log: a log reader that has left that
	// one reads on. Only for a runtime that appends to what it reopens, such as containerd:
	// one that replaces it (CRI-O) may still carry out a reopen that was requested before.
	Return bool
}

// Hold is a time in which a live log is left to grow, with its rotation prepared. It
// ends at a size or in a gap between two writes: a reopen in the middle of a line
// splits it. The zero Hold is none.
type Hold struct {
	// Until is the size in bytes that ends it.
	Until int64
	// Gap is the size in bytes from which a gap ends it.
	Gap int64
	// Max is the longest time.
	Max time.Duration
}

// Rotation is the result of a Rotate.
type Rotation struct {
	// To is the rotated log's name; empty if no log was moved.
	To string
	// Size and Inode are the rotated log's; the size is in bytes, of the moment
	// at which it got its name.
	Size  int64
	Inode uint64
	// Moved is the time from the call to that moment; Took, to the end. Held is the
	// part of both in which it was left to grow.
	Moved, Took, Held time.Duration
	// Fallback is why the live log was renamed instead of exchanged, so that its
	// path was absent until the reopen; nil if it was exchanged.
	Fallback error
	// Reopened is set when the runtime is proved to write to the live log's path.
	Reopened bool
	// Undone is set when the live log has its name back after a reopen that failed, and
	// Returned when it has so because of Request.Return.
	Undone, Returned bool
}

var errSwapped = errors.New("another process replaced the live log during its rotation")

// Rotate exchanges the live log for an empty file, so that its path is never
// absent, and requests the runtime to reopen it, once. If that is all that is
// missing, see [Rotator.NeedsReopen], it does not move the log.
//
// It blocks for as long as the runtime takes, at most a ReopenTimeout; ctx is
// heeded only before the log is moved. Errors, by errors.Is:
//
//   - ErrNotDue, podlogs.ErrNotRegular: there is nothing to do.
//   - ErrNotRunning: the live log has its name back, unless it is in use.
//   - ErrRefused: the same, if req.Undo is set.
//   - ErrUnanswered, and ErrRefused otherwise: no line is lost, the runtime writes
//     on into the rotated log. Call again, after a pause: two reopens that a
//     runtime carries out late lose on CRI-O what is written in between.
//
// After any other error nothing was done, or the live log has its name back.
func (r *Rotator) Rotate(ctx context.Context, req Request) (done Rotation, err error) {
	start := time.Now()
	d, err := r.fs.OpenDir(req.Dir)
	if err != nil {
		return done, fmt.Errorf("rotate: %w", err)
	}
	defer d.Close() //nolint:errcheck // opened for reading
	put, err := r.move(ctx, d, req, &done)
	done.Moved = time.Since(start)
	if err == nil && !done.Returned {
		// Nothing cancels from the exchange to the answer.
		err = r.reopen(context.WithoutCancel(ctx), d, req, put)
		done.Reopened = err == nil
	}
	if errors.Is(err, ErrNotRunning) || req.Undo && errors.Is(err, ErrRefused) {
		err = r.undo(d, req.Log, &done, err)
	}
	done.Took = time.Since(start)
	if err != nil {
		err = fmt.Errorf("rotate %s/%q: %w", req.Dir, req.Log, err)
	}
	return done, err
}

// move moves a live log that is due to its rotated name. It returns the inode of
// the empty file at the live log's path, to be reopened; 0: the path is absent.
func (r *Rotator) move(ctx context.Context, d podlogs.Dir, req Request, done *Rotation) (put uint64, err error) {
	base, ok := podlogs.ParseName(req.Log)
	if !ok || base.Kind != podlogs.Live {
		return 0, errors.New("not a live log's name, which is N.log")
	}
	f, err := d.Open(req.Log)
	if isGone(err) {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // opened for reading, and so that its inode number is not used again
	live, err := stateOf(f)
	switch {
	case err != nil:
		return 0, err
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case live.unused():
		if req.Return {
			done.Returned, err = returnWritten(d, req.Log)
		}
		return live.Inode, err
	case live.Size == 0 || live.Size < req.MinSize:
		return 0, fmt.Errorf("%w: %d bytes, due from %d", ErrNotDue, live.Size, req.MinSize)
	}
	next := podlogs.NextName(base, podlogs.Names(d, &err), r.now())
	if err != nil {
		return 0, err
	}
	to := next.String()
	held, live := r.hold(f, live, req.Hold)
	put, err = exchange(d, req.Log, to, live)
	fallback := err
	if err != nil {
		err = d.Rename(req.Log, to)
	}
	if err != nil {
		return 0, err
	}
	*done = Rotation{To: to, Size: live.Size, Inode: live.Inode, Held: held, Fallback: fallback}
	moved, err := d.Stat(to)
	if err == nil && moved.Inode != live.Inode {
		err := giveBack(d, req.Log, to)
		done.To, done.Undone = "", err == nil
		return 0, errors.Join(errSwapped, err)
	}
	if err == nil { // it grew in the meantime
		done.Size = moved.Size
	}
	return put, nil
}

const (
	// gapPause is between two stats of a log that is held: a few times as long as
	// what wakes up a thread takes.
	gapPause = 100 * time.Microsecond
	// gapPauses without growth are a gap.
	gapPauses = 3
)

// hold leaves a live log to grow.
func (r *Rotator) hold(f podlogs.Handle, live fileState, h Hold) (held time.Duration, now fileState) {
	start := time.Now()
	for still := 0; live.Size < h.Until && still < gapPauses && held < h.Max; held = time.Since(start) {
		r.pause(gapPause)
		st, err := f.Stat()
		if err != nil {
			break // the exchange will show it
		}
		still++
		if st.Size != live.Size || st.Size < h.Gap {
			still = 0
		}
		live.Stat = st
	}
	return held, live
}

// exchange swaps the live log and an empty file under its rotated name, and
// returns the empty file's inode. Without leases the reopen could not be proved:
// then it does nothing. That the live log is open for writing does not show that
// there are leases: the kernel checks fs.leases-enable last.
func exchange(d podlogs.Dir, log, to string, live fileState) (put uint64, err error) {
	if live.leases != nil {
		return 0, live.leases
	}
	f, err := d.Create(to, live.Stat)
	if err != nil {
		return 0, err
	}
	var empty fileState
	if err = f.Close(); err == nil {
		empty, err = stateAt(d, to)
	}
	if err = errors.Join(err, empty.leases); err != nil {
		return 0, errors.Join(err, d.Remove(to))
	}
	if err := d.Exchange(log, to); err != nil {
		return 0, errors.Join(err, removeEmpty(d, to))
	}
	return empty.Inode, nil
}

// reopen requests the runtime to reopen the live log, and proves that it did. put
// is the inode of the empty file at its path; 0: the path is absent. Immediately
// before it sends the request it checks that this still holds: on CRI-O a reopen
// discards what is there.
func (r *Rotator) reopen(ctx context.Context, d podlogs.Dir, req Request, put uint64) error {
	st, err := d.Stat(req.Log)
	switch {
	case isGone(err):
	case err != nil:
		return fmt.Errorf("%w: before the reopen: %w", ErrUnanswered, err)
	case !st.Regular:
		return podlogs.ErrNotRegular
	case st.Size > 0 || st.Inode != put:
		return nil // the runtime has reopened it by itself, or late
	}
	rctx, cancel := context.WithTimeout(ctx, r.reopenTimeout)
	answer := r.runtime.ReopenContainerLog(rctx, req.ContainerID)
	cancel()
	// The proof is the file, whatever the answer: a deadline may pass after the
	// runtime did it, and some say that they did what they did not.
	proved, err := reopened(d, req.Log, put, answer == nil)
	switch {
	case proved:
		return nil
	case errors.Is(err, podlogs.ErrNotRegular):
		return err
	case err != nil:
		return fmt.Errorf("%w: after the reopen: %w", ErrUnanswered, err)
	case answer == nil:
		return fmt.Errorf("%w: it reported success, but does not write to the live log", ErrUnanswered)
	case errors.Is(answer, ErrNotRunning), errors.Is(answer, ErrUnanswered):
		return answer
	default:
		return fmt.Errorf("%w: %w", ErrRefused, answer)
	}
}

// reopened reports whether a runtime writes to the live log's path, where put was:
// it has the file open, or put another one there. If leases have become
// unavailable since the exchange, its word decides.
func reopened(d podlogs.Dir, log string, put uint64, word bool) (bool, error) {
	live, err := stateAt(d, log)
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return live.written || live.Size > 0 || live.Inode != put || live.leases != nil && word, nil
}

// undo gives the live log its name back, after a reopen that definitely did not
// happen. It returns cause, and what went wrong.
func (r *Rotator) undo(d podlogs.Dir, log string, done *Rotation, cause error) error {
	to := done.To
	if to == "" { // an earlier call moved it
		last, state, err := lastRotated(d, log)
		unrelated := state.leases == nil && state.written != errors.Is(cause, ErrRefused)
		if err != nil || last == "" || unrelated {
			return cause // not the file that the container writes, or wrote
		}
		to = last
	}
	err := giveBack(d, log, to)
	switch {
	case err == nil:
		done.To, done.Undone = "", true
		return cause
	case errors.Is(err, ErrBusy), errors.Is(err, fs.ErrExist): // the runtime reopened it, late
		return cause
	default:
		return fmt.Errorf("%w; and the live log does not have its name back: %w", cause, err)
	}
}

// giveBack gives a rotated log its live name back, provided that the live log is
// absent, or empty and not open for writing. It replaces nothing; else ErrBusy or
// fs.ErrExist.
func giveBack(d podlogs.Dir, log, to string) error {
	live, err := stateAt(d, log)
	switch {
	case isGone(err):
		return d.Rename(to, log)
	case err != nil:
		return err
	case !live.unused():
		return ErrBusy
	}
	if err := d.Exchange(log, to); err != nil {
		return err
	}
	// By path no process opens the empty file any longer. One that opened it just
	// before gets it back.
	if err := removeEmpty(d, to); errors.Is(err, ErrBusy) {
		return errors.Join(err, d.Exchange(log, to))
	}
	return nil // if it could not be removed, the next Tidy does it
}

// removeEmpty removes a file that is empty and not open for writing; else ErrBusy.
func removeEmpty(d podlogs.Dir, name string) error {
	s, err := stateAt(d, name)
	if err == nil && !s.unused() {
		err = fmt.Errorf("%s: %w", name, ErrBusy)
	}
	if err != nil {
		return err
	}
	return d.Remove(name)
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
