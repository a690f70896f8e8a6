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
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// node is a watcher with real inotify.
type node struct {
	*testing.T
	root   string
	w      *Watcher
	limits Limits
	dues   chan Due
	swept  chan Cause
	in     *inotify // set once started
	stop   func()
}

func newNode(t *testing.T) *node {
	n := &node{
		T: t, root: t.TempDir(), limits: Limits{MaxSize: limit},
		dues: make(chan Due, 10_000), swept: make(chan Cause, 100),
	}
	n.w = New(Config{
		PodLogsDir: n.root,
		Limits:     func(string) Limits { return n.limits },
		Due:        func(d Due) { n.dues <- d },
		Changed:    func(string) {},
		Swept:      func(c Cause) { n.swept <- c },
		Log:        zerolog.Nop(),
	})
	return n
}

// start runs the watcher until stop or the test's end, and waits for its first
// sweep. wrap may put itself around the inotify instance.
func (n *node) start(wrap func(notifier) notifier) {
	n.Helper()
	n.w.open = func() (notifier, error) {
		in, err := openInotify()
		if err != nil {
			return nil, err
		}
		n.in = in.(*inotify)
		return wrap(in), nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.w.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			n.Errorf("Run: %v", err)
		}
	})
	n.Cleanup(n.stop)
	n.sweep(CauseStartup)
}

func asIs(in notifier) notifier { return in }

// sweep waits for the sweep that it asks for.
func (n *node) sweep(c Cause) {
	n.Helper()
	n.w.Sweep(c)
	for receive(n, n.swept) != c { // others may come first
	}
}

const patience = 30 * time.Second // with two cores and the race detector

func receive[T any](n *node, from <-chan T) T {
	n.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		n.Fatalf("nothing within %v; %+v", patience, n.w.Stats())
		panic("not reached")
	}
}

// until polls for a condition that nothing tells of.
func (n *node) until(what string, ok func() bool) {
	n.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			n.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (n *node) check(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *node) path(rel string) string { return filepath.Join(n.root, rel) }

func (n *node) mkdir(rel string) {
	n.Helper()
	n.check(os.MkdirAll(n.path(rel), 0o755))
}

// write appends to a log, whose directory is made if need be.
func (n *node) write(rel string, bytes int) {
	n.Helper()
	n.mkdir(parent(rel))
	f, err := os.OpenFile(n.path(rel), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	n.check(err)
	_, err = f.Write(make([]byte, bytes))
	n.check(errors.Join(err, f.Close()))
}

// kernelWatches returns the inodes that the kernel watches for this process.
func (n *node) kernelWatches() (instances int, inodes map[uint64]bool) {
	n.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	n.check(err)
	inodes = map[uint64]bool{}
	for _, fd := range fds {
		if link, err := os.Readlink("/proc/self/fd/" + fd.Name()); err != nil || link != "anon_inode:inotify" {
			continue
		}
		instances++
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		n.check(err)
		for line := range strings.Lines(string(info)) {
			var wd, ino uint64
			if _, err := fmt.Sscanf(line, "inotify wd:%x ino:%x", &wd, &ino); err == nil {
				inodes[ino] = true
			}
		}
	}
	return instances, inodes
}

func (n *node) inode(path string) uint64 {
	n.Helper()
	var st unix.Stat_t
	n.check(unix.Stat(path, &st))
	return st.Ino
}

func TestEndToEnd(t *testing.T) {
	n := newNode(t)
	n.write("old/c/3.log", limit)
	n.start(asIs)
	if got, want := receive(n, n.dues), (Due{Dir: "old/c", Log: "3.log", Cause: CauseStartup, Size: limit, Limit: limit}); got != want {
		t.Errorf("reported %+v, want %+v", got, want)
	}
	n.write("new/c/0.log", limit-1)
	n.write("new/c/0.log", 1)
	if got, want := receive(n, n.dues), (Due{Dir: "new/c", Log: "0.log", Cause: CauseWrite, Size: limit, Limit: limit, Growing: true}); got != want {
		t.Errorf("reported %+v, want %+v", got, want)
	}
	n.check(os.Rename(n.path("new/c/0.log"), n.path("new/c/0.log.20260101-000000")))
	n.write("new/c/0.log", 2*limit)
	n.w.Done(t.Context(), "new/c", Outcome{Rotated: limit})
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
	for range logs {
		reported[receive(n, n.dues).Dir]++
	}
	writers.Wait()
	if len(reported) != logs {
		t.Errorf("%d of %d logs were reported", len(reported), logs)
	}
	if got := n.w.Stats().Events; got > logs*writes/10 {
		t.Errorf("%d events for %d writes", got, logs*writes)
	}
	t.Logf("%d writes: %+v", logs*writes, n.w.Stats())
}

// stalled is an inotify whose events nobody takes until it is released.
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
		n.w.Done(t.Context(), dir, Outcome{})
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

func TestRunNeedsAnInstance(t *testing.T) {
	n := newNode(t)
	n.w.open = func() (notifier, error) { return nil, unix.EMFILE }
	if err := n.w.Run(t.Context()); !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), "max_user_instances") {
		t.Errorf("Run = %v", err)
	}
}

func TestRunEndsWhenTheInstanceIsClosed(t *testing.T) {
	n := newNode(t)
	n.w.open = func() (notifier, error) {
		in, err := openInotify()
		return in, errors.Join(err, in.Close())
	}
	if err := n.w.Run(t.Context()); err == nil {
		t.Error("Run = nil")
	}
}

func TestDoneDoesNotOutliveItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	newNode(t).w.Done(ctx, "pod/c", Outcome{}) // with no loop to take it
}

// TestPing: it tells a loop that turns from one that does not.
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
