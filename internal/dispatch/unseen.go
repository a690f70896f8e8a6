package dispatch

import (
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/rotator"
)

// What follows is for log readers that cannot be seen: without CAP_SYS_PTRACE, or in another
// PID namespace.

const (
	// maxUnseenWait is how long after a rotation the next one waits for a process that is not
	// known, and of which there is no other sign: a few seconds more than most log shippers wait
	// before they look for new logs.
	maxUnseenWait = 15 * time.Second
	// readLookPause is the time between two looks at which containers' logs are read.
	readLookPause = time.Second
	// followSpan is for how long a container's logs must be read to be followed, without a
	// gap of more than maxReadGap. kubectl logs of one moment is shorter.
	followSpan = 5 * time.Second
	maxReadGap = 2 * time.Minute
	// readGap is how long before it is due a log that is followed may have been read last,
	// without a wait for the next read.
	readGap = 250 * time.Millisecond
	// clockTick is the resolution of access times, at most (CONFIG_HZ of 100).
	clockTick = 10 * time.Millisecond
	// lagging is how long after its rotation a log is read by a process that was behind, at
	// least: one that has just looked for new lines reads what is left when it looks again.
	lagging = settleTime
	// caughtUp is for how long a process that was behind does not read, at least, once it is at
	// the end: most log shippers look for new lines every 200 ms or less often. After settleTime
	// without a read, it may have been stopped.
	caughtUp = 150 * time.Millisecond
	// catchUpLook is between two looks at whether such a process is at the end.
	catchUpLook = caughtUp / 3
	// maxCatchUp is how long a rotation waits for that: a process that has caught up, and is
	// notified of each write, reads all the time, too.
	maxCatchUp = time.Minute
	// silence is how long after its last write a log is silent. A read since then was to its end,
	// for all that is known.
	silence = time.Second
	// nowLasts is how long after it a write or a read still counts as current.
	nowLasts = 5 * time.Second
)

// readState is whether a container's live logs are read by processes that cannot be seen.
type readState uint8

const (
	readUnknown readState = iota
	isRead
	isNotRead
)

// reads are the times at which processes that cannot be seen read a container's logs, by access
// times and inotify.
type reads struct {
	state       readState
	from, until time.Time // the first and the last read of those without a long gap
	beingRead   bool      // the newest rotated log was being read with the last look
	rotated     time.Time // when that was last so, or had just ended
	back        time.Time // the last read that a rotation had waited for
	wait        time.Time // when the current or last wait began
	looked      time.Time // the last look of a wait
	unread      time.Time // when the first wait began of those in a row without a read; zero: none
	wasFollowed bool      // the logs were followed when the current or last wait began
	paused      bool      // in the current or last wait, there was a pause of caughtUp to settleTime between two reads
	// away is the longest part of the current or last wait without a read that has ended with one;
	// 0: none of settleTime or longer.
	away     time.Duration
	sampled  podlogs.ID // the live log with the last sample
	accessed time.Time  // when it was last read, as of then
	// settles is for how long a rotation waits after back, for the reader to catch up: rsyslog
	// that is behind does not see a rotation, since its inotify queue is full.
	settles time.Duration
}

// begin notes a look of the wait that began at since.
func (r *reads) begin(since, now time.Time) {
	last := r.looked
	r.looked = now
	if since.Equal(r.wait) {
		return
	}
	r.wait, r.away, r.paused, r.wasFollowed = since, 0, false, false // what followed returns is of now
	r.wasFollowed = r.followed()
	if r.unread.IsZero() || since.Sub(last) > maxReadGap { // the wait before was another time
		r.unread = since
	}
}

// note takes in a read.
func (r *reads) note(at time.Time) {
	if at.After(r.unread.Add(-readGap)) {
		r.unread = time.Time{}
	}
	pause := at.Sub(r.until)
	if away := min(pause, at.Sub(r.wait)); away >= settleTime {
		r.away = max(r.away, away)
	}
	r.paused = r.paused || pause >= caughtUp && pause < settleTime && at.After(r.wait)
	if r.state = isRead; r.from.IsZero() || pause > maxReadGap {
		r.from, r.until = at, at
	}
	if at.After(r.until) {
		r.until = at
	}
}

// sample takes in when a live log was last read, as of a sweep.
func (r *reads) sample(log podlogs.ID, accessed time.Time) {
	if log == r.sampled && accessed.After(r.accessed) {
		r.note(accessed)
	}
	r.sampled, r.accessed = log, accessed
}

