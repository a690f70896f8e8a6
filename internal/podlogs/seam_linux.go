package podlogs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// At returns the FS of a podLogsDir, given as an absolute path. Everything below
// it is reached by descriptors, one path element at a time, so that a link that
// is put in place between a check and a use leads nowhere.
func At(podLogsDir string) FS { return root{podLogsDir} }

type root struct {
	path string // podLogsDir, which may itself be a link: the administrator sets it
}

const openDirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func (p root) OpenDir(rel string) (Dir, error) {
	// podLogsDir is opened each time: it may be created, mounted over
	// or replaced while the daemon runs.
	fd, err := openat(unix.AT_FDCWD, p.path, openDirFlags&^unix.O_NOFOLLOW)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: p.path, Err: err}
	}
	at := os.NewFile(uintptr(fd), p.path)
	for elem := range strings.SplitSeq(rel, "/") {
		path := at.Name() + "/" + elem
		fd, err = -1, unix.EINVAL
		if elem != "" && elem != "." && elem != ".." {
			fd, err = openat(int(at.Fd()), elem, openDirFlags)
		}
		err = errors.Join(err, at.Close())
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		at = os.NewFile(uintptr(fd), path)
	}
	return &osDir{f: at}, nil
}

// procFD is the path of an open file, whatever its name is by now.
func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

var errNoProc = errors.New("/proc is not mounted here: mount it")

type osDir struct {
	f *os.File
}

func (d *osDir) fd() int { return int(d.f.Fd()) }

func (d *osDir) err(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: d.f.Name() + "/" + name, Err: err}
}

// namesBatch bounds the memory that a directory with millions of foreign
// entries takes.
const namesBatch = 1024

func (d *osDir) Names(yield func(string) bool) error {
	if _, err := d.f.Seek(0, 0); err != nil {
		return err
	}
	for {
		names, err := d.f.Readdirnames(namesBatch)
		for _, n := range names {
			if !yield(n) {
				return nil
			}
		}
		if len(names) == 0 || err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) { // the directory was removed
				return nil
			}
			return err
		}
	}
}

func (d *osDir) Stat(name string) (Stat, error) {
	st, err := Statx(d.fd(), name, unix.AT_SYMLINK_NOFOLLOW)
	return st, d.err("stat", name, err)
}

func (d *osDir) Open(name string) (Handle, error) {
	// O_PATH does not open the file itself, so a FIFO does not block and a
	// device is not woken. What it pins is checked, and only then opened,
	// through /proc: it cannot be swapped in between.
	fd, err := openat(d.fd(), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return nil, d.err("open", name, err)
	}
	defer unix.Close(fd) //nolint:errcheck // O_PATH: nothing can fail late
	st, err := Statx(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, d.err("stat", name, err)
	}
	if !st.Regular {
		return nil, d.err("open", name, ErrNotRegular)
	}
	// The access time tells what other processes have read, see [Stat.IsRead].
	flags := unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NOATIME
	rfd, err := openat(unix.AT_FDCWD, procFD(fd), flags|unix.O_NONBLOCK)
	if errors.Is(err, unix.EPERM) { // another user's file
		flags &^= unix.O_NOATIME
		rfd, err = openat(unix.AT_FDCWD, procFD(fd), flags|unix.O_NONBLOCK)
	}
	if errors.Is(err, unix.EAGAIN) { // a lease, such as that of InUse, which is held for an instant
		rfd, err = openat(unix.AT_FDCWD, procFD(fd), flags)
	}
	if errors.Is(err, unix.ENOENT) {
		err = errNoProc // the file is there: it is pinned
	}
	if err != nil {
		return nil, d.err("open", name, err)
	}
	return &osFile{os.NewFile(uintptr(rfd), d.f.Name()+"/"+name)}, nil
}

func (d *osDir) Create(name string, like Stat) (Handle, error) {
	fd, err := openat(d.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return nil, d.err("create", name, err)
	}
	// Owner first: chown clears mode bits.
	err = unix.Fchown(fd, int(like.UID), int(like.GID))
	if err == nil {
		err = unix.Fchmod(fd, like.Mode)
	}
	if err != nil {
		return nil, errors.Join(d.err("set owner and mode of", name, err), unix.Close(fd), d.Remove(name))
	}
	return &osFile{os.NewFile(uintptr(fd), d.f.Name()+"/"+name)}, nil
}

