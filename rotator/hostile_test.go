package rotator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Any process that can write to /var/log/pods owns the container's directory.

// secret makes a file outside podLogsDir, on the same file system, and checks at
// the end that nothing about it but its link count has changed.
func secret(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		after, err := os.Lstat(path)
		if err != nil {
			t.Error(err)
			return
		}
		a, b := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content || after.Mode() != before.Mode() || a.Uid != b.Uid || a.Gid != b.Gid || !after.ModTime().Equal(before.ModTime()) {
			t.Errorf("the file outside has changed: %v %d:%d %q (%v)", after.Mode(), b.Uid, b.Gid, got, err)
		}
	})
	return path
}

// wantNoCopy fails the test when a file in the container's directory that is not
// a link to outside holds what the file outside does.
func wantNoCopy(t *testing.T, r *Rotator, root, outside string) {
	t.Helper()
	want, err := os.ReadFile(outside)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range ls(t, root) {
		n, ok := podlogs.ParseName(name)
		fi, err := os.Lstat(filepath.Join(root, container, name))
		if err != nil {
			t.Fatal(err)
		}
		if !ok || !fi.Mode().IsRegular() || fi.Sys().(*syscall.Stat_t).Nlink > 1 || n.Kind == podlogs.Temp {
			continue
		}
		if bytes.Contains(decompressed(t, r, name), want) {
			t.Errorf("%s holds what is outside", name)
		}
	}
}

// intruders are what may stand under a log's name.
func intruders() map[string]func(path, outside string) error {
	return map[string]func(path, outside string) error{
		"link":          func(path, outside string) error { return os.Symlink(outside, path) },
		"dangling link": func(path, outside string) error { return os.Symlink(outside+"-not", path) },
		"link to a dir": func(path, outside string) error { return os.Symlink(filepath.Dir(outside), path) },
		"hard link":     func(path, outside string) error { return os.Link(outside, path) },
		"FIFO":          func(path, _ string) error { return unix.Mkfifo(path, 0o666) },
		"directory":     func(path, _ string) error { return errors.Join(os.Mkdir(path, 0o700), os.Mkdir(path+"/full", 0o700)) },
		"device": func(path, _ string) error {
			return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) // /dev/zero
		},
	}
}

// TestIntruders puts each kind of file under each kind of name, and has it
// compressed, reconciled, pruned and cleaned.
func TestIntruders(t *testing.T) {
	for kind, makeIt := range intruders() {
		for _, at := range []string{"0.log", "0.log.20260101-000002", "0.log.20260101-000002.gz", "0.log.20260101-000002.tmp", "0.log.20260101-000004"} {
			t.Run(kind+" at "+at, func(t *testing.T) {
				if kind == "device" {
					needRoot(t, "mknod(2)")
				}
				root, outside := t.TempDir(), secret(t, "root:secret:1:0:99999:7:::\n")
				for i := 1; i <= 4; i++ {
					if name := fmt.Sprintf("0.log.20260101-00000%d", i); name != at {
						place(t, root, name, someLines(i*10, 10))
					}
				}
				if at != "0.log" {
					place(t, root, "0.log", nil)
				}
				if err := makeIt(filepath.Join(root, container, at), outside); err != nil {
					t.Fatal(err)
				}
				r := newRotator(root, nil)
				if kind == "directory" {
					// Nothing removes it, and one file may have to wait for its
					// name; all else goes on.
					for range 2 {
						if rep, err := housekeep(r, t.Context(), keepAll); err != nil && rep.Again < busyPause {
							t.Errorf("%+v, %v", rep, err)
						}
					}
				} else {
					tidy(t, r, keepAll)
				}
				if fi, err := os.Lstat(filepath.Join(root, container, "0.log.20260101-000001.gz")); err != nil || !fi.Mode().IsRegular() {
					t.Errorf("the oldest was not compressed: %v", err)
				}
				wantNoCopy(t, r, root, outside)
				logs, err := podlogs.Logs(r.fs, container)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range logs {
					if l.Name.String() == at && !strings.HasSuffix(at, ".gz") {
						t.Errorf("%s is listed as a log", at)
					}
				}
				if kind != "directory" {
					tidy(t, r, Policy{MaxFiles: 1})
				} else if _, err := housekeep(r, t.Context(), Policy{MaxFiles: 1}); err != nil {
					t.Error(err)
				}
				for _, name := range ls(t, root) {
					if name != "0.log" && (kind != "directory" || name != at) {
						t.Errorf("%s was not pruned", name)
					}
				}
				if _, err := r.Clean(t.Context(), container, "0.log"); (err != nil) != (kind == "directory") {
					t.Errorf("clean: %v", err)
				}
			})
		}
	}
}

