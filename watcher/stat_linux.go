package watcher

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// statPath is a path as the kernel takes it, with a NUL at its end: a hot log is
// stat'ed up to a thousand times a second, and unix.Lstat would copy its path
// each time.
type statPath []byte

func newStatPath(path string) statPath { return append([]byte(path), 0) }

// lstat is lstat(2).
func (p statPath) lstat(st *unix.Stat_t) error {
	cwd := unix.AT_FDCWD
	_, _, errno := unix.Syscall6(unix.SYS_NEWFSTATAT, uintptr(cwd),
		uintptr(unsafe.Pointer(&p[0])), uintptr(unsafe.Pointer(st)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
