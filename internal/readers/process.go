package readers

import (
	"io/fs"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

const (
	// span is how long a process must stay with a container's logs to be one of its readers:
	// longer than reading a log of the default limit takes.
	span = 2 * time.Second
	// probation is how long a process that has just been found counts as a reader of the logs
	// that it has open: a collector that starts beside a busy container would be known too late.
	probation = 2 * span
	// nearEnd is how far from the end, in bytes, a process may be that advances: one that looks
	// every few seconds (Filebeat) is never at the end of a log that is always written.
	nearEnd = 64 << 10
	// relistPause is the least time between two lists of a process's descriptors that Followers
	// requests. It grows with what a list takes, so that lists take at most 0.5% of a core.
	relistPause = 500 * time.Millisecond
	relistShare = 200
	// maxMissed is the number of lists without a file after which it is closed. One is not
	// enough: a process that opens its files again in turn (OpenTelemetry) exchanges their
	// descriptors while they are listed.
	maxMissed = 2
	// maxFiles bounds what is kept of one process: 250 containers with 5 files are 1,250.
	maxFiles = 2048
	// maxFDs bounds how many descriptors of one file are read between two lists, which is for each
	// look of a rotation that waits. rsyslog has two.
	maxFDs = 16
	// maxClosed bounds the closed files that are kept for a container.
	maxClosed = 64
	// maxHead is what a process reads of a file to recognize it. rsyslog keeps a second descriptor
	// at 512 bytes, until long after it has closed the one that it reads with.
	maxHead = 4096
	// kubelet is the command that reads for people.
	kubelet = "kubelet"
)

// process has, or has had, a log open for reading.
type process struct {
	pid     int
	command string
	started uint64 // clock ticks after boot
	proc    procDir

	mu      sync.Mutex
	first   time.Time // first seen with a log open
	early   bool      // had a log open when this program started
	since   time.Time // a reader since; zero: not known as one
	held    time.Time // last seen with a log open
	died    time.Time // zero: it lives
	writes  bool      // has a log open for writing
	partial bool      // has more descriptors than are read
	listed  time.Time // last list of descriptors
	took    time.Duration
	open    map[podlogs.ID]*file
	byFD    map[string]*file
	follows map[string]*follow // by container
}

// file is a log that a process has open.
type file struct {
	id     podlogs.ID
	dir    string
	fds    []string // at most maxFDs
	pos    int64    // see at; -1: not read yet
	next   int64    // while the descriptors are read: that of those so far; -1: none is open
	size   int64
	grew   time.Time // when pos last grew, or was at the end
	links  uint64    // 0: removed
	live   bool      // has been the live log while it was open
	missed int
}

// follow is what a process has to do with a container's logs.
type follow struct {
	files    map[podlogs.ID]*file
	closed   map[podlogs.ID]int64
	asked    time.Time // first asked for, while no log had been opened
	since    time.Time // first seen with a log open; zero: never
	opened   time.Time // since when it has had one open without a pause; zero: it has none open
	ended    time.Time // since opened, first seen at the end of the live log
	read     bool      // since opened, a position in a live log has grown
	left     bool      // died, and a younger process continues
	behind   bool      // when it was last judged
	progress time.Time
	looked   time.Time
	checked  time.Time // modification time of the directory when files were last known to exist
	rate     rate
}

// list reads all descriptors of the process. views returns the state of a container's directory. The
// error is fs.ErrNotExist once the process has exited.
func (p *process) list(t *Tracker, views func(dir string) view) error {
	start := time.Now()
	names, all, err := p.proc.descriptors()
	if err == nil && len(names) == 0 && p.proc.exited() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return err
	}
	p.writes, p.partial = false, !all
	before := p.byFD
	p.byFD = make(map[string]*file, len(before))
	for _, f := range p.open {
		f.fds, f.next = f.fds[:0], -1
	}
	for _, fd := range names {
		p.look(t, fd, before[fd])
	}
	now := time.Now()
	for id, f := range p.open {
		if f.next >= 0 {
			f.missed = 0
			p.held = now
		} else if f.missed++; f.missed >= maxMissed {
			delete(p.open, id)
			p.follows[f.dir].close(f)
		}
	}
	for dir, fl := range p.follows {
		if len(fl.files) > 0 || !fl.opened.IsZero() {
			p.judge(fl, views(dir), now)
		}
	}
	p.listed, p.took = start, time.Since(start)
	return nil
}

