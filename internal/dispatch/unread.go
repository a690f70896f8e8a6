package dispatch

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/rotator"
)

// Readers are the processes that follow the logs of containers; *readers.Tracker
// is one.
type Readers interface {
	Followers(dir string, maxAge time.Duration) []readers.Follower
	// Unseen is how long after its rotation a log that a process has open may have a
	// reader that is not known; 0: all readers are known.
	Unseen() time.Duration
	// Known is false after the start, until the processes that ran before have been looked at.
	Known() bool
}

const (
	// readerPause is when a rotation that waits for a log reader is tried again. It is less,
	// though not less than minReaderPause, where the log has no room before.
	readerPause    = 200 * time.Millisecond
	minReaderPause = 10 * time.Millisecond
	// positionsAge is how old the readers' positions may be that a rotation is
	// decided by. Housekeeping is less urgent.
	positionsAge  = 100 * time.Millisecond
	heldLogsAge   = 500 * time.Millisecond
	anyAge        = time.Duration(math.MaxInt64)
	readAhead     = 1500 * time.Millisecond
	minReaderLag  = 64 << 10 // bytes; what is read in one call
	maxPersonWait = 2 * time.Second
	// settleTime is how long a reader that is new, or was away, has until the live log that it
	// has opened is rotated: rsyslog that has just started, and Promtail before it gets to the
	// end of a log for the first time, do not find the next one.
	settleTime = 2 * time.Second
	// maxDiscovery is how long a reader may take to open a new live log: Fluent Bit
	// and Vector look for new logs every 60 seconds.
	maxDiscovery = 75 * time.Second
	// longWait is from when on a wait is logged: many end earlier.
	longWait = time.Minute
	// returnPause is for how long a log is not rotated that has got its name back: its
	// readers may have left it.
	returnPause = 5 * time.Second
	// missedLasts is for how long a log that was rotated need not be in a list.
	missedLasts = 10 * time.Second
	// givePause is how long after another container needs the allowance a directory that has more
	// than its share is pruned. Not all can give at once.
	givePause = 100 * time.Millisecond
	// unknownReader stands for the command of a process that has a log open and cannot be
	// seen.
	unknownReader = "unknown"
)

// Waiting is why a live log that is due is not rotated yet.
type Waiting struct {
	// Command and PID are of the log reader that is waited for.
	Command string
	PID     int
	Since   time.Time
	// Unread is what it has not read of the live log, in bytes.
	Unread int64
	log    string // the live log
}

// awaitReaders reports whether a rotation must wait, and then requests it again: a
// process that follows the live log would miss lines. One that has not opened it yet
// would never see it, and many read a rotated log for a few seconds only. The wait
// ends when there is no more room for what is unread.
func (d *Dispatcher) awaitReaders(dir string, w *want) bool {
	_, row := rank(w.Cause)
	if d.o.Readers == nil {
		return false
	}
	var since, returned time.Time
	d.with(dir, func(c *container) {
		returned = c.returned
		if c.state.waiting != nil && c.state.waiting.log == w.Log {
			since = c.state.waiting.Since
		}
	})
	now := time.Now()
	if since.IsZero() {
		since = now
	}
	waiting, missed := d.slowest(dir, w.Log, now, since, returned)
	w.missed = missed
	if !row.waits || len(w.operators) > 0 {
		d.with(dir, func(c *container) { c.state.waiting = nil })
		return false
	}
	unopened, behind := false, false
	if waiting == nil {
		unseen := false
		if d.blind(d.o.Readers.Followers(dir, anyAge)) {
			unseen, unopened, behind = d.awaitUnseen(dir, w.Log, now, since)
		}
		if unseen || now.Sub(returned) < returnPause {
			waiting = &Waiting{Command: unknownReader, Since: since}
		}
	}
	room := int64(0)
	if waiting != nil {
		if room = d.room(dir, w.Log, unopened || len(missed) > 0); room <= 0 {
			waiting = nil
		}
	}
	d.noteWait(dir, waiting, now)
	d.with(dir, func(c *container) {
		if c.state.waiting = waiting; waiting == nil {
			return
		}
		waiting.log = w.Log
		c.rotating = time.Time{}
		w.Growing = false // it is not known any longer when it is tried again
		w.at = time.Time{}
		if c.want == nil {
			c.want = w
		} else {
			c.want.merge(w.Due, func(log string) bool { return log == c.want.Log })
		}
	})
	if waiting != nil {
		look := d.nextLook(dir, room)
		if behind && !unopened {
			look = min(look, catchUpLook)
		}
		d.rotations.AddAfter(dir, look)
	}
	return waiting != nil
}

