package dispatch

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// readAll reads a log, as a process that follows it does, until its access time shows it. That has
// the resolution of a clock tick, and may be before the lines' times.
func readAll(t *testing.T, path string) {
	t.Helper()
	var st podlogs.Stat
	testutil.Eventually(t, "a newer access time", func() bool {
		_, err := os.ReadFile(path)
		must(t, err)
		st, err = podlogs.Statx(unix.AT_FDCWD, path, 0)
		must(t, err)
		return st.Accessed.After(st.Modified)
	})
	if st.Size > 0 {
		must(t, os.Chtimes(path, st.Accessed.Add(clockTick), time.Time{}))
	}
}

// TestUnseenReaderIsExpected: while not all processes can be seen and the logs of at least half
// of the other containers are read, a log is not rotated before it was read, for a time. One
// that is not read is not waited for until it is.
func TestUnseenReaderIsExpected(t *testing.T) {
	for _, c := range []struct {
		name  string
		yaml  string
		seen  bool // all processes are
		read  int  // logs of others
		young bool // are they
		waits bool
	}{
		{name: "half of the others are read", read: 2, waits: true},
		{name: "one of them is", read: 1},
		{name: "they are as young", read: 2, young: true, waits: true},
		{name: "one of those that are as young is", read: 1, young: true},
		{name: "all processes are seen", seen: true, read: 4},
		{name: "no allowance", yaml: "unreadLogBudget: 0", read: 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, f := readNode(t, c.yaml)
			n.unseenWait, n.discovery, n.settled = time.Hour, time.Hour, 0
			if c.young {
				n.settled = time.Hour
			}
			if !c.seen {
				f.unseen = time.Hour
			}
			var others []string
			for i := range 4 {
				other, _ := n.run(t, fake.ContainerSpec{Pod: fmt.Sprint("other", i)})
				must(t, other.WriteNumbered("stdout", 10, 100))
				others = append(others, other.LogPath())
			}
			for _, path := range others[:c.read] {
				readAll(t, path)
			}
			ct, dir := n.run(t, fake.ContainerSpec{})
			readAll(t, ct.LogPath()) // while it is empty
			must(t, ct.WriteNumbered("stdout", 10, 100))
			n.list(t)
			rotate := func(rotations uint64) {
				t.Helper()
				n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
				testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == rotations })
				must(t, ct.WriteNumbered("stdout", 10, 100))
			}
			watched := func() bool {
				n.accesses.mu.Lock()
				defer n.accesses.mu.Unlock()
				return n.accesses.logs[inodeOf(ct.LogPath())] != nil
			}
			if !c.waits {
				if rotate(1); watched() == (c.seen || c.yaml != "") {
					t.Errorf("the live log is watched for reads: %v", watched())
				}
				return
			}
			waits := func(rotations uint64) {
				t.Helper()
				n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
				testutil.Eventually(t, "the wait", func() bool { return n.Describe(dir, "0.log", false).Waiting != nil })
				if n.rotated.Load() != rotations {
					t.Error("it did not wait")
				}
			}
			waits(0)
			log := filepath.Join(ct.Dir(), "0.log")
			readAll(t, log)
			rotate(1)
			testutil.Eventually(t, "a watch for reads of the live log", watched)
			waits(1) // this log was not read yet, and the one before was
			n.with(dir, func(e *container) { e.reads.state = isNotRead })
			rotate(2)
			rotate(3) // it is not waited for again
			readAll(t, log)
			rotate(4)
			waits(4)
		})
	}
}

// TestUnseenReaderIsGivenUp: the wait for a process that cannot be seen ends, and the next log
// is not waited for. It is where the log was read before it was silent for long: it has a reader.
func TestUnseenReaderIsGivenUp(t *testing.T) {
	for _, want := range []readState{isNotRead, isRead} {
		n, f := readNode(t, "")
		f.unseen, n.unseenWait, n.discovery = time.Hour, 0, 0
		ct, dir := n.run(t, fake.ContainerSpec{})
		must(t, ct.WriteNumbered("stdout", 10, 100))
		n.list(t)
		if want == isRead {
			readAll(t, ct.LogPath())
			must(t, os.Chtimes(ct.LogPath(), time.Time{}, time.Now().Add(time.Hour))) // it is written again
			time.Sleep(3 * readGap)                                                   // longer than accessPause before the wait
		}
		n.with(dir, func(e *container) { e.reads.state = isRead }) // the log before it was
		n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
		testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 })
		n.with(dir, func(e *container) {
			if e.reads.state != want {
				t.Errorf("reading is %v, want %v", e.reads.state, want)
			}
		})
	}
}

