package dispatch

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// readUntimed reads a log as a process does whose mount is read-only: its access time stays.
func readUntimed(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd) //nolint:errcheck // opened for reading
	if n, err := unix.Read(fd, make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
}

// TestAccesses: a read is noted with the next question, as of the one before. A log that was
// renamed is the same; one that is not asked for is not watched any longer.
func TestAccesses(t *testing.T) {
	dir, start := t.TempDir(), time.Now().Round(0)
	now := start
	var a accesses
	t.Cleanup(a.close)
	var logs []string
	for i := range 3 {
		logs = append(logs, filepath.Join(dir, string(rune('0'+i))+".log"))
		must(t, os.WriteFile(logs[i], []byte("a line\n"), 0o600))
	}
	inodes := []uint64{inodeOf(logs[0]), inodeOf(logs[1]), inodeOf(logs[2])}
	ask := func(log int, want time.Time) {
		t.Helper()
		now = now.Add(time.Second)
		if last, _, err := a.last(logs[log], inodes[log], now); err != nil || !last.Equal(want) {
			t.Errorf("%v after the start log %d was read %v after it, want %v: %v", now.Sub(start), log, last.Sub(start), want.Sub(start), err)
		}
	}
	never := time.Time{}
	readUntimed(t, logs[0]) // before it is watched
	ask(0, never)
	ask(1, never)
	asked := now
	for range 3 {
		readUntimed(t, logs[0])
	}
	ask(1, never)
	ask(0, asked)
	ask(0, asked)
	readUntimed(t, logs[0])
	asked = now
	ask(2, never) // a read is noted with any question
	ask(2, never)
	ask(0, asked)
	f, err := os.Open(logs[0])
	must(t, err)
	_, err = f.Read(nil)
	must(t, err)
	must(t, f.Close())
	ask(0, asked) // nothing was read
	must(t, os.Rename(logs[0], logs[0]+".20260101-000000"))
	logs[0] += ".20260101-000000"
	readUntimed(t, logs[0])
	asked = now
	ask(0, asked)

	end := a.ignore(inodes[0], now)
	readUntimed(t, logs[0])
	ask(1, never)
	readUntimed(t, logs[0])
	end()
	ask(0, asked)
	readUntimed(t, logs[0])
	asked = now
	end = a.ignore(inodes[0], now.Add(time.Second)) // what came before is not left out
	end()
	ask(0, asked)
	a.ignore(1, now)() // of a log that is not watched

	now = start.Add(-time.Hour) // the clock is stepped back
	ask(0, never)
	asked = now
	readUntimed(t, logs[0])
	ask(0, asked)

	must(t, os.Remove(logs[1]))
	if _, _, err := a.last(logs[1], inodes[1], now); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a log that was removed: %v", err)
	}
	now = now.Add(forgetAccess)
	readUntimed(t, logs[0])
	ask(0, asked.Add(time.Second))
	a.forget(now)
	if len(a.logs) != 1 {
		t.Errorf("%d logs are left", len(a.logs))
	}
	now = now.Add(2 * forgetAccess)
	a.forget(now)
	_, _, _ = a.last(logs[1], inodes[1], now) // reads the events
	ask(2, never)
	if len(a.logs) != 1 || len(a.watches) != 1 {
		t.Errorf("%d logs and %d watches are left", len(a.logs), len(a.watches))
	}
}

// TestAccessesAreForgotten: no watch outlives its container for long, and no inotify instance the
// daemon.
func TestAccessesAreForgotten(t *testing.T) {
	n, _ := readNode(t, "")
	path := filepath.Join(t.TempDir(), "0.log")
	must(t, os.WriteFile(path, nil, 0o600))
	_, _, err := n.accesses.last(path, 1, time.Now().Add(-2*forgetAccess))
	must(t, err)
	if n.forget(); len(n.accesses.logs) > 0 {
		t.Errorf("watches %v", n.accesses.logs)
	}
	if must(t, n.Stop(t.Context())); n.accesses.fd != 0 {
		t.Error("the inotify instance is open")
	}
}

// TestAccessesWithoutInotify: without inotify, a process that has the rotated log open is waited
// for all the same, for a time.
func TestAccessesWithoutInotify(t *testing.T) {
	n, f := readNode(t, "")
	f.unseen, n.accesses.fd = time.Hour, -1
	t.Cleanup(func() { n.accesses.fd = 0 })
	ct, dir := n.run(t, fake.ContainerSpec{})
	path := filepath.Join(ct.Dir(), rotatedLogs(t, ct.Dir(), 1)[0].String())
	reader, err := os.Open(path)
	must(t, err)
	defer reader.Close() //nolint:errcheck // opened for reading
	for age, want := range map[time.Duration]bool{maxUnseenWait / 2: true, 2 * maxUnseenWait: false} {
		if n.beingRead(dir, "0.log", time.Now().Add(age)) != want {
			t.Errorf("after %v it is waited for: %v", age, !want)
		}
	}
	if !n.warn.Clear("accesses") {
		t.Error("not logged")
	}
}

// TestReadsWithoutAccessTimes: a process whose mount of the logs is read-only is waited for as
// any other. Own reads are not taken for it.
func TestReadsWithoutAccessTimes(t *testing.T) {
	n, f := readNode(t, "")
	f.unseen = time.Hour
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	must(t, os.Chtimes(ct.LogPath(), time.Unix(0, 0), time.Now()))
	until := func() (at time.Time) {
		n.with(dir, func(c *container) { at = c.reads.until })
		return at
	}
	sweep := func() { n.Sweep(t.Context(), watcher.CauseSweep, false) }
	sweep()
	n.with(dir, func(c *container) { c.state.oldest = "" })
	must(t, os.Remove(filepath.Join(ct.Dir(), rotatedLogs(t, ct.Dir(), 1)[0].String())))
	n.Describe(dir, "0.log", true) // reads the live log's first line
	sweep()
	sweep()
	if !until().IsZero() {
		t.Error("the daemon's own read is taken for a log reader's")
	}
	watched := time.Now().Round(0)
	sweep()
	readUntimed(t, ct.LogPath())
	sweep()
	if until().Before(watched) {
		t.Errorf("a sweep has not found the read: %v, %v", until(), watched)
	}
	now := time.Now()
	n.with(dir, func(c *container) { c.reads = reads{state: isRead, from: now.Add(-time.Minute), until: now} })
	must(t, os.Chtimes(ct.LogPath(), time.Unix(0, 0), now.Add(time.Minute)))
	now = now.Add(time.Second)
	waits := func(want bool) {
		t.Helper()
		now = now.Add(time.Second / 4)
		if waits, _ := n.unread(dir, "0.log", now, now.Add(-time.Second/2)); waits != want {
			t.Errorf("waits is %v, want %v", !want, want)
		}
	}
	waits(true)
	waits(true)
	readUntimed(t, ct.LogPath())
	waits(false)

	n.with(dir, func(c *container) { c.reads = reads{} })
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
	testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 && n.Describe(dir, "0.log", false).Last != nil })
	must(t, ct.WriteNumbered("stdout", 1, 100))
	readUntimed(t, ct.LogPath())
	if _, opened := n.unread(dir, "0.log", time.Now(), time.Now()); !opened {
		t.Error("the first read of a new log is not seen")
	}
}