// look reads a descriptor. known is the file that it had open at the last list.
func (p *process) look(t *Tracker, fd string, known *file) {
	var st podlogs.Stat
	var err error
	if known != nil {
		if st, err = p.proc.stat(fd); err != nil || st.ID != known.id {
			known = nil
		}
	}
	f := known
	if f == nil {
		if f, st = p.identify(t, fd); f == nil {
			return
		}
	}
	pos, write, ok := p.proc.offset(fd, f.id.Inode)
	if !ok {
		p.writes = p.writes || write
		return
	}
	if p.open[f.id] == nil {
		if len(p.open) == maxFiles {
			p.partial = true
			return
		}
		p.add(f)
	}
	p.byFD[fd] = f
	switch f.at(pos, st); {
	case len(f.fds) < maxFDs:
		f.fds = append(f.fds, fd)
	case pos == f.next:
		f.fds[maxFDs-1] = fd // the lowest position counts
	}
}

// identify returns which log a descriptor has open, nil if none.
func (p *process) identify(t *Tracker, fd string) (*file, podlogs.Stat) {
	for range 2 { // a log may be renamed between link and stat
		link, err := p.proc.link("fd/" + fd)
		if err != nil {
			break
		}
		dir, name, deleted, ok := logOf(link)
		if !ok {
			break
		}
		st, err := p.proc.stat(fd)
		if err != nil || !st.Regular {
			break
		}
		if f := p.open[st.ID]; f != nil {
			return f, st
		}
		if t.has(dir, name, deleted, st) {
			return &file{id: st.ID, dir: strings.Clone(dir), pos: -1, next: -1}, st
		}
	}
	return nil, podlogs.Stat{}
}

// has reports whether an open file is the log that its link names. Of a removed one, all that can
// be checked is that it is on the same device.
func (t *Tracker) has(dir, name string, deleted bool, open podlogs.Stat) bool {
	path := t.podLogsDir + "/" + dir
	if !deleted {
		st, err := podlogs.Statx(unix.AT_FDCWD, path+"/"+name, unix.AT_SYMLINK_NOFOLLOW)
		return err == nil && st.ID == open.ID
	}
	st, err := podlogs.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Dir && st.Device == open.Device && open.Links == 0
}

// add starts to keep a file.
func (p *process) add(f *file) {
	fl := p.follows[f.dir]
	if fl == nil {
		fl = &follow{}
		p.follows[f.dir] = fl
	}
	if fl.files == nil {
		fl.files, fl.closed = map[podlogs.ID]*file{}, map[podlogs.ID]int64{}
	}
	p.open[f.id], fl.files[f.id] = f, f
	delete(fl.closed, f.id)
}

// at takes the position of one of the file's descriptors. The lowest counts, save one in the head
// of a file of which more has been read.
func (f *file) at(pos int64, st podlogs.Stat) {
	f.size, f.links = st.Size, st.Links
	switch {
	case pos <= maxHead && f.pos > maxHead && st.Size >= f.pos:
	case f.next < 0, f.next <= maxHead && pos > f.next, pos > maxHead && pos < f.next:
		f.next = pos
	}
}

// advances reports whether the process has read on in the file, or was at its end, within timeout. If
// not, it may have left the file with a descriptor open.
func (f *file) advances(now time.Time, timeout time.Duration) bool { return now.Sub(f.grew) <= timeout }

// close keeps the last position of a file that is no longer open.
func (fl *follow) close(f *file) {
	delete(fl.files, f.id)
	if f.links > 0 && len(fl.closed) < maxClosed {
		fl.closed[f.id] = f.pos
	}
}