// upToDate reports whether a live log's reader has read what was written before a wait: the log
// is silent and was read since its last write, or was read in the wait or just before. The reads
// with which a reader of the rotated log ends are left out. since is when the wait began.
func (r *reads) upToDate(live podlogs.Stat, behind bool, now, since time.Time) bool {
	if now.Sub(live.Modified) >= silence && !live.Modified.After(live.Accessed) {
		return true
	}
	if behind && now.Sub(live.Accessed) >= settleTime { // it stopped before the end
		return false
	}
	return live.Accessed.After(since.Add(-readGap)) && live.Accessed.After(r.rotated.Add(accessPause))
}

// catchesUp reports whether a live log's reader, which was behind, may be so still: it has not paused
// between two reads in the wait, nor does it since the last write.
func (r *reads) catchesUp(live podlogs.Stat, now, since time.Time) bool {
	atEnd := r.paused || now.Sub(live.Modified) >= silence && now.Sub(live.Accessed) >= caughtUp
	return !atEnd && now.Sub(latest(since, r.rotated, r.back)) < maxCatchUp
}

// followed reports whether the logs were read for long enough to be followed, now or when the
// current wait began.
func (r *reads) followed() bool {
	return r.state == isRead && (r.wasFollowed || r.until.Sub(r.from) >= followSpan)
}

// blind reports whether readers of a container's logs cannot be seen and are waited for. followers
// are those that are seen.
func (d *Dispatcher) blind(followers []readers.Follower) bool {
	budget, _ := d.UnreadBudget()
	return len(followers) == 0 && budget > 0 && d.o.Readers.Unseen() > 0
}

// accessed is [accesses.last] of a log of podLogsDir.
func (d *Dispatcher) accessed(path string, inode uint64) (last, since time.Time) {
	last, since, err := d.accesses.last(path, inode)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		d.warn.Do("accesses", func() {
			d.log.Warn().Err(err).Str("hint", "if a limit is reached, raise it: sysctl fs.inotify.max_user_instances, fs.inotify.max_user_watches").
				Msg("cannot watch logs for reads; waiting less for log readers that cannot be seen")
		})
	}
	return last, since
}

// sampleReads takes in when a live log was last read, with each sweep.
func (d *Dispatcher) sampleReads(dir, path string, st podlogs.Stat) {
	if d.o.Readers == nil {
		return
	}
	followers := d.o.Readers.Followers(dir, anyAge)
	if d.noteReaders(dir, followers); !d.blind(followers) {
		return
	}
	last, _ := d.accessed(path, st.Inode)
	d.with(dir, func(c *container) { c.reads.sample(st.ID, latest(st.Accessed, last)) })
}

// watchReads begins to watch a new live log for reads.
func (d *Dispatcher) watchReads(dir, log string) {
	path := d.o.PodLogsDir + "/" + dir + "/" + log
	if st, err := podlogs.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		d.sampleReads(dir, path, st)
	}
}

// awaitUnseen reports whether a rotation waits for a process that cannot be seen: one that reads the
// rotated log, or has not read the live log. unopened: nothing of that was read. behind: see
// [Dispatcher.beingRead].
func (d *Dispatcher) awaitUnseen(dir, log string, now, since time.Time) (waits, unopened, behind bool) {
	d.with(dir, func(c *container) { c.reads.begin(since, now) })
	reading, behind := d.beingRead(dir, log, now)
	d.with(dir, func(c *container) {
		if reading || c.reads.beingRead { // this ends if the reader dies, too
			c.reads.rotated = now
		}
		c.reads.beingRead = reading
	})
	unread, opened := d.unread(dir, log, behind, now, since)
	return reading || unread, unread && !opened, behind
}

