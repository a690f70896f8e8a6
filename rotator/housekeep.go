package rotator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Report is the result of a Tidy, Compress or Prune.
type Report struct {
	// Done are the steps that were carried out, one a file.
	Done []Step
	// BytesIn and BytesOut are what was compressed: source and result, in bytes.
	BytesIn, BytesOut int64
	// Busy is the number of steps put off because the file is open for writing.
	Busy int
	// Blocked is set when the busy generation must be pruned: cancel its
	// compression, then call again.
	Blocked bool
	// Pending is set when there is something for Compress to do.
	Pending bool
	// NoSpace is set when compression stopped for lack of disk space. Pruning
	// and rotation go on.
	NoSpace bool
	// Again is after how long another Tidy may find more to do without any change
	// on disk; 0: never.
	Again time.Duration
}

const (
	// batchSize bounds the memory that a call takes, at some 300 bytes a file. A
	// policy keeps a few files; a directory with more than this takes several
	// calls.
	batchSize = 1 << 14
	// busyPause is when to try a file again that is open for writing. containerd
	// closes a rotated log within milliseconds of the reopen.
	busyPause = 100 * time.Millisecond
	// errorPause is when to try again what failed; the disk may have recovered.
	errorPause = 10 * time.Second
	// unprovenAge is how long a file must not have changed before it counts as
	// closed, where leases are unavailable: longer than any runtime takes to close
	// a rotated log.
	unprovenAge = time.Minute
)

