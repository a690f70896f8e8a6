package watcher

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNotifier is an inotify whose events the test makes. Its channels belong to
// the bubble.
type fakeNotifier struct {
	events chan fsnotify.Event
	errors chan error

	mu      sync.Mutex
	closed  bool
	watches map[string]bool
	added   func(path string) // called after a watch was put on
	fail    error             // what Add returns
	// failOnce: and what the next Add returns alone.
	failOnce bool
}

func newFakeNotifier() *fakeNotifier {
	return &fakeNotifier{events: make(chan fsnotify.Event), errors: make(chan error), watches: map[string]bool{}}
}

func (n *fakeNotifier) Add(path string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.fail; err != nil {
		if n.failOnce {
			n.fail, n.failOnce = nil, false
		}
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	n.watches[path] = true
	if n.added != nil {
		n.added(path)
	}
	return nil
}

func (n *fakeNotifier) Remove(path string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.watches[path] {
		return fsnotify.ErrNonExistentWatch
	}
	delete(n.watches, path)
	return nil
}

// failWith has Add fail from now on, if err is not nil.
func (n *fakeNotifier) failWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

func (n *fakeNotifier) watching(path string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.watches[path]
}

func (n *fakeNotifier) watched() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.watches)
}

func (n *fakeNotifier) Events() <-chan fsnotify.Event { return n.events }
func (n *fakeNotifier) Errors() <-chan error          { return n.errors }

func (n *fakeNotifier) Close() error {
	if !n.closed {
		n.closed = true
		n.mu.Lock()
		clear(n.watches)
		n.mu.Unlock()
		close(n.events)
	}
	return nil
}

// report is a Due, and when it came.
type report struct {
	Due
	at time.Time
}

// bubble is a watcher in a synctest bubble, over real files. The sizes of those
// are real, times are the bubble's. The callbacks' records are written by the
// loop and read after wait.
type bubble struct {
	*testing.T
	root   string
	w      *Watcher
	l      *loop
	n      *fakeNotifier
	limits Limits
	// unseen: the test removes watches that the watcher believes in. unwatched: it
	// lets watches fail. openErr: it lets the next instance fail.
	unseen, unwatched bool
	rotations         int
	openErr           error

	log      bytes.Buffer
	reports  []report
	changed  []string
	swept    []Cause
	listings int
	// rotate, if set, rotates a log that is due, in no time.
	rotate func(Due)
}

const limit = 1 << 20 // bytes, the tests' MaxSize

const log0 = "pod/c/0.log"

// inBubble runs test with a watcher over an empty podLogsDir that has not been
// swept yet.
func inBubble(t *testing.T, test func(b *bubble)) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "pods")
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{T: t, root: root, limits: Limits{MaxSize: limit}}
		b.w = New(Config{
			PodLogsDir: root,
			Limits:     func(string) Limits { b.listings++; return b.limits },
			Due:        b.due,
			Changed:    func(dir string) { b.changed = append(b.changed, dir) },
			Swept:      func(c Cause) { b.swept = append(b.swept, c) },
			Log:        zerolog.New(&b.log),
		})
		b.n = newFakeNotifier()
		b.w.open = func() (notifier, error) {
			if b.openErr != nil {
				return nil, b.openErr
			}
			if b.n.closed {
				b.n = newFakeNotifier()
			}
			return b.n, nil
		}
		s := newScanner(root)
		b.l = newLoop(b.w, s)
		b.mkdir("")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- s.run(ctx) }()
		go func() { ended <- b.l.run(ctx) }()
		defer func() {
			cancel()
			if err := errors.Join(<-ended, <-ended); err != nil {
				t.Errorf("run: %v", err)
			}
		}()
		test(b)
		b.wait()
	})
}

// withLog is inBubble with one container whose log is empty, swept and cold.
func withLog(t *testing.T, l Limits, test func(b *bubble)) {
	t.Helper()
	inBubble(t, func(b *bubble) {
		b.limits = l
		b.write(log0, 0)
		b.advance(time.Second) // file times are older than clockTick then
		b.sweep(CauseStartup)
		b.wantState("cold")
		test(b)
	})
}

func (b *bubble) due(d Due) {
	now := time.Now()
	b.reports = append(b.reports, report{d, now})
	if n := len(b.reports); n > 1000 && b.reports[n-1000].at.Equal(now) {
		panic("the watcher reports the same log over and over")
	}
	if b.rotate != nil {
		go func() { b.rotate(d); b.w.Check(d.Dir) }()
	}
}

// turn has the loop turn once, for nothing: what the test has read of its state
// is read before the loop goes on, and the race detector knows.
func (b *bubble) turn() {
	b.Helper()
	b.check(b.w.Ping(b.Context()))
}

// checkDir requests a check of the container's directory, and waits for it.
func (b *bubble) checkDir() {
	b.Helper()
	b.turn()
	b.w.Check("pod/c")
	b.wait()
}

