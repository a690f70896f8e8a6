package dispatch

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// readAll reads a log, as a process that follows it does.
func readAll(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	_, err = io.Copy(io.Discard, f)
	must(t, err)
	must(t, f.Close())
}

// TestUnseenReaderIsExpected: while not all processes can be seen and other containers' logs
// are read, a log is not rotated before it was read, for a time and once.
func TestUnseenReaderIsExpected(t *testing.T) {
	for _, c := range []struct {
		name  string
		yaml  string
		seen  bool // all processes are
		other bool // is read
		old   bool
		waits bool
	}{
		{name: "others are read", other: true, waits: true},
		{name: "no other is read"},
		{name: "all processes are seen", seen: true, other: true},
		{name: "no allowance", yaml: "unreadLogBudget: 0", other: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, f := readNode(t, c.yaml)
			if !c.seen {
				f.unseen = time.Hour
			}
			other, _ := n.run(t, fake.ContainerSpec{Pod: "other"})
			must(t, other.WriteNumbered("stdout", 10, 100))
			time.Sleep(20 * time.Millisecond) // the resolution of access times
			if c.other {
				readAll(t, other.LogPath())
			}
			ct, dir := n.run(t, fake.ContainerSpec{})
			must(t, ct.WriteNumbered("stdout", 10, 100))
			n.list(t)
			rotate := func(rotations uint64) {
				t.Helper()
				n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
				testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == rotations })
				must(t, ct.WriteNumbered("stdout", 10, 100))
			}
			if !c.waits {
				rotate(1)
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
			time.Sleep(20 * time.Millisecond)
			readAll(t, log)
			rotate(1)
			waits(1) // this log was not read yet, and the one before was
			n.with(dir, func(e *container) { e.reading = isNotRead })
			rotate(2)
			rotate(3) // it is not waited for again
			time.Sleep(20 * time.Millisecond)
			readAll(t, log)
			rotate(4)
			waits(4)
		})
	}
}
