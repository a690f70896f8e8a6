package rotator

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// fourRotated is a directory with four rotated logs of ten lines and a live log.
func fourRotated(t *testing.T) (root string, r *Rotator) {
	t.Helper()
	root = t.TempDir()
	for i, s := range []string{"1", "2", "3", "4"} {
		place(t, root, "0.log.20260101-00000"+s, someLines(i*10, 10))
	}
	place(t, root, "0.log", someLines(40, 10))
	return root, newRotator(root, nil)
}

// TestTidyNeitherReadsNorWrites: pruning does not wait for compression, nor for
// reading what must be compressed or reconciled.
func TestTidyNeitherReadsNorWrites(t *testing.T) {
	root, r := fourRotated(t)
	place(t, root, "0.log.20260101-000003.gz", gzipped(t, someLines(20, 10)))
	r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
		if op == "read" || op == "write" || op == "create" {
			t.Errorf("%s %s", op, name)
		}
		return nil
	}}
	rep, err := r.Tidy(t.Context(), container, Policy{MaxFiles: 4, Codec: podlogs.Gzip}, podlogs.Name{})
	if err != nil || !rep.Pending || len(rep.Done) != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	wantNames(t, root, "0.log", "0.log.20260101-000002", "0.log.20260101-000003", "0.log.20260101-000003.gz", "0.log.20260101-000004")
	if rep, err := r.Tidy(t.Context(), container, Policy{MaxFiles: 2, Codec: podlogs.Gzip}, podlogs.Name{}); err != nil || rep.Pending || len(rep.Done) != 3 {
		t.Errorf("nothing to compress: %+v, %v", rep, err)
	}
}

// TestTidyWhileCompressing runs Tidy and Prune at each operation of a Compress,
// as a caller does: with the busy generation, and with one that it has not learned
// of yet. What the policy does not keep is gone in the end, and no line else.
func TestTidyWhileCompressing(t *testing.T) {
	tight, wide := Policy{MaxFiles: 3, Codec: podlogs.Gzip}, Policy{MaxFiles: 9, Codec: podlogs.Gzip}
	for at := 0; ; at++ {
		met := false
		for _, informed := range []bool{true, false} {
			root, r := fourRotated(t)
			place(t, root, "0.log.20260101-000001.gz", gzipped(t, someLines(0, 10))) // one to reconcile
			other := newRotator(root, nil)
			var busy podlogs.Name
			k := 0
			var where string
			r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
				if k++; k != at+1 {
					return nil
				}
				met, where = true, op+" "+name
				known := busy
				if !informed {
					known = podlogs.Name{}
				}
				rep, err := other.Tidy(t.Context(), container, tight, known)
				if err != nil || informed && rep.Blocked != (busy.Kind != 0 && busy.Stamp.Second() < 3) {
					t.Errorf("at %s: %+v, %v", where, rep, err)
				}
				return nil
			}}
			if _, err := r.Compress(t.Context(), container, wide, func(n podlogs.Name) { busy = n }); err != nil {
				t.Errorf("at %s: %v", where, err)
			}
			if busy != (podlogs.Name{}) {
				t.Errorf("busy with %v at the end", busy)
			}
			if lines := readLines(t, other); lines[len(lines)-1] != 49 || lines[0] > 20 {
				t.Fatalf("at %s: lines %v", where, lines)
			}
			tidy(t, other, tight)
			wantNames(t, root, "0.log", "0.log.20260101-000003.gz", "0.log.20260101-000004")
			if lines := readLines(t, other); len(lines) != 30 || lines[0] != 20 {
				t.Fatalf("at %s: lines %v", where, lines)
			}
		}
		if !met {
			if at < 40 {
				t.Errorf("only %d operations", at)
			}
			return
		}
	}
}

