package dispatch

import (
	"encoding/binary"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/rotator"
)

const (
	// accessLasts is how long after a read a log counts as being read: longer than a busy log
	// shipper takes to pass on what it has read.
	accessLasts = 5 * time.Second
	// firstAccess is how long a log is watched before it counts as not read: a log reader that
	// is behind reads much more often.
	firstAccess = 500 * time.Millisecond
	// accessPause is between two times that events are read, and the precision of times of reads.
	accessPause = readGap
	// forgetAccess is for how long a watch is kept after its last use, or for as long as readers
	// that cannot be seen are waited for, if that is longer. Each sweep uses those of live logs, and
	// a rotation that is due that of the rotated log before.
	forgetAccess = time.Minute
)

// accesses holds when logs were last read by any process, as inotify(7) reports it: also where
// access times do not, since the reader's mount is read-only or has noatime. An event costs the
// reader, and not the writer. One inotify instance is for all logs.
type accesses struct {
	clock func() time.Time // nil: time.Now, and events are read as they come

	mu      sync.Mutex
	fd      int // of the instance; 0: there is none
	file    *os.File
	done    chan struct{}           // closed with it
	logs    map[uint64]*accessedLog // by inode
	watches map[int32]*accessedLog
	own     map[uint64]int // reads by this process that are under way, by inode
}

// accessedLog is a log that is watched.
type accessedLog struct {
	inode uint64
	watch int32
	since time.Time
	last  time.Time // read, accessPause too late at most; zero: not since it is watched
	asked time.Time
}

// last returns when a log was last read while it was watched, and since when it is, which begins
// with the first call. An error is inotify's: the log cannot be watched.
func (a *accesses) last(path string, inode uint64) (last, since time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.readLocked()
	now := a.now()
	l := a.logs[inode]
	if l == nil {
		if l, err = a.watchLocked(path, inode); err != nil {
			return time.Time{}, time.Time{}, err
		}
		l.since = now
	}
	if l.last.After(now.Add(accessPause)) { // the clock was stepped back
		l.last = time.Time{}
	}
	if l.since.After(now) {
		l.since = now
	}
	l.asked = now
	return l.last, l.since, nil
}

// now has no monotonic reading, as access times have none.
func (a *accesses) now() time.Time {
	if a.clock != nil {
		return a.clock().Round(0)
	}
	return time.Now().Round(0)
}

// watchLocked begins to watch a log; [unix.ENOENT] if the path is another log's by now.
func (a *accesses) watchLocked(path string, inode uint64) (*accessedLog, error) {
	if a.fd == 0 {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return nil, err
		}
		a.fd, a.file, a.done = fd, os.NewFile(uintptr(fd), "inotify"), make(chan struct{})
		a.logs, a.watches = map[uint64]*accessedLog{}, map[int32]*accessedLog{}
		if a.clock == nil {
			go a.follow(a.file, a.done)
		}
	}
	w, err := unix.InotifyAddWatch(a.fd, path, unix.IN_ACCESS|unix.IN_DONT_FOLLOW)
	if err != nil {
		return nil, err
	}
	watch := int32(w) //nolint:gosec // the kernel's are int32
	var st unix.Stat_t
	switch {
	case a.watches[watch] != nil:
		return nil, unix.ENOENT
	case unix.Lstat(path, &st) != nil || st.Ino != inode:
		a.endLocked(watch)
		return nil, unix.ENOENT
	}
	l := &accessedLog{inode: inode, watch: watch}
	a.logs[inode], a.watches[watch] = l, l
	return l, nil
}

// follow reads the events as they come, until the instance is closed.
func (a *accesses) follow(file *os.File, done <-chan struct{}) {
	conn, err := file.SyscallConn()
	for err == nil {
		err = conn.Read(func(uintptr) bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return a.readLocked()
		})
		select {
		case <-done:
		case <-time.After(accessPause): // a log that is read all the time costs little
		}
	}
}

// readLocked reads the events that there are.
func (a *accesses) readLocked() (some bool) {
	var buf [4096]byte
	now := a.now()
	for a.fd != 0 {
		n, err := unix.Read(a.fd, buf[:])
		if err != nil || n <= 0 {
			break // EAGAIN: no more events
		}
		some = true
		// The watch of a file has no names in its events.
		for e := buf[:n]; len(e) >= unix.SizeofInotifyEvent; e = e[unix.SizeofInotifyEvent:] {
			watch, mask := int32(binary.NativeEndian.Uint32(e)), binary.NativeEndian.Uint32(e[4:]) //nolint:gosec // as the kernel's struct has it
			l := a.watches[watch]
			switch {
			case mask&unix.IN_Q_OVERFLOW != 0: // the end of a watch may be among what is lost
				for watch := range a.watches {
					a.endLocked(watch)
				}
			case l == nil:
			case mask&unix.IN_IGNORED != 0: // the log was removed
				delete(a.watches, watch)
				delete(a.logs, l.inode)
			case mask&unix.IN_ACCESS != 0 && a.own[l.inode] == 0:
				l.last = now
			}
		}
	}
	return some
}

// ignore leaves out the reads of logs until end is called: they are this process's own.
func (a *accesses) ignore(inodes ...uint64) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.readLocked()
	if a.own == nil {
		a.own = map[uint64]int{}
	}
	for _, inode := range inodes {
		a.own[inode]++
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.readLocked()
		for _, inode := range inodes {
			if a.own[inode]--; a.own[inode] == 0 {
				delete(a.own, inode)
			}
		}
	}
}

// ignoreReads leaves out this process's reads of rotated logs that are pruned unread: their lines
// are counted.
func (d *Dispatcher) ignoreReads(unread rotator.Positions) (end func()) {
	return d.accesses.ignore(slices.Collect(maps.Keys(unread))...)
}

// forget ends the watches that have not been used for some time.
func (a *accesses) forget(after time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for watch, l := range a.watches {
		if a.now().Sub(l.asked) > after {
			a.endLocked(watch)
		}
	}
}

// endLocked ends a watch.
func (a *accesses) endLocked(watch int32) {
	_, _ = unix.InotifyRmWatch(a.fd, uint32(watch)) //nolint:gosec // it fails where the log was removed
	if l := a.watches[watch]; l != nil {
		delete(a.watches, watch)
		delete(a.logs, l.inode)
	}
}

// close ends all watches.
func (a *accesses) close() {
	a.mu.Lock()
	file, done := a.file, a.done
	a.fd, a.file, a.logs, a.watches = 0, nil, nil, nil
	a.mu.Unlock()
	if file != nil {
		close(done)
		_ = file.Close() // this waits for what reads from it
	}
}
