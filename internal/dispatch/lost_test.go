package dispatch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

func TestLostText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, tt := range []struct {
		lost          rotator.Lost
		readers, want string
	}{
		{rotator.Lost{Bytes: 9, Lines: 12, From: at, To: at.Add(time.Minute)}, "fluent-bit, vector", "pruned 12 lines, of 2026-01-02T03:04:05Z to 2026-01-02T03:05:05Z, not read by fluent-bit, vector"},
		{rotator.Lost{Bytes: 9, Lines: 1}, "", "pruned 1 line not read by a log reader"},
	} {
		if got := lostText(tt.lost, tt.readers); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestMissedLogIsForgotten: of a log that another program removed nothing is kept, also
// while the readers that missed it are only expected.
func TestMissedLogIsForgotten(t *testing.T) {
	n, f := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 1, 100))
	kept := rotatedLogs(t, ct.Dir(), 1)[0].String()
	inode := inodeOf(filepath.Join(ct.Dir(), kept))
	n.list(t)
	f.set(readers.Follower{Command: "shipper", Expected: true})
	long := missedLog{[]string{"shipper"}, time.Now().Add(-missedLasts - time.Second)}
	n.with(dir, func(c *container) {
		c.missed = map[uint64]missedLog{inode: long, 1: long, 2: {long.readers, time.Now()}}
	})
	n.Changed(dir)
	testutil.Eventually(t, "one to be forgotten", func() (done bool) {
		n.with(dir, func(c *container) { done = len(c.missed) == 2 })
		return done
	})
	n.with(dir, func(c *container) {
		if _, ok := c.missed[1]; ok {
			t.Errorf("%v", c.missed)
		}
	})
}

// TestReaderOfOtherLogsIsAwaited: a reader that has not opened the live log is waited for while it
// reads the container's other logs, and for as long after as it may take to look for new ones.
func TestReaderOfOtherLogsIsAwaited(t *testing.T) {
	for _, kind := range []string{"open", "closed", "expected"} {
		n, f := readNode(t, "")
		ct, dir := n.run(t, fake.ContainerSpec{})
		must(t, ct.WriteNumbered("stdout", 10, 100))
		n.list(t)
		reader := at(10, filepath.Join(ct.Dir(), rotatedLogs(t, ct.Dir(), 1)[0].String()))
		if kind != "open" {
			reader.Closed, reader.Positions = reader.Positions, nil
		}
		reader.Expected = kind == "expected" // it has read none
		now := time.Now().Add(time.Hour)
		for ago, waits := range map[time.Duration]bool{0: true, maxDiscovery: true, maxDiscovery + 1: false} {
			reader.Progress = now.Add(-ago)
			f.set(reader)
			waits = waits && !reader.Expected
			waiting, missed := n.slowest(dir, "0.log", now, now, time.Time{})
			if (waiting != nil) != waits || (len(missed) == 1) != waits {
				t.Errorf("%s, it read %v ago: waits for %+v, missed by %v", kind, ago, waiting, missed)
			}
		}
	}
}

// TestReaderHasClosedLiveLog: one that has closed the live log is waited for unless it has read all.
func TestReaderHasClosedLiveLog(t *testing.T) {
	n, f := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	live, err := n.statLog(dir, "0.log")
	must(t, err)
	for left, waits := range map[int64]bool{0: false, 1: true} {
		now := time.Now()
		f.set(readers.Follower{Command: "shipper", Progress: now, Closed: map[uint64]int64{live.Inode: live.Size - left}})
		if waiting, missed := n.slowest(dir, "0.log", now, now, time.Time{}); (waiting != nil) != waits || (len(missed) > 0) != waits {
			t.Errorf("%d bytes are not read: waits for %+v, missed by %v", left, waiting, missed)
		}
	}
}

// TestUnknownReadersAtTheStart: what a reader may not have read of the logs of before the start is kept
// until the readers are known.
func TestUnknownReadersAtTheStart(t *testing.T) {
	n, f := readNode(t, "containerLogMaxFiles: 3\ncompression: {codec: none}\n")
	f.early = true
	ct, dir := n.run(t, fake.ContainerSpec{})
	rotatedLogs(t, ct.Dir(), 2)
	time.Sleep(2 * clockTick)
	n.started = time.Now()
	time.Sleep(2 * clockTick)
	for i := range 2 { // newer ones would be pruned before these
		must(t, os.WriteFile(filepath.Join(ct.Dir(), fmt.Sprintf("0.log.20260102-00000%d", i)), []byte("a line\n"), 0o600))
	}
	n.list(t)
	n.Changed(dir)
	testutil.Eventually(t, "the second prune", func() bool { return n.prunes.Stats().Done > 1 })
	if now := names(t, ct.Dir()); strings.Count(now, ".2026") != 4 {
		t.Errorf("pruned before the readers are known: %s", now)
	}
	f.mu.Lock()
	f.early = false
	f.mu.Unlock()
	testutil.Eventually(t, "the policy", func() bool { return strings.Count(names(t, ct.Dir()), ".2026") == 2 })
}