func (d *osDir) Rename(from, to string) error {
	err := unix.Renameat2(d.fd(), from, d.fd(), to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w: the file system lacks RENAME_NOREPLACE, without which a rename could overwrite a log: "+
			"put podLogsDir on ext4, xfs, btrfs or another that has it", err)
	}
	return d.err("rename to "+to+" from", from, err)
}

func (d *osDir) Exchange(a, b string) error {
	return d.err("exchange "+b+" with", a, unix.Renameat2(d.fd(), a, d.fd(), b, unix.RENAME_EXCHANGE))
}

func (d *osDir) Remove(name string) error {
	return d.err("remove", name, unix.Unlinkat(d.fd(), name, 0))
}

func (d *osDir) Sync() error { return d.f.Sync() }

func (d *osDir) Close() error { return d.f.Close() }

type osFile struct {
	*os.File
}

func (f *osFile) Stat() (Stat, error) {
	st, err := Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return st, nil
}

func (f *osFile) SetModTime(t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err == nil {
		// The access time is of no interest; UTIME_OMIT leaves it.
		err = unix.UtimesNanoAt(unix.AT_FDCWD, procFD(int(f.Fd())), []unix.Timespec{{Nsec: unix.UTIME_OMIT}, ts}, 0)
	}
	if err != nil {
		return &fs.PathError{Op: "set time of", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *osFile) Truncate() error {
	// It is open for reading only; through /proc it is the same file, whatever its name.
	if err := unix.Truncate(procFD(int(f.Fd())), 0); err != nil {
		return &fs.PathError{Op: "truncate", Path: f.Name(), Err: err}
	}
	return nil
}

// OpenForWrite requests a read lease, which the kernel grants only if no process
// has the file open for writing (fcntl(2), F_SETLEASE).
func (f *osFile) OpenForWrite() (bool, error) { return f.refusesLease(unix.F_RDLCK) }

// InUse requests a write lease, which the kernel grants only if the file is not open
// elsewhere.
func (f *osFile) InUse() (bool, error) { return f.refusesLease(unix.F_WRLCK) }

// refusesLease requests a lease and releases it at once: a held one would block an
// open(2) in conflict with it.
func (f *osFile) refusesLease(kind int) (bool, error) {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, kind)
	switch {
	case err == nil:
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK); err != nil {
			return false, &fs.PathError{Op: "release lease on", Path: f.Name(), Err: err}
		}
		return false, nil
	case errors.Is(err, unix.EAGAIN):
		return true, nil
	default:
		return false, fmt.Errorf("lease on %s: %w: %w", f.Name(), ErrLeaseUnsupported, err)
	}
}

// Statx is statx(2) of a path relative to the open directory at; flags are its AT_ flags.
func Statx(at int, name string, flags int) (Stat, error) {
	var x unix.Statx_t
	err := retry(func() error {
		return unix.Statx(at, name, flags|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x)
	})
	if err != nil {
		return Stat{}, err
	}
	kind := x.Mode & unix.S_IFMT
	st := Stat{
		ID:   ID{Device: unix.Mkdev(x.Dev_major, x.Dev_minor), Inode: x.Ino},
		Size: int64(x.Size), Links: uint64(x.Nlink), Regular: kind == unix.S_IFREG, Dir: kind == unix.S_IFDIR,
		Mode: uint32(x.Mode & 0o777), UID: x.Uid, GID: x.Gid,
		Modified: time.Unix(x.Mtime.Sec, int64(x.Mtime.Nsec)), Changed: time.Unix(x.Ctime.Sec, int64(x.Ctime.Nsec)),
		Accessed: time.Unix(x.Atime.Sec, int64(x.Atime.Nsec)),
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		st.Born = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
	}
	return st, nil
}

func openat(at int, path string, flags int) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(at, path, flags, 0o600)
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
