package dispatch

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/watcher"
)

// unseenTimeout is for how long a process that stopped reading counts.
const unseenTimeout = 5 * time.Minute

// unseen is a container whose logs a process that cannot be seen reads, and two others.
type unseen struct {
	*node
	dir  string
	logs []string
	now  time.Time    // as the test has it
	at   atomic.Int64 // now, for the workers
}

func newUnseen(t *testing.T) *unseen { return newUnseenFor(t, unseenTimeout) }

func newUnseenFor(t *testing.T, timeout time.Duration) *unseen {
	t.Helper()
	n, f := readNode(t, "")
	f.unseen = timeout
	u := &unseen{node: n, now: time.Now().Add(24 * time.Hour)}
	u.at.Store(u.now.UnixNano())
	u.accesses.clock = func() time.Time { return time.Unix(0, u.at.Load()) }
	for i := range 3 {
		ct, dir := n.run(t, fake.ContainerSpec{Pod: fmt.Sprint("app", i)})
		must(t, ct.WriteNumbered("stdout", 10, 100))
		if u.logs = append(u.logs, ct.LogPath()); i == 0 {
			u.dir = dir
		}
	}
	n.list(t)
	return u
}

// times sets when a log was read and written; never read if that is zero.
func (u *unseen) times(t *testing.T, log int, read, written time.Time) {
	t.Helper()
	must(t, os.Chtimes(u.logs[log], read, written))
}

func (u *unseen) waits(since time.Time) bool {
	u.at.Store(u.now.UnixNano())
	u.with("", func(*container) { u.readLooked = time.Time{} })
	waits, _, _ := u.awaitUnseen(u.dir, "0.log", u.now, since)
	return waits
}

// read reads a log without an access time.
func (u *unseen) read(t *testing.T, log int) {
	t.Helper()
	u.at.Store(u.now.UnixNano())
	readUntimed(t, u.logs[log])
	u.accesses.ignore(0)() // reads the events
}

// sweep is what a sweep does to the logs.
func (u *unseen) sweep(t *testing.T) {
	t.Helper()
	u.at.Store(u.now.UnixNano())
	for _, log := range u.logs {
		st, err := podlogs.Statx(unix.AT_FDCWD, log, 0)
		must(t, err)
		dir, _, err := podlogs.SplitPath(u.o.PodLogsDir, log)
		must(t, err)
		u.sampleReads(dir, log, st)
	}
	u.forget()
}

func (u *unseen) set(r reads) { u.with(u.dir, func(c *container) { c.reads = r }) }

