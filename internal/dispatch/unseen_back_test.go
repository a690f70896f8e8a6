package dispatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// rotatedLog returns the rotated log of the container, which is watched for reads from now on.
func (u *unseen) rotatedLog(t *testing.T) string {
	t.Helper()
	dir := filepath.Dir(u.logs[0])
	path := filepath.Join(dir, "0.log.20260101-000001")
	must(t, os.WriteFile(path, []byte("2026-01-01T00:00:00Z stdout F x\n"), 0o600))
	u.at.Store(u.now.UnixNano())
	u.accessed(path, inodeOf(path))
	return path
}

// TestUntimedReaderComesBack: a process that was stopped reads the rest of the rotated log and the
// live log at the same time. It has the time to catch up that it has when it reads only the live log.
func TestUntimedReaderComesBack(t *testing.T) {
	for _, c := range []struct {
		away  time.Duration
		every int // looks, of which it reads in one
		waits time.Duration
	}{
		{away: time.Minute, every: 1, waits: 10 * time.Second},
		{away: time.Minute, every: 6, waits: 10 * time.Second},
		{away: 3 * time.Minute, every: 1, waits: 10 * time.Second},
	} {
		u := newUnseenFor(t, 48*time.Hour)
		u.unseenWait = 0
		u.times(t, 0, never, u.now)
		u.sweep(t)
		path := u.rotatedLog(t)
		reader, err := os.Open(path)
		must(t, err)
		u.set(reads{state: isRead, from: u.now.Add(-time.Hour), until: u.now})
		since := u.now.Add(time.Second)
		u.now = since
		u.waits(since)
		u.now = u.now.Add(c.away)
		look := func() bool {
			u.now = u.now.Add(catchUpLook)
			u.times(t, 0, never, u.now.Add(-time.Millisecond))
			return u.waits(since)
		}
		for range 40 {
			readUntimed(t, path)
			readUntimed(t, u.logs[0])
			if !look() {
				t.Errorf("%+v: it does not wait while both are read", c)
			}
		}
		must(t, reader.Close())
		waited := time.Duration(0)
		for i := 0; waited < time.Minute; i++ {
			if i%c.every == 0 {
				readUntimed(t, u.logs[0])
			}
			if !look() {
				break
			}
			waited += catchUpLook
		}
		if waited < c.waits {
			t.Errorf("%+v: it waits for %v after the rotated log is closed", c, waited)
		}
	}
}

// TestUnseenReaderComesBackBesideASweep: a sweep that sees the first read does not end the wait.
func TestUnseenReaderComesBackBesideASweep(t *testing.T) {
	for _, sweeps := range []bool{false, true} {
		u := newUnseen(t)
		since := u.now
		u.times(t, 0, never, u.now)
		u.set(reads{state: isRead, from: since.Add(-time.Hour), until: since})
		u.sweep(t)
		u.waits(since)
		u.now = since.Add(30 * time.Second)
		u.times(t, 0, never, u.now)
		u.now = u.now.Add(100 * time.Millisecond)
		if u.read(t, 0); sweeps {
			u.sweep(t)
		}
		u.now = u.now.Add(100 * time.Millisecond)
		u.times(t, 0, never, u.now)
		if !u.waits(since) {
			t.Errorf("with a sweep: %v; it does not wait after its first read", sweeps)
		}
	}
}

// TestUntimedReaderWasBehind: that a process read on in a rotated log is known for as long as such
// a log is held.
func TestUntimedReaderWasBehind(t *testing.T) {
	u := newUnseenFor(t, 48*time.Hour)
	readUntimed(t, u.rotatedLog(t)) // in a day from its last change
	u.accesses.ignore(0)()          // reads the events
	for end := u.now.Add(time.Hour); u.now.Before(end); u.now = u.now.Add(10 * time.Second) {
		u.sweep(t)
	}
	if _, behind := u.beingRead(u.dir, "0.log", u.now); !behind {
		t.Error("it is forgotten")
	}
}

// TestFirstLogIsReadWithoutAPause: the first rotation of a log waits until its reader pauses, for a
// time: it may be behind.
func TestFirstLogIsReadWithoutAPause(t *testing.T) {
	for _, first := range []bool{true, false} {
		u := newUnseenFor(t, 48*time.Hour)
		u.times(t, 0, never, u.now)
		if u.sweep(t); !first {
			u.rotatedLog(t)
		}
		u.unseenWait = 0 // for the rotated log, too
		u.set(reads{state: isRead, from: u.now.Add(-time.Hour), until: u.now})
		since := u.now
		look := func(read, want bool) {
			t.Helper()
			u.now = u.now.Add(catchUpLook)
			if u.times(t, 0, never, u.now); read {
				u.read(t, 0)
			}
			if waits := u.waits(since); waits != want {
				t.Errorf("first log: %v; after %v it waits: %v", first, u.now.Sub(since), waits)
			}
		}
		for u.now.Sub(since) < maxCatchUp-catchUpLook {
			look(true, first)
		}
		look(true, false)
		since = u.now
		look(true, first)
		for range 3 {
			look(false, first)
		}
		look(true, false)
	}
}