// TestSwapped puts a link in a file's place between the listing and the use.
func TestSwapped(t *testing.T) {
	for kind, makeIt := range intruders() {
		for _, op := range []string{"open", "lease", "create", "rename", "remove"} {
			t.Run(kind+" before "+op, func(t *testing.T) {
				if kind == "device" {
					needRoot(t, "mknod(2)")
				}
				root, outside := t.TempDir(), secret(t, "root:secret:1:0:99999:7:::\n")
				path := place(t, root, "0.log.20260101-000001", someLines(0, 10))
				place(t, root, "0.log.20260101-000002", []byte("content"))
				r := newRotator(root, nil)
				plain := r.fs
				swapped := false
				r.fs = hookFS{FS: plain, hook: func(o, _ string) error {
					if o != op || swapped {
						return nil
					}
					swapped = true
					return errors.Join(os.Rename(path, path+".away"), makeIt(path, outside))
				}}
				_, err := housekeep(r, t.Context(), keepAll)
				if !swapped {
					t.Fatalf("no %s came (%v)", op, err)
				}
				r.fs = plain
				wantNoCopy(t, r, root, outside)
				if op != "open" {
					return
				}
				if _, err := podlogs.OpenLog(r.fs, container, "0.log.20260101-000001"); !errors.Is(err, podlogs.ErrNotRegular) {
					t.Errorf("OpenLog: %v", err)
				}
			})
		}
	}
}

// TestLinkedDirs: the container's or the pod's directory is a link to elsewhere.
func TestLinkedDirs(t *testing.T) {
	for _, level := range []string{"ns_pod_uid", container} {
		root, elsewhere := t.TempDir(), t.TempDir()
		rt := newRuntime(t, elsewhere, false)
		rt.write(10)
		place(t, elsewhere, "0.log.20260101-000001", someLines(0, 10))
		place(t, elsewhere, "0.log.20260101-000002", nil)
		place(t, elsewhere, "0.log.20260101-000003.tmp", nil)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, level)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(elsewhere, level), filepath.Join(root, level)); err != nil {
			t.Fatal(err)
		}
		before := ls(t, elsewhere)
		r := newRotator(root, rt)
		_, rotateErr := r.Rotate(t.Context(), request(1))
		_, tidyErr := housekeep(r, t.Context(), Policy{MaxFiles: 1, Codec: podlogs.Gzip})
		_, cleanErr := r.Clean(t.Context(), container, "0.log")
		_, logsErr := podlogs.Logs(r.fs, container)
		_, openErr := podlogs.OpenLog(r.fs, container, "0.log")
		for i, err := range []error{rotateErr, tidyErr, cleanErr, logsErr, openErr} {
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: call %d followed the link: %v", level, i, err)
			}
		}
		if got := ls(t, elsewhere); !slices.Equal(got, before) || rt.asked > 0 {
			t.Errorf("%s: elsewhere is now %q", level, got)
		}
	}
}

// TestForeignNames: what is not named as a log is never touched.
func TestForeignNames(t *testing.T) {
	root := t.TempDir()
	foreign := []string{
		"0.log.tmp", "0.log\n", "0.log.20260101-000001\n", "*", "0.log*", "0.log.[0-9]*", "?.log", "~", "-rf", ".0.log", "0.log.20260101-000001.gz.tmp",
		"0.log.20260101-000001.gzz", "0.log.20260101-0000011", "\xff\xfe.log", "0.log.\xff\xff\xff\xff\xff\xff\xff\xff-\xff\xff\xff\xff\xff\xff",
		strings.Repeat("0", 255), strings.Repeat("9", 251) + ".log", "0.log." + strings.Repeat("x", 249), "0.log.20260101-000001 ",
	}
	for _, name := range foreign {
		place(t, root, name, []byte(name))
	}
	zeros := strings.Repeat("0", 251) + ".log" // a number all the same
	place(t, root, zeros, []byte("content"))
	rt := newRuntime(t, root, false)
	rt.write(10)
	r := newRotator(root, rt)
	if _, err := r.Rotate(t.Context(), request(1)); err != nil {
		t.Fatal(err)
	}
	rt.stop()
	tidy(t, r, Policy{MaxFiles: 1, MaxTotalSize: 1, Codec: podlogs.Gzip})
	if _, err := r.Clean(t.Context(), container, "0.log"); err != nil {
		t.Fatal(err)
	}
	wantNames(t, root, append(foreign, zeros)...)
	for _, name := range foreign {
		if b, err := os.ReadFile(filepath.Join(root, container, name)); err != nil || string(b) != name {
			t.Errorf("%q holds %q (%v)", name, b, err)
		}
	}
	// No room for a stamp behind it: an error, and the log keeps its name.
	req := request(0)
	req.Log = zeros
	if _, err := r.Rotate(t.Context(), req); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("rotating a name of 255 bytes: %v", err)
	}
}