// TestLostToPressure: a log that is pruned for the sake of the node while a process that cannot be seen
// has it open counts as lost.
func TestLostToPressure(t *testing.T) {
	n, f := readNode(t, "")
	f.unseen = time.Hour
	ct, dir := n.run(t, fake.ContainerSpec{})
	all := rotatedLogs(t, ct.Dir(), 2)
	reader, err := os.Open(filepath.Join(ct.Dir(), all[0].String()))
	must(t, err)
	defer reader.Close() //nolint:errcheck // opened for reading
	n.list(t)
	n.Prune(dir, all[:1], func(_ rotator.Report, err error) { must(t, err) })
	testutil.Eventually(t, "the report", func() bool { return n.logged(`"readers":"unknown"`) == 1 })
}

// TestLostToTheDead: what a reader that has exited had not read is counted as its own, also where it is
// forgotten with the log.
func TestLostToTheDead(t *testing.T) {
	for _, pressure := range []bool{false, true} {
		n, f := readNode(t, "containerLogMaxFiles: 2\ncontainerLogMaxSize: 64Ki\ncontainerLogMaxTotalSize: 64Ki\nunreadLogBudget: 0\n")
		ct, dir := n.run(t, fake.ContainerSpec{})
		all := rotatedLogs(t, ct.Dir(), 2)
		log := filepath.Join(ct.Dir(), all[0].String())
		must(t, os.WriteFile(log, []byte(strings.Repeat("2026-01-01T00:00:00Z stdout F x\n", 4096)), 0o600))
		gone, other := at(1, log), at(5, log)
		gone.Dead, gone.Command, f.forgets = true, "gone", true
		f.set(gone, other)
		n.list(t)
		if pressure {
			n.Prune(dir, all[:1], func(_ rotator.Report, err error) { must(t, err) })
		} else {
			n.Changed(dir)
		}
		testutil.Eventually(t, "the report", func() bool { return n.logged(`"readers":"gone, shipper"`) == 1 })
	}
}

// TestHeldWithoutRoom: a log that is pruned before the readers are known is not emptied under a process
// that has it open, and does not count as lost, unless it is known that there is such a process.
func TestHeldWithoutRoom(t *testing.T) {
	for _, unseen := range []time.Duration{0, time.Hour} {
		n, f := readNode(t, "containerLogMaxFiles: 2\ncontainerLogMaxSize: 64Ki\ncontainerLogMaxTotalSize: 64Ki\nunreadLogBudget: 0\n")
		f.early, f.unseen = true, unseen
		ct, dir := n.run(t, fake.ContainerSpec{})
		log := filepath.Join(ct.Dir(), rotatedLogs(t, ct.Dir(), 2)[0].String())
		must(t, os.WriteFile(log, []byte(strings.Repeat("2026-01-01T00:00:00Z stdout F x\n", 4096)), 0o600))
		reader, err := os.Open(log)
		must(t, err)
		defer reader.Close() //nolint:errcheck // opened for reading
		time.Sleep(2 * clockTick)
		n.started = time.Now()
		n.list(t)
		n.Changed(dir)
		testutil.Eventually(t, "the prune", func() bool {
			_, err := os.Lstat(log)
			return err != nil && n.prunes.Stats().Done > 0
		})
		if unseen > 0 {
			testutil.Eventually(t, "the report", func() bool { return n.logged(`"readers":"unknown"`) == 1 })
		}
		st, err := reader.Stat()
		must(t, err)
		if emptied := st.Size() == 0; emptied != (unseen > 0) || (n.logged("has not read") == 1) != emptied {
			t.Errorf("readers may be unseen: %v; %d bytes are left: %s", unseen > 0, st.Size(), n.log.String())
		}
	}
}

// TestMissedBySuccessor: what a reader missed it missed also where the one that it replaces had it open, and
// it counts once.
func TestMissedBySuccessor(t *testing.T) {
	n, f := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	log := filepath.Join(ct.Dir(), rotatedLogs(t, ct.Dir(), 1)[0].String())
	inode, size := inodeOf(log), size(log)
	n.with(dir, func(c *container) {
		c.missed = map[uint64]missedLog{inode: {[]string{"shipper"}, time.Now()}}
	})
	before := at(1, log)
	before.Dead = true
	f.set(before)
	n.read(dir)
	f.set()
	if read, _, _ := n.read(dir); read.Positions[inode] != rotator.Missed {
		t.Errorf("%v", read.Positions)
	}
	n.noteLost(dir, []rotator.Step{{Inode: inode, Size: size, Lost: rotator.Lost{Bytes: size}}}, []readers.Follower{before})
	if got, _ := sumOf(t, n.o.Metrics.UnreadPruned); int64(got) != size || n.logged(`"readers":"shipper"`) != 1 {
		t.Errorf("%v bytes count as lost, want %d: %s", got, size, n.log.String())
	}
}

