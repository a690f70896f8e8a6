package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTry tries the real thing, and leaves nothing, neither in the directory nor
// beside it.
func TestTry(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "pods")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// A watch on the directory must see no event.
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing can fail late
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE|unix.IN_ATTRIB|unix.IN_MODIFY); err != nil {
		t.Fatal(err)
	}
	for _, f := range renameFlags {
		for _, known := range []bool{true, false} {
			if err := tryRename(dir, known, f.flag); err != nil {
				t.Errorf("%s, known %v: %v", f.name, known, err)
			}
		}
	}
	if _, err := unix.Read(fd, make([]byte, 4096)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("the directory has an event: %v", err)
	}
	for _, d := range []string{dir, top} {
		left, err := list(d)
		if want := map[string]int{dir: 0, top: 1}[d]; err != nil || len(left) != want {
			t.Errorf("in %s: %v %v", d, left, err)
		}
	}
	if err := tryRename(dir+"/none", true, 0); !errors.Is(err, unix.ENOENT) {
		t.Errorf("of what is absent: %v", err)
	}
}

// TestTryMounts needs root: a file system of its own, read-only and full.
func TestTryMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("mounts need root")
		}
		t.Skip("mounts need root")
	}
	dir := t.TempDir()
	if err := unix.Mount("doctor", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	if err := tryRename(dir, false, unix.RENAME_NOREPLACE); !errors.Is(err, errUntried) {
		t.Errorf("at the top of a file system: %v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := tryRename(dir, true, unix.RENAME_NOREPLACE); !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: %v", err)
	}
	if err := realSystem().access(dir, writable); !errors.Is(err, unix.EROFS) {
		t.Errorf("access: %v", err)
	}
}