// TestGzipBomb: what lies under a .gz's name decompresses to a gigabyte. No more
// of it is read than its source holds.
func TestGzipBomb(t *testing.T) {
	root := t.TempDir()
	bomb := bytes.Repeat(gzipped(t, make([]byte, 1<<22)), 1<<8)
	place(t, root, "0.log.20260101-000001", someLines(0, 10))
	place(t, root, "0.log.20260101-000001.gz", bomb)
	place(t, root, "0.log.20260101-000002", make([]byte, 2<<20)) // begins as the bomb does
	place(t, root, "0.log.20260101-000002.gz", bomb)
	place(t, root, "0.log.20260101-000003", []byte("content"))
	r := newRotator(root, nil)
	plain := r.fs
	reads := 0
	r.fs = hookFS{FS: plain, hook: func(op, name string) error {
		if op == "read" && strings.HasSuffix(name, ".gz") {
			reads++
		}
		return nil
	}}
	if _, err := housekeep(r, t.Context(), keepAll); err != nil {
		t.Fatal(err)
	}
	wantNames(t, root, "0.log.20260101-000001", "0.log.20260101-000002", "0.log.20260101-000003")
	if reads > 20 { // of 4 KiB each; the whole bomb has hundreds
		t.Errorf("%d reads of a bomb of %d bytes", reads, len(bomb))
	}
}

// TestSparse: a terabyte of nothing is over any total: it is pruned, not read.
func TestSparseName(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"0.log.20260101-000001", "0.log.20260101-000002"} {
		if err := os.Truncate(place(t, root, name, nil), 1<<40); err != nil {
			t.Fatal(err)
		}
	}
	place(t, root, "0.log.20260101-000002.gz", gzipped(t, make([]byte, 1<<20)))
	place(t, root, "0.log.20260101-000003", []byte("content"))
	place(t, root, "0.log", nil)
	r := newRotator(root, nil)
	plain := r.fs
	reads := 0
	r.fs = hookFS{FS: plain, hook: func(op, _ string) error {
		if op == "read" {
			reads++
		}
		return nil
	}}
	tidy(t, r, Policy{MaxFiles: 9, MaxTotalSize: 1 << 30, Codec: podlogs.Gzip})
	wantNames(t, root, "0.log", "0.log.20260101-000003")
	if reads > 50 {
		t.Errorf("%d reads", reads)
	}
}

// TestCompareEnds: comparing a terabyte ends with its context.
func TestCompareEnds(t *testing.T) {
	root := t.TempDir()
	if err := os.Truncate(place(t, root, "0.log.20260101-000001", nil), 1<<40); err != nil {
		t.Fatal(err)
	}
	place(t, root, "0.log.20260101-000001.gz", bytes.Repeat(gzipped(t, make([]byte, 1<<22)), 1<<6))
	place(t, root, "0.log.20260101-000002", []byte("content"))
	for _, pair := range []bool{true, false} {
		if !pair {
			if err := os.Remove(filepath.Join(root, container, "0.log.20260101-000001.gz")); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := newRotator(root, nil)
		reads := 0
		r.fs = hookFS{FS: r.fs, hook: func(op, _ string) error {
			if op == "read" {
				if reads++; reads == 5 {
					cancel()
				}
			}
			return nil
		}}
		if rep, err := housekeep(r, ctx, keepAll); err != nil || !rep.Pending || ctx.Err() == nil || reads > 10 {
			t.Errorf("%d reads: %+v, %v", reads, rep, err)
		}
		if got := ls(t, root); slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, ".tmp") }) || !slices.Contains(got, "0.log.20260101-000001") {
			t.Errorf("files: %q", got)
		}
	}
}