// TestUnseenReaderStops: the live log of a container whose logs were followed is not rotated away
// from a process that does not read for a time. Where others read on, it is not waited for long.
func TestUnseenReaderStops(t *testing.T) {
	for _, c := range []struct {
		name        string
		followed    time.Duration // the container's logs were
		ago         time.Duration // the last read; 0: none of this log
		waited      time.Duration
		others      time.Duration // ago that those were read, which are written
		back        time.Duration // for how long they have been; 0: just now
		rotated     time.Duration // ago that the rotated log was being read; 0: never
		noted       time.Duration // ago that the last read was noted; 0: with the last
		silent      bool          // the log was not written since it was read
		waits, gone bool
	}{
		{name: "reads on", followed: followSpan, ago: readGap - 1},
		{name: "reads on, as seen for the first time in long", followed: followSpan, ago: readGap - 1, noted: time.Minute},
		{name: "reads since", followed: followSpan, ago: time.Second, waited: 2 * time.Second},
		{name: "has read all there is", followed: followSpan, ago: time.Second, rotated: readGap, silent: true},
		{name: "ended with the rotated log", followed: followSpan, ago: 2 * clockTick, rotated: clockTick, waits: true},
		{name: "stopped", followed: followSpan, ago: 4 * readGap, waits: true},
		{name: "stopped before it opened the log", followed: followSpan, waits: true},
		{name: "stopped like the others", followed: followSpan, ago: time.Hour, waited: unseenTimeout - 1, others: 2 * nowLasts, waits: true},
		{name: "stopped later than the others", followed: followSpan, ago: time.Hour, waited: time.Minute, others: 2 * nowLasts, back: time.Hour, waits: true},
		{name: "does not come back", followed: followSpan, ago: time.Hour, waited: unseenTimeout, others: 2 * nowLasts, gone: true},
		{name: "reads others", followed: followSpan, ago: time.Hour, waited: 2 * time.Minute, others: nowLasts, back: maxDiscovery, gone: true},
		{name: "reads others first", followed: followSpan, ago: time.Hour, waited: 2 * time.Minute, others: nowLasts, back: maxDiscovery - 1, waits: true},
		{name: "reads others, and this for long", followed: followSpan, ago: time.Hour, waited: maxDiscovery - 1, others: nowLasts, back: time.Hour, waits: true},
		{name: "was not one that follows", followed: followSpan - 1, ago: time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnseen(t)
			u.rotatedLog(t)
			written, read := u.now, time.Time{}
			if c.ago > 0 {
				read = u.now.Add(-c.ago)
			}
			if c.silent {
				written = read
			}
			u.times(t, 0, read, written)
			for i := range 2 {
				u.times(t, i+1, u.now.Add(-c.others), u.now)
			}
			if c.others == 0 {
				u.times(t, 1, time.Time{}, u.now)
				u.times(t, 2, time.Time{}, u.now)
			}
			if c.back > 0 {
				u.with("", func(*container) { u.readResult.since = u.now.Add(-c.back) })
			}
			last := u.now.Add(-max(c.ago, c.waited, c.noted))
			r := reads{state: isRead, from: last.Add(-c.followed), until: last}
			if c.rotated > 0 {
				r.rotated = u.now.Add(-c.rotated)
			}
			u.set(r)
			if waits := u.waits(u.now.Add(-c.waited)); waits != c.waits {
				t.Errorf("waits is %v", waits)
			}
			u.with(u.dir, func(e *container) {
				if e.reads.state == isNotRead != c.gone {
					t.Errorf("the container's logs are read: %v", !c.gone)
				}
			})
		})
	}
}

// TestUnseenReaderPolls: however seldom a process that cannot be seen reads a log that is written
// all the time, its next read ends the wait.
func TestUnseenReaderPolls(t *testing.T) {
	const look = 203 * time.Millisecond
	for _, every := range []time.Duration{100, 300, 500, 1000, 2000, 10_000, 60_000} {
		every *= time.Millisecond
		u := newUnseen(t)
		u.rotatedLog(t) // of a first log, it is not known whether its reader is behind
		u.set(reads{state: isRead, from: u.now.Add(-time.Hour), until: u.now})
		start, since := u.now, u.now.Add(every/2)
		for u.now = since; ; u.now = u.now.Add(look) {
			u.times(t, 0, start.Add(u.now.Sub(start).Truncate(every)), u.now)
			if !u.waits(since) {
				break
			}
			if u.now.Sub(since) > every+settleTime+2*look {
				t.Errorf("it waits for %v, of a process that reads every %v", u.now.Sub(since), every)
				break
			}
		}
	}
}

// TestUnseenReaderIsBack: a process that cannot be seen and was waited for has some time from its
// first read on until the log is rotated, once.
func TestUnseenReaderIsBack(t *testing.T) {
	for _, c := range []struct{ silent, away, settles time.Duration }{
		{away: settleTime, settles: settleTime},
		{away: 10 * time.Second, settles: 5 * time.Second},
		{away: 2 * time.Minute, settles: maxUnseenWait},
		{silent: time.Hour, away: 10 * time.Second, settles: 5 * time.Second},
	} {
		u := newUnseen(t)
		since := u.now
		u.set(reads{state: isRead, from: since.Add(-2 * time.Hour), until: since.Add(-c.silent)})
		u.now = since.Add(c.away)
		u.times(t, 0, time.Time{}, u.now)
		if !u.waits(since) {
			t.Fatal("it does not wait")
		}
		back := u.now
		for u.now = back; u.now.Before(back.Add(c.settles)); u.now = u.now.Add(c.settles / 8) {
			u.times(t, 0, u.now, u.now)
			if !u.waits(since) {
				t.Fatalf("%v after its first read it is not waited for", u.now.Sub(back))
			}
		}
		u.times(t, 0, u.now.Add(-caughtUp), u.now)
		if u.waits(since) {
			t.Errorf("%+v: it is waited for although it reads", c)
		}
		u.now = u.now.Add(time.Minute)
		u.times(t, 0, u.now.Add(-caughtUp), u.now)
		if u.waits(since) {
			t.Error("it is given time once more")
		}
	}
}