// TestReaderStopsBeforeTheEnd: a log that was read for a short time, without a pause and so not to its end, is
// not rotated once the reads stop. It is if they were before the wait, as those of kubectl logs.
func TestReaderStopsBeforeTheEnd(t *testing.T) {
	for _, before := range []bool{false, true} {
		u := newUnseen(t)
		u.times(t, 0, never, u.now)
		u.sweep(t)
		start, since := u.now, u.now
		for u.now.Sub(since) < maxCatchUp-catchUpLook {
			u.now = u.now.Add(catchUpLook)
			u.times(t, 0, never, u.now)
			if u.now.Sub(start) < settleTime {
				u.read(t, 0)
				if before {
					since = u.now.Add(2 * readGap)
				}
			}
			if u.now.Before(since) {
				continue
			}
			if waits := u.waits(since); waits == before {
				t.Fatalf("read before: %v; after %v it waits: %v", before, u.now.Sub(since), waits)
			}
		}
		u.now = u.now.Add(catchUpLook)
		u.times(t, 0, never, u.now)
		if u.waits(since) {
			t.Errorf("read before: %v; it waits for more than %v", before, maxCatchUp)
		}
	}
}

// TestReaderCatchesUpOnceItIsBack: the time in which a process that cannot be seen was stopped is not
// counted as time to catch up.
func TestReaderCatchesUpOnceItIsBack(t *testing.T) {
	u := newUnseenFor(t, 48*time.Hour)
	u.times(t, 0, never, u.now)
	u.sweep(t)
	u.set(reads{state: isRead, from: u.now.Add(-time.Hour), until: u.now})
	since := u.now
	for _, phase := range []struct {
		lasts        time.Duration
		reads, waits bool
	}{
		{lasts: 10 * time.Second, reads: true, waits: true},
		{lasts: maxCatchUp, waits: true},
		{lasts: maxCatchUp / 2, reads: true, waits: true},
		{lasts: caughtUp, waits: true},
		{lasts: catchUpLook, reads: true},
	} {
		for end := u.now.Add(phase.lasts); u.now.Before(end); {
			u.now = u.now.Add(catchUpLook)
			if u.times(t, 0, never, u.now); phase.reads {
				u.read(t, 0)
			}
			if waits := u.waits(since); waits != phase.waits {
				t.Fatalf("after %v, in %+v, it waits: %v", u.now.Sub(since), phase, waits)
			}
		}
	}
	u.now = u.now.Add(time.Second)
	since = u.now // of a log that is silent then
	u.times(t, 0, never, u.now)
	u.read(t, 0)
	for end := u.now.Add(silence); u.now.Before(end); u.now = u.now.Add(catchUpLook) {
		if !u.waits(since) {
			t.Fatalf("%v after its last write, it does not wait", u.now.Sub(since))
		}
	}
	if u.waits(since) {
		t.Error("a log that is silent and was read since is waited for")
	}
}

// TestUnreadLogsInARow: logs that were rotated unread for lack of room count for the end of the
// wait. A read ends that.
func TestUnreadLogsInARow(t *testing.T) {
	u := newUnseen(t)
	u.times(t, 1, u.now, u.now)
	u.times(t, 2, u.now, u.now)
	u.settled = time.Hour // young logs that are read: all the others
	for _, c := range []struct {
		name     string
		followed bool
		lasts    time.Duration
	}{
		{"followed", true, unseenTimeout},
		{"expected, as others are read", false, maxDiscovery},
	} {
		first := reads{state: isRead, from: u.now.Add(-2 * time.Hour), until: u.now.Add(-time.Hour)}
		if !c.followed {
			first.from = first.until
		}
		for _, ago := range []time.Duration{c.lasts - time.Second, c.lasts} {
			r := first
			for wait := ago; wait > 0; wait -= 10 * time.Second { // a rotation after each
				r.begin(u.now.Add(-wait), u.now.Add(-wait))
			}
			since := u.now.Add(-time.Second)
			r.begin(since, u.now)
			u.with("", func(*container) { u.readLooked = time.Time{} })
			if waits := u.awaited(u.dir, r, since, since, u.now); waits != (ago < c.lasts) {
				t.Errorf("%s, nothing is read for %v: waits is %v", c.name, ago, waits)
			}
			r.note(since)
			if !u.awaited(u.dir, r, since, since, u.now) {
				t.Errorf("%s: it does not wait after a read", c.name)
			}
		}
	}
}

