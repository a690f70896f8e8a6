package control

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

// probeTimeout is for the question whether somebody listens on a socket that is
// there; a living daemon's kernel answers at once.
const probeTimeout = time.Second

// listen makes the socket. The folder that it is in is made if only that is
// missing.
func listen(ctx context.Context, path string) (*net.UnixListener, error) {
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: make the directory, or set controlSocket to a path in another one", err)
	}
	if err := clear(ctx, path); err != nil {
		return nil, err
	}
	// The mode is set before there is a name: who may not connect never could.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }), err)
	}}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w: set controlSocket to a path that can be written, or to \"\" for none", err)
	}
	ul, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: not a Unix socket", path), l.Close())
	}
	ul.SetUnlinkOnClose(false) // by then it may be somebody else's: see remove
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
	case st.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket: remove it, or set controlSocket to another path", path)
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
	default: // it is busy, or not ours
		return fmt.Errorf("%w: somebody may be listening there: set controlSocket to another path", err)
	}
}

// identity is which file a path is.
type identity struct{ dev, ino uint64 }

func identify(path string) (identity, bool) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return identity{}, false
	}
	return identity{uint64(st.Dev), st.Ino}, true //nolint:unconvert // Dev's type differs between architectures
}

// remove removes the socket unless another one has its name by now.
func remove(path string, ours identity) {
	if now, ok := identify(path); ok && now == ours {
		_ = os.Remove(path) // what stays is replaced by the next start
	}
}
