package fake

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxInFlight is what a containerd logger holds of a stream: the size of its buffer.
const maxInFlight = 4 << 10 // bytes

// errNotRunning has no gRPC code, as with real runtimes.
var errNotRunning = errors.New("container is not running")

// openFirst opens the log when the container starts.
func (c *Container) openFirst() (err error) {
	if c.spec.LogPath != "" {
		c.file, _ = c.open() // a path given by the caller may be anything
		return nil
	}
	if err := os.MkdirAll(c.Dir(), 0o755); err != nil {
		return fmt.Errorf("create log directory: %w", err)
	}
	c.file, err = c.open()
	return err
}

// open opens the path for appending, as both runtimes do when a container starts.
func (c *Container) open() (*os.File, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW, c.r.opts.Style.logMode())
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

func (s Style) logMode() os.FileMode {
	if s == CRIO {
		return 0o600
	}
	return 0o640
}

// usable keeps hostile paths harmless: a FIFO would block the open forever, and a test
// must not write to a file of the host.
func (c *Container) usable() error {
	rel, err := filepath.Rel(c.r.opts.Dir, c.path)
	if err != nil || !filepath.IsAbs(c.path) || rel == ".." || strings.HasPrefix(rel, "../") {
		return fmt.Errorf("open log: %q is outside %s", c.path, c.r.opts.Dir)
	}
	if info, err := os.Lstat(c.path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("open log: %s is not a regular file", c.path)
	}
	return nil
}

// reopen is ReopenContainerLog.
func (c *Container) reopen() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return errNotRunning
	}
	if c.r.opts.Style == CRIO {
		return c.replaceLocked()
	}
	f, err := c.open()
	if err != nil {
		return err
	}
	old := c.file
	c.file = f
	if old != nil {
		c.retireLocked(old)
	}
	return nil
}

// retireLocked writes what is in flight, to the old file after TailDelay.
func (c *Container) retireLocked(old *os.File) {
	var tail []byte
	if c.flowing {
		var rest []byte
		tail, rest = c.lines.inFlight(c.random.IntN(maxInFlight))
		// The rest comes before any other line of its stream in the new file.
		_ = c.putLocked(c.file, rest)
	}
	if c.r.opts.TailDelay < 0 {
		c.endLocked(old, tail)
		return
	}
	// Exit sets exited under the lock before it waits, so that this is not too late.
	c.work.Go(func() {
		wait := time.NewTimer(c.r.opts.TailDelay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-c.stop:
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.endLocked(old, tail)
	})
}

// endLocked writes what was in flight to an old file and closes it.
func (c *Container) endLocked(old *os.File, tail []byte) {
	_ = c.putLocked(old, tail)
	if err := old.Close(); err != nil && c.err == nil {
		c.err = err
	}
}

// replaceLocked replaces what is at the path, whatever it is, as conmon does.
func (c *Container) replaceLocked() error {
	if err := c.usable(); err != nil {
		return err
	}
	temp := c.path + ".tmp"
	f, err := os.OpenFile(temp, os.O_TRUNC|os.O_CREATE|os.O_WRONLY, c.r.opts.Style.logMode())
	if err != nil {
		return fmt.Errorf("reopen log: %w", err)
	}
	if err := os.Rename(temp, c.path); err != nil {
		return errors.Join(fmt.Errorf("reopen log: %w", err), f.Close())
	}
	c.switchLocked(f)
	return nil
}

func (c *Container) switchLocked(f *os.File) {
	if c.file != nil {
		c.endLocked(c.file, nil)
	}
	c.file = f
}

// takeOver opens the path again after a restart of containerd.
func (c *Container) takeOver() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited || c.path == "" {
		return nil
	}
	f, err := c.open()
	switch {
	case err == nil:
		c.switchLocked(f)
	case c.spec.LogPath == "": // such a path may be anything
		return fmt.Errorf("take over container %s: %w", c.spec.Name, err)
	}
	return nil
}