// Tidy removes what is left over from a crash and prunes one container's rotated
// logs by policy; it neither reads nor writes them, so that it is quick. dirName
// is relative to PodLogsDir.
//
// busy is the generation that a Compress of the same directory works on, zero if
// none does. Its temp is left alone; if it must be pruned, Report.Blocked is set
// instead. Tidy must not overlap with a Rotate of the directory, whose rotated log
// is empty for an instant.
//
// Tidy returns early when ctx ends. An error for one file does not keep the others
// from being removed; all errors are joined.
func (r *Rotator) Tidy(ctx context.Context, dirName string, p Policy, busy podlogs.Name) (Report, error) {
	var rep Report
	d, steps, err := r.plan(dirName, p, busy, &rep)
	if d == nil {
		return rep, err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	errs := []error{err}
	for _, s := range steps {
		switch {
		case ctx.Err() != nil:
			return rep, errors.Join(append(errs, fmt.Errorf("tidy %s: %w", dirName, ctx.Err()))...)
		case s.Action == Reconcile || s.Action == Compress:
			rep.Pending = true
		case s.Action == Prune && s.Name.SameGeneration(busy):
			rep.Blocked = true
		case s.Action == Prune:
			errs = append(errs, r.prune(d, s, p.Read, &rep))
		default:
			errs = append(errs, r.removeStep(d, s, nil, &rep))
		}
	}
	return rep, errors.Join(errs...)
}

// plan opens a container's directory and plans what there is to do in it. The
// directory is nil if it cannot be opened; that it is gone is not an error.
func (r *Rotator) plan(dirName string, p Policy, busy podlogs.Name, rep *Report) (podlogs.Dir, []Step, error) {
	d, err := r.fs.OpenDir(dirName)
	if isGone(err) {
		return nil, nil, nil // the pod was deleted, and its logs with it
	}
	if err != nil {
		rep.soonest(errorPause)
		return nil, nil, fmt.Errorf("housekeeping: %w", err)
	}
	files, err := podlogs.List(d, batchSize)
	full := len(files) == batchSize
	steps, again := Plan(withoutTemp(files, busy), p, r.now())
	rep.Again = again
	if full && len(steps) > 0 {
		rep.soonest(busyPause)
	}
	if err != nil { // the files that were listed are handled nevertheless
		rep.soonest(errorPause)
		err = fmt.Errorf("housekeeping: list %s: %w", dirName, err)
	}
	return d, steps, err
}

// withoutTemp leaves out the temp of the busy generation and adds its size to the
// source's: it takes space, and must not be removed. Sorted, a temp comes behind
// its source.
func withoutTemp(files []podlogs.File, busy podlogs.Name) []podlogs.File {
	i := slices.IndexFunc(files, func(f podlogs.File) bool { return f.Kind == podlogs.Temp && f.SameGeneration(busy) })
	if i < 0 {
		return files
	}
	if i > 0 && files[i-1].SameGeneration(busy) {
		files[i-1].Size += files[i].Size
	}
	return slices.Delete(files, i, i+1)
}

// Prune removes rotated logs of one container, the oldest first, whatever its
// policy and the grace period say. A name stands for its generation, which may
// have been compressed in the meantime.
//
// A file that is open for writing stays, and counts as Busy; the busy generation,
// as for Tidy, sets Report.Blocked. What is newer than a log that stays is left
// too, so that the lines have no gap. A live log's name is an error, and nothing
// is removed then. Calls for one directory must not overlap with each other, nor
// with Tidy. read is for Step.Lost.
//
// It returns early when ctx ends. All errors are joined.
func (r *Rotator) Prune(ctx context.Context, dirName string, names []podlogs.Name, busy podlogs.Name, read Read) (Report, error) {
	var rep Report
	for _, n := range names {
		if n.Kind <= podlogs.Live || n.Kind > podlogs.Temp {
			return rep, fmt.Errorf("prune %s/%s: not a rotated log", dirName, n)
		}
	}
	d, err := r.fs.OpenDir(dirName)
	if isGone(err) {
		return rep, nil // the pod was deleted, and its logs with it
	}
	if err != nil {
		return rep, fmt.Errorf("prune: %w", err)
	}
	defer d.Close() //nolint:errcheck // opened for reading
	names = slices.SortedFunc(slices.Values(names), podlogs.Name.Compare)
	names = slices.CompactFunc(names, podlogs.Name.SameGeneration)
	var errs []error
	stays := map[string]bool{} // live logs of which a generation could not be removed
	for _, n := range names {
		switch {
		case ctx.Err() != nil:
			return rep, errors.Join(append(errs, fmt.Errorf("prune %s: %w", dirName, ctx.Err()))...)
		case stays[n.Base]:
		case n.SameGeneration(busy):
			stays[n.Base], rep.Blocked = true, true
		default:
			before := rep.Busy
			err := r.prune(d, Step{Action: Prune, Name: n, Reason: ByPressure}, read, &rep)
			stays[n.Base] = err != nil || rep.Busy > before
			errs = append(errs, err)
		}
	}
	return rep, errors.Join(errs...)
}

// prune removes the files of one generation. The source is last: until then it is
// what counts, whatever stands beside it.
func (r *Rotator) prune(d podlogs.Dir, s Step, read Read, rep *Report) error {
	kinds := s.Name.Kinds()
	if s.Name.Kind != podlogs.Live {
		kinds = append(kinds, podlogs.Temp)
	}
	for _, kind := range slices.Backward(kinds) {
		s.Name, s.Size, s.Inode, s.Lost = s.Name.As(kind), 0, 0, Lost{}
		st, err := d.Stat(s.Name.String())
		if isGone(err) || st.Dir { // a directory holds no lines
			continue
		}
		if err == nil && st.Regular && st.Links == 1 {
			s.Size, s.Inode = st.Size, st.Inode
			if read.Positions[st.Inode] != Assumed {
				s.Lost.Bytes = read.Positions.unread(st.Inode, st.Size)
			}
		}
		before := rep.Busy
		if err := r.removeStep(d, s, read.Again, rep); err != nil || rep.Busy > before {
			return err
		}
	}
	return nil
}

// removeStep removes one file.
func (r *Rotator) removeStep(d podlogs.Dir, s Step, again func(inode uint64) int64, rep *Report) error {
	err := r.remove(d, &s, again)
	return r.did(s, err, rep)
}

// did notes in rep the result of a step.
func (r *Rotator) did(s Step, err error, rep *Report) error {
	switch {
	case err == nil:
		rep.Done = append(rep.Done, s)
		return nil
	case isGone(err):
		return nil // kubelet did it, or the pod was deleted
	case errors.Is(err, ErrBusy):
		rep.Busy++
		rep.soonest(r.pauseFor(s.Name))
		return nil
	case errors.Is(err, errNoRoom):
		rep.soonest(errorPause)
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		rep.NoSpace = true
	}
	rep.soonest(errorPause)
	return fmt.Errorf("housekeeping: %w", err)
}

// pauseFor is when to try a busy file again. It grows with the time since the
// file was rotated: nearly all writers close it at once, and one that does not,
// such as a runtime that hangs, must not cause ten listings a second for hours.
func (r *Rotator) pauseFor(n podlogs.Name) time.Duration {
	return min(max(busyPause, podlogs.WallClock(r.now()).Sub(n.Stamp).Abs()/10), errorPause)
}

// soonest moves the next call forward to after at most d.
func (rep *Report) soonest(d time.Duration) {
	if rep.Again == 0 || d < rep.Again {
		rep.Again = d
	}
}

// remove unlinks a step's file if it is not open for writing; a rotated log that is
// a leftover, only if it has no content. What is not a regular file has no lines: its
// name is removed, and what it leads to stays. A log that is removed unread, or to
// free disk space, is emptied first: unlinking a file frees nothing while a reader has
// it open.
func (r *Rotator) remove(d podlogs.Dir, step *Step, again func(inode uint64) int64) error {
	name := step.Name.String()
	f, err := d.Open(name)
	switch {
	case errors.Is(err, podlogs.ErrNotRegular):
		return d.Remove(name)
	case err != nil:
		return err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	s, err := r.ensureClosed(d, f, step.Name)
	switch {
	case err != nil:
		return err
	case step.Action == RemoveLeftover && step.Name.Kind == podlogs.Rotated && s.Size > 0:
		return fmt.Errorf("%s: %w", name, errChanged)
	case s.Links == 1 && (step.Lost.Bytes > 0 || step.Reason == ByPressure):
		position := func() int64 { return 0 }
		if again != nil {
			position = func() int64 { return again(s.Inode) }
		}
		if step.Lost, err = empty(f, s.Size, step.Lost.Bytes, position); err != nil {
			return err
		}
	}
	return d.Remove(name)
}

// fileState is what is known about an open file.
type fileState struct {
	podlogs.Stat
	// written is set when a process has the file open for writing.
	written bool
	// leases says why that is unknown; nil: it is known.
	leases error
}

func stateOf(f podlogs.Handle) (s fileState, err error) {
	s.written, err = f.OpenForWrite()
	if errors.Is(err, podlogs.ErrLeaseUnsupported) {
		s.leases, err = err, nil
	}
	if err == nil {
		s.Stat, err = f.Stat() // behind the lease: nothing is written in between
	}
	return s, err
}

// closed reports whether no process has the file open for writing. Where leases
// are unavailable, its age decides.
func (r *Rotator) closed(s fileState) bool {
	if s.leases != nil {
		return r.now().Sub(s.Changed) >= unprovenAge
	}
	return !s.written
}

// ensureClosed returns ErrBusy if f, whose name is n, is open for writing, or may
// be.
func (r *Rotator) ensureClosed(d podlogs.Dir, f podlogs.Handle, n podlogs.Name) (fileState, error) {
	s, err := stateOf(f)
	if err != nil {
		return s, err
	}
	if !r.closed(s) {
		return s, ErrBusy
	}
	if s.leases == nil {
		return s, nil
	}
	// Without a live log the runtime may still write here, however seldom: a
	// crash came between rename and reopen.
	if _, err := d.Stat(n.Base); isGone(err) {
		return s, ErrBusy
	} else if err != nil {
		return s, err
	}
	return s, nil
}
