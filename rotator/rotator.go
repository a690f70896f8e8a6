package rotator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
)

// Runtime is what the rotator needs of a container runtime.
type Runtime interface {
	// ReopenContainerLog has the runtime open the container's log path anew,
	// as CRI has it. On an error it says, by errors.Is, what is known:
	//
	//   - ErrNotRunning: the container is proved to be gone or not running.
	//   - ErrUnanswered: the request may have been carried out, or may be yet
	//     (a deadline, a lost connection).
	//   - anything else: the runtime answered that it did not do it.
	ReopenContainerLog(ctx context.Context, containerID string) error
}

var (
	// ErrNotRunning: the container does not run, so nobody would make its live
	// log anew.
	ErrNotRunning = errors.New("the container is not running")
	// ErrUnanswered: nobody knows whether the runtime reopened the log, or will.
	ErrUnanswered = errors.New("the runtime did not answer")
	// ErrNotDue: the live log is smaller than it was to be; somebody rotated it
	// already.
	ErrNotDue = errors.New("the log is not due any more")
	// ErrRefused: the runtime runs, and the container too, but it does not
	// reopen the log. The live log has its name back.
	ErrRefused = errors.New("the runtime does not reopen this log")
	// ErrNotRegular: a link, directory, FIFO or device under a log's name. It
	// is left alone.
	ErrNotRegular = errors.New("not a regular file")
	// ErrWritten: somebody has the file open for writing.
	ErrWritten = errors.New("somebody still writes it")

	// errUnproven: file leases are not to be had.
	errUnproven = errors.New("cannot tell whether somebody writes")
)

// Options are what a Rotator is made of. PodLogsDir and Runtime are required.
type Options struct {
	// PodLogsDir is the absolute path below which everything happens.
	PodLogsDir string
	Runtime    Runtime
	// ReopenTimeout bounds one ReopenContainerLog call. It is short, for a
	// runtime that hangs holds a rotation worker; default 3 s.
	ReopenTimeout time.Duration
	// Now is the clock, in the zone that names are made in; default time.Now.
	Now func() time.Time
}

// Rotator rotates logs below one podLogsDir. It has no state; its methods may
// be called from any goroutine, within the limits that the package's
// documentation names.
type Rotator struct {
	fs            fsys
	runtime       Runtime
	reopenTimeout time.Duration
	now           func() time.Time
}

// New makes a Rotator.
func New(o Options) *Rotator {
	if o.ReopenTimeout == 0 {
		o.ReopenTimeout = 3 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Rotator{
		fs:            podLogs{root: o.PodLogsDir},
		runtime:       o.Runtime,
		reopenTimeout: o.ReopenTimeout,
		now:           o.Now,
	}
}

// names yields the log names in d, foreign ones left out, and sets *err when the
// listing ends early.
func names(d dir, err *error) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		*err = d.Names(func(s string) bool {
			n, ok := ParseName(s)
			return !ok || yield(n)
		})
	}
}

// list returns up to atMost log files in d (0: all), sorted, each once.
// Directories are left out, whatever they are called: nobody wrote a line into
// one, and none is ever removed. So are files that vanish before they are
// looked at. After an error it returns the rest with it.
func list(d dir, atMost int) ([]File, error) {
	var files []File
	var listErr, statErr error
	for n := range names(d, &listErr) {
		st, err := d.Stat(n.String())
		switch {
		case isGone(err) || st.Dir:
			continue
		case err != nil:
			statErr = err // one says enough: a directory may have millions
			continue
		}
		// Each name came as a string of its own; one of them is kept.
		if last := len(files) - 1; last >= 0 && files[last].Base == n.Base {
			n.Base = files[last].Base
		} else {
			n.Base = strings.Clone(n.Base)
		}
		files = append(files, File{Name: n, Size: st.Size, Changed: st.Changed, Modified: st.Modified, Plain: st.Regular && st.Links == 1})
		if len(files) == atMost {
			break
		}
	}
	slices.SortFunc(files, func(a, b File) int { return a.compare(b.Name) })
	// A listing may name a file twice when others come and go meanwhile.
	files = slices.CompactFunc(files, func(a, b File) bool { return a.Name == b.Name })
	return files, errors.Join(listErr, statErr)
}

// openPlain opens a regular file that has no other name. Another name may be
// anywhere: what it holds is not ours to read into a .gz.
func openPlain(d dir, name string) (file, stat, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, stat{}, err
	}
	st, err := f.Stat()
	if err == nil && st.Links > 1 {
		err = fmt.Errorf("open %s: it has %d names: %w", name, st.Links, ErrNotRegular)
	}
	if err != nil {
		return nil, stat{}, errors.Join(err, f.Close())
	}
	return f, st, nil
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
