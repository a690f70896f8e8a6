package rotator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// forms runs a test for both runtimes and both forms of rotation, in a bubble of
// fake time, where waiting takes none, with a container that has written 20 lines.
func forms(t *testing.T, test func(t *testing.T, r *Rotator, rt *fakeRuntime, root string)) {
	for _, conmon := range []bool{false, true} {
		for _, rename := range []bool{false, true} {
			name := map[bool]string{false: "containerd", true: "conmon"}[conmon] + map[bool]string{false: " exchange", true: " rename"}[rename]
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					root := t.TempDir()
					rt := newRuntime(t, root, conmon)
					rt.write(20)
					r := newRotator(root, rt)
					if rt.rename = rename; rename {
						r.fs = failing(r.fs, "exchange", unix.EINVAL)
					}
					test(t, r, rt, root)
				})
			})
		}
	}
}

// failing fails each operation of one kind.
func failing(inner podlogs.FS, op string, err error) podlogs.FS {
	return hookFS{FS: inner, hook: func(o, _ string) error {
		if o == op {
			return err
		}
		return nil
	}}
}

// before runs do once, before the nth operation of one kind on a name; "*": on any
// but the live log's.
func before(inner podlogs.FS, op, on string, nth int, do func()) podlogs.FS {
	return hookFS{FS: inner, hook: func(o, name string) error {
		if o == op && (name == on || on == "*" && name != "0.log") {
			if nth--; nth == 0 {
				do()
			}
		}
		return nil
	}}
}

func TestRotate(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		size := int64(20 * len(numberedLine(0)))
		for i := range 3 {
			fi, err := os.Stat(rt.path)
			if err != nil {
				t.Fatal(err)
			}
			done, err := r.Rotate(t.Context(), request(size))
			if err != nil {
				t.Fatal(err)
			}
			n, ok := podlogs.ParseName(done.To)
			if !ok || n.Kind != podlogs.Rotated || done.Size != size || done.Inode != fi.Sys().(*syscall.Stat_t).Ino || done.Took < done.Renamed || !done.Reopened {
				t.Fatalf("rotation %d: %+v", i, done)
			}
			if want := map[bool]string{true: "exchange: invalid argument"}[rt.rename]; done.Fallback != want {
				t.Fatalf("fallback %q, want %q", done.Fallback, want)
			}
			rt.live()
			rt.write(20)
			if !rt.conmon {
				rt.write(1) // one of them went to the rotated log
			}
		}
		rt.wantLines(r, 0)
		if got := ls(t, root); len(got) != 4 || rt.asked != 3 {
			t.Errorf("files: %q, asked %d times", got, rt.asked)
		}
	})
}

// TestRotateNeverAbsent: at no operation of an exchange is there no live log, and
// what is there has the live log's mode and owner.
func TestRotateNeverAbsent(t *testing.T) {
	root := t.TempDir()
	rt := newRuntime(t, root, false)
	rt.write(20)
	if err := os.Chmod(rt.path, 0o604); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(rt.path, 4711, 4712); err != nil {
			t.Fatal(err)
		}
	}
	r := newRotator(root, rt)
	r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
		fi, err := os.Lstat(rt.path)
		if err != nil {
			t.Errorf("before %s %s: %v", op, name, err)
			return nil
		}
		st := fi.Sys().(*syscall.Stat_t)
		if fi.Mode() != 0o604 || os.Getuid() == 0 && (st.Uid != 4711 || st.Gid != 4712) {
			t.Errorf("before %s %s: %v %d:%d", op, name, fi.Mode(), st.Uid, st.Gid)
		}
		return nil
	}}
	for range 3 {
		if _, err := r.Rotate(t.Context(), request(1)); err != nil {
			t.Fatal(err)
		}
		rt.write(20)
	}
}

