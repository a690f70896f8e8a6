package rotator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Report says what a Housekeep did.
type Report struct {
	// Done are the steps that were carried out.
	Done []Step
	// BytesIn and BytesOut are what was compressed: source and result, in bytes.
	BytesIn, BytesOut int64
	// Busy is how many steps were put off because somebody still writes the
	// file.
	Busy int
	// NoSpace is set when compression stopped for lack of disk space. Pruning
	// and rotation go on.
	NoSpace bool
	// Again is after how long another run may find more to do without anything
	// changing on disk; 0: never.
	Again time.Duration
}

const (
	// filesAtOnce bounds the memory that a run takes, at some 300 bytes a file. A
	// policy keeps a few files; who has more than this gets them in several runs.
	filesAtOnce = 1 << 14
	// busyPause is when to look again at a file that somebody still writes.
	// containerd closes a rotated log within milliseconds of the reopen.
	busyPause = 100 * time.Millisecond
	// errorPause is when to try again what failed; the disk may have recovered.
	errorPause = 10 * time.Second
	// unprovenAge is how long a file must not have changed before it counts as
	// no longer written, where leases are not to be had: longer than any
	// runtime takes over closing.
	unprovenAge = time.Minute
)

// Housekeep brings one container's rotated logs within the policy: it puts
// right what a crash left, prunes and compresses. dirName is relative to
// PodLogsDir.
//
// It blocks for as long as compression takes, and ends early when ctx does. One
// file's error does not keep the others from being done; all errors come back
// joined.
func (r *Rotator) Housekeep(ctx context.Context, dirName string, p Policy) (Report, error) {
	var rep Report
	d, err := r.fs.OpenDir(dirName)
	if isGone(err) {
		return rep, nil // the pod was deleted, and its logs with it
	}
	if err != nil {
		rep.soonest(errorPause)
		return rep, fmt.Errorf("housekeeping: %w", err)
	}
	defer d.Close() //nolint:errcheck // opened for reading
	files, err := podlogs.List(d, filesAtOnce)
	steps, again := Plan(files, p, r.now())
	rep.Again = again
	var errs []error
	if err != nil { // what was listed is put right all the same
		rep.soonest(errorPause)
		errs = append(errs, fmt.Errorf("housekeeping: list %s: %w", dirName, err))
	}
	if len(files) == filesAtOnce && len(steps) > 0 {
		rep.soonest(busyPause)
	}
	for _, s := range steps {
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("housekeeping: %s: %w", dirName, ctx.Err()))
			break
		}
		if rep.NoSpace && s.Action == Compress {
			continue
		}
		errs = append(errs, r.step(ctx, d, s, p, &rep))
	}
	return rep, errors.Join(errs...)
}

// step does one step and notes in rep what became of it.
func (r *Rotator) step(ctx context.Context, d podlogs.Dir, s Step, p Policy, rep *Report) error {
	err := r.do(ctx, d, s, p, rep)
	switch {
	case err == nil:
		rep.Done = append(rep.Done, s)
		return nil
	case isGone(err):
		return nil // somebody else did it: kubelet, or who deleted the pod
	case errors.Is(err, ErrBusy):
		rep.Busy++
		rep.soonest(r.pauseFor(s.Name))
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		rep.NoSpace = true
	}
	rep.soonest(errorPause)
	return fmt.Errorf("housekeeping: %w", err)
}

// pauseFor is when to look at a busy file again. It grows with the time since
// the file was rotated: nearly all writers are gone at once, and one that is
// not, say a runtime that hangs, must not have the directory listed ten times a
// second for hours.
func (r *Rotator) pauseFor(n podlogs.Name) time.Duration {
	return min(max(busyPause, podlogs.WallClock(r.now()).Sub(n.Stamp).Abs()/10), errorPause)
}

// soonest moves the next run forward to after at most d.
func (rep *Report) soonest(d time.Duration) {
	if rep.Again == 0 || d < rep.Again {
		rep.Again = d
	}
}

func (r *Rotator) do(ctx context.Context, d podlogs.Dir, s Step, p Policy, rep *Report) error {
	switch s.Action {
	case Settle:
		return r.settle(ctx, d, s.Name, s.Packed, rep)
	case Compress:
		in, out, err := r.compress(ctx, d, s, p)
		rep.BytesIn += in
		rep.BytesOut += out
		return err
	default: // RemoveTemp, Prune
		return r.remove(d, s.Name)
	}
}

// remove unlinks a file that nobody writes. What is not a regular file has no
// lines: its name goes, wherever it leads stays.
func (r *Rotator) remove(d podlogs.Dir, n podlogs.Name) error {
	name := n.String()
	f, err := d.Open(name)
	switch {
	case errors.Is(err, podlogs.ErrNotRegular):
		return d.Remove(name)
	case err != nil:
		return err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if err := r.idle(d, f, n); err != nil {
		return err
	}
	return d.Remove(name)
}

// idle returns nil when nobody writes f, whose name is n, any more; else
// ErrBusy.
func (r *Rotator) idle(d podlogs.Dir, f podlogs.Handle, n podlogs.Name) error {
	writers, err := f.OpenForWrite()
	switch {
	case err == nil && !writers:
		return nil
	case err == nil:
		return ErrBusy
	case !errors.Is(err, podlogs.ErrLeaseUnsupported):
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if r.now().Sub(st.Changed) < unprovenAge {
		return ErrBusy
	}
	// Without a live log the runtime may write here still, however seldom: a
	// crash came between rename and reopen.
	_, err = d.Stat(n.Base)
	if isGone(err) {
		return ErrBusy
	}
	return err
}

// settle decides between a rotated log and the compressed one beside it: a crash
// came between that one's rename and the source's removal, or it is not whole.
func (r *Rotator) settle(ctx context.Context, d podlogs.Dir, source, packed podlogs.Name, rep *Report) error {
	src, before, err := podlogs.OpenRegular(d, source.String())
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // opened for reading
	if err := r.idle(d, src, source); err != nil {
		return err
	}
	whole, err := sameContent(ctx, d, src, packed)
	if err != nil {
		return err
	}
	if !whole {
		rep.soonest(busyPause) // the next run compresses the source again
		return r.remove(d, packed)
	}
	if err := r.unchanged(d, src, before, source); err != nil {
		return err
	}
	if err := d.Sync(); err != nil { // the crash may have come before it
		return err
	}
	return d.Remove(source.String())
}
