package rotator

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Runtime is what the rotator needs of a container runtime.
type Runtime interface {
	// ReopenContainerLog makes the runtime open the container's log path again,
	// as in CRI. Its error, by errors.Is, says what is known:
	//
	//   - ErrNotRunning: the container is proved to be gone or not running.
	//   - ErrUnanswered: the request may have been carried out, or may still be
	//     (a deadline, a lost connection).
	//   - anything else: the runtime answered that it did not do it.
	ReopenContainerLog(ctx context.Context, containerID string) error
}

var (
	// ErrNotRunning: the container does not run, so that its live log is not
	// reopened.
	ErrNotRunning = errors.New("the container is not running")
	// ErrUnanswered: whether the runtime reopened the log, or still will, is
	// unknown.
	ErrUnanswered = errors.New("the runtime has not reopened the log")
	// ErrNotDue: the live log is smaller than requested, and open for writing.
	ErrNotDue = errors.New("the log is no longer due")
	// ErrRefused: the runtime answered that it did not reopen the log.
	ErrRefused = errors.New("the runtime refused to reopen the log")
	// ErrBusy: a process has the file open for writing, or may have.
	ErrBusy = errors.New("still open for writing")
)

// Options are the parts of a Rotator. PodLogsDir and Runtime are required.
type Options struct {
	// PodLogsDir is the absolute path below which everything happens.
	PodLogsDir string
	Runtime    Runtime
	// ReopenTimeout bounds one ReopenContainerLog call. It is short, for a
	// runtime that hangs holds a rotation worker; default 3 s.
	ReopenTimeout time.Duration
	// Now is the clock, in the zone of the rotated logs' names; default time.Now.
	Now func() time.Time
}

// Rotator rotates logs below one podLogsDir. It has no state; its methods may
// be called from any goroutine, as far as the package's documentation lets them
// overlap.
type Rotator struct {
	fs            podlogs.FS
	runtime       Runtime
	reopenTimeout time.Duration
	now           func() time.Time
	pause         func(time.Duration) // tests replace it
}

// New returns a Rotator.
func New(o Options) *Rotator {
	if o.ReopenTimeout == 0 {
		o.ReopenTimeout = 3 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Rotator{
		fs:            podlogs.At(o.PodLogsDir),
		runtime:       o.Runtime,
		reopenTimeout: o.ReopenTimeout,
		now:           o.Now,
		pause:         pause,
	}
}

// pause is nanosleep(2): Go's timers resolve to a millisecond.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // a signal ends it early
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