// unread reports whether a live log is written and not read, and its rotation waits for a process
// that cannot be seen: the container's logs were read before, or, for its first, those of other
// containers are. Its access time shows it, or the watch for reads. opened: some of the log was
// read.
//
// If the logs were followed, the wait lasts as long as a known reader that died would count. It
// is shorter if the logs of other containers are read in the meantime: the reader runs, and
// does not follow this container, or no longer. After a wait without a read the container's
// logs are not waited for until one is read. since is when the wait began.
//
// behind: its reader did not keep up with the log before, or this is the first. It reads on until it
// is at the end.
func (d *Dispatcher) unread(dir, log string, behind bool, now, since time.Time) (waits, opened bool) {
	live, err := d.statLog(dir, log)
	if err != nil || live.Size == 0 || live.Born == 0 {
		return false, false
	}
	born := time.Unix(0, live.Born)
	last, _ := d.accessed(d.o.PodLogsDir+"/"+dir+"/"+log, live.Inode)
	// ahead is past all reads, but of before the clock was stepped back.
	ahead := latest(now, d.accesses.now()).Add(readLookPause)
	if live.Accessed.After(ahead) {
		live.Accessed = time.Time{}
	}
	if !last.IsZero() { // of lines: else there is no event
		opened, live.Accessed = true, latest(live.Accessed, last)
	} else {
		opened = live.Accessed.After(born) && d.hadLine(dir, log, live)
	}
	var r reads
	d.with(dir, func(c *container) {
		if c.reads.until.After(ahead) {
			c.reads = reads{wait: since}
		}
		if opened && live.IsRead() { // else it was silent, and is written again: its reader comes
			c.reads.note(live.Accessed)
			if c.reads.away > 0 && c.reads.back.Before(born) && live.Accessed.After(since) {
				c.reads.back, c.reads.settles = live.Accessed, min(max(settleTime, c.reads.away/2), maxUnseenWait)
			}
		}
		r = c.reads
	})
	upToDate := r.upToDate(live, behind, now, since)
	catchesUp := behind && r.catchesUp(live, now, since)
	if opened && catchesUp {
		d.noteBusy(now)
	}
	inWait := live.Accessed.After(since.Add(-readGap))
	switch {
	case opened && upToDate && now.Sub(r.back) < r.settles,
		opened && catchesUp && (upToDate || inWait): // inWait: it has stopped before the end
		return true, true
	case opened && (upToDate || !r.followed()) || r.state == isNotRead:
		d.with(dir, func(c *container) { c.reads.unread = time.Time{} })
		return false, opened
	}
	if !d.awaited(dir, r, born, since, now) {
		d.with(dir, func(c *container) { c.reads = reads{state: isNotRead} })
		return false, opened
	}
	return true, opened
}

// awaited reports whether a rotation still waits for a read of the live log.
func (d *Dispatcher) awaited(dir string, r reads, born, since, now time.Time) bool {
	others := d.readElsewhere(dir, now)
	if now.Before(born.Add(-clockTick)) { // the clock was stepped back
		born = time.Time{}
	}
	if !r.unread.IsZero() { // logs that were rotated since, for lack of room, count too
		since, born = r.unread, earliest(born, r.unread)
	}
	if r.followed() {
		from := latest(since, r.until, others.since) // its reader comes after these
		return now.Sub(since) < d.o.Readers.Unseen() && (others.since.IsZero() || now.Sub(from) < d.discovery)
	}
	if now.Sub(since) >= d.o.Readers.Unseen() {
		return false
	}
	age := now.Sub(latest(born, r.until, others.busy))
	if others.usually || now.Sub(others.busy) < nowLasts { // one that follows all containers, as known readers are expected to
		return age < d.discovery
	}
	return age < d.unseenWait && r.state == isRead
}

// noteBusy notes that a process that cannot be seen is behind in a log. OpenTelemetry opens new
// logs only when it has read those that it has open to their ends.
func (d *Dispatcher) noteBusy(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readResult.busy = now
}

func latest(times ...time.Time) time.Time   { return slices.MaxFunc(times, time.Time.Compare) }
func earliest(times ...time.Time) time.Time { return slices.MinFunc(times, time.Time.Compare) }

// hadLine reports whether a live log had its first line when it was accessed: log shippers open
// and read an empty log too, and close it.
func (d *Dispatcher) hadLine(dir, log string, live podlogs.Stat) bool {
	first, err := d.firstLine(dir, log, live.Inode)
	return err != nil || live.Accessed.After(first)
}

// elsewhere is whether the live logs of at least half of the other containers are read. One that
// is read alone, such as by tail, says nothing about the others.
type elsewhere struct {
	usually bool      // of those that a log shipper has had the time to open
	since   time.Time // of more than half of those that are written; zero: they are not read now
	busy    time.Time // when a reader was last behind in the log of a container whose rotation waits
}

