package rotator

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// logNames parses names that stand in one line.
func logNames(t testing.TB, line string) (names []podlogs.Name) {
	t.Helper()
	for s := range strings.FieldsSeq(line) {
		n, ok := podlogs.ParseName(s)
		if !ok {
			t.Fatalf("%q is not a log's name", s)
		}
		names = append(names, n)
	}
	return names
}

const (
	first, second, third = "0.log.20260101-000001", "0.log.20260101-000002", "0.log.20260101-000003"
)

func TestPruneRemovesJustThese(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"0.log", first, second + ".gz", third, "1.log", "1.log.20260101-000001.zst", "foreign", first + ".orig",
	} {
		place(t, root, name, []byte("12345"))
	}
	r := newRotator(root, nil)
	rep, err := r.Prune(t.Context(), container, logNames(t, second+".gz 1.log.20260101-000001.zst "+first+" "+first), podlogs.Name{}, Read{})
	if err != nil || rep.Busy != 0 || rep.Again != 0 {
		t.Errorf("Prune = %+v, %v", rep, err)
	}
	var done []string
	for _, s := range rep.Done {
		if s.Action != Prune || s.Reason != ByPressure || s.Size != 5 {
			t.Errorf("step %+v", s)
		}
		done = append(done, s.Name.String())
	}
	if want := []string{first, second + ".gz", "1.log.20260101-000001.zst"}; !slices.Equal(done, want) {
		t.Errorf("removed %q, want %q", done, want)
	}
	if got, want := ls(t, root), []string{"0.log", first + ".orig", third, "1.log", "foreign"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

// TestPruneTakesTheGeneration: what was planned as one kind may be another by
// now.
func TestPruneTakesTheGeneration(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"0.log", first + ".gz", second, second + ".gz", second + ".tmp", third} {
		place(t, root, name, []byte("12345"))
	}
	rep, err := newRotator(root, nil).Prune(t.Context(), container, logNames(t, first+" "+second), podlogs.Name{}, Read{})
	if err != nil || len(rep.Done) != 4 || rep.Done[3].Name.String() != second {
		t.Errorf("Prune = %+v, %v; want the source of the second last", rep.Done, err)
	}
	if got, want := ls(t, root), []string{"0.log", third}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

func TestPruneRefusesLiveLogs(t *testing.T) {
	root := t.TempDir()
	place(t, root, "0.log", nil)
	place(t, root, first, []byte("content"))
	for _, bad := range []podlogs.Name{logNames(t, "0.log")[0], {}, {Base: "0.log", Kind: podlogs.Temp + 1}} {
		rep, err := newRotator(root, nil).Prune(t.Context(), container, append(logNames(t, first), bad), podlogs.Name{}, Read{})
		if err == nil || !strings.Contains(err.Error(), "not a rotated log") || len(rep.Done) > 0 {
			t.Errorf("%+v: %+v, %v", bad, rep, err)
		}
	}
	if got := ls(t, root); len(got) != 2 {
		t.Errorf("left %q", got)
	}
}

// TestPruneLeavesNoHole: what is open for writing stays, and what is newer with it.
func TestPruneLeavesNoHole(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"0.log", first, second, third, "1.log.20260101-000001"} {
		place(t, root, name, []byte("12345"))
	}
	writer, err := os.OpenFile(filepath.Join(root, container, second), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := newRotator(root, nil)
	all := logNames(t, first+" "+second+" "+third+" 1.log.20260101-000001")
	rep, err := r.Prune(t.Context(), container, all, podlogs.Name{}, Read{})
	if err != nil || rep.Busy != 1 || len(rep.Done) != 2 || rep.Again == 0 {
		t.Errorf("Prune = %+v, %v", rep, err)
	}
	if got, want := ls(t, root), []string{"0.log", second, third}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := r.Prune(t.Context(), container, all, podlogs.Name{}, Read{}); err != nil || len(rep.Done) != 2 {
		t.Errorf("Prune again = %+v, %v", rep, err)
	}
}

// TestPruneRemovesNamesOnly: whatever a link leads to stays.
func TestPruneRemovesNamesOnly(t *testing.T) {
	for what, make := range intruders() {
		t.Run(what, func(t *testing.T) {
			root, outside := t.TempDir(), secret(t, "secret")
			place(t, root, "0.log", nil)
			if err := make(filepath.Join(root, container, first), outside); err != nil {
				t.Fatal(err)
			}
			rep, err := newRotator(root, nil).Prune(t.Context(), container, logNames(t, first), podlogs.Name{}, Read{})
			if err != nil {
				t.Fatal(err)
			}
			left := 1
			if what == "directory" {
				left = 2
			}
			if got := ls(t, root); len(got) != left {
				t.Errorf("left %q", got)
			}
			for _, s := range rep.Done {
				if s.Size != 0 {
					t.Errorf("it says that %s freed %d bytes", s.Name, s.Size)
				}
			}
		})
	}
}

func TestPruneOfWhatIsGone(t *testing.T) {
	root := t.TempDir()
	r := newRotator(root, nil)
	rep, err := r.Prune(t.Context(), container, logNames(t, first), podlogs.Name{}, Read{})
	if err != nil || len(rep.Done) > 0 {
		t.Errorf("no directory: %+v, %v", rep, err)
	}
	place(t, root, "0.log", nil)
	rep, err = r.Prune(t.Context(), container, logNames(t, first), podlogs.Name{}, Read{})
	if err != nil || len(rep.Done) > 0 {
		t.Errorf("no file: %+v, %v", rep, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	place(t, root, first, []byte("content"))
	if _, err := r.Prune(ctx, container, logNames(t, first), podlogs.Name{}, Read{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	if got := ls(t, root); len(got) != 2 {
		t.Errorf("left %q", got)
	}
}

// TestPruneWithFaults fails each operation in turn: what is left is the end of
// the lines, whole, and the next run does the rest.
func TestPruneWithFaults(t *testing.T) {
	for at := 0; ; at++ {
		root := t.TempDir()
		rt := newRuntime(t, root, false)
		rt.stop()
		for i, name := range []string{first, second, third} {
			place(t, root, name, someLines(i*10, 10))
		}
		place(t, root, second+".gz", gzipped(t, someLines(10, 10)))
		f := &faults{at: at, err: unix.EIO}
		broken := newRotator(root, nil)
		broken.fs = hookFS{FS: broken.fs, hook: f.hook}
		_, err := broken.Prune(t.Context(), container, logNames(t, first+" "+second), podlogs.Name{}, Read{})
		if f.met == "" {
			if err != nil {
				t.Errorf("no fault, and yet: %v", err)
			}
			return
		}
		r := newRotator(root, nil)
		got := readLines(t, r)
		if n := len(got); n%10 != 0 || got[0] != 30-n || got[n-1] != 29 {
			t.Errorf("%s: left %v", f.met, got)
		}
		if _, err := r.Prune(t.Context(), container, logNames(t, first+" "+second), podlogs.Name{}, Read{}); err != nil {
			t.Errorf("%s: then %v", f.met, err)
		}
		if got := readLines(t, r); len(got) != 10 || got[0] != 20 {
			t.Errorf("%s: the next run left %v", f.met, got)
		}
	}
}

func TestFiles(t *testing.T) {
	root := t.TempDir()
	r := newRotator(root, nil)
	if _, err := podlogs.ListDir(r.fs, container, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	for _, name := range []string{"1.log", second, first + ".gz", "0.log", "foreign", third + ".tmp"} {
		place(t, root, name, []byte("12345"))
	}
	if err := os.Symlink("0.log", filepath.Join(root, container, third)); err != nil {
		t.Fatal(err)
	}
	files, err := podlogs.ListDir(r.fs, container, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name.String())
		if f.Regular != (f.Name.String() != third) || (f.Regular && f.Size != 5) {
			t.Errorf("%+v", f)
		}
	}
	if want := []string{first + ".gz", second, third, third + ".tmp", "0.log", "1.log"}; !slices.Equal(got, want) {
		t.Errorf("Files = %q, want %q", got, want)
	}
}
