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

// claim waits for podLogsDir, and until no other logwatch works on it.
func (a *agent) claim(ctx context.Context) (*locks, error) {
	path := a.o.Config.PodLogsDir
	var dir *os.File
	err := waitFor(ctx, func() (_ bool, err error) {
		dir, err = os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			a.warn.Do("podLogsDir", func() {
				a.waitsFor(fmt.Errorf("podLogsDir %s does not exist", path))
				a.log.Warn().Str("podLogsDir", path).Msg("podLogsDir does not exist; waiting for it")
				a.o.Notify("READY=1\nSTATUS=waiting for " + path)
			})
			return false, nil
		case errors.Is(err, unix.ENOTDIR):
			return false, fmt.Errorf("podLogsDir %s is not a directory: set podLogsDir to kubelet's (its default is /var/log/pods)", path)
		case err != nil:
			return false, fmt.Errorf("podLogsDir: %w: logwatch needs to read and write there, usually as root", err)
		}
		return true, nil
	})
	if err != nil || ctx.Err() != nil {
		return nil, err
	}
	l, err := a.lock(ctx, dir)
	if err != nil || ctx.Err() != nil {
		return l, err
	}
	a.waitsFor(errStarting)
	a.o.Notify("READY=1\nSTATUS=watching " + path)
	return l, nil
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