// TestRotateAnswers is what Rotate makes of a runtime's answers.
func TestRotateAnswers(t *testing.T) {
	type answer = func(ctx context.Context, do func()) error
	no := errors.New("answered: no")
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", ErrUnanswered, ctx.Err())
	}
	tests := map[string]struct {
		answer answer
		undo   bool
		err    error // nil: done
		back   bool  // the live log has its name back
	}{
		"the deadline passes after the runtime did it":  {answer: func(ctx context.Context, do func()) error { do(); return hang(ctx) }},
		"the deadline passes before the runtime did it": {answer: func(ctx context.Context, _ func()) error { return hang(ctx) }, err: ErrUnanswered},
		"… and is not undone":                           {answer: func(ctx context.Context, _ func()) error { return hang(ctx) }, undo: true, err: ErrUnanswered},
		"slow, but in time":                             {answer: func(_ context.Context, do func()) error { time.Sleep(999 * time.Millisecond); do(); return nil }},
		"an answered error, though it was done":         {answer: func(_ context.Context, do func()) error { do(); return no }, undo: true},
		"not running, though it was done":               {answer: func(_ context.Context, do func()) error { do(); return ErrNotRunning }},
		"nil, though nothing happened":                  {answer: func(context.Context, func()) error { return nil }, undo: true, err: ErrUnanswered},
		"not running":                                   {answer: func(context.Context, func()) error { return fmt.Errorf("%w: %w", ErrNotRunning, no) }, err: ErrNotRunning, back: true},
		"an answered error":                             {answer: func(context.Context, func()) error { return no }, err: ErrRefused},
		"an answered error, to be undone":               {answer: func(context.Context, func()) error { return no }, undo: true, err: ErrRefused, back: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
				first, err := os.Stat(rt.path)
				if err != nil {
					t.Fatal(err)
				}
				rt.answer = tt.answer
				req := request(1)
				req.Undo = tt.undo
				done, err := r.Rotate(t.Context(), req)
				if !errors.Is(err, tt.err) || rt.asked != 1 || done.Reopened != (tt.err == nil) || done.Undone != tt.back || (done.To == "") != tt.back {
					t.Fatalf("asked %d times: %+v, %v (want %v)", rt.asked, done, err, tt.err)
				}
				after, statErr := os.Stat(rt.path)
				switch {
				case tt.back:
					if statErr != nil || !os.SameFile(first, after) || len(ls(t, root)) != 1 {
						t.Fatalf("the live log does not have its name back: %v, %q", statErr, ls(t, root))
					}
				case tt.err == nil:
					rt.live()
				case rt.rename != errors.Is(statErr, fs.ErrNotExist) || !rt.rename && after.Size() > 0:
					t.Fatalf("the result is unclear, and it was not left as it was: %v", statErr)
				}
				rt.write(5)
				// The runtime recovers: the next call repairs what is to be repaired.
				rt.answer = nil
				if _, err := r.Rotate(t.Context(), request(1)); err != nil {
					t.Fatal(err)
				}
				rt.live()
				rt.write(5)
				rt.wantLines(r, 0)
			})
		})
	}
}

// crashed moves the live log and requests no reopen, as a crash in between.
func crashed(t *testing.T, r *Rotator) {
	t.Helper()
	runtime := r.runtime
	r.runtime = answers{ErrUnanswered}
	if done, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, ErrUnanswered) || done.To == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	r.runtime = runtime
}

type answers struct{ err error }

func (a answers) ReopenContainerLog(context.Context, string) error { return a.err }

// TestRotateRepairs: a crash came between exchange or rename and reopen. The log
// that is not due is not moved.
func TestRotateRepairs(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		crashed(t, r)
		rt.write(10)
		if need, err := r.NeedsReopen(container, "0.log"); !need || err != nil {
			t.Fatalf("NeedsReopen = %v, %v", need, err)
		}
		done, err := r.Rotate(t.Context(), request(1<<60))
		if err != nil || done.To != "" || !done.Reopened || rt.asked != 1 {
			t.Fatalf("%+v, asked %d times: %v", done, rt.asked, err)
		}
		rt.live()
		// Silent for a week: the live log is empty, and nothing is wrong with it.
		if need, err := r.NeedsReopen(container, "0.log"); need || err != nil {
			t.Errorf("a silent container: NeedsReopen = %v, %v", need, err)
		}
		if done, err := r.Rotate(t.Context(), request(0)); !errors.Is(err, ErrNotDue) || rt.asked != 1 {
			t.Errorf("a silent container: %+v, asked %d times: %v", done, rt.asked, err)
		}
		rt.write(10)
		rt.wantLines(r, 0)
		if got := ls(t, root); len(got) != 2 {
			t.Errorf("files: %q", got)
		}
	})
}

// TestRotateLate: the runtime acts after its deadline, on one request or on two.
// What it writes by then is not discarded by another.
func TestRotateLate(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
		var late []func()
		rt.answer = func(_ context.Context, do func()) error {
			late = append(late, do)
			return ErrUnanswered
		}
		for range 2 {
			if _, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, ErrUnanswered) {
				t.Fatal(err)
			}
			rt.write(5)
		}
		for _, do := range late { // in a row, as conmon does when it wakes up
			do()
		}
		for range 3 {
			if _, err := r.Rotate(t.Context(), request(1000)); !errors.Is(err, ErrNotDue) || rt.asked != 2 {
				t.Fatalf("asked %d times: %v", rt.asked, err)
			}
			rt.write(5)
		}
		rt.live()
		rt.wantLines(r, 0)
	})
}

