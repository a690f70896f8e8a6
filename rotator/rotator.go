package rotator

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
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
	// ErrBusy: somebody has the file open for writing.
	ErrBusy = errors.New("somebody still writes it")
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
	fs            podlogs.FS
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
		fs:            podlogs.At(o.PodLogsDir),
		runtime:       o.Runtime,
		reopenTimeout: o.ReopenTimeout,
		now:           o.Now,
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
