package readers

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// procDir is an open /proc/PID. It stays that of the process it was opened for: once that has
// exited, each look into it fails, whatever process has the PID by then.
type procDir struct{ *os.File }

func openProc(proc, pid string) (procDir, error) {
	f, err := os.OpenFile(proc+"/"+pid, unix.O_PATH|unix.O_DIRECTORY, 0)
	return procDir{f}, err
}

// gone reports whether an error is that of a process that has exited, or of a descriptor that is
// closed.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// maxDescriptors bounds what one process can cost: collectors have some for each container.
const maxDescriptors = 16_384

// descriptors returns the numbers of the open descriptors, and whether these are all.
func (d procDir) descriptors() (names []string, all bool, err error) {
	fd, err := unix.Openat(int(d.Fd()), "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, err
	}
	f := os.NewFile(uintptr(fd), "fd")
	defer f.Close() //nolint:errcheck // opened for reading
	names, err = f.Readdirnames(maxDescriptors)
	if errors.Is(err, io.EOF) { // none
		err = nil
	}
	return names, len(names) < maxDescriptors, err
}

// exited reports whether a process has no program: it is a zombie or a kernel thread, or it has
// exited.
func (d procDir) exited() bool {
	_, err := d.executable()
	return gone(err)
}

// executable identifies the program.
func (d procDir) executable() (podlogs.ID, error) {
	st, err := podlogs.Statx(int(d.Fd()), "exe", unix.AT_STATX_DONT_SYNC)
	return st.ID, err
}

// link returns what a link of the directory points to.
func (d procDir) link(name string) (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(int(d.Fd()), name, buf[:])
	return string(buf[:max(0, n)]), err
}

// stat returns the file that a descriptor has open. A server that does not answer (NFS, FUSE) is
// not waited for.
func (d procDir) stat(descriptor string) (podlogs.Stat, error) {
	return podlogs.Statx(int(d.Fd()), "fd/"+descriptor, unix.AT_STATX_DONT_SYNC)
}

// offset returns a descriptor's position. ok is unset if it is open for writing, or closed, or its
// inode is another one.
func (d procDir) offset(descriptor string, inode uint64) (pos int64, write, ok bool) {
	fd, err := unix.Openat(int(d.Fd()), "fdinfo/"+descriptor, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false, false
	}
	defer unix.Close(fd) //nolint:errcheck // opened for reading
	var buf [128]byte    // pos, flags, mnt_id and ino come first
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return 0, false, false
	}
	var info [3]int64
	for i, field := range []struct {
		key  string
		base int
	}{{"pos:", 10}, {"flags:", 8}, {"ino:", 10}} {
		info[i] = -1
		_, value, found := bytes.Cut(buf[:n], []byte(field.key))
		if !found {
			continue
		}
		value, _, _ = bytes.Cut(value, []byte("\n"))
		if info[i], err = strconv.ParseInt(string(bytes.TrimSpace(value)), field.base, 64); err != nil {
			return 0, false, false
		}
	}
	pos, flags, ino := info[0], info[1], info[2]
	if pos < 0 || flags < 0 || ino >= 0 && uint64(ino) != inode { // no ino before Linux 5.14
		return 0, false, false
	}
	write = flags&unix.O_ACCMODE != unix.O_RDONLY
	return pos, write, !write
}

// logOf returns which log a descriptor's link names: the last three elements of the path, since
// those before depend on the mount namespace.
func logOf(link string) (dir, name string, deleted, ok bool) {
	link, deleted = strings.CutSuffix(link, " (deleted)")
	last := strings.LastIndexByte(link, '/')
	if last < 0 {
		return "", "", false, false
	}
	rest, name := link[:last], link[last+1:]
	if _, ok = podlogs.ParseName(name); !ok {
		return "", "", false, false
	}
	container := strings.LastIndexByte(rest, '/')
	if container < 0 {
		return "", "", false, false
	}
	pod := strings.LastIndexByte(rest[:container], '/')
	if pod < 0 || pod+1 == container || container+1 == len(rest) {
		return "", "", false, false
	}
	return rest[pod+1:], name, deleted, true
}
