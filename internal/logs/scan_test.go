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

// scanner is a source that a test drives by hand.
type scanner struct {
	*source
	tree     *tree
	warnings []string
	out      []string
}

func newScanner(t *testing.T, tr *tree) *scanner {
	t.Helper()
	fs := podlogs.At(tr.root)
	dir, err := fs.OpenDir("shop_web_u1/app")
	if err != nil {
		t.Fatal(err)
	}
	o := tr.options()
	o.Follow = true
	l := &scanner{tree: tr}
	l.source = &source{Options: &o, name: "app", rel: "shop_web_u1/app", fs: fs, dir: dir, floor: &generation{}, buf: make([]byte, blockSize)}
	l.warn = func(_ bool, format string, _ ...any) { l.warnings = append(l.warnings, format) }
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
func (l *scanner) rename(from, to, text string) {
	l.tree.t.Helper()
	dir := l.tree.dir("app")
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		l.tree.t.Fatal(err)
	}
	if text != "" {
		l.tree.write("app", from, text)
	}
}

func (l *scanner) remove(names ...string) {
	l.tree.t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(l.tree.dir("app"), name)); err != nil {
			l.tree.t.Fatal(err)
		}
	}
}

// next begins with the next generation, and returns under which name it is known.
func (l *scanner) next() string {
	l.tree.t.Helper()
	if !l.advance(l.tree.t.Context()) {
		l.tree.t.Fatal("there is no next")
	}
	return l.cur.As(l.cur.file.Kind).String()
}

const (
	first  = "0.log.20260101-000001"
	second = "0.log.20260101-000002"
	third  = "0.log.20260101-000003"
	fourth = "0.log.20260101-000004"
)

// TestScanCountsWhatVanished: between the generation that is open already and the
// one that is left.
func TestScanCountsWhatVanished(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(0)+"a\n")
	l := newScanner(t, tr)
	if name := l.next(); name != "0.log" {
		t.Fatal(name)
	}
	for i, to := range []string{first, second, third, fourth} {
		l.rename("0.log", to, stamped(i+1)+"b\n")
		l.scan(true)
	}
	l.remove(second, third)
	l.scan(true)
	if got := l.cur.String(); l.cur.Kind == podlogs.Live || got != first {
		t.Errorf("the open log is known as %s", got)
	}
	if name := l.next(); name != fourth || l.missing.files != 2 || l.missing.bytes == 0 || l.missing.maybe {
		t.Errorf("%s: %+v", name, l.missing)
	}
	l.lines.block([]byte(stamped(5) + "c\n"))
	if len(l.warnings) != 1 || !strings.Contains(l.warnings[0], "gone") {
		t.Errorf("warnings %q", l.warnings)
	}
	// The rest exists: there is nothing more to report.
	if name := l.next(); name != "0.log" || l.missing != (gap{}) {
		t.Errorf("%s: %+v", name, l.missing)
	}
}

// TestScanUnproven: nothing that was there is there.
func TestScanUnproven(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(0)+"a\n")
	l := newScanner(t, tr)
	l.next()
	l.rename("0.log", first, stamped(1)+"b\n")
	l.rename("0.log", second, stamped(1)+"b\n")
	l.remove(first)
	l.scan(true)
	if name := l.next(); name != second || !l.missing.maybe {
		t.Errorf("%s: %+v", name, l.missing)
	}
}

// TestScanRenamedBack: the same log under its old name, and then under a third.
func TestScanRenamedBack(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(0)+"a\n")
	l := newScanner(t, tr)
	l.next()
	l.rename("0.log", first, "")
	l.scan(true)
	if l.cur.Kind == podlogs.Live || len(l.pending) != 0 {
		t.Errorf("live: %v; then %d", l.cur.Kind == podlogs.Live, len(l.pending))
	}
	l.rename(first, "0.log", "")
	l.scan(true)
	if l.cur.Kind != podlogs.Live || len(l.pending) != 0 {
		t.Errorf("live: %v; then %d", l.cur.Kind == podlogs.Live, len(l.pending))
	}
	l.rename("0.log", second, stamped(1)+"b\n")
	l.scan(true)
	if l.cur.Kind == podlogs.Live || !l.cur.Stamp.Equal(time.Date(2026, 1, 1, 0, 0, 2, 0, time.UTC)) || len(l.pending) != 1 || l.pending[0].Kind != podlogs.Live {
		t.Errorf("%+v, then %d", l.cur.Name, len(l.pending))
	}
}

// TestScanCompressedUnseen: it was renamed and compressed between two looks, and is
// not read again.
func TestScanCompressedUnseen(t *testing.T) {
	for _, suffix := range suffixes[1:] {
		tr := newTree(t)
		text := strings.Repeat(stamped(0)+"a\n", 1000)
		tr.write("app", "0.log", text)
		l := newScanner(t, tr)
		l.next()
		l.rename("0.log", first, stamped(1)+"b\n")
		tr.write("app", first+suffix, text)
		l.remove(first)
		l.scan(true)
		if l.cur.Kind == podlogs.Live || len(l.pending) != 1 || l.pending[0].Kind != podlogs.Live || l.floor.behind != (gap{}) {
			t.Errorf("%s: %+v, then %d", suffix, l.cur.Name, len(l.pending))
		}
	}
}

// TestLostTail: lines that would have been skipped are lost with their generation.
func TestLostTail(t *testing.T) {
	tr := newTree(t)
	tr.write("app", first, stamped(0)+"a\n")
	tr.write("app", "0.log", stamped(1)+"b\n")
	l := newScanner(t, tr)
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
		l := newScanner(t, tr)
		seen := map[podlogs.ID]bool{}
		for i, g := range l.pending {
			if g.file != nil {
				g.id = g.file.ID
			}
			if seen[g.id] || (i < len(l.pending)-1 && g.Kind == podlogs.Live) {
				t.Errorf("%s is listed twice", g.Name)
			}
			seen[g.id] = true
		}
	}
	close(stop)
	if err := <-stopped; err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