// readElsewhere looks at when the other containers' live logs were read. Those whose rotation waits
// count only if they are read, so that the answer is the same for all that are not.
func (d *Dispatcher) readElsewhere(dir string, now time.Time) elsewhere {
	d.mu.Lock()
	if now.Sub(d.readLooked) < readLookPause {
		defer d.mu.Unlock()
		return d.readResult
	}
	waits := map[string]bool{}
	for other, c := range d.containers {
		if c.state.waiting != nil {
			waits[other] = true
		}
	}
	d.mu.Unlock()
	var t tally
	for _, c := range d.o.Inventory.All() {
		other, _, err := podlogs.SplitPath(d.o.PodLogsDir, c.LogPath)
		if err != nil || other == dir || !c.Running {
			continue
		}
		st, err := podlogs.Statx(unix.AT_FDCWD, c.LogPath, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || !st.Regular || st.Size == 0 {
			continue
		}
		last, watched := d.accessed(c.LogPath, st.Inode)
		t.untimed = t.untimed || !last.IsZero() && !st.Accessed.After(time.Unix(0, st.Born))
		st.Accessed = latest(st.Accessed, last)
		if !waits[other] {
			t.add(st, watched, now, d.settled)
		} else if st.IsRead() {
			t.young++ // it is not read to its end yet
			t.youngRead++
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	since := d.readResult.since
	switch {
	case 2*t.current <= t.written:
		since = time.Time{}
	case since.IsZero():
		since = now
	}
	d.readLooked, d.readResult = now, elsewhere{usually: t.usually(), since: since, busy: d.readResult.busy}
	return d.readResult
}

// tally counts live logs.
type tally struct {
	read, unread, unknown int
	young, youngRead      int
	written, current      int  // now, and read now
	untimed               bool // reads leave no access times
}

// add counts a live log that has been watched for reads since watched. It is young until its age
// is settled.
func (t *tally) add(st podlogs.Stat, watched, now time.Time, settled time.Duration) {
	switch {
	case now.Sub(time.Unix(0, st.Born)) < settled: // its reader may be yet to come
		if t.young++; st.IsRead() {
			t.youngRead++
		}
	case st.IsRead():
		t.read++
	case now.Sub(watched) < settled || watched.After(st.Modified): // it may have been read before
		t.unknown++
	default:
		t.unread++
	}
	if now.Sub(st.Modified) <= nowLasts {
		if t.written++; now.Sub(st.Accessed) <= nowLasts && st.IsRead() {
			t.current++
		}
	}
}

// usually reports whether at least half of the logs are read. Young ones count where no others are
// read: all may be rotated before they are old.
func (t *tally) usually() bool {
	unread := t.unread
	if !t.untimed {
		unread += t.unknown
	}
	read := t.read
	if read == 0 {
		read, unread = t.youngRead, unread+t.young-t.youngRead
	}
	return read > 0 && read >= unread
}

// beingRead reports whether an unknown process reads the newest rotated log: most readers open
// the live log only when they have read the one before. One that has the log open delays
// rotations for a time after it was rotated, and until it has read it, but not for longer than
// rotated logs are held for such a process. behind: it did, or does, for long after the rotation;
// or there is no rotated log that tells.
func (d *Dispatcher) beingRead(dir, log string, now time.Time) (reading, behind bool) {
	files, err := podlogs.ListDir(d.fs, dir, maxListed)
	if err != nil {
		return false, false
	}
	var newest podlogs.File
	for _, f := range files {
		if f.Base == log && f.Kind == podlogs.Rotated && f.Regular && (newest.Base == "" || f.Compare(newest.Name) > 0) {
			newest = f
		}
	}
	if newest.Base == "" {
		return false, true
	}
	age := now.Sub(newest.Changed)
	if age < 0 || age > d.o.Readers.Unseen() {
		return false, false
	}
	last, watched := d.accessed(d.o.PodLogsDir+"/"+dir+"/"+newest.Name.String(), newest.Inode)
	behind = last.Sub(newest.Changed) >= lagging
	if !d.inUse(dir, newest.Name, true) {
		return false, behind
	}
	recent := now.Sub(last) < accessLasts
	if recent {
		d.with(dir, func(c *container) { c.reads.note(last) })
		if behind {
			d.noteBusy(now)
		}
	}
	return age < d.unseenWait || recent || now.Sub(watched) < firstAccess, behind
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