// TestWaitsInARow: a wait counts for the next one if that follows soon and nothing was read, as the
// last look of the first one had it.
func TestWaitsInARow(t *testing.T) {
	for _, c := range []struct {
		name     string
		pause    time.Duration // between the waits
		read     time.Duration // before the first one's end; 0: nothing is
		followed bool
		counts   bool
		silent   bool // the first log was read since its last write
	}{
		{name: "at once", pause: time.Second, followed: true, counts: true},
		{name: "much later", pause: maxReadGap + time.Second, followed: true},
		{name: "read before the first", pause: time.Second, read: 20 * time.Second, followed: true, counts: true},
		{name: "read in the first", pause: time.Second, read: 5 * time.Second, followed: true},
		{name: "not waited for", pause: time.Second, read: 20 * time.Second},
		{name: "read to its end", pause: time.Second, read: 20 * time.Second, followed: true, silent: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnseen(t)
			first := u.now
			r := reads{state: isRead, from: first.Add(-time.Hour), until: first.Add(-11 * time.Second)}
			if !c.followed {
				r.from = r.until
			}
			u.set(r)
			u.now = first.Add(10 * time.Second)
			written := u.now
			if c.silent {
				written = u.now.Add(-c.read)
			}
			if u.times(t, 0, never, written); c.read > 0 {
				u.times(t, 0, u.now.Add(-c.read), written)
			}
			u.waits(first)
			u.now = u.now.Add(c.pause)
			u.times(t, 0, never, u.now)
			u.waits(u.now)
			u.with(u.dir, func(e *container) {
				if counts := e.reads.unread.Equal(first); counts != c.counts {
					t.Errorf("unread since %v, the waits began at %v and %v", e.reads.unread, first, u.now)
				}
			})
		})
	}
}

// TestFollowedInOneWait: logs that were followed when a wait began were so for this wait only.
func TestFollowedInOneWait(t *testing.T) {
	now := time.Now()
	r := reads{state: isRead, from: now.Add(-time.Hour), until: now}
	for wait, want := range []bool{true, false} {
		at := now.Add(time.Duration(wait) * time.Hour)
		r.begin(at, at)
		r.note(now.Add(time.Hour - time.Second))
		if r.followed() != want {
			t.Errorf("in wait %d, after one read in an hour: %v", wait, r.followed())
		}
	}
}

// TestReadDuringALook: a read that is noted a little later than the look began is of now.
func TestReadDuringALook(t *testing.T) {
	for _, othersRead := range []bool{false, true} {
		u := newUnseen(t)
		for i := range u.logs {
			u.times(t, i, never, u.now)
		}
		if u.settled = time.Hour; othersRead {
			u.times(t, 1, u.now, u.now)
			u.times(t, 2, u.now, u.now)
		}
		u.set(reads{state: isRead, from: u.now, until: u.now.Add(readLookPause / 2)})
		if !u.waits(u.now) {
			t.Errorf("others are read: %v; it does not wait for the live log's first read", othersRead)
		}
	}
}

// TestReaderComesBackToTheRotatedLog: what was read of the live log before a wait is not taken for the
// first read of a process that comes back, and reads the rest of the rotated log first.
func TestReaderComesBackToTheRotatedLog(t *testing.T) {
	u := newUnseen(t)
	u.set(reads{state: isRead, from: u.now.Add(-time.Hour), until: u.now})
	stopped, since := u.now, u.now.Add(5*time.Second)
	u.now = since
	look := func(read time.Time) bool {
		u.times(t, 0, read, u.now)
		return u.waits(since)
	}
	look(stopped)
	u.now = since.Add(20 * time.Second)
	u.with(u.dir, func(c *container) { c.reads.note(u.now) }) // of the rotated log
	look(stopped)
	u.now = u.now.Add(time.Second)
	if !look(u.now) {
		t.Error("it does not wait after the first read of the live log")
	}
}

// TestReadElsewhereIsTheSameForAll: two containers that are waited for do not count for each other.
func TestReadElsewhereIsTheSameForAll(t *testing.T) {
	u := newUnseen(t)
	other, _, err := podlogs.SplitPath(u.o.PodLogsDir, u.logs[1])
	must(t, err)
	for _, dir := range []string{u.dir, other} {
		u.with(dir, func(c *container) { c.state.waiting = &Waiting{} })
	}
	var since []time.Time
	for _, dir := range []string{u.dir, other, u.dir} {
		u.now = u.now.Add(2 * readLookPause)
		u.times(t, 0, never, u.now)
		u.times(t, 1, never, u.now)
		u.times(t, 2, u.now, u.now)
		u.at.Store(u.now.UnixNano())
		since = append(since, u.readElsewhere(dir, u.now).since)
	}
	if since[0].IsZero() || since[1] != since[0] || since[2] != since[0] {
		t.Errorf("others are read since %v", since)
	}
}