// noteWait logs each wait that is long. waiting is nil: it has ended.
func (d *Dispatcher) noteWait(dir string, waiting *Waiting, now time.Time) {
	problem := "waits " + dir
	switch {
	case waiting == nil, waiting.Since.Equal(now): // it has ended, or another begins
		d.warn.Clear(problem)
	case now.Sub(waiting.Since) >= longWait:
		d.warn.Do(problem, func() {
			d.log.Info().Str("dir", dir).Str("reader", waiting.Command).Int("pid", waiting.PID).Time("since", waiting.Since).
				Int64("unread", waiting.Unread).Msg("rotation waits for a log reader")
		})
	}
}

// slowest returns the log reader that a rotation must wait for; nil: there is none. missed
// are the commands of those that have not opened the log, and would miss it if it were
// rotated now. An empty log is not moved: all that is missing is a reopen.
// The log got its name at returned, if that is not zero, else when it was created.
func (d *Dispatcher) slowest(dir, log string, now, since, returned time.Time) (waiting *Waiting, missed []string) {
	followers := d.o.Readers.Followers(dir, positionsAge)
	d.noteReaders(dir, followers)
	if len(followers) == 0 {
		return nil, nil
	}
	live, err := d.statLog(dir, log)
	if err != nil || live.Size == 0 {
		return nil, nil
	}
	named := time.Unix(0, live.Born)
	if named.Before(returned) {
		named = returned
	}
	for _, f := range followers {
		pos, open := f.Positions[live.Inode]
		unread := max(0, live.Size-pos)
		at, closed := f.Closed[live.Inode]
		switch {
		case closed && at >= live.Size: // it has read all
		case open && now.Sub(f.Since) >= settleTime && (unread == 0 || !f.Dead && unread <= max(minReaderLag, int64(f.Rate*readAhead.Seconds()))):
		case !open && f.Dead && f.Since.IsZero(): // it may have been no reader
		case !open && live.Born != 0 && now.Sub(named) > maxDiscovery && (f.Expected || now.Sub(f.Progress) > maxDiscovery): // it does not follow this log
		case f.Expected && now.Sub(f.Progress) > maxDiscovery: // nor any of this container
		case f.Kubelet && now.Sub(since) > maxPersonWait:
		default:
			if waiting == nil || unread > waiting.Unread {
				waiting = &Waiting{Command: f.Command, PID: f.PID, Since: since, Unread: unread}
			}
			if !open && !f.Kubelet {
				missed = append(missed, f.Command)
			}
		}
	}
	return waiting, missed
}

func (d *Dispatcher) statLog(dir, log string) (podlogs.Stat, error) {
	at, err := d.fs.OpenDir(dir)
	if err != nil {
		return podlogs.Stat{}, err
	}
	defer at.Close() //nolint:errcheck // opened for reading
	return at.Stat(log)
}

// nextLook is when a rotation that waits for a log reader is tried again, where the live log
// has room for some bytes.
func (d *Dispatcher) nextLook(dir string, room int64) time.Duration {
	rate := d.rate(dir)
	if rate <= 0 {
		return readerPause
	}
	until := min(float64(room)/rate, readerPause.Seconds())
	return max(minReaderPause, time.Duration(until*float64(time.Second)))
}