// TestTidyBusy: the busy generation's temp is left alone and counts for the total;
// a generation that must be pruned is reported, and the others are pruned.
func TestTidyBusy(t *testing.T) {
	root, r := fourRotated(t)
	for _, s := range []string{"2", "3"} {
		place(t, root, "0.log.20260101-00000"+s+".tmp", make([]byte, 100))
	}
	busy := parseName(t, "0.log.20260101-000002")[0]
	size := int64(len(someLines(0, 10)))
	rep, err := r.Tidy(t.Context(), container, Policy{MaxFiles: 9, MaxTotalSize: 5*size + 99}, busy)
	if err != nil || rep.Blocked {
		t.Errorf("%+v, %v", rep, err)
	}
	wantNames(t, root, "0.log", "0.log.20260101-000002", "0.log.20260101-000002.tmp", "0.log.20260101-000003", "0.log.20260101-000004")
	rep, err = r.Tidy(t.Context(), container, Policy{MaxFiles: 2}, busy)
	if err != nil || !rep.Blocked || len(rep.Done) != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	wantNames(t, root, "0.log", "0.log.20260101-000002", "0.log.20260101-000002.tmp", "0.log.20260101-000004")
	rep, err = r.Prune(t.Context(), container, parseName(t, "0.log.20260101-000002", "0.log.20260101-000004"), busy, Read{})
	if err != nil || !rep.Blocked || len(rep.Done) != 0 {
		t.Errorf("Prune: %+v, %v", rep, err)
	}
	if rep, err = r.Tidy(t.Context(), container, Policy{MaxFiles: 2}, podlogs.Name{}); err != nil || rep.Blocked {
		t.Errorf("%+v, %v", rep, err)
	}
	wantNames(t, root, "0.log", "0.log.20260101-000004")
}

// TestCompressCanceled: in the middle of a file; that is not an error, and there
// is more to do.
func TestCompressCanceled(t *testing.T) {
	root, r := fourRotated(t)
	ctx, cancel := context.WithCancel(t.Context())
	var begun []string
	rep, err := r.Compress(ctx, container, keepAll, func(n podlogs.Name) {
		begun = append(begun, n.String())
		if len(begun) == 2 {
			cancel()
		}
	})
	if err != nil || !rep.Pending || len(rep.Done) != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	if want := []string{"0.log.20260101-000001", "0.log.20260101-000002", ""}; !slices.Equal(begun, want) {
		t.Errorf("begun %q, want %q", begun, want)
	}
	wantNames(t, root, "0.log", "0.log.20260101-000001.gz", "0.log.20260101-000002", "0.log.20260101-000003", "0.log.20260101-000004")
}

