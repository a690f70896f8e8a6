package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

// startPoll is how often a thing that the start waits for is looked for.
const startPoll = time.Second

// claim waits for podLogsDir and locks it. The lock is on the directory itself:
// kubelet removes foreign files from it.
func claim(ctx context.Context, o Options) (lock *os.File, err error) {
	dir := o.Config.PodLogsDir
	waiting := false
	err = waitFor(ctx, func() (bool, error) {
		lock, err = os.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if !waiting {
				waiting = true
				o.Log.Warn().Str("podLogsDir", dir).Msg("podLogsDir does not exist; waiting for it")
				o.Notify("READY=1\nSTATUS=waiting for " + dir)
			}
			return false, nil
		case errors.Is(err, unix.ENOTDIR):
			return false, fmt.Errorf("podLogsDir %s is not a directory: set podLogsDir to kubelet's (its default is /var/log/pods)", dir)
		case err != nil:
			return false, fmt.Errorf("podLogsDir: %w: logwatch needs to read and write there, usually as root", err)
		}
		return true, nil
	})
	if err != nil || ctx.Err() != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = errors.Join(err, lock.Close())
		return nil, fmt.Errorf("podLogsDir %s: another logwatch is at work there (%w): stop it first; two at once lose lines", dir, err)
	}
	o.Notify("READY=1\nSTATUS=watching " + dir)
	return lock, nil
}

// findRuntime waits until there is a runtime's socket, unless the config names
// one: that may come and go.
func findRuntime(ctx context.Context, o Options) (endpoint string, err error) {
	waiting := false
	err = waitFor(ctx, func() (bool, error) {
		endpoint, err = o.Config.Endpoint()
		if err != nil && !waiting {
			waiting = true
			o.Log.Warn().Err(err).Msg("waiting for a container runtime")
		}
		return err == nil, nil
	})
	return endpoint, err
}

// waitFor polls until done says yes or fails; the end of ctx is not an error.
func waitFor(ctx context.Context, done func() (bool, error)) error {
	err := wait.PollUntilContextCancel(ctx, startPoll, true, func(context.Context) (bool, error) { return done() })
	if ctx.Err() != nil {
		return nil
	}
	return err
}
