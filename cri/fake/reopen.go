package fake

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// maxInFlight is what a containerd logger holds of a stream: the size of its buffer.
const maxInFlight = 4 << 10 // bytes

// Real runtimes answer this without a gRPC code.
var errNotRunning = errors.New("container is not running")

// openFirst opens the log when the container starts.
func (c *Container) openFirst() error {
	if c.spec.LogPath != "" {
		// A path given by the caller may be anything; the container runs without a log then.
		c.file, _ = c.open()
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	f, err := c.open()
	if err != nil {
		return err
	}
	c.file = f
	return nil
}

// open opens the path for appending, as both runtimes do when a container starts.
func (c *Container) open() (*os.File, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	mode := fs.FileMode(0o640)
	if c.r.opts.Style == CRIO {
		mode = 0o600
	}
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW, mode)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// usable keeps hostile paths harmless: a FIFO would block the open for ever, and
// a test must not write to a file of the host.
func (c *Container) usable() error {
	if c.path == "" || !filepath.IsAbs(c.path) || !beneath(c.r.opts.Dir, c.path) {
		return fmt.Errorf("open log: %q does not lie in %s", c.path, c.r.opts.Dir)
	}
	if info, err := os.Lstat(c.path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("open log: %s is not a regular file", c.path)
	}
	return nil
}

// reopen does what the runtime does on ReopenContainerLog.
func (c *Container) reopen() error {
	if c.r.opts.Style == CRIO {
		return c.reopenConmon()
	}
	return c.reopenContainerd()
}

// reopenContainerd swaps the files and leaves the old one to be ended later.
func (c *Container) reopenContainerd() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return errNotRunning
	}
	f, err := c.open()
	if err != nil {
		return err
	}
	old := c.file
	c.file = f
	if old == nil {
		return nil
	}
	var tail []byte
	if c.flowing {
		var rest []byte
		tail, rest = c.lines.inFlight(c.random.IntN(maxInFlight))
		// The rest comes before any other line of its stream in the new file.
		_ = c.putLocked(f, rest)
	}
	if c.r.opts.TailDelay < 0 {
		c.endLocked(old, tail)
		return nil
	}
	// Exit sets exited under the lock before it waits, so this cannot come late.
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
	return nil
}

// endLocked writes what was in flight to an old file and closes it.
func (c *Container) endLocked(old *os.File, tail []byte) {
	_ = c.putLocked(old, tail)
	if err := old.Close(); err != nil && c.err == nil {
		c.err = err
	}
}

// reopenConmon puts a new file in the place of the log, whatever is there.
func (c *Container) reopenConmon() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return errNotRunning
	}
	if err := c.usable(); err != nil {
		return err
	}
	temp := c.path + ".tmp"
	f, err := os.OpenFile(temp, os.O_TRUNC|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("reopen log: %w", err)
	}
	if err := os.Rename(temp, c.path); err != nil {
		return errors.Join(fmt.Errorf("reopen log: %w", err), f.Close())
	}
	if c.file != nil {
		c.endLocked(c.file, nil)
	}
	c.file = f
	return nil
}

// takeOver opens the path anew after a restart of the runtime.
func (c *Container) takeOver() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited || c.path == "" {
		return nil
	}
	f, err := c.open()
	if err != nil {
		if c.spec.LogPath != "" {
			return nil // such a path may be anything
		}
		return fmt.Errorf("take over container %s: %w", c.spec.Name, err)
	}
	if c.file != nil {
		c.endLocked(c.file, nil)
	}
	c.file = f
	return nil
}