// room is how many bytes a live log may grow by past its limit. It may take half of
// what the container may have, so that the other half can hold it once it is rotated. One
// that a reader has not opened would be of no use to it then: it may take nearly all, and
// what is older goes first.
func (d *Dispatcher) room(dir, log string, missed bool) int64 {
	files, err := podlogs.ListDir(d.fs, dir, maxListed)
	if err != nil {
		return 0
	}
	i := slices.IndexFunc(files, func(f podlogs.File) bool { return f.Name.String() == log })
	if i < 0 {
		return 0
	}
	live, sum := files[i].Size, sizeOf(files)
	e, _ := d.Policy(dir)
	borrowed := int64(0)
	if e.MaxTotalSize > 0 { // else the allowance bounds the wait, and nothing is beyond a total
		borrowed = sum - e.MaxTotalSize
	}
	may := e.MaxTotalSize + d.borrow(dir, borrowed)
	if missed {
		if sum >= may {
			d.prunes.Add(dir)
		}
		return may - may/8 - live
	}
	return min(may/2-live, may-sum)
}

func sizeOf(files []podlogs.File) (sum int64) {
	for _, f := range files {
		if f.Regular {
			sum += f.Size
		}
	}
	return sum
}

// borrow notes what a directory has beyond its own total and returns what it may
// have, for logs that are not read yet. Containers that have more than they may give
// it back.
func (d *Dispatcher) borrow(dir string, borrowed int64) int64 {
	share, over := d.allowance.share(dir, borrowed)
	for _, other := range over { // each of which may request the others in turn
		d.prunes.AddAfter(other, givePause)
	}
	return share
}

// unreadPolicy adds to a policy what the directory's readers have not read.
func (d *Dispatcher) unreadPolicy(dir string, p *rotator.Policy) {
	if d.o.Readers == nil {
		return
	}
	var files []podlogs.File
	p.Read, files, p.Followed = d.read(dir)
	var borrowed int64
	if p.MaxTotalSize > 0 && (p.Followed || len(p.Positions) > 0) {
		borrowed = sizeOf(files) - p.MaxTotalSize
	}
	p.Allowance = d.borrow(dir, borrowed)
}

// read returns what has been read of a directory's rotated logs, and the directory's files, if any of
// them may be held. followed: see [Dispatcher.positions].
func (d *Dispatcher) read(dir string) (r rotator.Read, files []podlogs.File, followed bool) {
	if d.o.Readers == nil {
		return r, nil, false
	}
	r.Again = d.positionAgain(dir)
	r.Positions, followed = d.positions(dir)
	missed := false
	d.with(dir, func(c *container) { missed = len(c.missed) > 0 })
	unseen, known := d.o.Readers.Unseen(), d.o.Readers.Known()
	if !followed && known && unseen == 0 && !missed {
		return r, nil, followed
	}
	files, err := podlogs.ListDir(d.fs, dir, maxListed)
	if err != nil { // there is nothing to hold
		return r, nil, followed
	}
	d.forgetMissed(dir, files)
	d.with(dir, func(c *container) {
		for _, f := range files {
			pos, open := r.Positions[f.Inode]
			switch {
			case len(c.missed[f.Inode].readers) == 0:
			case open && pos < f.Size: // held for another reader; if it is pruned, all of it counts
				r.Positions[f.Inode] = 0
			default:
				r.Positions[f.Inode] = rotator.Missed
			}
		}
	})
	if unseen > 0 {
		d.holdInUse(dir, files, unseen, r.Positions)
	}
	if !known {
		d.holdAll(files, r.Positions)
	}
	return r, files, followed
}

// holdAll holds a directory's logs while the readers of those of before the start are not known. Newer
// ones are held with them: a log is not pruned before an older one is.
func (d *Dispatcher) holdAll(files []podlogs.File, p rotator.Positions) {
	before := func(f podlogs.File) bool { return f.Kind == podlogs.Rotated && f.Changed.Before(d.started) }
	if !slices.ContainsFunc(files, before) {
		return
	}
	for _, f := range files {
		if _, read := p[f.Inode]; !read && f.Regular && (f.Kind == podlogs.Rotated || f.Kind == podlogs.Live) {
			p[f.Inode] = rotator.Assumed
		}
	}
}