// TestRotateReopenedInBetween: the runtime reopens the log, late or by itself,
// between the look and the request, which is not sent then.
func TestRotateReopenedInBetween(t *testing.T) {
	for _, op := range []string{"size of the rotated log", "last look"} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
			act := func() { rt.do(); rt.write(5) }
			if op == "last look" {
				r.fs = before(r.fs, "stat", "0.log", 1, act)
			} else {
				r.fs = before(r.fs, "stat", "*", 1, act)
			}
			done, err := r.Rotate(t.Context(), request(1))
			if err != nil || rt.asked != 0 || !done.Reopened {
				t.Fatalf("%s: %+v, asked %d times: %v", op, done, rt.asked, err)
			}
			rt.live()
			rt.wantLines(r, 0)
		})
	}
}

// TestRotateSwapped: another rotator rotates between the check and the exchange.
// Its new live log has its name back, and nothing is replaced.
func TestRotateSwapped(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		op := map[bool]string{false: "exchange", true: "rename"}[rt.rename]
		r.fs = before(r.fs, op, "0.log", 1, func() {
			if err := os.Rename(rt.path, rt.path+".20260101-000000"); err != nil {
				t.Error(err)
			}
			rt.do()
			rt.write(5)
		})
		done, err := r.Rotate(t.Context(), request(1))
		if !errors.Is(err, errSwapped) || done.To != "" || !done.Undone || rt.asked != 0 {
			t.Fatalf("%+v, asked %d times: %v", done, rt.asked, err)
		}
		rt.live()
		rt.write(5)
		rt.wantLines(r, 0)
		wantNames(t, root, "0.log", "0.log.20260101-000000")
	})
}

// TestRotateSwappedForALink: the same, with what is not a log.
func TestRotateSwappedForALink(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		op := map[bool]string{false: "exchange", true: "rename"}[rt.rename]
		r.fs = before(r.fs, op, "0.log", 1, func() {
			if err := errors.Join(os.Rename(rt.path, rt.path+".away"), os.Symlink("/etc/passwd", rt.path)); err != nil {
				t.Error(err)
			}
		})
		if _, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, errSwapped) || rt.asked != 0 {
			t.Fatalf("asked %d times: %v", rt.asked, err)
		}
		wantNames(t, root, "0.log", "0.log.away")
		if to, err := os.Readlink(rt.path); to != "/etc/passwd" {
			t.Errorf("the link leads to %q (%v)", to, err)
		}
	})
}

// TestRotateUndoFindsItInUse: the runtime reopens the live log before it is looked
// at for the undo. It is not touched.
func TestRotateUndoFindsItInUse(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
		f := &faults{at: -1}
		r.fs = before(hookFS{FS: r.fs, hook: f.hook}, "open", "0.log", 3, rt.do) // the check, the proof, the undo
		rt.answer = func(context.Context, func()) error { return ErrNotRunning }
		if done, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, ErrNotRunning) || done.To == "" {
			t.Fatalf("%+v, %v", done, err)
		}
		moves := 0
		for _, op := range f.log {
			if strings.HasPrefix(op, "exchange ") || strings.HasPrefix(op, "rename ") {
				moves++
			}
		}
		if want := map[bool]int{false: 1, true: 2}[rt.rename]; moves != want { // a failed exchange, and a rename
			t.Errorf("%d moves, want %d:\n%s", moves, want, strings.Join(f.log, "\n"))
		}
		rt.live()
		rt.write(5)
		rt.wantLines(r, 0)
	})
}

// TestRotateBackIsTaken: the runtime reopens the live log at the moment at which
// the rotated log is to get its name back. Both stay.
func TestRotateBackIsTaken(t *testing.T) {
	for _, lines := range []int{0, 5} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
			act := func() { rt.do(); rt.write(lines) }
			if rt.rename {
				r.fs = before(r.fs, "rename", "*", 1, act)
			} else {
				r.fs = before(r.fs, "exchange", "0.log", 2, act)
			}
			rt.answer = func(context.Context, func()) error { return ErrNotRunning }
			done, err := r.Rotate(t.Context(), request(1))
			if !errors.Is(err, ErrNotRunning) || strings.Contains(err.Error(), "name back") || done.To == "" || done.Undone {
				t.Fatalf("%+v, %v", done, err)
			}
			rt.live()
			rt.write(5)
			rt.wantLines(r, 0)
			if got := ls(t, root); len(got) != 2 {
				t.Errorf("files: %q", got)
			}
		})
	}
}

