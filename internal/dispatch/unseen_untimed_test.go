package dispatch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// What follows is of processes that leave no access times, since their mount is read-only.

// never is the access time of a log that such processes read.
var never = time.Unix(0, 0)

// until looks every readerPause from now on until a rotation that is due waits no longer, and
// returns for how long it has. Other logs are written, and read if that is set.
func (u *unseen) until(t *testing.T, othersRead bool) time.Duration {
	t.Helper()
	since := u.now
	for ; ; u.now = u.now.Add(readerPause) {
		for i := 1; i < len(u.logs); i++ {
			if u.times(t, i, never, u.now); othersRead {
				u.read(t, i)
			}
		}
		if !u.waits(since) {
			return u.now.Sub(since)
		}
	}
}

// TestUntimedReaderOfBurst: a log that was written in a burst and read to its end is not waited for,
// however long ago that was.
func TestUntimedReaderOfBurst(t *testing.T) {
	for _, ago := range []time.Duration{2 * time.Second, time.Hour} {
		for _, othersRead := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v ago, others are read: %v", ago, othersRead), func(t *testing.T) {
				u := newUnseen(t)
				u.set(reads{state: isRead, from: u.now.Add(-time.Hour), until: u.now})
				u.times(t, 0, never, u.now)
				u.sweep(t)
				u.now = u.now.Add(5 * time.Second)
				u.times(t, 0, never, u.now)
				u.now = u.now.Add(100 * time.Millisecond)
				u.read(t, 0)
				for end := u.now.Add(ago); u.now.Before(end); u.now = u.now.Add(10 * time.Second) {
					u.sweep(t)
				}
				if waited := u.until(t, othersRead); waited > settleTime {
					t.Errorf("it waits for %v", waited)
				}
				u.with(u.dir, func(c *container) {
					if c.reads.state != isRead {
						t.Error("its reader is forgotten")
					}
				})
			})
		}
	}
}

// TestUntimedReaderStops: a container that writes a burst every ten minutes is followed by a process
// that is then stopped. The next burst is not rotated away from it at once.
func TestUntimedReaderStops(t *testing.T) {
	for _, stops := range []bool{true, false} {
		u := newUnseen(t)
		waited := time.Duration(0)
		start := u.now
		for i := range 3 {
			u.now = start.Add(time.Duration(i) * 10 * time.Minute)
			for end := u.now.Add(20 * time.Second); u.now.Before(end); u.now = u.now.Add(time.Second) {
				if u.times(t, 0, never, u.now); i < 2 || !stops {
					u.read(t, 0)
				}
				u.sweep(t)
			}
			waited = u.until(t, true)
			for end := start.Add(time.Duration(i+1) * 10 * time.Minute); u.now.Before(end); u.now = u.now.Add(30 * time.Second) {
				u.sweep(t)
			}
		}
		if (waited >= maxDiscovery) != stops || !stops && waited > settleTime {
			t.Errorf("its reader stops: %v; the rotation waits for %v", stops, waited)
		}
	}
}

