package rotator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

const container = "ns_pod_uid/app" // relative to podLogsDir

// fakeRuntime writes one container's log, in numbered lines, as containerd or
// conmon does. It fails the test when it is requested to reopen a log that has
// content.
type fakeRuntime struct {
	t      testing.TB
	path   string
	conmon bool
	rename bool // the test has logs renamed, not exchanged
	// answer is what it does with a request; nil: it reopens the log.
	answer func(ctx context.Context, do func()) error

	log *os.File
	// tail is the former log: containerd closes it after Reopen has returned,
	// and what it had buffered still goes there.
	tail   *os.File
	lines  int
	asked  int
	reopen int
}

// newRuntime starts a container whose log is 0.log.
func newRuntime(t testing.TB, root string, conmon bool) *fakeRuntime {
	t.Helper()
	dir := filepath.Join(root, container)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	rt := &fakeRuntime{t: t, path: filepath.Join(dir, "0.log"), conmon: conmon}
	rt.open()
	t.Cleanup(rt.stop)
	return rt
}

func (rt *fakeRuntime) ReopenContainerLog(ctx context.Context, id string) error {
	rt.asked++
	if id != "id" {
		rt.t.Errorf("reopen of container %q", id)
	}
	if fi, err := os.Lstat(rt.path); err == nil && (fi.Size() > 0 || !fi.Mode().IsRegular()) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		rt.t.Errorf("asked to reopen %s, which has content: conmon would discard it (%v)", rt.path, err)
	}
	if rt.answer != nil {
		return rt.answer(ctx, rt.do)
	}
	rt.do()
	return nil
}

func (rt *fakeRuntime) do() {
	rt.reopen++
	old := rt.log
	rt.open()
	if rt.conmon {
		rt.close(old)
		return
	}
	rt.close(rt.tail)
	rt.tail = old
}

func (rt *fakeRuntime) open() {
	rt.t.Helper()
	var err error
	if !rt.conmon {
		rt.log, err = os.OpenFile(rt.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	} else if rt.log, err = os.OpenFile(rt.path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err == nil {
		err = os.Rename(rt.path+".tmp", rt.path)
	}
	if err != nil {
		rt.t.Fatal(err)
	}
}

func (rt *fakeRuntime) close(f *os.File) {
	if f != nil {
		if err := f.Close(); err != nil {
			rt.t.Error(err)
		}
	}
}

// stop ends the container: no process writes.
func (rt *fakeRuntime) stop() {
	rt.closeTail()
	rt.close(rt.log)
	rt.log = nil
}

func (rt *fakeRuntime) closeTail() {
	rt.close(rt.tail)
	rt.tail = nil
}

// write writes n numbered lines. The first goes where containerd had it
// buffered, into the old log.
func (rt *fakeRuntime) write(n int) {
	rt.t.Helper()
	for range n {
		to := rt.log
		if rt.tail != nil {
			to = rt.tail
		}
		if _, err := to.WriteString(numberedLine(rt.lines)); err != nil {
			rt.t.Fatal(err)
		}
		rt.lines++
		rt.closeTail()
	}
}

func numberedLine(n int) string { return fmt.Sprintf("%08d a line as containers write them\n", n) }

// live fails the test unless the runtime writes to the file under its path.
func (rt *fakeRuntime) live() {
	rt.t.Helper()
	open, err := rt.log.Stat()
	if err != nil {
		rt.t.Fatal(err)
	}
	there, err := os.Lstat(rt.path)
	if err != nil || !os.SameFile(open, there) {
		rt.t.Fatalf("the runtime does not write to %s (%v)", rt.path, err)
	}
}

// newRotator makes a rotator over the real file system.
func newRotator(root string, rt Runtime) *Rotator {
	return New(Options{PodLogsDir: root, Runtime: rt, ReopenTimeout: time.Second})
}

func request(minSize int64) Request {
	return Request{Dir: container, Log: "0.log", ContainerID: "id", MinSize: minSize}
}

// readLines returns the numbers of all lines, over all logs.
func readLines(t testing.TB, r *Rotator) (got []int) {
	t.Helper()
	logs, err := podlogs.Logs(r.fs, container)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		f, err := podlogs.OpenLog(r.fs, container, l.Name.String())
		if err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			n, err := strconv.Atoi(s.Text()[:8])
			if err != nil || s.Text()+"\n" != numberedLine(n) {
				t.Fatalf("%s: line %q (%v)", l.Name.String(), s.Text(), err)
			}
			got = append(got, n)
		}
		if err := errors.Join(s.Err(), f.Close()); err != nil {
			t.Fatalf("%s: %v", l.Name.String(), err)
		}
	}
	return got
}

// wantLines fails the test unless each line from the first on is there once, in
// order.
func (rt *fakeRuntime) wantLines(r *Rotator, first int) {
	rt.t.Helper()
	got := readLines(rt.t, r)
	if len(got) != rt.lines-first {
		rt.t.Fatalf("%d lines, want %d to %d: %v", len(got), first, rt.lines-1, got)
	}
	for i, n := range got {
		if n != first+i {
			rt.t.Fatalf("line %d is there where %d should be", n, first+i)
		}
	}
}

// ls returns the names in the container's directory.
func ls(t testing.TB, root string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, container))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// needRoot skips a test that cannot run without root; CI has it.
func needRoot(t testing.TB, why string) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs root: %s", why)
	}
	t.Skipf("needs root: %s", why)
}

func parseName(t testing.TB, names ...string) []podlogs.Name {
	t.Helper()
	var list []podlogs.Name
	for _, s := range names {
		n, ok := podlogs.ParseName(s)
		if !ok {
			t.Fatalf("%q is not a log's name", s)
		}
		list = append(list, n)
	}
	return list
}
