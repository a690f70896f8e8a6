package rotator

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

var keepAll = Policy{MaxFiles: 1000, Codec: podlogs.Gzip}

// place makes a file in the container's directory, last written an hour ago.
func place(t testing.TB, root, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(root, container, name)
	hourAgo := time.Now().Add(-time.Hour)
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o640), os.Chtimes(path, hourAgo, hourAgo))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// someLines are n numbered lines from first on.
func someLines(first, n int) []byte {
	var b bytes.Buffer
	for i := range n {
		b.WriteString(numberedLine(first + i))
	}
	return b.Bytes()
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	_, err := zw.Write(content)
	if err := errors.Join(err, zw.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// housekeep does what a caller does for one directory: Tidy, and Compress if
// there is something for it.
func housekeep(r *Rotator, ctx context.Context, p Policy) (Report, error) {
	rep, err := r.Tidy(ctx, container, p, podlogs.Name{})
	if !rep.Pending {
		return rep, err
	}
	more, err2 := r.Compress(ctx, container, p, func(podlogs.Name) {})
	more.Done = append(rep.Done, more.Done...)
	more.Busy += rep.Busy
	more.NoSpace = more.NoSpace || rep.NoSpace
	if rep.Again > 0 {
		more.soonest(rep.Again)
	}
	return more, errors.Join(err, err2)
}

// tidy runs housekeep until there is nothing more to do, now or once an empty file is
// old enough to be removed.
func tidy(t testing.TB, r *Rotator, p Policy) (all Report) {
	t.Helper()
	now := r.now
	defer func() { r.now = now }()
	for range 20 {
		rep, err := housekeep(r, context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		all.Done = append(all.Done, rep.Done...)
		all.BytesIn += rep.BytesIn
		all.BytesOut += rep.BytesOut
		if rep.Again == 0 {
			return all
		}
		if rep.Again > errorPause {
			r.now = func() time.Time { return now().Add(2 * unprovenAge) }
		}
	}
	t.Fatal("housekeeping finds no end")
	return all
}

func did(rep Report) (text string) { return planText(rep.Done, 0) }

func decompressed(t testing.TB, r *Rotator, name string) []byte {
	t.Helper()
	f, err := podlogs.OpenLog(r.fs, container, name)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func wantNames(t testing.TB, root string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := ls(t, root); !slices.Equal(got, want) {
		t.Fatalf("files:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCompress(t *testing.T) {
	random := make([]byte, 3*chunkSize+17)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	for name, content := range map[string][]byte{
		"lines": someLines(0, 20_000), "one byte": {'x'}, "a chunk": random[:chunkSize], "incompressible": random,
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			source := place(t, root, "0.log.20260101-000001", content)
			place(t, root, "0.log.20260101-000002", []byte("newest"))
			place(t, root, "0.log", nil)
			uid, gid := os.Getuid(), os.Getgid()
			if uid == 0 {
				uid, gid = 4711, 4712
			}
			if err := errors.Join(os.Chown(source, uid, gid), os.Chmod(source, 0o604)); err != nil {
				t.Fatal(err)
			}
			before, err := os.Stat(source)
			if err != nil {
				t.Fatal(err)
			}
			r := newRotator(root, nil)
			rep := tidy(t, r, keepAll)
			wantNames(t, root, "0.log", "0.log.20260101-000001.gz", "0.log.20260101-000002")
			after, err := os.Stat(source + ".gz")
			if err != nil {
				t.Fatal(err)
			}
			st := after.Sys().(*syscall.Stat_t)
			if after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) || int(st.Uid) != uid || int(st.Gid) != gid {
				t.Errorf("the .gz is %v, %v, %d:%d; the source was %v, %v, %d:%d",
					after.Mode(), after.ModTime(), st.Uid, st.Gid, before.Mode(), before.ModTime(), uid, gid)
			}
			if rep.BytesIn != int64(len(content)) || rep.BytesOut != after.Size() {
				t.Errorf("reported %d bytes in, %d out; they are %d and %d", rep.BytesIn, rep.BytesOut, len(content), after.Size())
			}
			if !bytes.Equal(decompressed(t, r, "0.log.20260101-000001.gz"), content) {
				t.Error("the .gz holds something else")
			}
		})
	}
}

// TestCompressPrivately: at no time has the temp a mode or owner that the source
// has not, and it has them before it has content.
func TestCompressPrivately(t *testing.T) {
	needRoot(t, "chown(2)")
	root := t.TempDir()
	source := place(t, root, "0.log.20260101-000001", someLines(0, 1000))
	place(t, root, "0.log.20260101-000002", []byte("content"))
	if err := errors.Join(os.Chown(source, 4711, 4712), os.Chmod(source, 0o604|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	r := newRotator(root, nil)
	writes := 0
	r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
		if op == "write" {
			writes++
			fi, err := os.Lstat(filepath.Join(root, container, name))
			if err != nil {
				return err
			}
			if st := fi.Sys().(*syscall.Stat_t); fi.Mode() != 0o604 || st.Uid != 4711 || st.Gid != 4712 {
				t.Errorf("write %d to a temp of %v, %d:%d", writes, fi.Mode(), st.Uid, st.Gid)
			}
		}
		return nil
	}}
	tidy(t, r, keepAll)
	if writes == 0 {
		t.Error("nothing was written")
	}
}

func TestPruneOrder(t *testing.T) {
	root := t.TempDir()
	for i := range 6 {
		place(t, root, "0.log.20260101-00000"+strconv.Itoa(i), someLines(i, 1))
	}
	place(t, root, "0.log", nil)
	place(t, root, "0.log.notes", nil) // foreign
	rep := tidy(t, newRotator(root, nil), Policy{MaxFiles: 4, Codec: podlogs.Gzip})
	want := strings.ReplaceAll(`prune 0.log.20260101-000000 N max_files
prune 0.log.20260101-000001 N max_files
prune 0.log.20260101-000002 N max_files
compress 0.log.20260101-000003 N
compress 0.log.20260101-000004 N
`, "N", strconv.Itoa(len(numberedLine(0))))
	if got := did(rep); got != want {
		t.Errorf("did\n%swant\n%s", got, want)
	}
	wantNames(t, root, "0.log", "0.log.notes", "0.log.20260101-000003.gz", "0.log.20260101-000004.gz", "0.log.20260101-000005")
}

// TestWrittenStays: a rotated log that is open for writing is neither
// compressed nor removed, whatever the policy says, until it is closed.
func TestWrittenStays(t *testing.T) {
	for name, p := range map[string]Policy{
		"compress":       keepAll,
		"max files":      {MaxFiles: 2},
		"max total size": {MaxFiles: 1000, MaxTotalSize: 1},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := place(t, root, "0.log.20260101-000001", someLines(0, 10))
			place(t, root, "0.log.20260101-000002", []byte("x"))
			place(t, root, "0.log", nil)
			writer, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			r := newRotator(root, nil)
			for range 3 {
				rep, err := housekeep(r, t.Context(), p)
				if err != nil || rep.Busy != 1 || rep.Again == 0 || rep.Again > errorPause || len(rep.Done) > 0 {
					t.Fatalf("%+v, %v", rep, err)
				}
			}
			wantNames(t, root, "0.log", "0.log.20260101-000001", "0.log.20260101-000002")
			if err := writer.Close(); err != nil {
				t.Fatal(err)
			}
			if rep := tidy(t, r, p); len(rep.Done) != 1 {
				t.Errorf("did\n%s", did(rep))
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("it is still there")
			}
		})
	}
}

// TestBusyPause: a file that stays open is looked at ever more seldom.
func TestBusyPause(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.Local)
	r := New(Options{Now: func() time.Time { return now }})
	for stamp, want := range map[string]time.Duration{
		"20260101-120000": busyPause, "20260101-115950": time.Second, "20260101-000000": errorPause, "20270101-000000": errorPause,
	} {
		if got := r.pauseFor(parseName(t, "0.log."+stamp)[0]); got != want {
			t.Errorf("%s: %v, want %v", stamp, got, want)
		}
	}
}

