package dispatch

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// followers are log readers as a test sets them.
type followers struct {
	mu     sync.Mutex
	list   []readers.Follower
	now    []readers.Follower // what is read again; nil: the same
	unseen time.Duration
	early  bool // they are not known yet
	// forgets: readers that have exited are forgotten with the log whose positions are read again.
	forgets bool
}

func (f *followers) Unseen() time.Duration { return f.unseen }

func (f *followers) Known() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.early
}

func (f *followers) Followers(_ string, maxAge time.Duration) []readers.Follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if maxAge == 0 && f.now != nil {
		return f.now
	}
	list := slices.Clone(f.list)
	if maxAge == 0 && f.forgets {
		f.list = slices.DeleteFunc(f.list, func(f readers.Follower) bool { return f.Dead })
	}
	return list
}

func (f *followers) set(list ...readers.Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = list
}

// at is a reader that has read bytes of some files.
func at(bytes int64, paths ...string) readers.Follower {
	f := readers.Follower{PID: 1, Command: "shipper", Positions: map[uint64]int64{}}
	for _, path := range paths {
		f.Positions[inodeOf(path)] = bytes
	}
	return f
}

func readNode(t *testing.T, yaml string) (*node, *followers) {
	return readNodeOf(t, fake.Containerd, yaml)
}

func readNodeOf(t *testing.T, style fake.Style, yaml string) (*node, *followers) {
	n, f := newNodeOf(t, style, yaml), &followers{}
	n.o.Readers = f
	return n, f
}

func size(path string) int64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Size
}

// TestRotationWaitsForReaders: a live log that is due stays while a process that
// follows it is behind, has not opened it, or is expected to; not for other readers,
// nor for an operator, and not without room.
func TestRotationWaitsForReaders(t *testing.T) {
	const lines, length = 3000, 1000
	for _, c := range []struct {
		name    string
		yaml    string
		cause   watcher.Cause
		reader  func(log string) readers.Follower
		waits   bool
		waitsOf time.Duration
		unread  int64 // at least
	}{
		{name: "at the end", reader: func(log string) readers.Follower { return at(size(log), log) }},
		{name: "a call behind", reader: func(log string) readers.Follower { return at(size(log)-minReaderLag, log) }},
		{name: "behind", reader: func(log string) readers.Follower { return at(size(log)-minReaderLag-1, log) }, waits: true, unread: minReaderLag},
		{name: "behind, but fast", reader: func(log string) readers.Follower {
			f := at(size(log)-1<<20, log)
			f.Rate = 1 << 20
			return f
		}},
		{name: "has the log before open only", reader: func(string) readers.Follower { return at(0, "/dev/null") }, waits: true, unread: lines * length},
		{name: "exited with the log before open", reader: func(string) readers.Follower {
			f := at(0, "/dev/null")
			f.Dead, f.Since = true, time.Now().Add(-time.Minute)
			return f
		}, waits: true, unread: lines * length},
		{name: "exited, and may have been no reader", reader: func(string) readers.Follower {
			f := at(0, "/dev/null")
			f.Dead = true
			return f
		}},
		{name: "expected", reader: func(string) readers.Follower { return readers.Follower{Expected: true, Progress: time.Now()} }, waits: true},
		{name: "died behind", reader: func(log string) readers.Follower {
			f := at(size(log)-1, log)
			f.Dead = true
			return f
		}, waits: true, unread: 1},
		{name: "died at the end", reader: func(log string) readers.Follower {
			f := at(size(log), log)
			f.Dead = true
			return f
		}},
		{name: "has just opened it", reader: func(log string) readers.Follower {
			f := at(size(log), log)
			f.Since = time.Now()
			return f
		}, waits: true, waitsOf: settleTime},
		{name: "kubectl logs", reader: func(log string) readers.Follower {
			f := at(0, log)
			f.Kubelet = true
			return f
		}, waits: true, waitsOf: maxPersonWait},
		{name: "an operator", cause: watcher.CauseOperator, reader: func(log string) readers.Follower { return at(0, log) }},
		{name: "pressure", cause: watcher.CausePressure, reader: func(log string) readers.Follower { return at(0, log) }},
		{name: "half of the room", yaml: "unreadLogBudget: 0\ncontainerLogMaxTotalSize: 4M\ncontainerLogMaxSize: 1M", waits: true, reader: func(string) readers.Follower { return at(0, "/dev/null") }},
		{name: "no room", yaml: "unreadLogBudget: 0\ncontainerLogMaxTotalSize: 4M\ncontainerLogMaxSize: 1M", reader: func(log string) readers.Follower { return at(0, log) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, f := readNode(t, c.yaml)
			ct, dir := n.run(t, fake.ContainerSpec{})
			must(t, ct.WriteNumbered("stdout", lines, length))
			log := filepath.Join(ct.Dir(), "0.log")
			reader := c.reader(log)
			f.set(reader)
			n.list(t) // the first sweep finds what is due
			if c.cause == "" {
				c.cause = watcher.CauseWrite
			}
			n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: c.cause, Size: size(log), Limit: 1 << 20})
			rotated := func() bool { return strings.Contains(names(t, ct.Dir()), "0.log.2") }
			if !c.waits {
				testutil.Eventually(t, "the rotation", rotated)
				return
			}
			waiting := func() *Waiting { return n.Describe(dir, "0.log", false).Waiting }
			testutil.Eventually(t, "the wait", func() bool { return waiting() != nil })
			if w := waiting(); w.Command != reader.Command || w.Unread < c.unread {
				t.Errorf("%+v", w)
			}
			if rotated() {
				t.Error("it did not wait")
			}
			if c.waitsOf == 0 {
				f.set(at(size(log), log)) // it catches up
			}
			testutil.Eventually(t, "the rotation", rotated)
			if w := waiting(); w != nil {
				t.Errorf("still waits for %+v", w)
			}
		})
	}
}

