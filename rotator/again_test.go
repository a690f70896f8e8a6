package rotator

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// TestOneBadFile: a file that cannot be looked at, opened or removed holds no
// other back, and there is another try.
func TestOneBadFile(t *testing.T) {
	const bad = "0.log.20260101-000002"
	for _, op := range []string{"stat", "open", "lease", "remove", "read"} {
		root := t.TempDir()
		for _, s := range []string{"1", "2", "3", "4", "5", "6"} {
			place(t, root, "0.log.20260101-00000"+s, someLines(0, 10))
		}
		place(t, root, "0.log", nil)
		r := newRotator(root, nil)
		r.fs = hookFS{FS: r.fs, hook: func(o, name string) error {
			if o == op && name == bad {
				return unix.EIO
			}
			return nil
		}}
		rep, err := housekeep(r, t.Context(), Policy{MaxFiles: 6, Codec: podlogs.Gzip})
		if op != "lease" && !errors.Is(err, unix.EIO) || op == "lease" && rep.Busy != 1 || rep.Again == 0 {
			t.Errorf("%s: %+v, %v", op, rep, err)
		}
		for _, s := range []string{"3", "4", "5"} {
			if _, err := os.Stat(filepath.Join(root, container, "0.log.20260101-00000"+s+".gz")); err != nil {
				t.Errorf("%s fails on another: %v", op, err)
			}
		}
	}
}

// TestAgainAfterError: what could not even begin is tried again; a directory
// that is gone is not.
func TestAgainAfterError(t *testing.T) {
	for _, op := range []string{"open-dir", "readdir"} {
		root := t.TempDir()
		place(t, root, "0.log", nil)
		r := newRotator(root, nil)
		r.fs = hookFS{FS: r.fs, hook: func(o, _ string) error {
			if o == op {
				return unix.EMFILE
			}
			return nil
		}}
		rep, err := housekeep(r, t.Context(), keepAll)
		if !errors.Is(err, unix.EMFILE) || rep.Again != errorPause {
			t.Errorf("%s: %+v, %v", op, rep, err)
		}
		if _, err := podlogs.Logs(r.fs, container); !errors.Is(err, unix.EMFILE) {
			t.Errorf("%s: Logs hides what it could not list: %v", op, err)
		}
	}
	if rep, err := housekeep(newRotator(t.TempDir(), nil), t.Context(), keepAll); err != nil || rep.Again != 0 {
		t.Errorf("a directory that is gone: %+v, %v", rep, err)
	}
}

// TestForeignTemp: kubelet is compressing this very log. Its temp stays.
func TestForeignTemp(t *testing.T) {
	root := t.TempDir()
	place(t, root, "0.log.20260101-000001", someLines(0, 10))
	place(t, root, "0.log.20260101-000002", []byte("content"))
	temp := place(t, root, "0.log.20260101-000001.tmp", []byte("half"))
	writer, err := os.OpenFile(temp, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := newRotator(root, nil)
	rep, err := housekeep(r, t.Context(), keepAll)
	if !errors.Is(err, os.ErrExist) || rep.Busy != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	wantNames(t, root, "0.log.20260101-000001", "0.log.20260101-000001.tmp", "0.log.20260101-000002")
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	tidy(t, r, keepAll)
	wantNames(t, root, "0.log.20260101-000001.gz", "0.log.20260101-000002")
}

// TestGzIsThere: a .gz that came behind the listing is not replaced, and no work
// is done for nothing.
func TestGzIsThere(t *testing.T) {
	for _, op := range []string{"stat", "rename"} {
		root := t.TempDir()
		place(t, root, "0.log.20260101-000001", someLines(0, 10))
		place(t, root, "0.log.20260101-000002", []byte("content"))
		r := newRotator(root, nil)
		plain := r.fs
		written := 0
		r.fs = hookFS{FS: plain, hook: func(o, name string) error {
			if o == "write" {
				written++
			}
			if o == op && (op == "rename" || strings.HasSuffix(name, ".gz")) {
				place(t, root, "0.log.20260101-000001.gz", []byte("foreign"))
			}
			return nil
		}}
		if _, err := housekeep(r, t.Context(), keepAll); err == nil || (op == "stat") != (written == 0) {
			t.Errorf("%s: %d writes, %v", op, written, err)
		}
		wantNames(t, root, "0.log.20260101-000001", "0.log.20260101-000001.gz", "0.log.20260101-000002")
		if b, err := os.ReadFile(filepath.Join(root, container, "0.log.20260101-000001.gz")); err != nil || string(b) != "foreign" {
			t.Errorf("the .gz holds %q (%v)", b, err)
		}
		r.fs = plain
		tidy(t, r, keepAll)
		wantNames(t, root, "0.log.20260101-000001.gz", "0.log.20260101-000002")
	}
}

// TestListedTwice: a listing may name a file twice while others come and go.
func TestListedTwice(t *testing.T) {
	root := t.TempDir()
	place(t, root, "0.log.20260101-000001", someLines(0, 10))
	place(t, root, "0.log.20260101-000002", someLines(10, 10))
	r := newRotator(root, nil)
	r.fs = twiceFS{r.fs}
	if got := readLines(t, r); len(got) != 20 {
		t.Errorf("%d lines are read, there are 20", len(got))
	}
	if rep := tidy(t, r, Policy{MaxFiles: 3}); len(rep.Done) > 0 {
		t.Errorf("did\n%s", did(rep))
	}
}

type twiceFS struct{ podlogs.FS }

func (f twiceFS) OpenDir(rel string) (podlogs.Dir, error) {
	d, err := f.FS.OpenDir(rel)
	return twiceDir{d}, err
}

type twiceDir struct{ podlogs.Dir }

func (d twiceDir) Names(yield func(string) bool) error {
	return d.Dir.Names(func(name string) bool {
		more := yield(name)
		return more && yield(name)
	})
}

// TestTidyEnds: with its context, before the next file.
func TestTidyEnds(t *testing.T) {
	root := t.TempDir()
	for _, s := range []string{"1", "2", "3", "4"} {
		place(t, root, "0.log.20260101-00000"+s, someLines(0, 10))
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := newRotator(root, nil)
	r.fs = hookFS{FS: r.fs, hook: func(op, _ string) error {
		if op == "remove" {
			cancel()
		}
		return nil
	}}
	if rep, err := housekeep(r, ctx, Policy{MaxFiles: 1}); !errors.Is(err, context.Canceled) || len(rep.Done) != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestReconcileDiskError: when the disk does not give the .gz, nothing is known
// about it, and both stay.
func TestReconcileDiskError(t *testing.T) {
	for nth := 1; nth <= 2; nth++ { // in the header; behind it
		root := t.TempDir()
		place(t, root, "0.log.20260101-000001", make([]byte, 1<<20))
		place(t, root, "0.log.20260101-000001.gz", bytes.Repeat(gzipped(t, make([]byte, 16)), 1<<16))
		place(t, root, "0.log.20260101-000002", []byte("content"))
		r := newRotator(root, nil)
		reads := 0
		r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
			if op == "read" && strings.HasSuffix(name, ".gz") {
				if reads++; reads == nth {
					return unix.EIO
				}
			}
			return nil
		}}
		rep, err := housekeep(r, t.Context(), keepAll)
		if !errors.Is(err, unix.EIO) || rep.Again != errorPause {
			t.Errorf("read %d fails: %+v, %v", nth, rep, err)
		}
		wantNames(t, root, "0.log.20260101-000001", "0.log.20260101-000001.gz", "0.log.20260101-000002")
	}
}