// TestRotateUndoesLater: the request is repeated, and undone in the end, if the
// newest rotated log is what the container writes, or wrote.
func TestRotateUndoesLater(t *testing.T) {
	for _, tt := range []struct {
		cause           error
		stopped, leases bool
		undone          bool
	}{
		{ErrRefused, false, true, true},
		{ErrRefused, true, true, false}, // it writes to another file
		{ErrRefused, false, false, true},
		{ErrNotRunning, true, true, true},
		{ErrNotRunning, false, true, false}, // another process writes it
	} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
			if !tt.leases {
				r.fs = failing(r.fs, "lease", unix.EACCES)
			}
			crashed(t, r)
			rt.write(5)
			rt.answer = func(context.Context, func()) error { return tt.cause }
			if tt.stopped {
				rt.stop()
			}
			req := request(1)
			req.Undo = true
			done, err := r.Rotate(t.Context(), req)
			if !errors.Is(err, tt.cause) || done.Undone != tt.undone || tt.undone && len(ls(t, root)) != 1 {
				t.Fatalf("%+v: %+v, %v, %q", tt, done, err, ls(t, root))
			}
			if tt.undone && !tt.stopped {
				rt.live()
				rt.write(5)
			}
			rt.wantLines(r, 0)
		})
	}
}

// TestRotateNameTaken: the name was free when it was chosen, and no longer is.
// Nothing is replaced.
func TestRotateNameTaken(t *testing.T) {
	for _, what := range []string{"file", "link", "directory"} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
			var taken string
			var fi fs.FileInfo
			r.fs = before(r.fs, "create", "*", 1, func() {
				taken = rt.path + "." + time.Now().Format(podlogs.StampLayout)
				var err error
				switch what {
				case "file":
					err = os.WriteFile(taken, []byte("foreign"), 0o600)
				case "link":
					err = os.Symlink("0.log", taken)
				default:
					err = os.Mkdir(taken, 0o700)
				}
				if err != nil {
					t.Fatal(err)
				}
				fi, _ = os.Lstat(taken)
			})
			if _, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, fs.ErrExist) || rt.asked != 0 {
				t.Fatalf("asked %d times: %v", rt.asked, err)
			}
			if now, err := os.Lstat(taken); err != nil || !os.SameFile(now, fi) || now.Size() != fi.Size() {
				t.Errorf("%s is now %v (%v)", taken, now, err)
			}
			rt.live()
			if got := ls(t, root); len(got) != 2 {
				t.Errorf("files: %q", got)
			}
		})
	}
}

// TestRotateFallback: what keeps a live log from being exchanged.
func TestRotateFallback(t *testing.T) {
	for _, tt := range []struct {
		op   string
		err  error
		want string
	}{
		{"exchange", unix.EINVAL, "exchange: invalid argument"},
		{"exchange", unix.ENOSYS, "exchange: function not implemented"},
		{"create", unix.ENOSPC, "create: no space left on device"},
		{"create", unix.EDQUOT, "create: disk quota exceeded"},
		{"create", unix.EROFS, "create: read-only file system"},
		{"create", unix.EACCES, "create: permission denied"},
		{"lease", unix.EACCES, "lease: permission denied"},
	} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
			r.fs = failing(r.fs, tt.op, tt.err)
			done, err := r.Rotate(t.Context(), request(1))
			if err != nil || done.Fallback != tt.want || !done.Reopened {
				t.Fatalf("%+v, %v", done, err)
			}
			rt.live()
			rt.write(5)
			rt.wantLines(r, 0)
			if got := ls(t, root); len(got) != 2 {
				t.Errorf("files: %q", got)
			}
		})
	}
}

// TestRotateLosesLeases: leases become unavailable after the exchange. Then the
// other inode, the content or the runtime's word is the proof.
func TestRotateLosesLeases(t *testing.T) {
	for _, tt := range []struct {
		answer error
		lines  int
	}{{nil, 0}, {ErrUnanswered, 1}, {ErrUnanswered, 0}} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
			var want error
			if tt.answer != nil && tt.lines == 0 && !rt.conmon && !rt.rename {
				want = ErrUnanswered // the same inode, empty, and no word
			}
			off := false
			r.fs = hookFS{FS: before(r.fs, "stat", "*", 1, func() { off = true }), hook: func(op, _ string) error {
				if op == "lease" && off {
					return unix.EINVAL
				}
				return nil
			}}
			rt.answer = func(_ context.Context, do func()) error {
				do()
				rt.closeTail()
				rt.write(tt.lines)
				return tt.answer
			}
			if done, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, want) || done.Reopened != (want == nil) {
				t.Fatalf("%+v, %v", done, err)
			}
			if need, err := r.NeedsReopen(container, "0.log"); need || err != nil {
				t.Errorf("NeedsReopen = %v, %v", need, err)
			}
			rt.live()
			rt.wantLines(r, 0)
		})
	}
}