// TestReturnedLogWaits: a log that the runtime writes under its rotated name, since logwatch
// was killed before the reopen, gets its name back where the runtime appends to what it
// reopens. It is not rotated again at once: readers that have left it come back first.
func TestReturnedLogWaits(t *testing.T) {
	for _, c := range []struct {
		name     string
		style    fake.Style
		before   func(*container) // what this process did before
		reopened bool
	}{
		{"containerd", fake.Containerd, func(*container) {}, false},
		{"conmon", fake.CRIO, func(*container) {}, true},
		{"the reopen failed", fake.Containerd, func(c *container) { c.failures++ }, true},
		{"not killed before it", fake.Containerd, func(c *container) { c.moved = true }, true},
	} {
		n, _ := readNodeOf(t, c.style, "")
		ct, dir := n.run(t, fake.ContainerSpec{})
		n.with(dir, c.before)
		must(t, ct.WriteNumbered("stdout", 100, 200))
		n.list(t)
		log := filepath.Join(ct.Dir(), "0.log")
		must(t, os.WriteFile(log+".20260102-150405", nil, 0o600))
		must(t, unix.Renameat2(unix.AT_FDCWD, log, unix.AT_FDCWD, log+".20260102-150405", unix.RENAME_EXCHANGE))
		n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseMissing, Limit: math.MaxInt64})
		if c.reopened {
			testutil.Eventually(t, c.name+": the reopen", func() bool {
				return n.runtime.Calls("ReopenContainerLog") == 1 && n.logged("reopened a missing live log") == 1
			})
			continue
		}
		testutil.Eventually(t, "the name", func() bool { return names(t, ct.Dir()) == "0.log" && n.logged("restored the live log's name") == 1 })
		n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
		testutil.Eventually(t, "the wait", func() bool { return n.Describe(dir, "0.log", false).Waiting != nil })
		if n.runtime.Calls("ReopenContainerLog") > 0 || n.rotated.Load() > 0 {
			t.Error("it was rotated at once")
		}
		n.with(dir, func(c *container) { c.returned = c.returned.Add(-returnPause) })
		testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 })
	}
}