// wait lets the watcher do what there is to do now, and then checks that each
// directory is in one state.
func (b *bubble) wait() {
	b.Helper()
	b.turn()
	synctest.Wait()
	watches := b.n.watched()
	for rel, d := range b.l.dirs {
		on := watches[b.path(rel)]
		switch {
		case b.unseen:
		case on != d.watch.on:
			b.Errorf("%s: watched is %t, and its watch %t", rel, d.watch.on, on)
		case on && d.isHot():
			b.Errorf("%s is both watched and hot", rel)
		case !on && !d.isHot() && !b.unwatched:
			b.Errorf("%s is neither watched nor hot", rel)
		case b.w.IsHot(rel) != d.isHot():
			b.Errorf("%s: IsHot says %t", rel, !d.isHot())
		}
	}
	if !b.l.sweep.running && b.l.sweep.left != 0 {
		b.Errorf("no sweep is under way, and %d listings are to come", b.l.sweep.left)
	}
}

const (
	// What a directory may cost in a second, whatever its state: a check each
	// minCheck, and the listings that fit between quiet checks.
	checksPerSecond   = 1050
	listingsPerSecond = 300
)

// advance lets time pass, and fails the test if a second costs too much.
func (b *bubble) advance(d time.Duration) {
	b.Helper()
	b.wait()
	for d > 0 {
		step := min(d, time.Second)
		d -= step
		checks, listings, dirs := b.w.Stats().Checks, b.listings, max(1, len(b.l.dirs))
		b.turn()
		time.Sleep(step)
		b.wait()
		if n := b.w.Stats().Checks - checks; n > uint64(checksPerSecond*dirs) {
			b.Fatalf("%d checks of %d directories within %v", n, dirs, step)
		}
		if n := b.listings - listings; n > listingsPerSecond*dirs {
			b.Fatalf("%d listings of %d directories within %v", n, dirs, step)
		}
	}
}

func (b *bubble) sweep(c Cause) {
	b.Helper()
	before := len(b.swept)
	b.w.Sweep(c)
	b.wait()
	if got := b.swept[before:]; len(got) != 1 || got[0] != c {
		b.Fatalf("sweeps that ended: %q, want one %q", got, c)
	}
}

func (b *bubble) path(rel string) string { return filepath.Join(b.root, rel) }

func (b *bubble) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// event sends an event to the loop if what it is about is watched.
func (b *bubble) event(rel string, op fsnotify.Op) {
	if path := b.path(rel); b.n.watching(filepath.Dir(path)) {
		b.n.events <- fsnotify.Event{Name: path, Op: op}
	}
}

// named gives a directory in which names changed the bubble's time.
func (b *bubble) named(rel string) {
	b.Helper()
	now := time.Now()
	b.check(os.Chtimes(b.path(rel), now, now))
}

func (b *bubble) mkdir(rel string) {
	b.Helper()
	if _, err := os.Stat(b.path(rel)); err == nil {
		return
	}
	if rel != "" {
		b.mkdir(parent(rel))
	}
	b.check(os.MkdirAll(b.path(rel), 0o755))
	b.named(rel)
	if rel != "" {
		b.event(rel, fsnotify.Create)
	}
}

// write makes a log longer, which costs no disk.
func (b *bubble) write(rel string, bytes int64) {
	b.Helper()
	st, err := os.Stat(b.path(rel))
	if err != nil {
		b.mkdir(parent(rel))
		b.check(os.WriteFile(b.path(rel), nil, 0o600))
		b.named(parent(rel))
		b.event(rel, fsnotify.Create)
		st, err = os.Stat(b.path(rel))
		b.check(err)
	}
	if bytes != 0 {
		b.check(os.Truncate(b.path(rel), st.Size()+bytes))
		b.event(rel, fsnotify.Write)
	}
}

// rename is without an event when to is "".
func (b *bubble) rename(from, to string) {
	b.Helper()
	b.check(os.Rename(b.path(from), b.path(to)))
	b.named(parent(from))
	b.named(parent(to))
	b.event(from, fsnotify.Rename)
	b.event(to, fsnotify.Create)
}

func (b *bubble) remove(rel string) {
	b.Helper()
	b.check(os.RemoveAll(b.path(rel)))
	b.named(parent(rel))
	for path := range b.n.watched() { // as the kernel does
		if strings.HasPrefix(path+"/", b.path(rel)+"/") {
			b.check(b.n.Remove(path))
		}
	}
	b.event(rel, fsnotify.Remove)
}

// heat makes the log hot with more events than a cold one may have.
func (b *bubble) heat() {
	b.Helper()
	for range coldEvents + 1 {
		b.write(log0, 1)
		b.wait()
	}
	b.wantState("hot")
}

func (b *bubble) dir() *logDir {
	b.Helper()
	d := b.l.dirs["pod/c"]
	if d == nil {
		b.Fatal("pod/c is not known")
	}
	return d
}

func (b *bubble) wantState(want string) {
	b.Helper()
	got := "cold"
	if b.dir().isHot() {
		got = "hot"
	}
	if got != want {
		b.Fatalf("the log is %s, want it %s", got, want)
	}
}

// wantDue makes sure that so many logs were reported since the last call, and
// returns the last.
func (b *bubble) wantDue(count int) (last report) {
	b.Helper()
	b.wait()
	if len(b.reports) != count {
		b.Fatalf("reported: %+v, want %d", b.reports, count)
	}
	if count > 0 {
		last = b.reports[count-1]
	}
	b.reports = nil
	return last
}

func (b *bubble) wantWarnings(count int) {
	b.Helper()
	b.wait()
	if got := bytes.Count(b.log.Bytes(), []byte("\n")); got != count {
		b.Errorf("%d lines logged, want %d:\n%s", got, count, &b.log)
	}
}
