package containerd

import (
	"context"
	"errors"
	"path/filepath"
)

// Config returns config.toml, with the built-in image for sandboxes, for a containerd
// that another program runs: with its directory dir and its socket at the path socket.
func (t Tools) Config(ctx context.Context, dir, socket string) ([]byte, error) {
	return makeConfig(ctx, t.Containerd, configData{Dir: dir, Socket: socket, Image: Image, Runc: t.Runc})
}

// Attach connects to a containerd that another program runs, such as systemd in a
// machine whose file system is visible below root. Its socket is containerd.sock in the
// directory dir. dir, podLogsDir and the paths in Pod and Container are paths of that
// file system. Attach imports the built-in image.
//
// Kill has no effect, Restart fails, and Stop only closes the client: remove the pods
// with Pod.Remove.
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

// seen returns where a path of the containerd's file system is visible to this process.
func (c *Containerd) seen(path string) string { return filepath.Join(c.root, path) }
