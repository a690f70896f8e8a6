package rotator

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
			if !ok || n.Kind != podlogs.Rotated || done.Size != size || done.Inode != fi.Sys().(*syscall.Stat_t).Ino || done.Took < done.Moved || !done.Reopened {
				t.Fatalf("rotation %d: %+v", i, done)
			}
			if want := map[bool]error{true: unix.EINVAL}[rt.rename]; !errors.Is(done.Fallback, want) {
				t.Fatalf("fallback %v, want %v", done.Fallback, want)
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
		op  string
		err error
	}{
		{"exchange", unix.EINVAL},
		{"exchange", unix.ENOSYS},
		{"create", unix.ENOSPC},
		{"create", unix.EDQUOT},
		{"create", unix.EROFS},
		{"create", unix.EACCES},
		{"lease", unix.EACCES},
	} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
			r.fs = failing(r.fs, tt.op, tt.err)
			want := tt.err
			if tt.op == "lease" {
				want = podlogs.ErrLeaseUnsupported
			}
			done, err := r.Rotate(t.Context(), request(1))
			if err != nil || !errors.Is(done.Fallback, want) || !done.Reopened {
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

// TestRotateLeasesDisabled: with fs.leases-enable at 0 the kernel reports that the live
// log is open for writing, and has no answer for the empty file.
func TestRotateLeasesDisabled(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
			if op == "lease" && name != "0.log" {
				return unix.EINVAL
			}
			return nil
		}}
		done, err := r.Rotate(t.Context(), request(1))
		if err != nil || !errors.Is(done.Fallback, podlogs.ErrLeaseUnsupported) || !done.Reopened {
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