// positions returns how far a directory's logs have been read: of each log the offset
// of the reader that is the furthest behind. followed: there are readers, or were, which
// have closed what they have read.
func (d *Dispatcher) positions(dir string) (p rotator.Positions, followed bool) {
	if d.o.Readers == nil {
		return nil, false
	}
	p = rotator.Positions{}
	opened := map[uint64][]string{} // by which commands
	var stalled []uint64
	for _, f := range d.o.Readers.Followers(dir, heldLogsAge) {
		if f.Kubelet || f.Expected {
			continue
		}
		followed = true
		for inode, pos := range f.Positions {
			if before, ok := p[inode]; !ok || pos < before {
				p[inode] = pos
			}
		}
		stalled = slices.AppendSeq(stalled, maps.Keys(f.Stalled))
		if f.Dead { // what its successor missed it did not read for it
			continue
		}
		for _, logs := range []map[uint64]int64{f.Positions, f.Stalled, f.Closed} {
			for inode := range logs {
				opened[inode] = append(opened[inode], f.Command)
			}
		}
	}
	for _, inode := range stalled { // not held; emptied when it is pruned, since unlinking it would free nothing
		if _, ok := p[inode]; !ok {
			p[inode] = rotator.Missed
		}
	}
	d.with(dir, func(c *container) {
		c.followed = c.followed || followed
		followed = c.followed
		for inode, m := range c.missed {
			// Some readers look for rotated logs too.
			m.readers = slices.DeleteFunc(m.readers, func(command string) bool { return slices.Contains(opened[inode], command) })
			if c.missed[inode] = m; len(m.readers) == 0 {
				delete(c.missed, inode)
			}
		}
	})
	return p, followed
}

// positionAgain returns a function that reads the position of a log's slowest reader now.
func (d *Dispatcher) positionAgain(dir string) func(inode uint64) int64 {
	return func(inode uint64) (pos int64) {
		missed := false
		d.with(dir, func(c *container) { _, missed = c.missed[inode] })
		if missed { // by one reader, whatever others have read
			return 0
		}
		pos = math.MaxInt64
		for _, f := range d.o.Readers.Followers(dir, 0) {
			at, ok := f.Open(inode)
			if !ok {
				at, ok = f.Closed[inode]
			}
			if ok && !f.Kubelet {
				pos = min(pos, at)
			}
		}
		if pos == math.MaxInt64 {
			pos = 0
		}
		return pos
	}
}

// lag returns what the reader that is the furthest behind has not read of a
// directory's logs, in bytes; -1: there is no reader.
func (d *Dispatcher) lag(dir string, files []podlogs.File) (bytes int64) {
	positions, followed := d.positions(dir)
	if !followed {
		return -1
	}
	for _, f := range files {
		if pos, ok := positions[f.Inode]; ok && pos != rotator.Missed {
			bytes += max(0, f.Size-pos)
		}
	}
	return bytes
}

// UnreadBudget returns the node's allowance for unread logs, and how much of it is
// used, in bytes.
func (d *Dispatcher) UnreadBudget() (budget, used int64) {
	d.allowance.mu.Lock()
	defer d.allowance.mu.Unlock()
	return d.allowance.budget, d.allowance.sum()
}

// minInterval is the minimum time between two rotations of a log. It protects the
// log readers that cannot be seen; one that is seen is waited for instead.
func (d *Dispatcher) minInterval(dir string, configured time.Duration) (interval time.Duration) {
	d.with(dir, func(c *container) {
		if interval = configured; c.seen {
			interval = 0
		}
	})
	return interval
}

// noteReaders notes whether a directory has log readers that are seen. The watcher asks for it with
// each check, which must not wait for a process's descriptors to be read.
func (d *Dispatcher) noteReaders(dir string, followers []readers.Follower) {
	seen := slices.ContainsFunc(followers, func(f readers.Follower) bool { return !f.Expected && !f.Kubelet })
	d.with(dir, func(c *container) { c.seen = seen })
}