// TestCompressSkipsWhatWasPruned: begin is the caller's last word before a file.
func TestCompressSkipsWhatWasPruned(t *testing.T) {
	root, r := fourRotated(t)
	rep, err := r.Compress(t.Context(), container, keepAll, func(n podlogs.Name) {
		if n.Kind != 0 && n.Stamp.Second() == 2 {
			if err := os.Remove(filepath.Join(root, container, n.String())); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || rep.Busy != 0 || len(rep.Done) != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	wantNames(t, root, "0.log", "0.log.20260101-000001.gz", "0.log.20260101-000003.gz", "0.log.20260101-000004")
}

// TestTidyEmptyRotated: what a crash before the exchange leaves is removed; what
// is open for writing, or gets content, is not.
func TestTidyEmptyRotated(t *testing.T) {
	root, r := fourRotated(t)
	for _, s := range []string{"5", "6", "7"} {
		place(t, root, "0.log.20260101-00000"+s, nil)
	}
	open, err := os.OpenFile(filepath.Join(root, container, "0.log.20260101-000006"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.fs = before(r.fs, "lease", "0.log.20260101-000007", 1, func() {
		if err := appendTo(filepath.Join(root, container, "0.log.20260101-000007"), someLines(50, 1)); err != nil {
			t.Error(err)
		}
	})
	// Recent ones may belong to a rotation under way: they stay.
	if rep, err := r.Tidy(t.Context(), container, keepAll, podlogs.Name{}); err != nil || len(rep.Done) > 0 || rep.Again == 0 || rep.Again > unprovenAge {
		t.Errorf("recent ones: %+v, %v", rep, err)
	}
	r.now = func() time.Time { return time.Now().Add(2 * unprovenAge) }
	rep, err := r.Tidy(t.Context(), container, keepAll, podlogs.Name{})
	if !errors.Is(err, errChanged) || rep.Busy != 1 || len(rep.Done) != 1 || rep.Again == 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	if got := ls(t, root); slices.Contains(got, "0.log.20260101-000005") || !slices.Contains(got, "0.log.20260101-000006") || !slices.Contains(got, "0.log.20260101-000007") {
		t.Errorf("files: %q", got)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	tidy(t, r, keepAll)
	if got := strings.Join(ls(t, root), " "); strings.Contains(got, "000006") {
		t.Errorf("files: %s", got)
	}
}

// TestTotalHolds fills a live log at limits of all kinds, and calls Tidy as a
// caller does: after a rotation, and when everything together crosses the total.
func TestTotalHolds(t *testing.T) {
	const size, line = 4000, 41
	for _, total := range []int64{size, size * 3 / 2, 2 * size, 5 * size} {
		root := t.TempDir()
		rt := newRuntime(t, root, true)
		r := newRotator(root, rt)
		limit := EffectiveLimit(size, total)
		p := Policy{MaxFiles: 5, MaxTotalSize: total, Limit: limit}
		sum := func() (all, live int64) {
			for _, name := range ls(t, root) {
				fi, err := os.Lstat(filepath.Join(root, container, name))
				if err != nil {
					t.Fatal(err)
				}
				if all += fi.Size(); name == "0.log" {
					live = fi.Size()
				}
			}
			return all, live
		}
		tidied := 0
		for range 20 * size / line {
			rt.write(1)
			all, live := sum()
			if live >= limit {
				if _, err := r.Rotate(t.Context(), request(limit)); err != nil {
					t.Fatal(err)
				}
			}
			if live >= limit || all >= total {
				tidied++
				if _, err := r.Tidy(t.Context(), container, p, podlogs.Name{}); err != nil {
					t.Fatal(err)
				}
			}
			if all, _ := sum(); all > total {
				t.Fatalf("total %d: %d bytes", total, all)
			}
		}
		if all, _ := sum(); all < total/2 {
			t.Errorf("total %d: only %d bytes are kept", total, all)
		}
		if tidied > 100 { // 20 to 40 rotations
			t.Errorf("total %d: %d calls of Tidy", total, tidied)
		}
	}
	if EffectiveLimit(100, 0) != 100 || EffectiveLimit(0, 100) != 0 || EffectiveLimit(100, 1) != 1 {
		t.Error("EffectiveLimit")
	}
}

// TestPrunedWhileCompressing: a generation that a Prune does not know to be busy
// does not come back as a .gz; at the last moment it does, and is then pruned soon.
func TestPrunedWhileCompressing(t *testing.T) {
	for op, back := range map[string]bool{"create": false, "write": false, "close": false, "sync-dir": true} {
		root, r := fourRotated(t)
		on := map[string]string{"create": ".tmp", "write": ".tmp", "close": ".tmp"}[op]
		if on != "" {
			on = "0.log.20260101-000001" + on
		}
		other := newRotator(root, nil)
		r.fs = before(r.fs, op, on, 1, func() {
			// Not its temp, as a Prune that looked a moment earlier.
			if err := os.Remove(filepath.Join(root, container, "0.log.20260101-000001")); err != nil {
				t.Error(err)
			}
		})
		rep, err := r.Compress(t.Context(), container, keepAll, func(podlogs.Name) {})
		if err != nil || len(rep.Done) != 2 || (rep.Again == busyPause) != back {
			t.Errorf("%s: %+v, %v", op, rep, err)
		}
		names := ls(t, root)
		if slices.Contains(names, "0.log.20260101-000001.gz") != back || slices.Contains(names, "0.log.20260101-000001.tmp") {
			t.Errorf("%s: files %q", op, names)
		}
		tidy(t, other, Policy{MaxFiles: 4})
		wantNames(t, root, "0.log", "0.log.20260101-000002.gz", "0.log.20260101-000003.gz", "0.log.20260101-000004")
	}
}