// TestReadsAreSampled: the access times that sweeps find tell that a container's logs are followed.
// A read now and then does not.
func TestReadsAreSampled(t *testing.T) {
	start := time.Now()
	for _, c := range []struct {
		every    time.Duration
		inodes   uint64
		followed bool
	}{{10 * time.Second, 1, true}, {maxReadGap, 1, true}, {maxReadGap + 1, 1, false}, {time.Second, 20, false}} {
		var r reads
		for i := range 20 {
			r.sample(podlogs.ID{Inode: uint64(i) % c.inodes}, start.Add(time.Duration(i)*c.every))
		}
		if r.followed() != c.followed {
			t.Errorf("every %v: followed is %v", c.every, !c.followed)
		}
	}
	n, f := readNode(t, "")
	f.unseen = time.Hour
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	for i := range 2 {
		at := start.Add(time.Duration(i) * time.Hour)
		must(t, os.Chtimes(ct.LogPath(), at, at))
		n.Sweep(t.Context(), watcher.CauseSweep, false)
	}
	n.with(dir, func(c *container) {
		if !c.reads.until.Equal(start.Add(time.Hour)) {
			t.Errorf("a sweep has not found the read: %+v", c.reads)
		}
	})
}

// TestUnseenReadsAfterClockStep: reads of the future, before the clock was stepped back, do not
// delay rotations.
func TestUnseenReadsAfterClockStep(t *testing.T) {
	u := newUnseen(t)
	u.rotatedLog(t)
	u.times(t, 0, u.now.Add(-time.Minute), u.now)
	later := u.now.Add(time.Hour)
	u.set(reads{state: isRead, from: u.now, until: later, back: later, rotated: later})
	if u.waits(u.now) {
		t.Error("it waits")
	}
	u.times(t, 0, u.now.Add(-caughtUp), u.now)
	u.set(reads{state: isRead, from: u.now, until: later})
	if u.waits(u.now) {
		t.Error("it waits for a log that has just been read")
	}
	u.times(t, 0, time.Unix(0, 0), u.now)
	u.set(reads{state: isRead})
	u.now = time.Now().Add(-time.Hour)
	if u.waits(u.now) {
		t.Error("it waits for the first read of a log that was created later than now")
	}
	u.times(t, 0, u.now.Add(time.Hour), u.now)
	u.set(reads{state: isRead, from: u.now, until: later})
	if u.waits(u.now) {
		t.Error("it waits for a log with an access time of the future")
	}
}

// TestReadLogThatWaits: a young log that is read shows that new logs are read, also while its rotation
// waits. One that waits and is not read shows nothing, nor does one that is read beside old ones that are not.
func TestReadLogThatWaits(t *testing.T) {
	for _, c := range []struct {
		read, old, want bool
	}{{read: true, want: true}, {}, {read: true, old: true}} {
		u := newUnseen(t)
		if u.settled = 48 * time.Hour; c.old {
			u.settled = 0
			ct, _ := u.run(t, fake.ContainerSpec{Pod: "app3"})
			must(t, ct.WriteNumbered("stdout", 10, 100))
			u.logs = append(u.logs, ct.LogPath())
			u.list(t)
			u.times(t, 3, never, u.now)
		}
		other, _, err := podlogs.SplitPath(u.o.PodLogsDir, u.logs[1])
		must(t, err)
		u.with(other, func(c *container) { c.state.waiting = &Waiting{} })
		u.times(t, 1, never, u.now)
		u.times(t, 2, never, u.now)
		if c.read {
			u.times(t, 1, u.now, u.now)
		}
		if got := u.readElsewhere(u.dir, u.now).usually; got != c.want {
			t.Errorf("%+v: new logs are read: %v", c, got)
		}
	}
}