func TestRotateNotDue(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		size := int64(20 * len(numberedLine(0)))
		if _, err := r.Rotate(t.Context(), request(size+1)); !errors.Is(err, ErrNotDue) || rt.asked != 0 {
			t.Fatalf("asked %d times: %v", rt.asked, err)
		}
		if got := ls(t, root); len(got) != 1 {
			t.Errorf("files: %q", got)
		}
		rt.live()
	})
}

func TestRotateCancelled(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Rotate(ctx, request(1)); !errors.Is(err, context.Canceled) || len(ls(t, root)) != 1 {
			t.Fatalf("canceled before the move: %v, %q", err, ls(t, root))
		}
		ctx, cancel = context.WithCancel(t.Context())
		r.fs = before(r.fs, "stat", "*", 1, cancel)
		rt.answer = func(ctx context.Context, do func()) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			do()
			return nil
		}
		if _, err := r.Rotate(ctx, request(1)); err != nil {
			t.Fatalf("canceled after the move: %v", err)
		}
		rt.live()
		if err := os.Rename(rt.path, rt.path+".29990101-000000"); err != nil {
			t.Fatal(err)
		}
		asked := rt.asked
		if _, err := r.Rotate(ctx, request(1)); !errors.Is(err, context.Canceled) || rt.asked != asked {
			t.Fatalf("canceled before a missing log is reopened: %v", err)
		}
	})
}

// TestRotateNotALog: something else is in the live log's place.
func TestRotateNotALog(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	makes := map[string]func(path string) error{
		"link":          func(path string) error { return os.Symlink(outside, path) },
		"dangling link": func(path string) error { return os.Symlink("nowhere", path) },
		"FIFO":          func(path string) error { return unix.Mkfifo(path, 0o600) },
		"directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"device": func(path string) error {
			return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) // /dev/zero
		},
	}
	for name, makeIt := range makes {
		t.Run(name, func(t *testing.T) {
			if name == "device" {
				needRoot(t, "mknod(2)")
			}
			forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
				if err := errors.Join(os.Remove(rt.path), makeIt(rt.path)); err != nil {
					t.Fatal(err)
				}
				if _, err := r.Rotate(t.Context(), request(0)); !errors.Is(err, podlogs.ErrNotRegular) || rt.asked != 0 {
					t.Fatalf("asked %d times: %v", rt.asked, err)
				}
				// It comes only between the rename and the reopen.
				if err := errors.Join(os.RemoveAll(rt.path), os.WriteFile(rt.path, []byte("x"), 0o600)); err != nil {
					t.Fatal(err)
				}
				r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
					if op == "stat" && name != "0.log" { // the rotated one's size
						if err := errors.Join(os.RemoveAll(rt.path), makeIt(rt.path)); err != nil {
							t.Error(err)
						}
					}
					return nil
				}}
				if _, err := r.Rotate(t.Context(), request(0)); !errors.Is(err, podlogs.ErrNotRegular) || rt.asked != 0 {
					t.Fatalf("asked %d times: %v", rt.asked, err)
				}
			})
		})
	}
}

func TestRotateNotALiveLogsName(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		for _, name := range []string{"", ".", "..", "../app/0.log", "0.log.20260101-000000", "x.log", "0.log\x00"} {
			req := request(0)
			req.Log = name
			if _, err := r.Rotate(t.Context(), req); err == nil || rt.asked != 0 {
				t.Errorf("%q: %v", name, err)
			}
		}
		for _, dir := range []string{"", ".", "..", "/", "ns_pod_uid/..", "ns_pod_uid/../ns_pod_uid/app", container + "/", "nowhere/app"} {
			req := request(0)
			req.Dir = dir
			if _, err := r.Rotate(t.Context(), req); err == nil || rt.asked != 0 {
				t.Errorf("%q: %v", dir, err)
			}
		}
		if got := ls(t, root); len(got) != 1 {
			t.Errorf("files: %q", got)
		}
	})
}