// TestManyForeign: files that are not ours cost a listing, and no memory.
func TestManyForeign(t *testing.T) {
	root := t.TempDir()
	rt := newRuntime(t, root, false)
	dir := filepath.Dir(rt.path)
	for i := range 100_000 {
		if err := unix.Mknod(fmt.Sprintf("%s/foreign-%d", dir, i), unix.S_IFREG|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	rt.write(10)
	r := newRotator(root, rt)
	if _, err := r.Rotate(t.Context(), request(1)); err != nil {
		t.Fatal(err)
	}
	rt.write(10)
	if rep := tidy(t, r, keepAll); len(rep.Done) != 0 {
		t.Errorf("did\n%s", did(rep))
	}
	rt.wantLines(r, 0)
}

// TestManyRotated: more rotated logs than one run takes on are brought within
// the policy by several, the newest kept.
func TestManyRotated(t *testing.T) {
	root := t.TempDir()
	rt := newRuntime(t, root, false)
	const n = batchSize + 5000
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var want []string
	for i := range n {
		path := rt.path + "." + first.Add(time.Duration(i)*time.Second).Format(podlogs.StampLayout)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if i >= n-4 {
			want = append(want, filepath.Base(path))
		}
	}
	r := newRotator(root, rt)
	rep, err := housekeep(r, t.Context(), Policy{MaxFiles: 5})
	if err != nil || rep.Again != busyPause || len(rep.Done) > batchSize {
		t.Fatalf("first run: %d steps, again %v: %v", len(rep.Done), rep.Again, err)
	}
	tidy(t, r, Policy{MaxFiles: 5})
	wantNames(t, root, append(want, "0.log")...)
}

func TestLogsOrder(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string][]byte{
		"10.log": someLines(80, 10), "10.log.20250101-000000": someLines(70, 10),
		"2.log": someLines(60, 10), "2.log.20260101-000002": someLines(50, 10),
		"2.log.20260101-000001.gz": gzipped(t, someLines(40, 10)), "2.log.20260101-000001": someLines(40, 10),
		"2.log.20260101-000000.gz": gzipped(t, someLines(30, 10)), "2.log.20260101-000000.tmp": []byte("half of it"),
		"1.log.20270101-000000.gz": append(gzipped(t, someLines(10, 10)), gzipped(t, someLines(20, 10))...), // two members
		"0.log":                    someLines(0, 10), "0.log.tmp": []byte("conmon's"),
	} {
		place(t, root, name, content)
	}
	r := newRotator(root, nil)
	got := readLines(t, r)
	for i, n := range got {
		if n != i {
			t.Fatalf("line %d is %d", i, n)
		}
	}
	if len(got) != 90 {
		t.Errorf("%d lines", len(got))
	}
	for _, name := range []string{"../app/0.log", "0.log.tmp", "", "/etc/passwd"} {
		if _, err := podlogs.OpenLog(r.fs, container, name); err == nil {
			t.Errorf("OpenLog of %q", name)
		}
	}
}

func TestClean(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"0.log", "0.log.20260101-000001.gz", "0.log.20260101-000002", "0.log.20260101-000001.tmp", "1.log", "1.log.20260101-000003", "00.log"} {
		place(t, root, name, []byte("x"))
	}
	r := newRotator(root, nil)
	writer, err := os.OpenFile(filepath.Join(root, container, "0.log"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	removed, err := r.Clean(t.Context(), container, "0.log")
	if !errors.Is(err, ErrBusy) || len(removed) != 3 {
		t.Fatalf("with the live log open: removed %q, %v", removed, err)
	}
	wantNames(t, root, "0.log", "1.log", "1.log.20260101-000003", "00.log")
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if removed, err := r.Clean(ctx, container, "0.log"); !errors.Is(err, context.Canceled) || len(removed) > 0 {
		t.Fatalf("cancelled: removed %q, %v", removed, err)
	}
	if removed, err := r.Clean(t.Context(), container, "0.log"); err != nil || !slices.Equal(removed, []string{"0.log"}) {
		t.Fatalf("removed %q, %v", removed, err)
	}
	if removed, err := r.Clean(t.Context(), "gone/app", "0.log"); err != nil || len(removed) > 0 {
		t.Fatalf("of a directory that is gone: removed %q, %v", removed, err)
	}
	wantNames(t, root, "1.log", "1.log.20260101-000003", "00.log")
}
