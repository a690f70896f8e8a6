package readers

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

const (
	// earlyScans is how often a process without an open log is scanned with each sweep. Later it
	// is scanned every idlePause to two times that: a collector opens its logs when it starts.
	earlyScans = 3
	idlePause  = 30 * time.Second
	// freeScan is the time that a scan of idle processes may take before they are put off.
	freeScan   = 15 * time.Millisecond
	idleSpread = 7 // so that not all are scanned with the same sweep
	// maxTracked bounds the processes that are kept: a node has a few readers.
	maxTracked = 512
	// self is the command of this program: another version of it is not known by its executable.
	self = "logwatch"
	// hostPIDs is the PID namespace of the host (PROC_PID_INIT_INO in the kernel).
	hostPIDs = "pid:[4026531836]"
)

// idle is a process that had no log open.
type idle struct {
	id         podlogs.ID // of /proc/PID, with changed: another process with the PID has others
	changed    time.Time
	scans      int
	again      time.Time
	writes     bool // has logs open for writing, such as a runtime: hundreds of them
	unreadable bool
}

// review lists the descriptors of tracked processes, and drops those that no longer count.
func (t *Tracker) review(tracked []*process, timeout time.Duration, readers map[string]int) []*process {
	var kept []*process
	followed := map[string]bool{}
	views := t.views()
	for _, p := range tracked {
		_, isReader := readers[p.command]
		if p.review(t, timeout, isReader, views, followed) {
			kept = append(kept, p)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for dir := range t.dirs {
		if !followed[dir] {
			delete(t.dirs, dir)
		}
	}
	return kept
}

// review reports whether the process may still count. It adds the containers that the process
// follows. isReader: another process with its command is a reader.
func (p *process) review(t *Tracker, timeout time.Duration, isReader bool, views func(string) view, followed map[string]bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.died.IsZero() {
		if err := p.list(t, views); gone(err) {
			p.exit(now)
		}
	}
	if isReader && p.since.IsZero() && p.held.Sub(p.first) >= span {
		p.since = now
	}
	for dir, fl := range p.follows {
		if len(fl.files) == 0 {
			_, err := podlogs.Statx(unix.AT_FDCWD, t.podLogsDir+"/"+dir, unix.AT_SYMLINK_NOFOLLOW)
			if gone(err) {
				delete(p.follows, dir)
				continue
			}
		}
		followed[dir] = true
	}
	switch {
	case !p.died.IsZero():
		return p.wasReader() && p.command != kubelet && now.Sub(p.died) <= timeout
	case len(p.open) > 0, !p.since.IsZero() && now.Sub(p.held) <= timeout:
		return true
	}
	_ = p.proc.Close() // opened for reading
	return false
}

// scan looks for processes that have a log open. complete reports whether all processes of the
// node are visible.
func (t *Tracker) scan(ctx context.Context, tracked []*process) (found []*process, unreadable int, complete bool, err error) {
	names, err := listProc(t.proc)
	if err != nil {
		return nil, 0, false, err
	}
	if me, err := openProc(t.proc, "self"); err == nil {
		t.ours, _ = me.executable()
		namespace, _ := me.link("ns/pid")
		complete = namespace == hostPIDs
		_ = me.Close() // opened for reading
	}
	t.locate(time.Now())
	known := map[int]bool{}
	for _, p := range tracked {
		p.mu.Lock()
		known[p.pid] = known[p.pid] || p.died.IsZero()
		p.mu.Unlock()
	}
	next := make(map[int]idle, len(t.idle))
	start := time.Now()
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || known[pid] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return found, unreadable, false, err
		}
		p, rest, ok := t.inspect(pid, len(tracked)+len(found) < maxTracked, time.Since(start) > t.free)
		switch {
		case p != nil:
			found = append(found, p)
		case ok:
			next[pid] = rest
		}
		if rest.unreadable {
			unreadable++
		}
	}
	t.idle = next
	visible := slices.Contains(names, "1") // else other users' processes are hidden: hidepid
	return found, unreadable, visible && (complete || t.writer), nil
}

func listProc(proc string) ([]string, error) {
	f, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	return f.Readdirnames(-1)
}

// inspect returns a process if it has a log open, else when to look again. ok is unset once it has
// exited. putOff: one that had no log open is left until it must be looked at again.
func (t *Tracker) inspect(pid int, track, putOff bool) (p *process, rest idle, ok bool) {
	st, err := podlogs.Statx(unix.AT_FDCWD, t.proc+"/"+strconv.Itoa(pid), unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return nil, rest, false
	}
	now := time.Now()
	rest = t.idle[pid]
	if rest.id != st.ID || !rest.changed.Equal(st.Changed) {
		rest = idle{id: st.ID, changed: st.Changed}
	} else if (putOff || rest.writes) && now.Before(rest.again) {
		return nil, rest, true
	}
	if rest.scans++; rest.scans >= earlyScans {
		rest.again = now.Add(idlePause + time.Duration(pid%idleSpread)*idlePause/idleSpread)
	}
	p, rest.writes, rest.unreadable = t.open(pid, now)
	if p != nil && !track {
		_ = p.proc.Close() // opened for reading
		p, rest.unreadable = nil, true
	}
	return p, rest, true
}

// open returns a process if it has a log open for reading, and reports whether it has one open for
// writing, and whether its descriptors could not be read.
func (t *Tracker) open(pid int, now time.Time) (p *process, writes, unreadable bool) {
	d, err := openProc(t.proc, strconv.Itoa(pid))
	if err != nil {
		return nil, false, !gone(err)
	}
	defer func() {
		if p == nil {
			_ = d.Close() // opened for reading
		}
	}()
	executable, err := d.executable()
	switch {
	case gone(err): // a kernel thread
		return nil, false, false
	case err != nil:
		return nil, false, !t.isKernelThread(pid)
	case executable == t.ours:
		return nil, false, false
	}
	sees, err := t.sees(d, pid, now)
	if err != nil || !sees {
		return nil, false, err != nil && !gone(err)
	}
	q := &process{
		pid: pid, proc: d, first: now, held: now, early: t.scans == 0,
		open: map[podlogs.ID]*file{}, follows: map[string]*follow{},
	}
	if err := q.list(t, t.views()); err != nil {
		return nil, false, !gone(err)
	}
	t.writer = t.writer || q.writes
	if len(q.open) == 0 {
		return nil, q.writes, q.partial
	}
	proc, err := t.fs.Proc(pid)
	if err != nil {
		return nil, false, false // it has exited
	}
	stat, err := proc.Stat()
	if err != nil || d.exited() {
		return nil, false, false
	}
	if stat.Comm == self {
		return nil, false, false
	}
	q.command, q.started = stat.Comm, stat.Starttime
	return q, q.writes, false
}

// isKernelThread reports whether a process whose executable cannot be read has none.
func (t *Tracker) isKernelThread(pid int) bool {
	const kernelThread = 0x00200000 // PF_KTHREAD in the kernel's sched.h
	proc, err := t.fs.Proc(pid)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	stat, err := proc.Stat()
	return err != nil || stat.Flags&kernelThread != 0 || stat.State == "Z"
}
