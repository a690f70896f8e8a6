package containerd

import (
	"context"
	"errors"
	"path/filepath"
)

// Config is the config.toml, with the built-in image for sandboxes, of a
// containerd that something else runs: with its own folder dir and its socket at
// the path socket.
func (t Tools) Config(ctx context.Context, dir, socket string) ([]byte, error) {
	return makeConfig(ctx, t.Containerd, configData{Dir: dir, Socket: socket, Image: Image, Runc: t.Runc})
}

// Attach is for a containerd that something else runs, such as systemd in a
// machine of its own, whose file system is seen below root. Its socket is
// containerd.sock in the folder dir, as its own paths are; podLogsDir is one, too,
// and so are those in Pod and Container. Attach puts the built-in image in.
//
// Kill does nothing to it, Restart fails, and Stop only closes the client: remove
// its pods with Pod.Remove.
func Attach(ctx context.Context, tools Tools, root, dir, podLogsDir string) (*Containerd, error) {
	c := &Containerd{tools: tools, root: root, dir: filepath.Join(root, dir), podLogsDir: podLogsDir}
	if err := c.dial(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.readyLocked(ctx)
	if err == nil {
		err = c.importLocked(ctx, tools.Image, Image)
	}
	if err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return c, nil
}

// seen is where a path of the containerd's own file system is seen from here.
func (c *Containerd) seen(path string) string { return filepath.Join(c.root, path) }