// TestUntimedReadersElsewhere: the first log of a container waits for a read if most of the others
// are read. One that is silent was, or that may have been before it was watched, counts as such.
func TestUntimedReadersElsewhere(t *testing.T) {
	for _, c := range []struct {
		name            string
		before, silence time.Duration // the others are watched; three of five are silent
		read            int           // of five
		slow            bool          // three have been written since, and are not read yet
		waits           bool
	}{
		{name: "all are read", before: time.Minute, read: 5, waits: true},
		{name: "most are not", before: time.Minute, read: 2},
		{name: "most are silent", before: time.Minute, silence: time.Hour, read: 5, waits: true},
		{name: "most are silent since before the start", silence: time.Hour, read: 5, waits: true},
		{name: "just started", read: 5, waits: true},
		{name: "just started, and some read slowly", read: 5, slow: true, waits: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnseen(t)
			u.settled = maxUnseenWait
			for i := range 3 {
				ct, _ := u.run(t, fake.ContainerSpec{Pod: fmt.Sprint("silent", i)})
				must(t, ct.WriteNumbered("stdout", 10, 100))
				u.logs = append(u.logs, ct.LogPath())
			}
			u.list(t)
			write := func(log int) {
				if u.times(t, log, never, u.now); log <= c.read {
					u.read(t, log)
				}
			}
			for end := u.now.Add(c.before); u.now.Before(end); u.now = u.now.Add(time.Second) {
				u.sweep(t)
				for i := 1; i <= 5; i++ {
					write(i)
				}
			}
			for end := u.now.Add(c.silence); u.now.Before(end); u.now = u.now.Add(time.Second) {
				if c.before > 0 {
					u.sweep(t)
				}
				write(1)
				write(2)
			}
			u.set(reads{})
			u.discovery = 48 * time.Hour // the live log is young
			u.times(t, 0, never, u.now)
			u.waits(u.now) // begins to watch what is not watched
			write(1)
			write(2)
			for i := 3; i <= 5 && c.slow; i++ {
				u.times(t, i, never, u.now.Add(time.Millisecond))
			}
			u.set(reads{})
			u.now = u.now.Add(2 * readLookPause)
			if waits := u.waits(u.now); waits != c.waits {
				t.Errorf("waits is %v", waits)
			}
		})
	}
}

// TestUntimedReadersAreSampled: sweeps, and each rotation, begin to watch a live log for reads. What
// the daemon reads itself does not count.
func TestUntimedReadersAreSampled(t *testing.T) {
	u := newUnseen(t)
	path := u.logs[0]
	u.sweep(t)
	u.with(u.dir, func(c *container) { c.state.oldest = "" })
	u.Describe(u.dir, "0.log", true) // reads the first line of the oldest log
	_, err := u.firstLine(u.dir, "0.log", inodeOf(path))
	must(t, err)
	u.sweep(t)
	u.sweep(t)
	until := func() (at time.Time) {
		u.with(u.dir, func(c *container) { at = c.reads.until })
		return at
	}
	if !until().IsZero() {
		t.Error("the daemon's own read is taken for a log reader's")
	}
	u.now = u.now.Add(time.Second)
	u.read(t, 0)
	read := u.now
	u.now = u.now.Add(time.Second)
	u.sweep(t)
	if !until().Equal(read) {
		t.Errorf("read at %v, and noted is %v", read, until())
	}
}

// TestUntimedReaderOfRotatedLog: a process that has the rotated log open is waited for as long as it
// reads that, and for a moment before its first read.
func TestUntimedReaderOfRotatedLog(t *testing.T) {
	u := newUnseenFor(t, 48*time.Hour) // it was rotated before
	u.unseenWait = 0
	dir := filepath.Dir(u.logs[0])
	name := rotatedLogs(t, dir, 1)[0].String()
	path := filepath.Join(dir, name)
	reader, err := os.Open(path)
	must(t, err)
	defer reader.Close() //nolint:errcheck // opened for reading
	being := func(want bool) {
		t.Helper()
		u.at.Store(u.now.UnixNano())
		if being, _ := u.beingRead(u.dir, "0.log", u.now); being != want {
			t.Errorf("being read is %v", being)
		}
	}
	behind := func(want bool) {
		t.Helper()
		if _, behind := u.beingRead(u.dir, "0.log", u.now); behind != want {
			t.Errorf("behind is %v", behind)
		}
	}
	being(true)
	u.now = u.now.Add(firstAccess)
	being(false)
	u.unfinished(Rotated{Due: watcher.Due{Dir: u.dir}, Rotation: rotator.Rotation{To: name, Inode: inodeOf(path)}})
	u.finishRotated(u.dir) // reads its end
	being(false)
	behind(false)
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	at := u.now
	u.now = time.Unix(st.Ctim.Unix()).Add(lagging - 1)
	readUntimed(t, path)
	being(true)
	behind(false)
	u.now = at.Add(time.Second)
	readUntimed(t, path)
	being(true)
	behind(true)
	read := u.now
	u.now = u.now.Add(accessLasts - 1)
	being(true)
	u.with(u.dir, func(c *container) { c.reads.state = isNotRead })
	u.now = u.now.Add(1)
	being(false)
	u.with(u.dir, func(c *container) {
		if !c.reads.until.Equal(read) || c.reads.state != isNotRead {
			t.Errorf("the read of %v is noted as %+v", read, c.reads)
		}
		c.reads.beingRead = true
	})
	ended := u.now
	for range 2 { // the first look that finds its end
		u.awaitUnseen(u.dir, "0.log", u.now, u.now)
		u.now = u.now.Add(time.Second)
	}
	u.with(u.dir, func(c *container) {
		if !c.reads.rotated.Equal(ended) {
			t.Errorf("it was being read until %v, and %v is noted", ended, c.reads.rotated)
		}
	})
}

