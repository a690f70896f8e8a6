package watcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

func TestEndToEnd(t *testing.T) {
	n := newNode(t)
	n.write("old/c/3.log", limit)
	n.start(asIs)
	if got, want := receive(n, n.dues), (Due{Dir: "old/c", Log: "3.log", Cause: CauseStartup, Size: limit, Limit: limit}); got != want {
		t.Errorf("reported %+v, want %+v", got, want)
	}
	n.write("new/c/0.log", limit-1)
	n.write("new/c/0.log", 1)
	got := receive(n, n.dues)
	// It depends on what the first check saw whether it is known to grow.
	want := Due{Dir: "new/c", Log: "0.log", Cause: CauseWrite, Size: limit, Limit: limit, Growing: got.Growing, Rate: got.Rate, Target: got.Target}
	if got != want {
		t.Errorf("reported %+v, want %+v", got, want)
	}
	n.check(os.Rename(n.path("new/c/0.log"), n.path("new/c/0.log.20260101-000000")))
	n.write("new/c/0.log", 2*limit)
	n.w.Check("new/c")
	if got := receive(n, n.dues); got.Dir != "new/c" || got.Size != 2*limit {
		t.Errorf("reported %+v", got)
	}
	n.check(os.RemoveAll(n.path("new")))
	n.until("the pod is forgotten by its event", func() bool {
		_, inodes := n.kernelWatches()
		return len(inodes) == 2 // podLogsDir and old
	})
	n.sweep(CauseSweep)
	if got := n.w.Stats().Tracked; got != 1 {
		t.Errorf("tracked %d", got)
	}
}

