package logs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// looker is a source that a test drives by hand.
type looker struct {
	*source
	tree  *tree
	notes []string
	out   []string
}

func newLooker(t *testing.T, tr *tree) *looker {
	t.Helper()
	root, err := openRoot(tr.dir("app"))
	if err != nil {
		t.Fatal(err)
	}
	o := tr.options()
	o.Follow = true
	l := &looker{tree: tr}
	l.source = &source{Options: &o, name: "app", dir: root, floor: &generation{}, buf: make([]byte, blockSize)}
	l.note = func(_ bool, format string, _ ...any) { l.notes = append(l.notes, format) }
	l.lines = newLines(selection{}, func(r *crilog.Line) { l.out = append(l.out, string(r.Content)) })
	l.lines.foreign, l.lines.resumed = l.foreign, l.resumed
	if err := l.snapshot(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if l.from == nil {
			l.cur = nil
		}
		l.closeFiles()
	})
	return l
}

// rename renames a log, and writes another in its place.
func (l *looker) rename(from, to, text string) {
	l.tree.t.Helper()
	dir := l.tree.dir("app")
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		l.tree.t.Fatal(err)
	}
	if text != "" {
		l.tree.write("app", from, text)
	}
}

func (l *looker) remove(names ...string) {
	l.tree.t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(l.tree.dir("app"), name)); err != nil {
			l.tree.t.Fatal(err)
		}
	}
}

// next begins with the next generation, and returns under which name it is known.
func (l *looker) next() string {
	l.tree.t.Helper()
	if !l.advance(l.tree.t.Context()) {
		l.tree.t.Fatal("there is no next")
	}
	return l.cur.name(l.cur.file.kind)
}

const (
	first  = "0.log.20260101-000001"
	second = "0.log.20260101-000002"
	third  = "0.log.20260101-000003"
	fourth = "0.log.20260101-000004"
)

// TestLookCountsWhatVanished: between the generation that is open already and the
// one that is left.
func TestLookCountsWhatVanished(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(0)+"a\n")
	l := newLooker(t, tr)
	if name := l.next(); name != "0.log" {
		t.Fatal(name)
	}
	for i, to := range []string{first, second, third, fourth} {
		l.rename("0.log", to, stamped(i+1)+"b\n")
		l.look(true)
	}
	l.remove(second, third)
	l.look(true)
	if got := l.cur.name(podlogs.Rotated); l.cur.live || got != first {
		t.Errorf("the open log is known as %s", got)
	}
	if name := l.next(); name != fourth || l.missing.files != 2 || l.missing.bytes == 0 || l.missing.maybe {
		t.Errorf("%s: %+v", name, l.missing)
	}
	l.lines.block([]byte(stamped(5) + "c\n"))
	if len(l.notes) != 1 || !strings.Contains(l.notes[0], "gone") {
		t.Errorf("notes %q", l.notes)
	}
	// The rest is there: nothing more is to be told.
	if name := l.next(); name != "0.log" || l.missing != (gap{}) {
		t.Errorf("%s: %+v", name, l.missing)
	}
}

// TestLookUnproven: nothing that was there is there.
func TestLookUnproven(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(0)+"a\n")
	l := newLooker(t, tr)
	l.next()
	l.rename("0.log", first, stamped(1)+"b\n")
	l.rename("0.log", second, stamped(1)+"b\n")
	l.remove(first)
	l.look(true)
	if name := l.next(); name != second || !l.missing.maybe {
		t.Errorf("%s: %+v", name, l.missing)
	}
}

// TestLookRenamedBack: the same log under its old name, and then under a third.
func TestLookRenamedBack(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(0)+"a\n")
	l := newLooker(t, tr)
	l.next()
	l.rename("0.log", first, "")
	l.look(true)
	if l.cur.live || len(l.pending) != 0 {
		t.Errorf("live: %v, then %d", l.cur.live, len(l.pending))
	}
	l.rename(first, "0.log", "")
	l.look(true)
	if !l.cur.live || len(l.pending) != 0 {
		t.Errorf("live: %v, then %d", l.cur.live, len(l.pending))
	}
	l.rename("0.log", second, stamped(1)+"b\n")
	l.look(true)
	if l.cur.live || !l.cur.stamp.Equal(time.Date(2026, 1, 1, 0, 0, 2, 0, time.UTC)) || len(l.pending) != 1 || !l.pending[0].live {
		t.Errorf("%+v, then %d", l.cur.key, len(l.pending))
	}
}

// TestLookCompressedUnseen: it was renamed and compressed between two looks, and is
// not read again.
func TestLookCompressedUnseen(t *testing.T) {
	for _, suffix := range []string{".gz", ".zst"} {
		tr := newTree(t)
		text := strings.Repeat(stamped(0)+"a\n", 1000)
		tr.write("app", "0.log", text)
		l := newLooker(t, tr)
		l.next()
		l.rename("0.log", first, stamped(1)+"b\n")
		tr.write("app", first+suffix, text)
		l.remove(first)
		l.look(true)
		if l.cur.live || len(l.pending) != 1 || !l.pending[0].live || l.pending[0].gap != (gap{}) {
			t.Errorf("%s: %+v, then %d", suffix, l.cur.key, len(l.pending))
		}
	}
}

// TestLostTail: what was to be skipped of a generation goes with it.
func TestLostTail(t *testing.T) {
	tr := newTree(t)
	tr.write("app", first, stamped(0)+"a\n")
	tr.write("app", "0.log", stamped(1)+"b\n")
	l := newLooker(t, tr)
	l.skip = 1
	l.remove(first)
	if name := l.next(); name != "0.log" || l.skip != 0 || l.missing.files != 1 {
		t.Errorf("%s: skip %d, %+v", name, l.skip, l.missing)
	}
}

// TestSnapshotOfALogThatIsRotated: whenever the rename comes, the log is there once.
func TestSnapshotOfALogThatIsRotated(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(0)+"a\n")
	stop, stopped := make(chan struct{}), make(chan error)
	dir := tr.dir("app")
	go func() {
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); ; at = at.Add(time.Second) {
			live := filepath.Join(dir, "0.log")
			err := os.Rename(live, live+at.Format(".20060102-150405"))
			if err == nil {
				err = os.WriteFile(live, []byte(stamped(1)+"b\n"), 0o600)
			}
			select {
			case <-stop:
				stopped <- err
				return
			default:
			}
			if err != nil || at.Minute() > 30 {
				<-stop
				stopped <- err
				return
			}
		}
	}()
	for range 20 {
		l := newLooker(t, tr)
		seen := map[id]bool{}
		for i, g := range l.pending {
			if g.file != nil {
				g.id = g.file.id
			}
			if seen[g.id] || (i < len(l.pending)-1 && g.live) {
				t.Errorf("%s is listed twice", g.name(0))
			}
			seen[g.id] = true
		}
	}
	close(stop)
	if err := <-stopped; err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