// TestUnknownReaderDelays: while not all processes can be seen, a log is not rotated as long
// as one has the rotated log before open, for a time.
func TestUnknownReaderDelays(t *testing.T) {
	for _, c := range []struct {
		name   string
		unseen time.Duration
		known  bool
		waits  bool
		flags  int // that it is open with
		yaml   string
	}{
		{"unknown", time.Hour, false, true, os.O_RDONLY, ""},
		{"the runtime has it open", time.Hour, false, false, os.O_WRONLY, ""},
		{"all processes are seen", 0, false, false, os.O_RDONLY, ""},
		{"the readers are known", time.Hour, true, false, os.O_RDONLY, ""},
		{"no allowance", time.Hour, false, false, os.O_RDONLY, "unreadLogBudget: 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, f := readNode(t, c.yaml)
			f.unseen = c.unseen
			ct, dir := n.run(t, fake.ContainerSpec{})
			must(t, ct.WriteNumbered("stdout", 10, 100))
			n.list(t)
			if log := filepath.Join(ct.Dir(), "0.log"); c.known {
				f.set(at(size(log), log))
			}
			before := filepath.Join(ct.Dir(), "0.log.20260101-000001")
			must(t, os.WriteFile(before, []byte("2026-01-01T00:00:00Z stdout F x\n"), 0o600))
			reader, err := os.OpenFile(before, c.flags, 0)
			must(t, err)
			defer reader.Close() //nolint:errcheck // a second time
			n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
			if c.waits {
				testutil.Eventually(t, "the wait", func() bool { return n.Describe(dir, "0.log", false).Waiting != nil })
				if n.rotated.Load() > 0 {
					t.Error("it did not wait")
				}
				must(t, reader.Close())
			}
			testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 })
		})
	}
}

// TestReopenWaitsForNoReader: where only a reopen is missing, it is requested at once: the
// runtime has the rotated log open, and a reader that has not opened the empty live log
// misses nothing.
func TestReopenWaitsForNoReader(t *testing.T) {
	n, f := readNodeOf(t, fake.CRIO, "")
	f.unseen = time.Hour
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	f.set(at(0, "/dev/null"))
	log := filepath.Join(ct.Dir(), "0.log")
	must(t, os.WriteFile(log+".20260102-150405", nil, 0o600))
	must(t, unix.Renameat2(unix.AT_FDCWD, log, unix.AT_FDCWD, log+".20260102-150405", unix.RENAME_EXCHANGE))
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseRetry, Limit: 1})
	testutil.Eventually(t, "the reopen", func() bool {
		if w := n.Describe(dir, "0.log", false).Waiting; w != nil {
			t.Fatalf("it waits for %+v", w)
		}
		return n.logged("reopened a missing live log") == 1
	})
}

// TestUnreadLogsAreHeld: what a reader has not read stays, beyond the container's
// total, up to the node's allowance; once read, the container is brought within its
// total. What has to go unread is counted.
func TestUnreadLogsAreHeld(t *testing.T) {
	const kept = "containerLogMaxSize: 64Ki\ncontainerLogMaxFiles: 3\ncontainerLogMaxTotalSize: 128Ki\ncompression: {codec: none}\n"
	n, f := readNode(t, kept+"unreadLogBudget: 256Ki")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	record := "2026-01-01T00:00:00Z stdout F " + strings.Repeat("x", 1<<10-31) + "\n"
	var paths []string
	for i, name := range rotatedLogs(t, ct.Dir(), 5) {
		paths = append(paths, filepath.Join(ct.Dir(), name.String()))
		must(t, os.WriteFile(paths[i], []byte(strings.Repeat(record, 64)), 0o600))
	}
	f.set(at(10<<10, paths...), at(54<<10, paths...))
	n.list(t)
	n.Changed(dir)
	rotated := func() int { return strings.Count(names(t, ct.Dir()), "0.log.2") }
	testutil.Eventually(t, "all but the allowance", func() bool { return n.prunes.Stats().Done > 0 })
	if got := rotated(); got != 5 {
		t.Fatalf("%d of 5 unread logs are left", got)
	}
	if _, used := n.UnreadBudget(); used < 128<<10 || used > 256<<10 {
		t.Errorf("%d bytes of the allowance are used", used)
	}

	paths = append(paths, filepath.Join(ct.Dir(), "0.log.20260101-000009"))
	next := filepath.Join(ct.Dir(), "next") // the readers are known before it is a log
	must(t, os.WriteFile(next, []byte(strings.Repeat(record, 64)), 0o600))
	paths[5] = next
	f.set(at(10<<10, paths...), at(54<<10, paths...))
	paths[5] = filepath.Join(ct.Dir(), "0.log.20260101-000009")
	testutil.Eventually(t, "no prune with the positions of before", func() bool { return n.prunes.Stats().Running == 0 })
	must(t, os.Rename(next, paths[5]))
	n.Changed(dir)
	testutil.Eventually(t, "what the allowance does not hold", func() bool { return rotated() == 5 })
	testutil.Eventually(t, "the report", func() bool { return n.logged("has not read") == 1 })
	if text := n.log.String(); !strings.Contains(text, `"bytes":55296,"lines":54,"from":"2026-01-01T00:00:00Z"`) || !strings.Contains(text, `"readers":"shipper"`) {
		t.Errorf("the report: %s", text)
	}

	f.set() // it has read all, and closed it
	testutil.Eventually(t, "the container within its total", func() bool { return rotated() < 2 })
	testutil.Eventually(t, "the allowance back", func() bool { _, used := n.UnreadBudget(); return used == 0 })
}

