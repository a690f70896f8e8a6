package podlogs

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openTestLog(t *testing.T) (path string, open func() (Handle, error)) {
	t.Helper()
	root := t.TempDir()
	path = filepath.Join(root, "pod/app/0.log")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := At(root).OpenDir("pod/app")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // opened for reading
	return path, func() (Handle, error) { return d.Open("0.log") }
}

// TestInUse: a file is in use while it is open elsewhere, for reading or writing.
func TestInUse(t *testing.T) {
	path, open := openTestLog(t)
	h, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close() //nolint:errcheck // opened for reading
	is := func(used, written bool) {
		t.Helper()
		if got, err := h.InUse(); got != used || err != nil {
			t.Errorf("in use: %v, %v", got, err)
		}
		if got, err := h.OpenForWrite(); got != written || err != nil {
			t.Errorf("open for writing: %v, %v", got, err)
		}
	}
	is(false, false)
	for _, mode := range []int{os.O_RDONLY, os.O_WRONLY} {
		f, err := os.OpenFile(path, mode, 0)
		if err != nil {
			t.Fatal(err)
		}
		is(true, mode == os.O_WRONLY)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		is(false, false)
	}
}

// TestOpenWaitsForLease: a file can be opened while another process asks whether it is
// in use.
func TestOpenWaitsForLease(t *testing.T) {
	path, open := openTestLog(t)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, unix.SIGIO)
	defer signal.Stop(broken)
	opened := make(chan error, 1)
	go func() {
		h, err := open()
		if err == nil {
			err = h.Close()
		}
		opened <- err
	}()
	<-broken
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// TestIsRead: what another process reads changes the access time, and what logwatch reads
// does not.
func TestIsRead(t *testing.T) {
	path, open := openTestLog(t)
	if err := os.WriteFile(path, []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	born := func(path string) int64 {
		st, err := Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			t.Fatal(err)
		}
		return st.Born
	}
	next := path + ".next" // until a later clock tick: access times have its resolution
	for later := false; !later; later = born(next) > born(path) {
		if err := errors.Join(os.RemoveAll(next), os.WriteFile(next, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	is := func(read bool) {
		t.Helper()
		st, err := Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || st.IsRead() != read {
			t.Errorf("read: %t, want %t (%+v, %v)", st.IsRead(), read, st, err)
		}
	}
	is(false)
	h, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(h); len(text) != 7 || err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	is(false)
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	is(true)
	later := time.Now().Add(2 * maxReadAge) // it is written, and no longer read
	if err := os.Chtimes(path, time.Time{}, later); err != nil {
		t.Fatal(err)
	}
	is(false)
}

// TestListOfARemovedDirectory: a pod may be removed while its logs are listed.
func TestListOfARemovedDirectory(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "pod/app"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := At(root).OpenDir("pod/app")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // opened for reading
	if err := os.RemoveAll(filepath.Join(root, "pod")); err != nil {
		t.Fatal(err)
	}
	if files, err := List(d, 0); err != nil || len(files) != 0 {
		t.Errorf("List returned %d files, %v; want none", len(files), err)
	}
}