// TestRuntimeWritesRotated: a crash came between rename and reopen, and the
// runtime writes on into the rotated log until it reopens the live log. However tight the policy, not a line goes.
func TestRuntimeWritesRotated(t *testing.T) {
	tight := Policy{MaxFiles: 1, MaxTotalSize: 1, Codec: podlogs.Gzip}
	for _, conmon := range []bool{false, true} {
		for _, leases := range []bool{true, false} {
			root := t.TempDir()
			rt := newRuntime(t, root, conmon)
			rt.write(10)
			if err := os.Rename(rt.path, rt.path+".20260101-000000"); err != nil {
				t.Fatal(err)
			}
			r := newRotator(root, rt)
			r.now = func() time.Time { return time.Now().Add(24 * time.Hour) } // quiet for a day
			if !leases {
				r.fs = withoutLeases(r.fs)
			}
			for range 3 {
				rep, err := housekeep(r, t.Context(), tight)
				if err != nil || rep.Busy != 1 || len(rep.Done) > 0 || rep.Again == 0 {
					t.Fatalf("leases %v: %+v, %v", leases, rep, err)
				}
				rt.write(10)
			}
			rt.wantLines(r, 0)
			if _, err := r.Rotate(t.Context(), request(1<<40)); err != nil {
				t.Fatal(err)
			}
			rt.live()
			if rt.tail != nil && leases { // containerd has not closed it yet
				if rep, err := housekeep(r, t.Context(), tight); err != nil || rep.Busy != 1 {
					t.Fatalf("%+v, %v", rep, err)
				}
			}
			rt.write(1)
			tidy(t, r, tight)
			wantNames(t, root, "0.log")
		}
	}
}

