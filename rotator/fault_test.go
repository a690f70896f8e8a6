package rotator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

var errCrashed = errors.New("crashed")

// faults counts the operations of a run, requests to the runtime among them, and
// fails the at-th, or all from it on.
type faults struct {
	at    int
	err   error
	crash bool
	n     int
	met   string // the operation that failed first
	log   []string
}

func (f *faults) hook(op, name string) error {
	k := f.n
	f.n++
	f.log = append(f.log, op+" "+name)
	if k != f.at && (!f.crash || k < f.at) {
		return nil
	}
	if f.met == "" {
		f.met = fmt.Sprintf("operation %d: %s %s", k, op, name)
	}
	return f.err
}

// variant is a scene's runtime and form of rotation. Housekeeping depends on
// neither: one is full, the others are rotations only.
type variant struct{ conmon, rename, full bool }

func variants(t *testing.T, test func(t *testing.T, v variant)) {
	for name, v := range map[string]variant{
		"full": {full: true}, "containerd exchange": {}, "containerd rename": {rename: true},
		"conmon exchange": {conmon: true}, "conmon rename": {conmon: true, rename: true},
	} {
		t.Run(name, func(t *testing.T) { test(t, v) })
	}
}

// scene is a container's directory; a full one has something of everything in it.
type scene struct {
	variant
	t    *testing.T
	root string
	rt   *fakeRuntime
	like map[string]os.FileInfo // the sources, by generation
}

// scenePolicy lets the oldest generation go, and none else.
var scenePolicy = Policy{MaxFiles: 6, Codec: podlogs.Gzip, Level: 1}

const (
	sceneLines  = 10 // a generation
	sceneGone   = sceneLines
	sceneRotate = int64(400) // bytes; the live log has them before its rotation, and not after it
)

// sceneGz are the generations compressed: made once, for they take longer than
// the scene.
func sceneGz(t *testing.T) [][]byte {
	gzOnce.Do(func() {
		for i := range 4 {
			gz = append(gz, gzipped(t, someLines(i*sceneLines, sceneLines)))
		}
	})
	return gz
}

var (
	gzOnce sync.Once
	gz     [][]byte
)

func newScene(t *testing.T, v variant) *scene {
	s := &scene{variant: v, t: t, root: t.TempDir(), like: map[string]os.FileInfo{}}
	if v.full {
		s.fill()
	}
	s.rt = newRuntime(t, s.root, v.conmon)
	if v.full {
		s.rt.lines = 5 * sceneLines
	}
	s.rt.write(sceneLines)
	return s
}

