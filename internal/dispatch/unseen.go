package dispatch

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/rotator"
)

// What follows is for log readers that cannot be seen: without CAP_SYS_PTRACE, or in another
// PID namespace.

const (
	// maxUnseenWait is how long after a rotation the next one waits for a process that is not
	// known: a few seconds more than most log shippers wait before they look for new logs.
	maxUnseenWait = 15 * time.Second
	// readLookPause is the time between two looks at which containers' logs are read.
	readLookPause = time.Second
)

// reading is whether a container's live logs are read by processes that cannot be seen.
type reading uint8

const (
	readingUnknown reading = iota
	isRead
	isNotRead
)

// blind reports whether readers of a container's logs cannot be seen and are waited for.
func (d *Dispatcher) blind(dir string) bool {
	budget, _ := d.UnreadBudget()
	return budget > 0 && d.o.Readers.Unseen() > 0 && len(d.o.Readers.Followers(dir, anyAge)) == 0
}

// unopened reports whether a live log was not read by any process yet, though the one before
// it was, or, for a container's first, those of other containers are: a log shipper has not
// looked for it yet. The access time shows it. A container whose logs are not read is not
// waited for until one is.
func (d *Dispatcher) unopened(dir, log string, now time.Time) bool {
	live, err := d.statLog(dir, log)
	if err != nil || live.Size == 0 || live.Born == 0 {
		return false
	}
	set := func(r reading) { d.with(dir, func(c *container) { c.reading = r }) }
	born := time.Unix(0, live.Born)
	if live.Accessed.After(born) && d.hadLine(dir, log, live.Accessed) {
		if live.IsRead() { // else it was silent, and is written again: its reader comes
			set(isRead)
		}
		return false
	}
	var before reading
	var readUntil time.Time
	d.with(dir, func(c *container) { before, readUntil = c.reading, c.readUntil })
	if before == isNotRead {
		return false
	}
	age := now.Sub(born)
	if readUntil.After(born) { // its reader comes after that
		age = max(0, now.Sub(readUntil))
	}
	if age < 0 || age >= d.unseenWait || before == readingUnknown && !d.readElsewhere(dir, now) {
		set(isNotRead)
		return false
	}
	return true
}

// hadLine reports whether a live log had its first line at a time: log shippers open and read an
// empty log too, and close it.
func (d *Dispatcher) hadLine(dir, log string, at time.Time) bool {
	first, err := d.firstLine(dir, log)
	return err != nil || at.After(first)
}

// readElsewhere reports whether the live logs of at least half of the other containers are
// read, of those that a log shipper has had the time to open. One that is read alone, such as
// by tail, says nothing about the others.
func (d *Dispatcher) readElsewhere(dir string, now time.Time) bool {
	d.mu.Lock()
	looked, result := now.Sub(d.readLooked) < readLookPause, d.readResult
	d.mu.Unlock()
	if looked {
		return result
	}
	read, all := 0, 0
	for _, c := range d.o.Inventory.All() {
		other, _, err := podlogs.SplitPath(d.o.PodLogsDir, c.LogPath)
		if err != nil || other == dir || !c.Running {
			continue
		}
		st, err := podlogs.Statx(unix.AT_FDCWD, c.LogPath, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || !st.Regular || st.Size == 0 || now.Sub(time.Unix(0, st.Born)) < d.settled {
			continue
		}
		if all++; st.IsRead() {
			read++
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readLooked, d.readResult = now, read > 0 && 2*read >= all
	return d.readResult
}

// beingRead reports whether an unknown process reads the newest rotated log: most readers open
// the live log only when they have read the one before. One that has the log open delays
// rotations for a time after it was rotated, and until it has read it, but not for longer than
// rotated logs are held for such a process.
func (d *Dispatcher) beingRead(dir, log string, now time.Time) bool {
	files, err := podlogs.ListDir(d.fs, dir, maxListed)
	if err != nil {
		return false
	}
	var newest podlogs.File
	for _, f := range files {
		if f.Base == log && f.Kind == podlogs.Rotated && f.Regular && (newest.Base == "" || f.Compare(newest.Name) > 0) {
			newest = f
		}
	}
	age := now.Sub(newest.Changed)
	if newest.Base == "" || age < 0 || age > d.o.Readers.Unseen() || !d.inUse(dir, newest.Name, true) {
		return false
	}
	recent, last := d.accesses.recent(dir, d.o.PodLogsDir+"/"+dir+"/"+newest.Name.String(), time.Now())
	if !last.IsZero() {
		d.with(dir, func(c *container) { c.readUntil = last })
	}
	return age < d.unseenWait || recent
}

// inUse reports whether any process has a log open; onlyRead: and none for writing, as a
// runtime that is slow to close it has.
func (d *Dispatcher) inUse(dir string, name podlogs.Name, onlyRead bool) bool {
	defer d.look(dir)()
	at, err := d.fs.OpenDir(dir)
	if err != nil {
		return false
	}
	defer at.Close() //nolint:errcheck // opened for reading
	f, err := at.Open(name.String())
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if onlyRead {
		if written, err := f.OpenForWrite(); err != nil || written {
			return false
		}
	}
	used, err := f.InUse()
	return err == nil && used
}

// look waits for its turn to open rotated logs of a directory; end ends that. There is one at a
// time: a log that two workers have open looks as if a log reader had.
func (d *Dispatcher) look(dir string) (end func()) {
	var turn *sync.Mutex
	d.with(dir, func(c *container) { turn = &c.looks })
	turn.Lock()
	return turn.Unlock
}

// holdInUse adds as unread the rotated logs that a process has open which is not known,
// for a time after their rotation: it may be a log reader that cannot be seen.
func (d *Dispatcher) holdInUse(dir string, files []podlogs.File, unseen time.Duration, p rotator.Positions) {
	if unseen <= 0 {
		return
	}
	var busy podlogs.Name
	d.with(dir, func(c *container) { busy = c.compressing })
	now := time.Now()
	for _, f := range files {
		_, known := p[f.Inode]
		age := now.Sub(f.Changed)
		if known || f.Kind != podlogs.Rotated || !f.Regular || f.SameGeneration(busy) || age < 0 || age > unseen {
			continue
		}
		if d.inUse(dir, f.Name, false) {
			p[f.Inode] = 0
		}
	}
}