func withoutLeases(inner podlogs.FS) podlogs.FS {
	return hookFS{FS: inner, hook: func(op, _ string) error {
		if op == "lease" {
			return unix.EACCES
		}
		return nil
	}}
}

// TestWithoutLeases: age decides.
func TestWithoutLeases(t *testing.T) {
	root := t.TempDir()
	place(t, root, "0.log.20260101-000001", someLines(0, 10))
	place(t, root, "0.log.20260101-000002", []byte("content"))
	place(t, root, "0.log", nil)
	r := newRotator(root, nil)
	r.fs = withoutLeases(r.fs)
	late := time.Duration(0)
	r.now = func() time.Time { return time.Now().Add(late) }
	rep, err := housekeep(r, t.Context(), keepAll)
	if err != nil || rep.Busy != 1 || len(rep.Done) > 0 {
		t.Fatalf("just changed: %+v, %v", rep, err)
	}
	late = unprovenAge + time.Second
	tidy(t, r, keepAll)
	wantNames(t, root, "0.log", "0.log.20260101-000001.gz", "0.log.20260101-000002")
}

func TestNoSpace(t *testing.T) {
	for _, errno := range []error{unix.ENOSPC, unix.EDQUOT} {
		for _, at := range []string{"create", "write", "short write", "sync", "close", "rename"} {
			errno := errno
			if op, short := strings.CutPrefix(at, "short "); short {
				at, errno = op, errShort
			}
			root := t.TempDir()
			for i := range 5 {
				place(t, root, "0.log.20260101-00000"+strconv.Itoa(i), someLines(i*1000, 1000))
			}
			place(t, root, "0.log", nil)
			r := newRotator(root, nil)
			tries := 0
			r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
				if op == at && strings.HasSuffix(name, ".tmp") {
					tries++
					return errno
				}
				return nil
			}}
			rep, err := housekeep(r, t.Context(), Policy{MaxFiles: 5, Codec: podlogs.Gzip})
			if err == nil || !rep.NoSpace || rep.Again != errorPause || tries != 1 {
				t.Fatalf("%v at %s: %+v after %d tries: %v", errno, at, rep, tries, err)
			}
			if got := did(rep); !strings.HasPrefix(got, "prune 0.log.20260101-000000 ") || strings.Contains(got, "compress") {
				t.Fatalf("did %s", got)
			}
			wantNames(t, root, "0.log", "0.log.20260101-000001", "0.log.20260101-000002", "0.log.20260101-000003", "0.log.20260101-000004")
		}
	}
}