// TestUntimedReaderDies: what a process has read of both logs until it ended, as far as looks tell
// that apart, does not end the wait for its successor.
func TestUntimedReaderDies(t *testing.T) {
	u := newUnseenFor(t, 48*time.Hour)
	u.unseenWait = 0
	u.times(t, 0, never, u.now)
	u.sweep(t)
	path := filepath.Join(filepath.Dir(u.logs[0]), rotatedLogs(t, filepath.Dir(u.logs[0]), 1)[0].String())
	reader, err := os.Open(path)
	must(t, err)
	u.set(reads{state: isRead, from: u.now.Add(-time.Hour), until: u.now})
	since := u.now
	waits := func(want bool) {
		t.Helper()
		u.now = u.now.Add(catchUpLook)
		u.times(t, 0, never, u.now.Add(-time.Millisecond))
		u.at.Store(u.now.Add(time.Millisecond).UnixNano()) // its events are noted a little later
		if waits, _, _ := u.awaitUnseen(u.dir, "0.log", u.now, since); waits != want {
			t.Errorf("after %v it waits: %v", u.now.Sub(since), waits)
		}
	}
	for range 20 {
		readUntimed(t, path)
		readUntimed(t, u.logs[0])
		waits(true)
	}
	readUntimed(t, u.logs[0])
	must(t, reader.Close())
	for range 1 + settleTime/catchUpLook {
		waits(true)
	}
	for range 1 + settleTime/catchUpLook { // its successor
		readUntimed(t, u.logs[0])
		waits(true)
	}
	for range 1 + caughtUp/catchUpLook {
		waits(true)
	}
	readUntimed(t, u.logs[0])
	waits(false)

	u.with(u.dir, func(c *container) { c.reads.rotated = u.now }) // it was not behind
	readUntimed(t, u.logs[0])
	u.at.Store(u.now.Add(time.Millisecond).UnixNano())
	if waits, _ := u.unread(u.dir, "0.log", false, u.now, since); !waits {
		t.Error("a log that is written is taken for one that was read to its end")
	}
}

// TestUntimedReaderCatchesUp: a process that was behind is waited for while it reads the live log
// without a pause, for a time. One that reads as much and was not behind is not.
func TestUntimedReaderCatchesUp(t *testing.T) {
	u := newUnseen(t)
	u.times(t, 0, never, u.now)
	u.sweep(t)
	r := reads{state: isRead, from: u.now.Add(-time.Hour), until: u.now}
	u.set(r)
	since := u.now
	waits := func(behind, want bool) {
		t.Helper()
		u.at.Store(u.now.UnixNano())
		if waits, _ := u.unread(u.dir, "0.log", behind, u.now, since); waits != want {
			t.Errorf("after %v it waits: %v", u.now.Sub(since), waits)
		}
	}
	step := func(reads bool) {
		t.Helper()
		u.now = u.now.Add(catchUpLook)
		if u.times(t, 0, never, u.now); reads {
			u.read(t, 0)
		}
	}
	for u.now.Sub(since) < maxCatchUp-catchUpLook {
		step(true)
		waits(true, true)
	}
	waits(false, false)
	step(true)
	waits(true, false)
	r.rotated, r.until = u.now, u.now // it has read the rotated log until now
	u.set(r)
	for range 1 + accessPause/catchUpLook {
		step(true)
		waits(true, true)
	}
	for range caughtUp / catchUpLook {
		step(false)
		waits(true, true)
	}
	step(true)
	waits(true, false)
}
