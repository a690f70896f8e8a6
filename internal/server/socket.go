package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probeTimeout is for connecting to a socket that exists; with a live daemon the
// kernel answers at once.
const probeTimeout = time.Second

// listen creates the socket, and its directory if only that is missing.
func listen(ctx context.Context, path string) (*net.UnixListener, error) {
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: create the directory, or set controlSocket to a path in another one", err)
	}
	if err := clear(ctx, path); err != nil {
		return nil, err
	}
	// The mode is set before the name exists, so that other users never can connect.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }), err)
	}}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w: set controlSocket to a writable path, or to \"\" for none", err)
	}
	ul, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: not a Unix socket", path), l.Close())
	}
	ul.SetUnlinkOnClose(false) // by then it may be another daemon's: see remove
	return ul, nil
}

// clear removes a socket that a dead daemon left.
func clear(ctx context.Context, path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("%s is a directory: set controlSocket to the path of a socket", path)
	case st.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket: remove it, or set controlSocket to another path", path)
	}
	d := net.Dialer{Timeout: probeTimeout}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("%s: another daemon answers there: set controlSocket to another path", path), c.Close())
	case errors.Is(err, unix.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("a dead daemon's socket: %w", err)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default: // it is busy, or cannot be connected to
		return fmt.Errorf("%w: another process may be listening there: set controlSocket to another path", err)
	}
}

// identity identifies a file.
type identity struct{ dev, ino uint64 }

func identify(path string) (identity, bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return identity{}, false
	}
	return identity{uint64(st.Dev), st.Ino}, true //nolint:unconvert // Dev's type differs between architectures
}

// remove removes the socket unless another file has its name by now.
func remove(path string, own identity) {
	if now, ok := identify(path); ok && now == own {
		_ = os.Remove(path) // what stays is replaced by the next start
	}
}