// TestReconcile: a source with a .gz beside it, of all kinds.
func TestReconcile(t *testing.T) {
	content := someLines(0, 20_000)
	whole := gzipped(t, content)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 4
	sum := bytes.Clone(whole)
	sum[len(sum)-6] ^= 1
	other := bytes.Clone(content)
	other[len(other)-2] ^= 1
	for name, tt := range map[string]struct {
		gz   []byte
		good bool
	}{
		"whole":             {whole, true},
		"in two members":    {append(gzipped(t, content[:1000]), gzipped(t, content[1000:])...), true},
		"empty":             {nil, false},
		"no header":         {[]byte("plain text, not gzip at all"), false},
		"header only":       {whole[:10], false},
		"truncated":         {whole[:len(whole)-1], false},
		"half":              {whole[:len(whole)/2], false},
		"bit flip":          {flipped, false},
		"wrong checksum":    {sum, false},
		"last byte differs": {gzipped(t, other), false},
		"shorter":           {gzipped(t, content[:len(content)-1]), false},
		"longer":            {gzipped(t, append(bytes.Clone(content), 'x')), false},
		"garbage behind":    {append(bytes.Clone(whole), "garbage"...), false},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			place(t, root, "0.log.20260101-000001", content)
			place(t, root, "0.log.20260101-000001.gz", tt.gz)
			place(t, root, "0.log.20260101-000002", []byte("content"))
			place(t, root, "0.log", nil)
			r := newRotator(root, nil)
			rep, err := housekeep(r, t.Context(), keepAll)
			if err != nil || (rep.Again == 0) != tt.good {
				t.Fatalf("%+v, %v", rep, err)
			}
			if tt.good {
				wantNames(t, root, "0.log", "0.log.20260101-000001.gz", "0.log.20260101-000002")
			} else {
				wantNames(t, root, "0.log", "0.log.20260101-000001", "0.log.20260101-000002")
			}
			tidy(t, r, keepAll)
			if !bytes.Equal(decompressed(t, r, "0.log.20260101-000001.gz"), content) {
				t.Error("the .gz holds something else")
			}
		})
	}
}

// TestChanged: a source that is written to while it is read is kept whole.
func TestChanged(t *testing.T) {
	source := "0.log.20260101-000001"
	for name, tt := range map[string]struct {
		op, name  string
		nth       int
		reconcile bool
	}{
		"compress, before it is read":    {op: "create", name: source + ".tmp", nth: 1},
		"compress, behind its end":       {op: "set-mtime", name: source + ".tmp", nth: 1},
		"compress, at the last moment":   {op: "fstat", name: source, nth: 3},
		"compare, at the last moment":    {op: "fstat", name: source, nth: 3, reconcile: true},
		"compare, while the .gz is read": {op: "read", name: source + ".gz", nth: 1, reconcile: true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := place(t, root, source, someLines(0, 10))
			place(t, root, "0.log.20260101-000002", []byte("content"))
			if tt.reconcile {
				place(t, root, source+".gz", gzipped(t, someLines(0, 10)))
			}
			seen := 0
			r := newRotator(root, nil)
			plain := r.fs
			r.fs = hookFS{FS: plain, hook: func(op, name string) error {
				if op == tt.op && name == tt.name {
					seen++
					if seen == tt.nth {
						return appendTo(path, someLines(10, 1))
					}
				}
				return nil
			}}
			rep, err := housekeep(r, t.Context(), keepAll)
			if seen < tt.nth || rep.Again == 0 || tt.op != "read" && !errors.Is(err, errChanged) {
				t.Fatalf("%+v, %v; seen %d", rep, err, seen)
			}
			if !bytes.Equal(decompressed(t, r, source), someLines(0, 11)) {
				t.Fatal("the source is gone, or not what it was")
			}
			r.fs = plain
			tidy(t, r, keepAll)
			wantNames(t, root, "0.log.20260101-000001.gz", "0.log.20260101-000002")
			if !bytes.Equal(decompressed(t, r, source+".gz"), someLines(0, 11)) {
				t.Error("the .gz holds something else")
			}
		})
	}
}

func appendTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
