package dispatch

import (
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// accessLasts is how long after a read a log counts as being read: longer than a busy log
	// shipper takes to pass on what it has read.
	accessLasts = 5 * time.Second
	// firstAccess is how long a log is watched before it counts as not read: a log reader that
	// is behind reads much more often.
	firstAccess = 500 * time.Millisecond
)

// accesses holds the times at which rotated logs were last read by any process. Nothing writes to
// these, so that watching them slows no container down. One inotify instance is for all; its
// events are read when a time is asked for.
type accesses struct {
	mu   sync.Mutex
	fd   int // of the instance; 0: there is none
	logs map[string]*accessedLog
}

// accessedLog is the log of a directory that is watched.
type accessedLog struct {
	path  string
	watch int32
	began time.Time // the watch
	last  time.Time // read; zero: not since
}

// recent reports whether a process has read a log lately, and when it was found to have. path is
// that of the log; of each directory one log is watched, from the first call for it on. An error
// is inotify's: the log cannot be watched.
func (a *accesses) recent(dir, path string, now time.Time) (recent bool, last time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.logs[dir]; l == nil || l.path != path {
		a.forgetLocked(dir)
		watch, err := a.watchLocked(path)
		if err != nil {
			return false, time.Time{}, err
		}
		if a.logs == nil {
			a.logs = map[string]*accessedLog{}
		}
		a.logs[dir] = &accessedLog{path: path, watch: int32(watch), began: now} //nolint:gosec // the kernel's are int32
	}
	a.readLocked(now)
	l := a.logs[dir]
	return now.Sub(l.began) < firstAccess || !l.last.IsZero() && now.Sub(l.last) < accessLasts, l.last, nil
}

func (a *accesses) watchLocked(path string) (watch int, err error) {
	if a.fd == 0 {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return 0, err
		}
		a.fd = fd
	}
	return unix.InotifyAddWatch(a.fd, path, unix.IN_ACCESS|unix.IN_DONT_FOLLOW)
}

// readLocked notes the events that there are.
func (a *accesses) readLocked(now time.Time) {
	var buf [4096]byte
	for {
		n, err := unix.Read(a.fd, buf[:])
		if err != nil || n <= 0 {
			return // EAGAIN: no more events
		}
		// The watch of a file has no names in its events.
		for e := buf[:n]; len(e) >= unix.SizeofInotifyEvent; e = e[unix.SizeofInotifyEvent:] {
			watch, mask := int32(binary.NativeEndian.Uint32(e)), binary.NativeEndian.Uint32(e[4:]) //nolint:gosec // as the kernel's struct has it
			for _, l := range a.logs {
				if mask&unix.IN_ACCESS != 0 && l.watch == watch && now.After(l.last) {
					l.last = now
				}
			}
		}
	}
}

// forget ends the watch of a directory's log.
func (a *accesses) forget(dir string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLocked(dir)
}

func (a *accesses) forgetLocked(dir string) {
	if l := a.logs[dir]; l != nil {
		_, _ = unix.InotifyRmWatch(a.fd, uint32(l.watch)) //nolint:gosec // it fails where the file is gone, and the watch with it
		delete(a.logs, dir)
	}
}

// close ends all watches.
func (a *accesses) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd != 0 {
		_ = unix.Close(a.fd)
		a.fd, a.logs = 0, nil
	}
}