// TestMissedLogsAreCounted: a log that is rotated, for want of room or by request, before
// its reader has opened it counts as lost when it is pruned. Until then it is not lag. It
// does not count if the reader opens it after all.
func TestMissedLogsAreCounted(t *testing.T) {
	const lines = 900 // more than 7/8 of the total
	for _, cause := range []watcher.Cause{watcher.CauseWrite, watcher.CauseOperator} {
		for _, opens := range []bool{false, true} {
			n, f := readNode(t, "containerLogMaxSize: 64Ki\ncontainerLogMaxTotalSize: 128Ki\nunreadLogBudget: 0\nrotatedLogGracePeriod: 0s\n")
			ct, dir := n.run(t, fake.ContainerSpec{})
			n.list(t)
			f.set(at(0, "/dev/null"))
			for i := range 3 {
				must(t, ct.WriteNumbered("stdout", lines, 100))
				live := filepath.Join(ct.Dir(), "0.log")
				inode, bytes := inodeOf(live), size(live)
				n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: cause, Limit: 1})
				testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == uint64(i+1) })
				if lag := n.Describe(dir, "0.log", false).Lag; lag > 0 {
					t.Errorf("lag %d", lag)
				}
				if opens {
					f.set(readers.Follower{Command: "shipper", Closed: map[uint64]int64{inode: bytes}})
				}
				n.Changed(dir)
			}
			testutil.Eventually(t, "a prune", func() bool { return n.logged(`"action":"prune"`) > 0 })
			if opens && n.logged("has not read") > 0 || !opens && n.logged(fmt.Sprintf(`"lines":%d,`, lines)) == 0 {
				t.Errorf("%s, opened %v: %s", cause, opens, n.log.String())
			}
		}
	}
}

// TestOldLogGoesFirst: while a live log waits for a reader that has not opened it, the space
// that it takes is that of the rotated log before, whose lost lines are counted by the
// position that the reader has by then.
func TestOldLogGoesFirst(t *testing.T) {
	n, f := readNode(t, "containerLogMaxSize: 64Ki\ncontainerLogMaxTotalSize: 128Ki\nunreadLogBudget: 0\nrotatedLogGracePeriod: 0s\n")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 600, 100))
	live, old := filepath.Join(ct.Dir(), "0.log"), filepath.Join(ct.Dir(), "0.log.20260101-000001")
	record := "2026-01-01T00:00:00Z stdout F " + strings.Repeat("x", 1<<10-31) + "\n"
	must(t, os.WriteFile(old, []byte(strings.Repeat(record, 60)), 0o600))
	if total := size(live) + 60<<10; size(live) < 68<<10 || size(live) > 112<<10 || total < 128<<10 {
		t.Fatalf("%d bytes in the live log", size(live))
	}
	f.set(at(10<<10, old))
	f.now = []readers.Follower{at(20<<10, old)}
	n.list(t) // the first sweep finds what is due
	testutil.Eventually(t, "the old log to go", func() bool { return names(t, ct.Dir()) == "0.log" })
	testutil.Eventually(t, "the report", func() bool { return n.logged(`"bytes":40960,"lines":40,`) == 1 })
	testutil.Eventually(t, "the wait", func() bool { return n.Describe(dir, "0.log", false).Waiting != nil })
	if n.rotated.Load() > 0 {
		t.Error("the live log was rotated")
	}
}

