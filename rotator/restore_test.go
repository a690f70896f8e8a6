package rotator

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRestore: the container ended between exchange or rename and reopen. It gets
// its log's name back, once it is closed.
func TestRestore(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		place(t, root, "0.log.20260101-000001.gz", gzipped(t, nil))
		crashed(t, r)
		rt.write(5)
		if restored, err := r.Restore(t.Context(), container, "0.log"); !errors.Is(err, ErrBusy) || restored {
			t.Fatalf("open for writing: %v, %v", restored, err)
		}
		rt.stop()
		place(t, root, "1.log", nil) // kubelet has restarted it
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if restored, err := r.Restore(ctx, container, "0.log"); !errors.Is(err, context.Canceled) || restored {
			t.Fatalf("canceled: %v, %v", restored, err)
		}
		if restored, err := r.Restore(t.Context(), container, "0.log"); err != nil || !restored {
			t.Fatalf("%v, %v", restored, err)
		}
		if b, err := os.ReadFile(rt.path); err != nil || string(b) != string(someLines(0, 25)) {
			t.Errorf("the live log holds %q (%v)", b, err)
		}
		wantNames(t, root, "0.log", "0.log.20260101-000001.gz", "1.log")
		if restored, err := r.Restore(t.Context(), container, "0.log"); err != nil || restored {
			t.Errorf("again: %v, %v", restored, err)
		}
	})
}

// TestRestoreNot: what keeps a rotated log from getting its name back.
func TestRestoreNot(t *testing.T) {
	content := []byte("content")
	for name, tt := range map[string]struct {
		files map[string][]byte
		edit  func(t *testing.T, dir string)
		err   error
	}{
		"a live log with content":         {files: map[string][]byte{"0.log": content, first: content}},
		"no rotated log":                  {files: map[string][]byte{"0.log": nil}},
		"the newest is compressed":        {files: map[string][]byte{first: content, second + ".gz": content}},
		"the newest has a .gz":            {files: map[string][]byte{first: content, second: content, second + ".gz": content}},
		"the newest is empty":             {files: map[string][]byte{first: content, second: nil}},
		"a later restart's":               {files: map[string][]byte{"1.log.20260101-000001": content}},
		"one of another container's base": {files: map[string][]byte{"00.log.20260101-000001": content}},
		"an empty live log that is open": {
			files: map[string][]byte{"0.log": nil, first: content},
			edit: func(t *testing.T, dir string) {
				f, err := os.OpenFile(filepath.Join(dir, "0.log"), os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = f.Close() })
			},
		},
		"a link under the rotated name": {
			files: map[string][]byte{first: content},
			edit: func(t *testing.T, dir string) {
				if err := os.Symlink(first, filepath.Join(dir, second)); err != nil {
					t.Fatal(err)
				}
			},
		},
		"a link under the live name": {
			files: map[string][]byte{first: content},
			edit: func(t *testing.T, dir string) {
				if err := os.Symlink("nowhere", filepath.Join(dir, "0.log")); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for n, b := range tt.files {
				place(t, root, n, b)
			}
			if tt.edit != nil {
				tt.edit(t, filepath.Join(root, container))
			}
			was := ls(t, root)
			if restored, err := newRotator(root, nil).Restore(t.Context(), container, "0.log"); restored || err != nil {
				t.Errorf("%v, %v", restored, err)
			}
			wantNames(t, root, was...)
		})
	}
	if restored, err := newRotator(t.TempDir(), nil).Restore(t.Context(), container, "0.log"); restored || err != nil {
		t.Errorf("no directory: %v, %v", restored, err)
	}
}

// TestRestoreWithoutLeases: age decides about the rotated log, and an empty live
// log stays: whether it is open is unknown.
func TestRestoreWithoutLeases(t *testing.T) {
	root := t.TempDir()
	place(t, root, first, []byte("content"))
	r := newRotator(root, nil)
	r.fs = failing(r.fs, "lease", unix.EACCES)
	if restored, err := r.Restore(t.Context(), container, "0.log"); !errors.Is(err, ErrBusy) || restored {
		t.Errorf("just changed: %v, %v", restored, err)
	}
	r.now = func() time.Time { return time.Now().Add(unprovenAge + time.Second) }
	place(t, root, "0.log", nil)
	if restored, err := r.Restore(t.Context(), container, "0.log"); err != nil || restored {
		t.Errorf("an empty live log: %v, %v", restored, err)
	}
	if err := os.Remove(filepath.Join(root, container, "0.log")); err != nil {
		t.Fatal(err)
	}
	if restored, err := r.Restore(t.Context(), container, "0.log"); err != nil || !restored {
		t.Errorf("%v, %v", restored, err)
	}
	wantNames(t, root, "0.log")
}

// TestRestoreWithFaults fails each operation in turn: no line is lost, and the
// next call does it.
func TestRestoreWithFaults(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		crashed(t, r)
		rt.stop()
		good := r.fs
		for at := 0; ; at++ {
			f := &faults{at: at, err: unix.EIO}
			r.fs = hookFS{FS: good, hook: f.hook}
			_, err := r.Restore(t.Context(), container, "0.log")
			rt.wantLines(newRotator(root, nil), 0)
			if f.met == "" {
				if err != nil || at < 8 {
					t.Errorf("%d operations: %v", at, err)
				}
				break
			}
			r.fs = good
			if _, err := r.Restore(t.Context(), container, "0.log"); err != nil {
				t.Fatalf("%s: then %v", f.met, err)
			}
			rt.wantLines(r, 0)
			if tidy(t, r, keepAll); len(ls(t, root)) != 1 {
				t.Fatalf("%s: %q", f.met, ls(t, root))
			}
			// Once more, from the start.
			crashed(t, r)
		}
	})
}

func TestNeedsReopen(t *testing.T) {
	root := t.TempDir()
	r := newRotator(root, nil)
	want := func(what string, want bool, wantErr error) {
		t.Helper()
		if need, err := r.NeedsReopen(container, "0.log"); need != want || !errors.Is(err, wantErr) {
			t.Errorf("%s: %v, %v", what, need, err)
		}
	}
	want("no directory", false, fs.ErrNotExist)
	rt := newRuntime(t, root, false)
	want("empty, and open for writing", false, nil)
	rt.write(1)
	want("with content", false, nil)
	rt.stop()
	want("with content, closed", false, nil)
	if err := os.Truncate(rt.path, 0); err != nil {
		t.Fatal(err)
	}
	want("empty and closed", true, nil)
	good := r.fs
	for _, op := range []string{"stat", "open", "fstat"} {
		r.fs = failing(good, op, unix.EIO)
		want(op+" fails", false, unix.EIO)
	}
	r.fs = failing(good, "lease", unix.EACCES)
	want("no leases", false, nil)
	if err := os.Remove(rt.path); err != nil {
		t.Fatal(err)
	}
	want("absent", true, nil)
	if err := os.Symlink("nowhere", rt.path); err != nil {
		t.Fatal(err)
	}
	want("a link", false, nil)
}
