package dispatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
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

// accessed are watched logs, and a clock that goes on by a second with each question.
type accessed struct {
	accesses
	now    time.Time
	logs   []string
	inodes []uint64
}

func newAccessed(t *testing.T, logs int) *accessed {
	t.Helper()
	a, dir := &accessed{now: time.Now().Round(0)}, t.TempDir()
	a.clock = func() time.Time { return a.now }
	t.Cleanup(a.close)
	for i := range logs {
		path := filepath.Join(dir, strconv.Itoa(i)+".log")
		must(t, os.WriteFile(path, []byte("a line\n"), 0o600))
		a.logs, a.inodes = append(a.logs, path), append(a.inodes, inodeOf(path))
	}
	return a
}

// ask expects a log to have been read some seconds ago; below zero: not.
func (a *accessed) ask(t *testing.T, log, ago int) {
	t.Helper()
	a.now = a.now.Add(time.Second)
	want := time.Time{}
	if ago >= 0 {
		want = a.now.Add(-time.Duration(ago) * time.Second)
	}
	if last, _, err := a.last(a.logs[log], a.inodes[log]); err != nil || !last.Equal(want) {
		t.Errorf("log %d was read %v ago, want %v: %v", log, a.now.Sub(last), a.now.Sub(want), err)
	}
}

// TestAccesses: a read is noted with the next question, whichever log that is for. A log that is
// renamed is the same one.
func TestAccesses(t *testing.T) {
	a := newAccessed(t, 2)
	readUntimed(t, a.logs[0]) // before it is watched
	a.ask(t, 0, -1)
	a.ask(t, 1, -1)
	for range 3 {
		readUntimed(t, a.logs[0])
	}
	a.ask(t, 1, -1)
	a.ask(t, 0, 1)
	readUntimed(t, a.logs[0])
	a.ask(t, 0, 0)
	f, err := os.Open(a.logs[0])
	must(t, err)
	_, err = f.ReadAt(make([]byte, 1), 1000)
	must(t, f.Close())
	if a.ask(t, 0, 1); err == nil {
		t.Error("read behind the end")
	}
	must(t, os.Rename(a.logs[0], a.logs[0]+".20260101-000000"))
	a.logs[0] += ".20260101-000000"
	readUntimed(t, a.logs[0])
	a.ask(t, 0, 0)
	a.now = a.now.Add(-time.Hour) // the clock is stepped back
	a.ask(t, 0, -1)
	readUntimed(t, a.logs[0])
	a.now = a.now.Add(accessPause)
	a.ask(t, 1, -1)
	a.now = a.now.Add(-accessPause) // another worker's time, a little before
	if last, _, _ := a.last(a.logs[0], a.inodes[0]); last.IsZero() {
		t.Error("a read just now is taken for one of the future")
	}
}

// TestOwnAccesses: the daemon's own reads do not count, whether the log is watched already or not.
func TestOwnAccesses(t *testing.T) {
	a := newAccessed(t, 2)
	end, second := a.ignore(a.inodes[0]), a.ignore(a.inodes[0])
	a.ask(t, 0, -1)
	readUntimed(t, a.logs[0])
	second()
	readUntimed(t, a.logs[0])
	a.ask(t, 1, -1)
	readUntimed(t, a.logs[0])
	end()
	a.ask(t, 0, -1)
	readUntimed(t, a.logs[0])
	a.ignore(a.inodes[0])() // what came before counts
	a.ask(t, 0, 1)
	end = a.ignore(a.inodes[1])
	readUntimed(t, a.logs[0])
	end()
	if a.ask(t, 0, 1); len(a.own) > 0 {
		t.Errorf("own reads: %v", a.own)
	}
}

// TestAccessesAreForgotten: no watch outlives its log, or the questions for it by long, and no
// inotify instance the daemon.
func TestAccessesAreForgotten(t *testing.T) {
	a := newAccessed(t, 4)
	for i := range a.logs {
		a.ask(t, i, -1)
		readUntimed(t, a.logs[i])
	}
	left := func(want int) {
		t.Helper()
		if len(a.accesses.logs) != want || len(a.watches) != want {
			t.Errorf("%d logs and %d watches are left of %d", len(a.accesses.logs), len(a.watches), want)
		}
	}
	must(t, os.Remove(a.logs[0]))
	must(t, os.Remove(a.logs[1]))
	_, _, err := a.last(a.logs[0], a.inodes[0])
	if left(2); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a log that was removed: %v", err)
	}
	for path, inode := range map[string]uint64{a.logs[2]: 1, a.logs[3]: a.inodes[2]} {
		if _, _, err = a.last(path, inode+a.inodes[0]); !errors.Is(err, unix.ENOENT) {
			t.Errorf("another log under the path: %v", err)
		}
	}
	left(2)
	a.now = a.now.Add(forgetAccess - time.Second)
	a.ask(t, 2, int(forgetAccess/time.Second))
	a.now = a.now.Add(2 * time.Second)
	a.forget(forgetAccess)
	left(1)
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", a.fd))
	must(t, err)
	if n := strings.Count(string(info), "inotify wd:"); n != 1 {
		t.Errorf("the kernel has %d watches", n)
	}
	a.ask(t, 3, -1) // its watch begins again

	n, _ := readNode(t, "")
	_, _, err = n.accesses.last(a.logs[2], a.inodes[2])
	must(t, err)
	n.accesses.logs[a.inodes[2]].asked = time.Now().Add(-2 * forgetAccess)
	if n.forget(); len(n.accesses.logs) > 0 {
		t.Errorf("watches %v", n.accesses.logs)
	}
	if must(t, n.Stop(t.Context())); n.accesses.fd != 0 {
		t.Error("the inotify instance is open")
	}
}