// TestLogsInUseAreHeld: while not all processes can be seen, a rotated log that one has
// open is held for a time as if it were unread; no other log is.
func TestLogsInUseAreHeld(t *testing.T) {
	const kept = "containerLogMaxSize: 64Ki\ncontainerLogMaxFiles: 3\ncontainerLogMaxTotalSize: 128Ki\n"
	for _, c := range []struct {
		name   string
		budget string
		unseen time.Duration
		known  bool // the process is, and has read all
		want   int  // uncompressed logs
	}{
		{"held", "1Mi", time.Hour, false, 4},
		{"held as far as the allowance goes", "64Ki", time.Hour, false, 2},
		{"all processes are seen", "1Mi", 0, false, 1},
		{"rotated long ago", "1Mi", 1, false, 1},
		{"a known reader has read it", "1Mi", time.Hour, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, f := readNode(t, kept+"unreadLogBudget: "+c.budget)
			f.unseen = c.unseen
			ct, dir := n.run(t, fake.ContainerSpec{})
			must(t, ct.WriteNumbered("stdout", 10, 100))
			var open []*os.File
			reader := at(64<<10, "/dev/null")
			for i, name := range rotatedLogs(t, ct.Dir(), 5) {
				path := filepath.Join(ct.Dir(), name.String())
				must(t, os.WriteFile(path, []byte(strings.Repeat("2026-01-01T00:00:00Z stdout F x\n", 2048)), 0o600))
				if i == 2 { // the others are held
					continue
				}
				log, err := os.Open(path)
				must(t, err)
				defer log.Close() //nolint:errcheck // a second time
				open = append(open, log)
				reader.Positions[inodeOf(path)] = 64 << 10
			}
			if c.known {
				f.set(reader)
			}
			n.list(t)
			n.Changed(dir)
			uncompressed := func() int {
				return strings.Count(names(t, ct.Dir()), "0.log.2") - strings.Count(names(t, ct.Dir()), ".gz")
			}
			testutil.Eventually(t, "housekeeping", func() bool { return uncompressed() == c.want })
			testutil.Eventually(t, "its end", func() bool { p := n.prunes.Stats(); return p.Done > 0 && p.Running+n.compressions.Stats().Running == 0 })
			if got := uncompressed(); got != c.want {
				t.Fatalf("%d uncompressed logs, want %d: %s", got, c.want, names(t, ct.Dir()))
			}
			if _, used := n.UnreadBudget(); (used > 0) != (c.want > 1) && c.budget == "1Mi" {
				t.Errorf("%d bytes of the allowance are used", used)
			}
			if lost := n.logged("has not read"); (lost > 0) != (c.budget == "64Ki") {
				t.Errorf("%d reports of lost lines: %s", lost, n.log.String())
			}
			for _, log := range open {
				must(t, log.Close())
			}
			testutil.Eventually(t, "the logs that no process has open any longer to go", func() bool { return uncompressed() <= 1 })
			testutil.Eventually(t, "the allowance back", func() bool { _, used := n.UnreadBudget(); return used == 0 })
		})
	}
}

// TestAllowanceIsFair: a container that uses the allowance alone may have all of it;
// of several that want more than there is, the largest gives.
func TestAllowanceIsFair(t *testing.T) {
	a := allowance{budget: 100}
	for _, step := range []struct {
		dir      string
		borrowed int64
		share    int64
		over     string
	}{
		{"a", 0, 100, ""},
		{"a", 90, 100, ""},
		{"b", 5, 50, ""},
		{"b", 20, 50, "a"},
		{"a", 80, 80, ""},
		{"c", 40, 40, "a"},
		{"a", 40, 40, ""},
		{"d", 1, 26, "a c"},
		{"b", 0, 33, ""},
		{"c", 200, 59, ""},
		{"a", 0, 49, ""},
	} {
		share, over := a.share(step.dir, step.borrowed)
		slices.Sort(over)
		if share != step.share || strings.Join(over, " ") != step.over {
			t.Errorf("%s has %d: share %d, over %v; want %d, %q", step.dir, step.borrowed, share, over, step.share, step.over)
		}
	}
	a.share("c", 0)
	a.share("d", 0)
	if a.sum() != 0 || len(a.dirs()) != 0 {
		t.Errorf("%d used by %v", a.sum(), a.dirs())
	}
}
