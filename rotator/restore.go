package rotator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// NeedsReopen reports whether a live log is absent, or empty and not open for
// writing. If its container runs, a crash came between exchange and reopen: the
// runtime writes into the rotated log until a Rotate. A live log that is empty
// because its container is silent is open for writing.
//
// It is cheap: a stat, and a read lease if the log is empty. Where leases are
// unavailable, only an absent log needs a reopen. While a Rotate of the directory
// runs, the result means nothing.
func (r *Rotator) NeedsReopen(dirName, log string) (bool, error) {
	d, err := r.fs.OpenDir(dirName)
	if err != nil {
		return false, err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	return needsReopen(d, log)
}

func needsReopen(d podlogs.Dir, log string) (bool, error) {
	st, err := d.Stat(log)
	if isGone(err) {
		return true, nil
	}
	if err != nil || st.Size > 0 || !st.Regular {
		return false, err
	}
	s, err := stateAt(d, log)
	if isGone(err) {
		return true, nil
	}
	return err == nil && s.unused(), err
}

// Restore gives the newest rotated log its live name back, which kubectl logs
// --previous reads, if the container ended between exchange and reopen: if
// NeedsReopen and the newest rotated log is neither compressed nor open for
// writing, which is ErrBusy. It makes no difference whether the container was
// restarted since, which kubelet does at once after a first crash.
//
// The caller has proved that the container does not run. Restore must not overlap
// with a Rotate, Tidy or Prune of the directory.
func (r *Rotator) Restore(ctx context.Context, dirName, log string) (restored bool, err error) {
	d, err := r.fs.OpenDir(dirName)
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("restore: %w", err)
	}
	defer d.Close() //nolint:errcheck // opened for reading
	need, err := needsReopen(d, log)
	if !need && err == nil {
		return false, nil
	}
	last, state, err2 := lastRotated(d, log)
	err = errors.Join(err, err2, ctx.Err())
	switch {
	case err != nil:
	case last == "":
		return false, nil
	case !r.closed(state):
		err = fmt.Errorf("%s: %w", last, ErrBusy)
	default:
		err = giveBack(d, log, last)
	}
	if err != nil {
		return false, fmt.Errorf("restore %s/%s: %w", dirName, log, err)
	}
	return true, nil
}

// returnWritten gives the newest rotated log its live name back, if it is open for
// writing. If it is not, or the runtime has reopened the live log in the meantime, it does
// nothing.
func returnWritten(d podlogs.Dir, log string) (returned bool, err error) {
	last, state, err := lastRotated(d, log)
	if err != nil || last == "" || state.leases != nil || !state.written {
		return false, err
	}
	err = giveBack(d, log, last)
	if errors.Is(err, ErrBusy) || errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// lastRotated returns the newest rotated log of a live log, if it is uncompressed
// and has content. "": it is not, or there is none.
func lastRotated(d podlogs.Dir, log string) (last string, s fileState, err error) {
	var newest podlogs.Name
	for n := range podlogs.Names(d, &err) {
		if n.Base == log && n.Kind != podlogs.Live && n.Kind != podlogs.Temp && (newest.Kind == 0 || n.Compare(newest) > 0) {
			newest = n
		}
	}
	if err != nil || newest.Kind != podlogs.Rotated {
		return "", s, err
	}
	last = newest.String()
	s, err = stateAt(d, last)
	if errors.Is(err, podlogs.ErrNotRegular) || isGone(err) || err == nil && s.Size == 0 {
		return "", s, nil
	}
	return last, s, err
}

// unused reports whether a file at a live log's path has no content and is not
// open for writing. Where leases are unavailable, that is not known.
func (s fileState) unused() bool { return s.Size == 0 && s.leases == nil && !s.written }

// stateAt is the state of the file under a name.
func stateAt(d podlogs.Dir, name string) (fileState, error) {
	f, err := d.Open(name)
	if err != nil {
		return fileState{}, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	return stateOf(f)
}
