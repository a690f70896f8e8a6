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
	// forgetAccess is how long after it was last asked for a log is not watched any longer: a
	// few sweeps.
	forgetAccess = time.Minute
)

// accesses holds when logs were last read by any process, as inotify(7) reports it: also where
// access times do not, since the reader's mount is read-only or has noatime. A watch ends with its
// first event (IN_ONESHOT), and is renewed when the log is asked for: a log that is read all the
// time costs one event for each question. One inotify instance is for all; its events are read
// when a log is asked for.
type accesses struct {
	mu      sync.Mutex
	fd      int                     // of the instance; 0: there is none
	logs    map[uint64]*accessedLog // by inode
	watches map[int32]*accessedLog
	read    time.Time // when the events were last read
}

// accessedLog is a log that was asked for.
type accessedLog struct {
	watch   int32     // the last; it has ended if there was an event
	watched time.Time // since when
	last    time.Time // read, at the earliest; zero: not since it is watched
	asked   time.Time
	own     int // reads by this process, under way
}

// last returns when a log was last read, as far as it was watched, and since when it is watched
// without an event; the watch begins or is renewed with the call. A read counts from the earliest
// time on that it may have been at, that of the question before. An error is inotify's: the log
// cannot be watched.
func (a *accesses) last(path string, inode uint64, now time.Time) (last, watched time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now = now.Round(0) // without its monotonic reading: access times have none
	a.readLocked(now)
	watch, err := a.watchLocked(path)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	l := a.logs[inode]
	if l == nil {
		l = &accessedLog{}
		a.logs[inode] = l
	}
	if l.watch != watch || l.watched.After(now) { // the clock was stepped back
		l.watch, l.watched = watch, now
	}
	if l.last.After(now) {
		l.last = time.Time{}
	}
	a.watches[watch], l.asked = l, now
	return l.last, l.watched, nil
}

// watchLocked watches a log; one that is watched stays so.
func (a *accesses) watchLocked(path string) (watch int32, err error) {
	if a.fd == 0 {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return 0, err
		}
		a.fd, a.logs, a.watches = fd, map[uint64]*accessedLog{}, map[int32]*accessedLog{}
	}
	w, err := unix.InotifyAddWatch(a.fd, path, unix.IN_ACCESS|unix.IN_ONESHOT|unix.IN_DONT_FOLLOW)
	return int32(w), err //nolint:gosec // the kernel's are int32
}

// readLocked reads the events that there are. Where one is lost, since the queue is full, the next
// question renews the watch.
func (a *accesses) readLocked(now time.Time) {
	var buf [4096]byte
	for a.fd != 0 {
		n, err := unix.Read(a.fd, buf[:])
		if err != nil || n <= 0 {
			break // EAGAIN: no more events
		}
		// The watch of a file has no names in its events.
		for e := buf[:n]; len(e) >= unix.SizeofInotifyEvent; e = e[unix.SizeofInotifyEvent:] {
			watch, mask := int32(binary.NativeEndian.Uint32(e)), binary.NativeEndian.Uint32(e[4:]) //nolint:gosec // as the kernel's struct has it
			l := a.watches[watch]
			if l != nil && mask&unix.IN_ACCESS != 0 && l.own == 0 {
				l.last = latest(l.last, l.watched, a.read)
			}
			if mask&unix.IN_IGNORED != 0 { // the watch's last event
				delete(a.watches, watch)
			}
		}
	}
	a.read = now
}

// ignore leaves out the reads of a log until end is called: they are this process's own.
func (a *accesses) ignore(inode uint64, now time.Time) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.logs[inode]
	if l == nil {
		return func() {}
	}
	a.readLocked(now.Round(0))
	l.own++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.readLocked(a.read)
		l.own--
	}
}

// forget ends the watches of logs that were not asked for lately.
func (a *accesses) forget(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for inode, l := range a.logs {
		if age := now.Sub(l.asked); age < 0 || age > forgetAccess {
			_, _ = unix.InotifyRmWatch(a.fd, uint32(l.watch)) //nolint:gosec // it fails where the watch has ended
			delete(a.logs, inode)
		}
	}
}

// close ends all watches.
func (a *accesses) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd != 0 {
		_ = unix.Close(a.fd)
		a.fd, a.logs, a.watches = 0, nil, nil
	}
}
