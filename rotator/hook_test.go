package rotator

import (
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// hookFS asks a hook before each operation. The operation is not done, and fails
// with what the hook returns, as the operating system would have it fail. Only a
// Close is done all the same.
type hookFS struct {
	podlogs.FS
	hook func(op, name string) error
	// idleSync leaves out what syncs would do to the disk: a test that runs
	// thousands of them needs their order alone.
	idleSync bool
}

// errShort has a write fail in its middle, for lack of space.
var errShort = errors.New("short write")

func (h hookFS) ask(op, name string) error {
	if err := h.hook(op, name); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (h hookFS) OpenDir(rel string) (podlogs.Dir, error) {
	if err := h.ask("open-dir", rel); err != nil {
		return nil, err
	}
	d, err := h.FS.OpenDir(rel)
	if err != nil {
		return nil, err
	}
	return hookDir{d, h}, nil
}

type hookDir struct {
	podlogs.Dir
	h hookFS
}

// Names can fail before each name, and at the end.
func (d hookDir) Names(yield func(string) bool) error {
	var failed error
	stopped := false
	err := d.Dir.Names(func(name string) bool {
		if failed = d.h.ask("readdir", name); failed != nil {
			return false
		}
		stopped = !yield(name)
		return !stopped
	})
	if failed == nil && !stopped {
		failed = d.h.ask("readdir", "")
	}
	return errors.Join(failed, err)
}

func (d hookDir) Stat(name string) (podlogs.Stat, error) {
	if err := d.h.ask("stat", name); err != nil {
		return podlogs.Stat{}, err
	}
	return d.Dir.Stat(name)
}

func (d hookDir) Open(name string) (podlogs.Handle, error) {
	if err := d.h.ask("open", name); err != nil {
		return nil, err
	}
	f, err := d.Dir.Open(name)
	if err != nil {
		return nil, err
	}
	return hookFile{f, name, d.h}, nil
}

func (d hookDir) Create(name string, like podlogs.Stat) (podlogs.Handle, error) {
	if err := d.h.ask("create", name); err != nil {
		return nil, err
	}
	f, err := d.Dir.Create(name, like)
	if err != nil {
		return nil, err
	}
	return hookFile{f, name, d.h}, nil
}

func (d hookDir) Rename(from, to string) error {
	if err := d.h.ask("rename", from); err != nil {
		return err
	}
	return d.Dir.Rename(from, to)
}

func (d hookDir) Exchange(a, b string) error {
	if err := d.h.ask("exchange", a); err != nil {
		return err
	}
	return d.Dir.Exchange(a, b)
}

func (d hookDir) Remove(name string) error {
	if err := d.h.ask("remove", name); err != nil {
		return err
	}
	return d.Dir.Remove(name)
}

func (d hookDir) Sync() error {
	if err := d.h.ask("sync-dir", ""); err != nil || d.h.idleSync {
		return err
	}
	return d.Dir.Sync()
}

func (d hookDir) Close() error {
	return errors.Join(d.h.ask("close-dir", ""), d.Dir.Close())
}

type hookFile struct {
	podlogs.Handle
	name string
	h    hookFS
}

func (f hookFile) Read(b []byte) (int, error) {
	if err := f.h.ask("read", f.name); err != nil {
		return 0, err
	}
	return f.Handle.Read(b)
}

func (f hookFile) Write(b []byte) (int, error) {
	err := f.h.ask("write", f.name)
	switch {
	case errors.Is(err, errShort):
		n, err := f.Handle.Write(b[:len(b)/2])
		return n, errors.Join(&fs.PathError{Op: "write", Path: f.name, Err: unix.ENOSPC}, err)
	case err != nil:
		return 0, err
	}
	return f.Handle.Write(b)
}

func (f hookFile) Stat() (podlogs.Stat, error) {
	if err := f.h.ask("fstat", f.name); err != nil {
		return podlogs.Stat{}, err
	}
	return f.Handle.Stat()
}

func (f hookFile) OpenForWrite() (bool, error) {
	if err := f.h.ask("lease", f.name); err != nil {
		return false, errors.Join(podlogs.ErrLeaseUnsupported, err)
	}
	return f.Handle.OpenForWrite()
}

func (f hookFile) SetModTime(t time.Time) error {
	if err := f.h.ask("set-mtime", f.name); err != nil {
		return err
	}
	return f.Handle.SetModTime(t)
}

func (f hookFile) Truncate() error {
	if err := f.h.ask("truncate", f.name); err != nil {
		return err
	}
	return f.Handle.Truncate()
}

func (f hookFile) Sync() error {
	if err := f.h.ask("sync", f.name); err != nil || f.h.idleSync {
		return err
	}
	return f.Handle.Sync()
}

func (f hookFile) Close() error {
	return errors.Join(f.h.ask("close", f.name), f.Handle.Close())
}