// reread reads the known descriptors of a container's logs. It reports whether each file still had
// one.
func (p *process) reread(fl *follow) (complete bool) {
	complete = true
	for _, f := range fl.files {
		complete = complete && f.missed == 0
		for _, fd := range f.fds {
			st, err := p.proc.stat(fd)
			if err != nil || st.ID != f.id {
				complete = false
				continue
			}
			if pos, _, ok := p.proc.offset(fd, f.id.Inode); ok {
				f.at(pos, st)
			} else {
				complete = false
			}
		}
	}
	return complete
}

// judge evaluates the positions that were read since the last time.
func (p *process) judge(fl *follow, v view, now time.Time) {
	live := v.live
	var grown int64
	var seen, behind bool
	for id, f := range fl.files {
		isOpen := f.next >= 0
		if isOpen {
			seen = true
			f.live = f.live || id == live.ID
			if was := max(0, f.pos); f.next > was && (f.pos >= 0 || !fl.opened.IsZero()) {
				grown += f.next - was
				fl.read = fl.read || f.live
			}
			if f.next > f.pos || f.next >= f.size {
				f.grew = now
			}
			f.pos, f.next = f.next, -1
		}
		if f.pos < f.size {
			behind = behind || id == live.ID || f.links > 0 && f.advances(now, v.timeout)
		}
		atEnd := f.pos >= f.size || fl.read && f.size-f.pos <= nearEnd
		if atEnd && id == live.ID && f.pos > 0 && isOpen && fl.ended.IsZero() {
			fl.ended = now
		}
	}
	switch {
	case fl.files[live.ID] == nil && fl.closed[live.ID] < live.Size:
		behind = true
	case len(fl.files) == 0 && fl.opened.IsZero() && live.Size == 0:
		behind = fl.behind // it may not come for this log, as for the one before
	}
	switch {
	case len(fl.files) == 0:
		fl.opened, fl.ended, fl.read = time.Time{}, time.Time{}, false
	case fl.opened.IsZero() && seen:
		fl.opened, fl.progress = now, now
		if fl.since.IsZero() {
			fl.since = now
		}
	}
	// One that has read all and closed it may come back when the log is written again.
	if grown > 0 || !behind || len(fl.files) == 0 && !fl.behind {
		fl.progress = now
	}
	fl.behind = behind
	fl.rate.add(grown, now)
	fl.looked = now
	if p.since.IsZero() && seen && !fl.ended.IsZero() && now.Sub(fl.ended) >= span {
		p.since = now
	}
}

// counts reports whether the process is a reader of a container's logs: it is one of any, it
// has read this for a while, it has its live log open and has only just been found, or it had
// a log open when this program started: what it did before is not known.
func (p *process) counts(fl *follow, v view, now time.Time) bool {
	return !p.since.IsZero() || v.isReader(p.command) ||
		now.Sub(p.first) < probation && fl.hasLive() || p.early && len(fl.files) > 0 ||
		fl.read && !fl.opened.IsZero() && now.Sub(fl.opened) >= span
}

// wasReader reports whether a process that has exited was a reader: it was known as one, or had a log
// open when this program started and some time later.
func (p *process) wasReader() bool {
	return !p.since.IsZero() || p.early && p.held.Sub(p.first) >= span
}

// hasLive reports whether a log is open that was the live log while it was open.
func (fl *follow) hasLive() bool {
	for _, f := range fl.files {
		if f.live {
			return true
		}
	}
	return false
}

// exit notes that the process has exited.
func (p *process) exit(now time.Time) {
	p.died = now
	_ = p.proc.Close() // opened for reading
}

// reader summarizes the process. Since is zero if it is not a reader. follows is the number of
// containers whose logs it follows, open or closed: many shippers close a log that is silent.
func (p *process) reader() (r Reader, follows int, partial bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r = Reader{PID: p.pid, Command: p.command, Dead: !p.died.IsZero(), Since: p.since}
	for _, fl := range p.follows {
		if len(fl.files) > 0 && !fl.left {
			r.Containers++
		}
		if !fl.since.IsZero() && !fl.left {
			follows++
		}
	}
	for _, f := range p.open {
		if !p.follows[f.dir].left {
			r.LagBytes += max(0, f.size-f.pos)
		}
	}
	return r, follows, p.partial && p.died.IsZero()
}