func (s *scene) fill() {
	t := s.t
	content := func(i int) []byte { return someLines((i-1)*sceneLines, sceneLines) }
	zipped := func(i int) []byte { return sceneGz(t)[i-1] }
	for i := 1; i <= 5; i++ {
		name := fmt.Sprintf("0.log.20260101-00000%d", i)
		path := place(t, s.root, name, content(i))
		mtime := time.Unix(1_750_000_000+int64(i), 123_456_789)
		if err := errors.Join(os.Chmod(path, 0o600+os.FileMode(i)), os.Chtimes(path, mtime, mtime)); err != nil {
			t.Fatal(err)
		}
		if os.Getuid() == 0 {
			if err := os.Chown(path, 4700+i, 4800+i); err != nil {
				t.Fatal(err)
			}
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		s.like[name] = fi
	}
	// Compressed before; a crash before the source went; one with a .gz that did
	// not reach the disk; one in the middle of the compression.
	same := func(i int, suffix string, b []byte) {
		name := fmt.Sprintf("0.log.20260101-00000%d", i)
		path, fi := place(t, s.root, name+suffix, b), s.like[name]
		if err := errors.Join(os.Chmod(path, fi.Mode()), os.Chtimes(path, fi.ModTime(), fi.ModTime())); err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); os.Getuid() == 0 {
			if err := os.Chown(path, int(st.Uid), int(st.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(1, ".gz", zipped(1))
	if err := os.Remove(filepath.Join(s.root, container, "0.log.20260101-000001")); err != nil {
		t.Fatal(err)
	}
	same(2, ".gz", zipped(2))
	same(3, ".gz", zipped(3)[:40])
	place(t, s.root, "0.log.20260101-000004.tmp", zipped(4)[:30])
}

// rotator is one over the scene, whose operations ask hook first.
func (s *scene) rotator(rt Runtime, hook func(op, name string) error) *Rotator {
	r := newRotator(s.root, rt)
	if s.rename {
		r.fs = failing(r.fs, "exchange", unix.EINVAL)
	}
	r.fs = hookFS{FS: r.fs, hook: hook, idleSync: true}
	return r
}

// run is a rotation and what follows, with the runtime writing throughout.
func (s *scene) run(f *faults) {
	r := s.rotator(hookedRuntime{s.rt, f}, f.hook)
	_, _ = r.Rotate(context.Background(), request(sceneRotate))
	s.rt.write(2)
	for range 2 {
		if s.full {
			_, _ = housekeep(r, context.Background(), scenePolicy)
		}
		s.rt.write(1)
	}
}

// hookedRuntime makes a request to the runtime an operation that can fail. What
// does not reach it is unanswered.
type hookedRuntime struct {
	*fakeRuntime
	f *faults
}

func (rt hookedRuntime) ReopenContainerLog(ctx context.Context, id string) error {
	if err := rt.f.hook("reopen", id); err != nil {
		return errors.Join(ErrUnanswered, err)
	}
	return rt.fakeRuntime.ReopenContainerLog(ctx, id)
}

// repair is what a daemon does next, with the disk well again, and checks what
// must be true then.
func (s *scene) repair() {
	s.t.Helper()
	r := s.rotator(s.rt, func(string, string) error { return nil })
	for range 2 { // the live log needed a reopen, and now it is due
		if _, err := r.Rotate(s.t.Context(), request(sceneRotate)); err != nil && !errors.Is(err, ErrNotDue) {
			s.t.Fatal(err)
		}
	}
	s.rt.live()
	s.rt.write(2)
	tidy(s.t, r, scenePolicy)
	s.rt.live()
	if !s.full {
		s.rt.wantLines(r, 0)
		if got := ls(s.t, s.root); len(got) != 2 && len(got) != 3 {
			s.t.Fatalf("files: %q", got)
		}
		return
	}
	s.rt.wantLines(r, sceneGone)
	s.wantFiles()
}

func (s *scene) wantFiles() {
	s.t.Helper()
	got := ls(s.t, s.root)
	if len(got) != 6 || got[0] != "0.log" || strings.HasSuffix(got[5], ".gz") || strings.HasSuffix(got[5], ".tmp") {
		s.t.Fatalf("files: %q", got)
	}
	for i, name := range got[1:5] {
		if name != fmt.Sprintf("0.log.20260101-00000%d.gz", i+2) {
			s.t.Fatalf("files: %q", got)
		}
		want := s.like[strings.TrimSuffix(name, ".gz")]
		fi, err := os.Lstat(filepath.Join(s.root, container, name))
		if err != nil {
			s.t.Fatal(err)
		}
		a, b := want.Sys().(*syscall.Stat_t), fi.Sys().(*syscall.Stat_t)
		if fi.Mode() != want.Mode() || a.Uid != b.Uid || a.Gid != b.Gid || !fi.ModTime().Equal(want.ModTime()) {
			s.t.Fatalf("%s is %v %d:%d %v, its source was %v %d:%d %v",
				name, fi.Mode(), b.Uid, b.Gid, fi.ModTime(), want.Mode(), a.Uid, a.Gid, want.ModTime())
		}
	}
}

// enumerate runs the scene with a fault at operation 0, 1, 2 … until a run meets
// none, and has it repaired each time. It logs how many operations there were.
func enumerate(t *testing.T, v variant, err error, crash bool) {
	k := 0
	for ; ; k++ {
		f := &faults{at: k, err: err, crash: crash}
		ok := t.Run(fmt.Sprint(k), func(t *testing.T) {
			s := newScene(t, v)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("%v at %s", err, f.met)
				}
			})
			s.run(f)
			s.repair()
		})
		if f.met == "" || !ok {
			break
		}
	}
	t.Logf("%d operations, each with: %v", k, err)
	if k < 14 || v.full && k < 100 {
		t.Errorf("only %d operations: the scene does too little", k)
	}
}

// TestFaults: whatever operation fails, no line is lost or doubled, and the next
// run leaves what the policy says.
func TestFaults(t *testing.T) {
	variants(t, func(t *testing.T, v variant) {
		for _, err := range []error{
			unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EACCES, unix.EMFILE, unix.ESTALE, unix.ENOENT, errShort,
		} {
			t.Run(err.Error(), func(t *testing.T) {
				t.Parallel()
				enumerate(t, v, err, false)
			})
		}
	})
}

// TestCrashes: the process ends at an operation; the runtime keeps its
// descriptor and writes on; a new process finds what is on disk.
func TestCrashes(t *testing.T) {
	variants(t, func(t *testing.T, v variant) { enumerate(t, v, errCrashed, true) })
}

// TestCrashesTwice: a second crash, in the middle of the repair.
func TestCrashesTwice(t *testing.T) {
	variants(t, func(t *testing.T, v variant) {
		step1, step2 := 1, 3
		if v.full {
			step1, step2 = 17, 19
		}
		pairs := 0
		for first := 0; ; first += step1 {
			f := &faults{at: first, err: errCrashed, crash: true}
			for second := 0; ; second += step2 {
				g := &faults{at: second, err: errCrashed, crash: true}
				s := newScene(t, v)
				s.run(f)
				s.run(g)
				s.repair()
				pairs++
				if g.met == "" || t.Failed() {
					break
				}
				*f = faults{at: first, err: errCrashed, crash: true}
			}
			if f.met == "" || t.Failed() {
				break
			}
		}
		t.Logf("%d pairs of crashes", pairs)
	})
}

// TestOrder: content, sync, close, rename, sync of the directory, and only then
// does the source go.
func TestOrder(t *testing.T) {
	s := newScene(t, variant{full: true})
	f := &faults{at: -1}
	s.run(f)
	after := func(ops ...string) {
		t.Helper()
		from := 0
		for _, op := range ops {
			i := slices.Index(f.log[from:], op)
			if i < 0 {
				t.Fatalf("no %q behind %q; in all:\n%s", op, f.log[:from], strings.Join(f.log, "\n"))
			}
			from += i + 1
		}
	}
	last := func(op string) int {
		for i, o := range slices.Backward(f.log) {
			if o == op {
				return i
			}
		}
		return -1
	}
	for _, i := range []int{3, 4, 5} {
		source := fmt.Sprintf("0.log.20260101-00000%d", i)
		after("lease "+source, "create "+source+".tmp", "read "+source, "write "+source+".tmp", "set-mtime "+source+".tmp", "sync "+source+".tmp",
			"close "+source+".tmp", "lease "+source, "rename "+source+".tmp", "sync-dir ", "remove "+source)
		if last("write "+source+".tmp") > last("sync "+source+".tmp") {
			t.Errorf("%s.tmp is written to after its sync", source)
		}
		if slices.Index(f.log, "remove "+source) < last("rename "+source+".tmp") {
			t.Errorf("%s is removed before its .gz is there", source)
		}
	}
	const reconciled = "0.log.20260101-000002"
	after("lease "+reconciled, "read "+reconciled+".gz", "lease "+reconciled, "sync-dir ", "remove "+reconciled)
	// Nothing but a look comes between exchange and reopen.
	i, j := slices.Index(f.log, "exchange 0.log"), slices.Index(f.log, "reopen id")
	if i < 0 || j < i {
		t.Fatalf("exchange at %d, reopen at %d", i, j)
	}
	for _, op := range f.log[i+1 : j] {
		if !strings.HasPrefix(op, "stat ") && op != "close 0.log" {
			t.Errorf("%q between exchange and reopen", op)
		}
	}
}
