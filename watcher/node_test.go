package watcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// until polls for a condition that nothing reports.
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
