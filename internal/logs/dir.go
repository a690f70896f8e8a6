package logs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// dir is an open directory below podLogsDir, or that itself. What is in it is
// reached by its descriptor, one name at a time, so that no link that a container
// could have put there leads anywhere else.
type dir struct {
	f *os.File
}

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC

// openRoot opens podLogsDir, which may be a link: it is the administrator's.
func openRoot(path string) (*dir, error) {
	fd, err := openat(unix.AT_FDCWD, path, dirFlags)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &dir{os.NewFile(uintptr(fd), path)}, nil
}

func (d *dir) fd() int { return int(d.f.Fd()) }

func (d *dir) path(name string) string { return d.f.Name() + "/" + name }

// sub opens a directory in it.
func (d *dir) sub(name string) (*dir, error) {
	fd, err := openat(d.fd(), name, dirFlags|unix.O_NOFOLLOW)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.path(name), Err: err}
	}
	return &dir{os.NewFile(uintptr(fd), d.path(name))}, nil
}

// names calls with for every name in the directory.
func (d *dir) names(with func(name string)) error {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for {
		const atOnce = 1024 // bounds the memory that millions of foreign names take
		names, err := d.f.Readdirnames(atOnce)
		for _, n := range names {
			with(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// subs are the names of the directories in it.
func (d *dir) subs() (names []string, err error) {
	err = d.names(func(n string) {
		if i, err := d.stat(n); err == nil && i.mode&unix.S_IFMT == unix.S_IFDIR {
			names = append(names, n)
		}
	})
	return names, err
}

// id tells one file from all others, those included that get its inode later.
type id struct {
	inode, born int64
	device      uint64
}

type info struct {
	id
	size     int64
	links    uint32
	mode     uint16
	modified time.Time
}

// stat does not follow links. The name "" is the directory itself.
func (d *dir) stat(name string) (info, error) { return statx(d.fd(), name, d.path(name)) }

func statx(at int, name, path string) (info, error) {
	var x unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	err := retry(func() error {
		return unix.Statx(at, name, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x)
	})
	if err != nil {
		return info{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	i := info{
		size: int64(x.Size), links: x.Nlink, mode: x.Mode, modified: time.Unix(x.Mtime.Sec, int64(x.Mtime.Nsec)),
		id: id{inode: int64(x.Ino), device: unix.Mkdev(x.Dev_major, x.Dev_minor)},
	}
	if x.Mask&unix.STATX_BTIME != 0 { // not all file systems know it
		i.born = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
	}
	return i, nil
}

// file is a log that is open for reading. It stays readable when it is renamed
// or removed.
type file struct {
	*os.File
	id   id
	name string // by which it was opened
	kind podlogs.Kind
}

var errStrange = errors.New("no regular file with one name: it is not read, since a container may have made it lead elsewhere")

// open opens a log. It neither follows a link nor waits for a FIFO's writer nor
// wakes a device.
func (d *dir) open(name string, kind podlogs.Kind) (*file, error) {
	for range 2 { // what is looked at and what is opened are two calls: look behind, too
		i, err := d.stat(name)
		if err != nil {
			return nil, err
		}
		if i.mode&unix.S_IFMT != unix.S_IFREG || i.links > 1 {
			return nil, &fs.PathError{Op: "open", Path: d.path(name), Err: errStrange}
		}
		fd, err := openat(d.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: d.path(name), Err: err}
		}
		f := &file{os.NewFile(uintptr(fd), d.path(name)), i.id, name, kind}
		now, err := f.stat()
		if err == nil && now.id == i.id {
			return f, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: d.path(name), Err: fmt.Errorf("%w: it is replaced all the time", errStrange)}
}

func (f *file) stat() (info, error) { return statx(int(f.Fd()), "", f.Name()) }

func (f *file) Compressed() bool {
	return f.kind == podlogs.Compressed || f.kind == podlogs.CompressedZstd
}

// written reports whether somebody has the file open for writing: the kernel
// grants a read lease only if nobody has. It is given back at once. An error
// means that the kernel does not say, as for another user's file.
func (f *file) written() (bool, error) {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if errors.Is(err, unix.EAGAIN) {
		return true, nil
	}
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return false, err
}

func openat(at int, path string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(at, path, flags, 0)
		return err
	})
	return fd, err
}

// retry runs call again while a signal interrupts it.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