// TestLostIsCountedOnce: a reader that begins again at the start of a log that was emptied has not lost
// what it had read.
func TestLostIsCountedOnce(t *testing.T) {
	n, f := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	log := filepath.Join(ct.Dir(), rotatedLogs(t, ct.Dir(), 1)[0].String())
	f.set(at(0, log))
	n.noteLost(dir, []rotator.Step{{Inode: inodeOf(log), Size: 7, Lost: rotator.Lost{Bytes: 3}}}, nil)
	if got, _ := sumOf(t, n.o.Metrics.UnreadPruned); got != 3 {
		t.Errorf("%v bytes count as lost, want 3", got)
	}
}

// TestMissedByOneOfTwo: a log that one reader has open, and another has not opened before it was
// rotated, is lost for the other once no reader holds it.
func TestMissedByOneOfTwo(t *testing.T) {
	n, f := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	log := filepath.Join(ct.Dir(), rotatedLogs(t, ct.Dir(), 1)[0].String())
	inode := inodeOf(log)
	n.with(dir, func(c *container) {
		c.missed = map[uint64]missedLog{inode: {[]string{"slow", "shipper"}, time.Now()}}
	})
	size := int64(len("a line\n"))
	for _, c := range []struct {
		other readers.Follower
		want  int64
	}{
		{at(1, log), 0},
		{at(size, log), rotator.Missed},
		{readers.Follower{Command: "shipper", Closed: map[uint64]int64{inode: size}}, rotator.Missed},
	} {
		f.set(c.other)
		if read, _, _ := n.read(dir); read.Positions[inode] != c.want {
			t.Errorf("beside %+v: %v", c.other, read.Positions)
		}
	}
	if pos := n.positionAgain(dir)(inode); pos != 0 {
		t.Errorf("read up to %d", pos)
	}
	if commands := n.takeMissed(dir, inode); len(commands) != 1 || commands[0] != "slow" {
		t.Errorf("missed by %v", commands)
	}
}

// TestMissedInodeIsUsedAgain: a rotated log that no reader missed does not take the entry of one before it
// that had its inode.
func TestMissedInodeIsUsedAgain(t *testing.T) {
	n, _ := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	n.with(dir, func(c *container) {
		c.missed = map[uint64]missedLog{inodeOf(ct.LogPath()): {[]string{"shipper"}, time.Now()}}
	})
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
	testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 })
	n.with(dir, func(c *container) {
		if len(c.missed) > 0 {
			t.Errorf("missed: %v", c.missed)
		}
	})
}

// TestStalledLogIsEmptied: a rotated log in which a reader has not advanced for long is not held, but
// is emptied when it is pruned: its space is free although the reader has it open. What it had not
// read counts as lost.
func TestStalledLogIsEmptied(t *testing.T) {
	n, f := readNode(t, "containerLogMaxSize: 64Ki\ncontainerLogMaxTotalSize: 128Ki\nrotatedLogGracePeriod: 0s\n")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	log := filepath.Join(ct.Dir(), "0.log.20260101-000001")
	line := "2026-01-01T00:00:00Z stdout F " + strings.Repeat("x", 100) + "\n"
	must(t, os.WriteFile(log, []byte(strings.Repeat(line, 1500)), 0o600))
	must(t, os.WriteFile(filepath.Join(ct.Dir(), "0.log.20260101-000002"), []byte(line), 0o600))
	reader, err := os.Open(log)
	must(t, err)
	defer reader.Close() //nolint:errcheck // opened for reading
	f.set(readers.Follower{Command: "shipper", Stalled: map[uint64]int64{inodeOf(log): int64(500 * len(line))}})
	n.list(t)
	n.Changed(dir)
	testutil.Eventually(t, "the prune", func() bool { return n.logged(`"lines":1000,`) == 1 })
	if st, err := reader.Stat(); err != nil || st.Size() > 0 || n.logged(`"readers":"shipper"`) != 1 {
		t.Errorf("%v, %v: %s", st, err, n.log.String())
	}
}

// TestAllowanceIsGivenInTurn: containers that have more than their share, and cannot give, do not keep
// each other's prunes running without a pause.
func TestAllowanceIsGivenInTurn(t *testing.T) {
	n, f := readNode(t, "containerLogMaxSize: 64Ki\ncontainerLogMaxTotalSize: 128Ki\nunreadLogBudget: 1000\n")
	var newest []string // of a container that writes little: it is not pruned
	for i := range 2 {
		ct, _ := n.run(t, fake.ContainerSpec{Pod: fmt.Sprint("app", i)})
		must(t, ct.WriteNumbered("stdout", 10, 100))
		newest = append(newest, filepath.Join(ct.Dir(), "0.log.20260101-000001"))
		must(t, os.WriteFile(newest[i], make([]byte, 200_000), 0o600))
	}
	f.set(at(0, newest...))
	n.list(t)
	testutil.Eventually(t, "both to have more", func() bool { return len(n.allowance.dirs()) == 2 })
	before := n.prunes.Stats().Done
	time.Sleep(10 * givePause)
	if pruned := n.prunes.Stats().Done - before; pruned > 100 {
		t.Errorf("%d prunes", pruned)
	}
}