// TestPruneIsNotARead: the lines of a log that is pruned unread are counted. These reads are not
// taken for its reader's.
func TestPruneIsNotARead(t *testing.T) {
	n, f := readNode(t, "containerLogMaxTotalSize: 300000\ncontainerLogMaxSize: 65536\nunreadLogBudget: 1\n")
	f.unseen = time.Hour
	ct, dir := n.run(t, fake.ContainerSpec{})
	n.list(t)
	path := filepath.Join(ct.Dir(), "0.log.20260101-000000")
	line := []byte("2026-01-01T00:00:00.000000000Z stdout F 0123456789012345678901234567890\n")
	var text []byte
	for len(text) < 250_000 {
		text = append(text, line...)
	}
	must(t, os.WriteFile(path, text, 0o600))
	reader, err := os.Open(path)
	must(t, err)
	defer reader.Close() //nolint:errcheck // opened for reading
	inode := inodeOf(path)
	n.accessed(path, inode)
	must(t, ct.WriteNumbered("stdout", 250, 1000))
	n.Changed(dir)
	testutil.Eventually(t, "the prune", func() bool {
		var st unix.Stat_t
		return unix.Stat(path, &st) != nil
	})
	n.accesses.ignore(0)() // reads the events
	n.accesses.mu.Lock()
	defer n.accesses.mu.Unlock()
	if l := n.accesses.logs[inode]; l == nil || !l.last.IsZero() { // it is open, so its watch is there
		t.Errorf("the log was read: %+v", l)
	}
}

// TestWaitIsForOneLog: the time for which a log waits does not count for the log of the
// container's next instance.
func TestWaitIsForOneLog(t *testing.T) {
	n, f := readNode(t, "")
	f.unseen = time.Hour
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	must(t, os.WriteFile(filepath.Join(ct.Dir(), "1.log"), []byte("2026-01-01T00:00:00Z stdout F x\n"), 0o600))
	now := time.Now().Round(0)
	for _, log := range []string{"0.log", "1.log"} {
		began := now.Add(-time.Minute)
		n.with(dir, func(c *container) {
			c.reads = reads{state: isRead, from: now.Add(-time.Hour), until: now.Add(-time.Second)}
			c.state.waiting = &Waiting{Since: began, log: "0.log"}
		})
		var since [2]time.Time
		for look := range since {
			if !n.awaitReaders(dir, &want{Due: watcher.Due{Dir: dir, Log: log, Cause: watcher.CauseWrite, Limit: 1}}) {
				t.Fatalf("%s does not wait", log)
			}
			since[look] = n.Describe(dir, log, false).Waiting.Since
		}
		if since[0].Equal(began) != (log == "0.log") || since[1] != since[0] {
			t.Errorf("%s waits since %v, and 0.log since %v", log, since, began)
		}
	}
}

// TestBusyReaderIsAwaited: a log that was never read is waited for while a process that cannot be
// seen is behind in the logs of another container, whatever the rest is read. It opens new logs later.
func TestBusyReaderIsAwaited(t *testing.T) {
	for _, rotated := range []bool{false, true} {
		u := newUnseenFor(t, 48*time.Hour) // the log was rotated before
		u.settled, u.unseenWait = 0, 0     // the third container's log is not read
		u.times(t, 0, never, u.now)
		u.sweep(t)
		busy, step := u.logs[0], catchUpLook
		if rotated {
			busy, step = u.rotatedLog(t), time.Second
			reader, err := os.Open(busy)
			must(t, err)
			defer reader.Close() //nolint:errcheck // opened for reading
		}
		u.with(u.dir, func(c *container) { c.state.waiting = &Waiting{} })
		never, _, err := podlogs.SplitPath(u.o.PodLogsDir, u.logs[1])
		must(t, err)
		since := u.now
		look := func(read, want bool) {
			t.Helper()
			u.now = u.now.Add(step)
			u.times(t, 0, time.Time{}, u.now)
			u.at.Store(u.now.UnixNano())
			if read {
				readUntimed(t, busy)
				u.accesses.ignore(0)() // reads the events
			}
			u.waits(since)
			waits, _, _ := u.awaitUnseen(never, "0.log", u.now, since)
			if waits != want {
				t.Errorf("rotated: %v; after %v it waits: %v", rotated, u.now.Sub(since), waits)
			}
		}
		for range 30 {
			look(true, true)
		}
		if !rotated {
			continue // it counts as behind until it pauses
		}
		for range int(accessLasts/time.Second) + int(nowLasts/time.Second) - 2 {
			look(false, true)
		}
		look(false, false)
		look(true, false) // it is not waited for again until it is read
	}
}