// TestAccessesAfterClockStep: a watch is not younger than now, and no read is later.
func TestAccessesAfterClockStep(t *testing.T) {
	a := newAccessed(t, 1)
	a.ask(t, 0, -1)
	readUntimed(t, a.logs[0])
	a.ask(t, 0, 0)
	a.now = a.now.Add(-time.Hour)
	if last, since, err := a.last(a.logs[0], a.inodes[0]); err != nil || !last.IsZero() || since.After(a.now) {
		t.Errorf("at %v: read at %v, watched since %v, %v", a.now, last, since, err)
	}
}

// TestAccessesOverflow: after an overflow of the queue, logs are watched again.
func TestAccessesOverflow(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	most, err := strconv.Atoi(string(b[:len(b)-1]))
	must(t, err)
	a := newAccessed(t, 2)
	a.ask(t, 0, -1)
	a.ask(t, 1, -1)
	for range most/2 + 1 {
		readUntimed(t, a.logs[0])
		readUntimed(t, a.logs[1])
	}
	a.ask(t, 0, -1)
	readUntimed(t, a.logs[0])
	a.ask(t, 0, 0)
	a.ask(t, 1, -1)
}

// TestAccessesAsTheyCome: the time of a read is that of the read, and not that of the next question.
func TestAccessesAsTheyCome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	must(t, os.WriteFile(path, []byte("a line\n"), 0o600))
	inode := inodeOf(path)
	var a accesses
	t.Cleanup(a.close)
	_, _, err := a.last(path, inode)
	must(t, err)
	var last time.Time
	for range 2 {
		readUntimed(t, path)
		testutil.Eventually(t, "the read", func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			was := last
			last = a.logs[inode].last
			return last.After(was)
		})
	}
	a.close()
	readUntimed(t, path)
	if last, _, err := a.last(path, inode); err != nil || !last.IsZero() {
		t.Errorf("a new instance: %v, %v", last, err)
	}
}

// TestAccessesWithoutInotify: without inotify, a process that has the rotated log open is waited
// for all the same, for a time.
func TestAccessesWithoutInotify(t *testing.T) {
	n, f := readNode(t, "")
	f.unseen, n.accesses.fd = time.Hour, -1
	ct, dir := n.run(t, fake.ContainerSpec{})
	path := filepath.Join(ct.Dir(), rotatedLogs(t, ct.Dir(), 1)[0].String())
	reader, err := os.Open(path)
	must(t, err)
	defer reader.Close() //nolint:errcheck // opened for reading
	for age, want := range map[time.Duration]bool{maxUnseenWait / 2: true, 2 * maxUnseenWait: false} {
		if reading, _ := n.beingRead(dir, "0.log", time.Now().Add(age)); reading != want {
			t.Errorf("after %v it is waited for: %v", age, !want)
		}
	}
	if !n.warn.Clear("accesses") {
		t.Error("not logged")
	}
}

// BenchmarkWatchedLog is what a watch for reads costs a container that writes and a log reader.
func BenchmarkWatchedLog(b *testing.B) {
	for _, watched := range []bool{false, true} {
		path := filepath.Join(b.TempDir(), "0.log")
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // a benchmark's
		var a accesses
		defer a.close()
		if watched {
			if _, _, err := a.last(path, inodeOf(path)); err != nil {
				b.Fatal(err)
			}
		}
		line, block := make([]byte, 121), make([]byte, 4096)
		b.Run(fmt.Sprintf("write/watched=%v", watched), func(b *testing.B) {
			for b.Loop() {
				_, _ = f.Write(line)
			}
		})
		b.Run(fmt.Sprintf("read/watched=%v", watched), func(b *testing.B) {
			for b.Loop() {
				_, _ = f.ReadAt(block, 0)
			}
		})
	}
}