func TestFloodOfEvents(t *testing.T) {
	const logs, writes, line = 50, 4000, 100
	n := newNode(t)
	n.limits.MaxSize = writes * line
	for i := range logs {
		n.write(fmt.Sprintf("pod%d/c/0.log", i), 0)
	}
	n.start(asIs)
	var writers sync.WaitGroup
	for i := range logs {
		writers.Go(func() {
			f, err := os.OpenFile(n.path(fmt.Sprintf("pod%d/c/0.log", i)), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Error(err)
				return
			}
			buf := make([]byte, line)
			for range writes {
				if _, err := f.Write(buf); err != nil {
					t.Error(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	reported := map[string]int{}
	for len(reported) < logs {
		reported[receive(n, n.dues).Dir]++
	}
	writers.Wait()
	if got := n.w.Stats().Events; got > logs*writes/10 {
		t.Errorf("%d events for %d writes", got, logs*writes)
	}
	t.Logf("%d writes: %+v", logs*writes, n.w.Stats())
}

// stalled is an inotify whose events are not received until it is released.
type stalled struct {
	notifier
	released chan struct{}
	out      chan fsnotify.Event
}

func stall(in notifier) *stalled {
	s := &stalled{notifier: in, released: make(chan struct{}), out: make(chan fsnotify.Event)}
	go func() {
		defer close(s.out)
		<-s.released
		for ev := range in.Events() {
			s.out <- ev
		}
	}()
	return s
}

func (s *stalled) Events() <-chan fsnotify.Event { return s.out }

func (s *stalled) Close() error {
	err := s.notifier.Close()
	for range s.out { // what is left has no reader
	}
	return err
}

func TestQueueOverflow(t *testing.T) {
	setting, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	queued, err := strconv.Atoi(strings.TrimSpace(string(setting)))
	if err != nil {
		t.Fatal(err)
	}
	if queued > 200_000 {
		t.Skipf("it takes more than %d events to overflow this kernel's queue", queued)
	}
	n := newNode(t)
	n.write("pod/c/0.log", 0)
	n.write("pod/c/1.log", 0)
	n.write("pod/d/0.log", 0)
	var s *stalled
	n.start(func(in notifier) notifier { s = stall(in); return s })
	var files [2]*os.File
	for i := range files {
		files[i], err = os.OpenFile(n.path(fmt.Sprintf("pod/c/%d.log", i)), os.O_WRONLY|os.O_APPEND, 0)
		n.check(err)
		defer files[i].Close() //nolint:errcheck // a test's
	}
	for i := range queued + 5000 { // in turn, for the kernel makes one of equal ones
		_, err := files[i%2].Write([]byte{'x'})
		n.check(err)
	}
	// These events are lost.
	n.write("pod/d/0.log", limit)
	n.write("late/c/0.log", limit)
	close(s.released)
	for range 2 {
		if due := receive(n, n.dues); due.Cause != CauseOverflow || due.Dir == "pod/c" {
			t.Errorf("reported %+v", due)
		}
	}
	if got := n.w.Stats().Overflows; got != 1 {
		t.Errorf("%d overflows counted", got)
	}
}

func TestOneInstanceForAll(t *testing.T) {
	n := newNode(t)
	before, _ := n.kernelWatches()
	for i := range 20 {
		n.write(fmt.Sprintf("pod%d/c/0.log", i), 0)
	}
	n.start(asIs)
	instances, inodes := n.kernelWatches()
	if instances != before+1 || len(inodes) != 1+20+20 {
		t.Errorf("%d instances more with %d watches, want 1 with 41", instances-before, len(inodes))
	}
	n.stop()
	if after, _ := n.kernelWatches(); after != before {
		t.Errorf("%d instances are left", after-before)
	}
}

func TestIdleDirectoriesCostOneCheckASweep(t *testing.T) {
	const dirs = 500
	n := newNode(t)
	for i := range dirs {
		n.write(fmt.Sprintf("pod%d/c/0.log", i), limit/2)
	}
	n.start(asIs)
	before := n.w.Stats()
	if before.Tracked != dirs || before.Hot != 0 {
		t.Fatalf("%+v", before)
	}
	for range 3 {
		n.sweep(CauseSweep)
	}
	after := n.w.Stats()
	// A directory that was made just before it was listed is listed again, and
	// then checked again.
	if got := after.Checks - before.Checks; got < 3*dirs || got > 6*dirs {
		t.Errorf("%d checks in 3 sweeps of %d", got, dirs)
	}
	if after.Events != before.Events {
		t.Errorf("%d events from sweeps", after.Events-before.Events)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	n := newNode(t)
	outside := t.TempDir()
	n.check(os.MkdirAll(outside+"/c", 0o755))
	n.check(os.WriteFile(outside+"/0.log", make([]byte, limit), 0o600))
	n.check(os.WriteFile(outside+"/c/0.log", make([]byte, limit), 0o600))
	n.mkdir("pod/swapped")
	n.mkdir("swapped/c")
	n.check(os.Symlink(outside, n.path("atstart")))
	n.check(os.Symlink(outside, n.path("pod/atstart")))
	n.start(asIs)
	n.check(os.Symlink(outside, n.path("later")))
	n.check(os.Symlink(outside, n.path("pod/later")))
	for _, rel := range []string{"swapped", "pod/swapped"} {
		n.check(os.Rename(n.path(rel), t.TempDir()+"/away"))
		n.check(os.Symlink(outside, n.path(rel)))
	}
	n.sweep(CauseSweep)
	n.write("pod/c/0.log", limit) // behind all of their events
	if due := receive(n, n.dues); due.Dir != "pod/c" {
		t.Errorf("reported %+v", due)
	}
	_, inodes := n.kernelWatches()
	if inodes[n.inode(outside)] || inodes[n.inode(outside+"/c")] {
		t.Error("what a link points to is watched")
	}
	for _, path := range n.in.WatchList() {
		if rel := strings.TrimPrefix(strings.TrimPrefix(path, n.root), "/"); rel != "" && rel != "pod" {
			t.Errorf("%q is watched", rel)
		}
	}
}

func TestMovedPodIsFollowed(t *testing.T) {
	n := newNode(t)
	n.write("a/c/0.log", 0)
	n.start(asIs)
	for i, move := range [][2]string{{"a", "b"}, {"b", "a"}, {"a/c", "a/d"}, {"a/d", "a/c"}} {
		n.check(os.Rename(n.path(move[0]), n.path(move[1])))
		if i%2 == 1 {
			n.sweep(CauseSweep) // which may see the new name before its event
		}
		dir := move[1]
		if depth(dir) == 1 {
			dir += "/c"
		}
		n.write(dir+"/0.log", limit)
		if due := receive(n, n.dues); due.Dir != dir {
			t.Fatalf("reported %+v, want %s", due, dir)
		}
		n.check(os.Truncate(n.path(dir+"/0.log"), 0))
		n.until("it is watched under its new name alone", func() bool {
			_, inodes := n.kernelWatches()
			return len(inodes) == 3 && inodes[n.inode(n.path(dir))] && len(n.in.WatchList()) == 3
		})
	}
}

func TestReplacedInNoTime(t *testing.T) {
	n := newNode(t)
	n.write("pod/c/0.log", 0)
	n.start(asIs)
	for i := range 50 {
		rel := []string{"pod", "pod/c"}[i%2]
		n.check(os.RemoveAll(n.path(rel)))
		n.write("pod/c/0.log", limit)
		if due := receive(n, n.dues); due.Dir != "pod/c" {
			t.Fatalf("reported %+v", due)
		}
	}
}

// TestManyPodsAtOnce: more pods than podEvents within a second are found with no
// sweep of the clock's.
func TestManyPodsAtOnce(t *testing.T) {
	const pods = 1500
	n := newNode(t)
	n.limits.MaxSize = 100
	n.start(asIs)
	outside := n.root + "-outside"
	defer os.RemoveAll(outside) //nolint:errcheck // a test's
	for i := range pods {
		dir := fmt.Sprintf("%s/pod%d", outside, i)
		n.check(os.MkdirAll(dir+"/c", 0o755))
		n.check(os.WriteFile(dir+"/c/0.log", make([]byte, 200), 0o600))
	}
	begin := time.Now()
	for i := range pods { // at once
		n.check(os.Rename(fmt.Sprintf("%s/pod%d", outside, i), n.path(fmt.Sprint("pod", i))))
	}
	created := time.Since(begin)
	found := map[string]bool{}
	for len(found) < pods {
		found[receive(n, n.dues).Dir] = true
	}
	t.Logf("%d pods created in %v, and found within %v; %+v", pods, created, time.Since(begin), n.w.Stats())
}

// TestPodLogsDirPointsElsewhere: what a link pointed to before is not watched.
func TestPodLogsDirPointsElsewhere(t *testing.T) {
	n := newNode(t)
	link := filepath.Join(t.TempDir(), "pods")
	first, second := n.root, t.TempDir()
	for _, root := range []string{first, second} {
		n.root = root
		n.write("same/c/0.log", 1)
		n.write(filepath.Base(filepath.Dir(root))+"/c/0.log", 1)
	}
	n.check(os.Symlink(first, link))
	n.root, n.w.cfg.PodLogsDir = link, link
	n.start(asIs)
	for i := range 4 {
		to := []string{second, first}[i%2]
		n.check(os.Symlink(to, link+".new"))
		n.check(os.Rename(link+".new", link))
		n.sweep(CauseSweep)
		n.until("the watches are on the new one", func() bool {
			_, inodes := n.kernelWatches()
			return len(inodes) == 5 && inodes[n.inode(to)] && inodes[n.inode(to+"/same")] && inodes[n.inode(to+"/same/c")]
		})
	}
	n.write("same/c/0.log", limit)
	if due := receive(n, n.dues); due.Dir != "same/c" {
		t.Errorf("reported %+v", due)
	}
}

// TestExchangedLogIsWatched: a log that was exchanged while it was cold is the
// one whose events count.
func TestExchangedLogIsWatched(t *testing.T) {
	n := newNode(t)
	n.write("pod/c/0.log", 1)
	n.start(asIs)
	for i := range 3 {
		to := n.path(fmt.Sprintf("pod/c/0.log.20260101-00000%d", i))
		n.check(os.WriteFile(to, nil, 0o600))
		n.check(unix.Renameat2(unix.AT_FDCWD, n.path("pod/c/0.log"), unix.AT_FDCWD, to, unix.RENAME_EXCHANGE))
		n.write("pod/c/0.log", limit+i)
		for receive(n, n.dues).Size != int64(limit+i) {
		}
		n.until("it is cold", func() bool { return !n.w.IsHot("pod/c") })
	}
}

// TestRunWithoutAnInstance: Run does not end, and takes up inotify when there is
// an instance to be had.
func TestRunWithoutAnInstance(t *testing.T) {
	n := newNode(t)
	n.write("pod/c/0.log", 0)
	var lent atomic.Bool
	n.start(func(in notifier) notifier { return in })
	n.stop()
	n.w.open = func() (notifier, error) {
		if !lent.Load() {
			return nil, unix.EMFILE
		}
		return openInotify()
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.w.Run(ctx) }()
	n.sweep(CauseStartup)
	n.write("pod/c/0.log", limit)
	n.sweep(CauseSweep)
	receive(n, n.dues)
	n.check(os.Truncate(n.path("pod/c/0.log"), 0))
	lent.Store(true)
	n.sweep(CauseSweep)
	n.until("it is watched", func() bool {
		_, inodes := n.kernelWatches()
		return inodes[n.inode(n.path("pod/c"))]
	})
	cancel()
	n.check(<-ended)
}

// TestPing distinguishes a loop that turns from one that does not.
func TestPing(t *testing.T) {
	n := newNode(t)
	ping := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return n.w.Ping(ctx)
	}
	if err := ping(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before Run: %v", err)
	}
	n.start(asIs)
	n.until("a ping", func() bool { return ping() == nil })
	n.stop()
	if err := ping(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after Run: %v", err)
	}
}