// TestRoomForUnopenedLog: a log that no process has opened may take more of the total than
// one that is read slowly.
func TestRoomForUnopenedLog(t *testing.T) {
	const total = 300_000
	n, f := readNode(t, "containerLogMaxSize: 65536\ncontainerLogMaxTotalSize: 300000\nunreadLogBudget: 1\n")
	f.unseen, n.unseenWait = time.Hour, time.Hour
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 1, 1000))
	n.list(t)
	n.with(dir, func(c *container) { c.reads.state = isRead })
	for size(ct.LogPath()) < total*6/10 {
		must(t, ct.WriteNumbered("stdout", 100, 1000))
	}
	due := watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1}
	n.Due(due)
	testutil.Eventually(t, "the wait", func() bool { return n.Describe(dir, "0.log", false).Waiting != nil })
	for size(ct.LogPath()) < total {
		must(t, ct.WriteNumbered("stdout", 100, 1000))
	}
	testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 })
}

// TestOwnReadsAreNoReader: the daemon's own looks at a rotated log are not taken for a reader.
func TestOwnReadsAreNoReader(t *testing.T) {
	n, f := readNode(t, "")
	f.unseen = time.Hour
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	testutil.Eventually(t, "idle queues", func() bool {
		s := n.prunes.Stats()
		return s.Done > 0 && s.Running+s.Queued+n.compressions.Stats().Running == 0
	})
	name := rotatedLogs(t, ct.Dir(), 1)[0].String()
	r := Rotated{Due: watcher.Due{Dir: dir}, Rotation: rotator.Rotation{To: name, Inode: inodeOf(filepath.Join(ct.Dir(), name))}}
	var others sync.WaitGroup
	done := make(chan struct{})
	for _, look := range []func(){
		func() { n.policy(dir) },
		func() {
			n.unfinished(r)
			n.finishRotated(dir)
		},
		func() {
			n.with(dir, func(c *container) { c.state.oldest = "" })
			n.Describe(dir, "0.log", true)
		},
	} {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					look()
				}
			}
		})
	}
	found := 0
	for range 200 {
		if p, _ := n.policy(dir); len(p.Positions) > 0 {
			found++
		}
	}
	close(done)
	others.Wait()
	if found > 0 {
		t.Errorf("%d of 200 times it has a reader", found)
	}
}

// TestUnseenReaderReadsOn: an unknown process that reads the rotated log delays the next rotation
// until it has read it. The next log's first read is waited for from then on.
func TestUnseenReaderReadsOn(t *testing.T) {
	n, f := readNode(t, "")
	f.unseen, n.unseenWait = time.Hour, time.Second // little by itself
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	before := filepath.Join(ct.Dir(), "0.log.20260101-000001")
	must(t, os.WriteFile(before, []byte("2026-01-01T00:00:00Z stdout F x\n"), 0o600))
	reader, err := os.Open(before)
	must(t, err)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				_, _ = reader.ReadAt(make([]byte, 1), 0)
			}
		}
	}()
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
	testutil.Eventually(t, "the wait for a read", func() (read bool) {
		n.with(dir, func(c *container) {
			read = !c.reads.until.IsZero() && !c.reads.rotated.IsZero() && c.state.waiting != nil
		})
		return read
	})
	if n.rotated.Load() > 0 {
		t.Error("it did not wait")
	}
	if reading, _ := n.beingRead(dir, "0.log", time.Now().Add(2*time.Hour)); reading {
		t.Error("it waits for longer than the readers' timeout")
	}
	close(done)
	<-ended
	must(t, reader.Close())
	testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 })

	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.unseenWait = time.Minute
	now := time.Now().Add(time.Hour)
	for _, read := range []bool{true, false} {
		n.with(dir, func(c *container) {
			c.reads = reads{state: isRead}
			if read {
				c.reads.note(now.Add(time.Millisecond)) // read during this call
			}
		})
		if waits, _ := n.unread(dir, "0.log", false, now, now.Add(-time.Hour/2)); waits != read {
			t.Errorf("the first read is not awaited for %v", n.unseenWait)
		}
	}
}
