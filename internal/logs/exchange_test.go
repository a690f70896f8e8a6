package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// exchange exchanges the container's live log and another of its files.
func (l *scanner) exchange(b string) {
	l.tree.t.Helper()
	dir := l.tree.dir("app")
	if err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "0.log"), unix.AT_FDCWD, filepath.Join(dir, b), unix.RENAME_EXCHANGE); err != nil {
		l.tree.t.Fatal(err)
	}
}

// openLog opens one of the container's files as the runtime does.
func (tr *tree) openLog(name string) *os.File {
	tr.t.Helper()
	if err := os.MkdirAll(tr.dir("app"), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(tr.dir("app"), name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { _ = f.Close() }) // the test may have closed it
	return f
}

func (tr *tree) append(f *os.File, text string) {
	tr.t.Helper()
	if _, err := f.WriteString(text); err != nil {
		tr.t.Fatal(err)
	}
}

// all reads what the scanner's current generation and those after it have now.
func (l *scanner) all() string {
	l.tree.t.Helper()
	for l.cur != nil || len(l.pending) > 0 {
		if l.cur == nil && !l.advance(l.tree.t.Context()) {
			break
		}
		for p, _ := l.from.next(); len(p) > 0; p, _ = l.from.next() {
			l.lines.block(p)
		}
		if l.scan(true); len(l.pending) == 0 || l.openForWrite() {
			break
		}
		l.leave()
		l.cur = nil
	}
	return strings.Join(l.out, " ")
}

// TestScanExchange: at each step of a rotation, and however many steps there are
// between two scans, each line is read once, in order.
func TestScanExchange(t *testing.T) {
	for _, conmon := range []bool{false, true} {
		for _, behind := range []bool{false, true} {
			for scans := range 1 << 5 {
				t.Run(fmt.Sprintf("conmon %v, behind %v, scans %05b", conmon, behind, scans), func(t *testing.T) {
					scanExchange(t, conmon, behind, scans)
				})
			}
		}
	}
}

func scanExchange(t *testing.T, conmon, behind bool, scans int) {
	tr := newTree(t)
	tr.write("app", first, stamped(0)+"0\n")
	old := tr.openLog("0.log")
	tr.append(old, stamped(1)+"a\n")
	l := newScanner(t, tr)
	if l.next(); !behind { // else it has begun with the oldest only
		l.next()
	}
	fresh := old
	for i, step := range []func(){
		func() { tr.write("app", second, "") },
		func() { l.exchange(second) },
		func() { tr.append(old, stamped(2)+"b\n") },
		func() {
			if fresh = tr.openLog("0.log"); conmon {
				fresh = tr.openLog("0.log.tmp")
				l.rename("0.log.tmp", "0.log", "")
			}
			tr.append(fresh, stamped(4)+"d\n")
		},
		func() { tr.append(old, stamped(3)+"c\n") },
	} {
		if step(); scans>>i&1 == 1 {
			l.scan(true)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	// Another rotation, seen or not, after which the first rotated log is compressed.
	tr.write("app", third, "")
	l.exchange(third)
	tr.write("app", second+".gz", stamped(1)+"a\n"+stamped(2)+"b\n"+stamped(3)+"c\n")
	l.remove(second)
	if err := fresh.Close(); err != nil {
		t.Fatal(err)
	}
	live := tr.openLog("0.log")
	tr.append(live, stamped(5)+"e\n")
	want := "0 a b c d e"
	if !behind {
		want = want[2:]
	}
	if got := l.all(); got != want || len(l.warnings) > 0 {
		t.Errorf("read %q, want %q; warnings %q", got, want, l.warnings)
	}
}

// TestReopenFails: the runtime goes on in the rotated log, for as long as it does
// not reopen, and the live log is empty.
func TestReopenFails(t *testing.T) {
	tr := newTree(t)
	old := tr.openLog("0.log")
	tr.append(old, stamped(1)+"a\n")
	l := newScanner(t, tr)
	l.next()
	tr.write("app", first, "")
	l.exchange(first)
	l.scan(true)
	l.follow.quiet = time.Now().Add(-time.Hour)
	if !l.openForWrite() {
		t.Error("the rotated log is left while the runtime writes it")
	}
	// It stays with it though another rotation makes one more empty log.
	tr.append(old, stamped(2)+"b\n")
	o := tr.options()
	if got := tr.must(o); got != "a\nb\n" {
		t.Errorf("printed %q", got)
	}
	if o.Tail = 1; tr.must(o) != "b\n" {
		t.Errorf("tail of 1: %q", tr.must(o))
	}
	live := tr.openLog("0.log")
	tr.append(live, stamped(4)+"d\n")
	tr.append(old, stamped(3)+"c\n")
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if got := l.all(); got != "a b c d" || len(l.warnings) > 0 {
		t.Errorf("read %q, warnings %q", got, l.warnings)
	}
}

// TestLeftOpen: another process keeps a rotated log open for writing.
func TestLeftOpen(t *testing.T) {
	tr := newTree(t)
	tr.openLog("0.log")
	l := newScanner(t, tr)
	l.next()
	l.rename("0.log", first, stamped(1)+"a\n")
	l.scan(true)
	if l.follow.quiet = time.Now(); !l.openForWrite() {
		t.Error("left at once")
	}
	if l.follow.quiet = time.Now().Add(-time.Hour); l.openForWrite() || len(l.warnings) != 1 {
		t.Errorf("not left; warnings %q", l.warnings)
	}
}

// TestExchangeReverted: the container is proved not to run, and the log gets its
// name back, also after the reader has left it for the empty one.
func TestExchangeReverted(t *testing.T) {
	for _, left := range []bool{false, true} {
		tr := newTree(t)
		tr.write("app", "0.log", stamped(1)+"a\n")
		l := newScanner(t, tr)
		l.next()
		tr.write("app", first, "")
		l.exchange(first)
		if left {
			if got := l.all(); got != "a" {
				t.Fatalf("read %q", got)
			}
		} else {
			l.scan(true)
		}
		l.exchange(first)
		l.scan(true)
		l.remove(first)
		l.scan(true)
		if got := l.all(); got != "a" || len(l.warnings) > 0 {
			t.Errorf("left %v: read %q, warnings %q", left, got, l.warnings)
		}
		tr.write("app", "1.log", stamped(2)+"b\n")
		l.scan(true)
		if got := l.all(); got != "a b" || len(l.warnings) > 0 {
			t.Errorf("left %v: read %q, warnings %q", left, got, l.warnings)
		}
	}
}

// TestReadsWhileExchanged: what Run prints without Follow is all that was there when
// it began, and nothing twice, while the log is rotated all the time.
func TestReadsWhileExchanged(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			c := tr.container()
			c.form = form
			c.write(100)
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for range 2000 {
					select {
					case <-stop:
						return
					default:
					}
					c.write(1 + c.r.IntN(30))
					c.rotate(10_000, nil)
				}
			}()
			for range 15 {
				c.mu.Lock()
				least := c.last - 5 // some lines are still to be written to the old log
				c.mu.Unlock()
				out, warnings, err := tr.read(tr.options())
				n := strings.Count(out, "\n")
				if err != nil || warnings != "" || n < least {
					t.Errorf("%d lines of %d, %v\n%s", n, least, err, warnings)
				}
				// The last line may be in two parts, one of which is missing.
				lines := strings.SplitAfter(out, "\n")
				differ(t, strings.Join(lines[:max(0, len(lines)-2)], ""), allLines(1, n-1))
			}
			close(stop)
			<-stopped
		})
	}
}

// renamedInList is a directory whose live log is renamed while it is listed.
type renamedInList struct {
	podlogs.Dir
	log     string
	renamed bool
}

func (d *renamedInList) Stat(name string) (podlogs.Stat, error) {
	if name == d.log && !d.renamed {
		d.renamed = true
		if err := d.Rename(name, name+first[len("0.log"):]); err != nil {
			return podlogs.Stat{}, err
		}
	}
	return d.Dir.Stat(name)
}

// TestRenamedInList: kubelet renames a container's only log between the reading of its name
// and of its size.
func TestRenamedInList(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(1)+"a\n")
	tr.write("app", "1.log", stamped(2)+"b\n")
	for _, log := range []string{"0.log", "1.log"} {
		dir, err := podlogs.At(tr.root).OpenDir("shop_web_u1/app")
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close() //nolint:errcheck // opened for reading
		s := &source{Options: &Options{}, dir: &renamedInList{Dir: dir, log: log}}
		gens, err := s.list()
		if err != nil || len(gens) != 2 || gens[0].Restart != 0 || gens[1].Restart != 1 {
			t.Errorf("%s is renamed: %v, %v", log, gens, err)
		}
	}
}

// TestEmptyLiveLog: a container that is silent after a rotation.
func TestEmptyLiveLog(t *testing.T) {
	tr := newTree(t)
	tr.write("app", first, stamped(1)+"a\n")
	tr.write("app", second, stamped(2)+"b\n")
	tr.write("app", "0.log", "")
	for tail, want := range map[int64]string{-1: "a\nb\n", 0: "", 1: "b\n", 2: "a\nb\n", 3: "a\nb\n"} {
		o := tr.options()
		if o.Tail = tail; tr.must(o) != want {
			t.Errorf("tail %d: %q", tail, tr.must(o))
		}
	}
	o := tr.options()
	o.Tail = 1
	f := tr.follow(o, nil)
	f.until("the tail", func(out, _ string) bool { return out == "b\n" })
	tr.write("app", "0.log", stamped(3)+"c\n")
	f.until("the next line", func(out, _ string) bool { return out == "b\nc\n" })
}

// TestEmptyRotatedLog: a crash before the exchange leaves it. The log that comes next
// is rotated later.
func TestEmptyRotatedLog(t *testing.T) {
	tr := newTree(t)
	tr.write("app", first, stamped(1)+"a\n")
	tr.write("app", second, "")
	log := tr.openLog("0.log")
	tr.append(log, stamped(2)+"b\n")
	if got := tr.must(tr.options()); got != "a\nb\n" {
		t.Errorf("printed %q", got)
	}
	f := tr.follow(tr.options(), nil)
	f.until("all", func(out, _ string) bool { return out == "a\nb\n" })
	l := newScanner(t, tr)
	for _, want := range []string{first, "0.log"} {
		if got := l.next(); got != want {
			t.Errorf("next is %s, want %s", got, want)
		}
	}
	l.exchange(second)
	tr.append(log, stamped(3)+"c\n")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = tr.openLog("0.log")
	tr.append(log, stamped(4)+"d\n")
	if got := l.all(); got != "b c d" || len(l.warnings) > 0 {
		t.Errorf("read %q, warnings %q", got, l.warnings)
	}
	f.until("the new lines", func(out, _ string) bool { return out == "a\nb\nc\nd\n" })
}

// TestRotatedWhileEmpty: what is written to a log that was rotated while it was empty
// precedes what is in the live log.
func TestRotatedWhileEmpty(t *testing.T) {
	tr := newTree(t)
	tr.write("app", first, stamped(1)+"a\n")
	log := tr.openLog(second)
	tr.write("app", "0.log", stamped(3)+"c\n")
	f := tr.follow(tr.options(), nil)
	f.until("the first line", func(out, _ string) bool { return out != "" })
	tr.append(log, stamped(2)+"b\n")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	f.until("all", func(out, _ string) bool { return out == "a\nb\nc\n" })
}

// TestOpensWhatWasListed: another file under the name is not opened in its place.
func TestOpensWhatWasListed(t *testing.T) {
	tr := newTree(t)
	tr.write("app", first, stamped(1)+"a\n")
	tr.write("app", "0.log", "")
	l := newScanner(t, tr)
	l.exchange(first)
	for _, g := range l.pending {
		if _, err := l.open(g); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", g, err)
		}
	}
}

// hookDir calls hook before each operation that a listing is made of.
type hookDir struct {
	podlogs.Dir
	hook func()
}

func (d hookDir) Names(yield func(string) bool) error {
	d.hook()
	return d.Dir.Names(yield)
}

func (d hookDir) Stat(name string) (podlogs.Stat, error) {
	d.hook()
	return d.Dir.Stat(name)
}

// TestScanDuringRotation: whenever during a scan a rotation's steps come, each line is
// read once, in order.
func TestScanDuringRotation(t *testing.T) {
	for _, exchange := range []bool{false, true} {
		for _, behind := range []bool{false, true} {
			for begin := range 7 {
				for swap := begin; swap < 14; swap++ {
					t.Run(fmt.Sprintf("exchange %v, behind %v, at %d and %d", exchange, behind, begin, swap), func(t *testing.T) {
						scanDuringRotation(t, exchange, behind, begin, swap)
					})
				}
			}
		}
	}
}

func scanDuringRotation(t *testing.T, exchange, behind bool, begin, swap int) {
	tr := newTree(t)
	tr.write("app", first, stamped(0)+"0\n")
	log := tr.openLog("0.log")
	tr.append(log, stamped(1)+"a\n")
	l := newScanner(t, tr)
	if behind { // what was the live log is not open
		l.pending[1].close()
	}
	if l.next(); !behind {
		l.next()
	}
	steps, op := []int{begin, swap}, 0
	do := func() {
		switch steps = steps[1:]; {
		case len(steps) == 1 && exchange:
			tr.write("app", second, "")
		case len(steps) == 0 && exchange:
			l.exchange(second)
		case len(steps) == 0:
			l.rename("0.log", second, "")
		}
		if len(steps) == 0 {
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			log = tr.openLog("0.log")
			tr.append(log, stamped(2)+"b\n")
		}
	}
	l.dir = hookDir{l.dir, func() {
		for op++; len(steps) > 0 && op > steps[0]; {
			do()
		}
	}}
	l.scan(true)
	for len(steps) > 0 {
		do()
	}
	l.dir = l.dir.(hookDir).Dir
	want := "0 a b"
	if !behind {
		want = want[2:]
	}
	if got := l.all(); got != want || len(l.warnings) > 0 {
		t.Errorf("read %q, want %q; warnings %q", got, want, l.warnings)
	}
}

// crowd is a directory with a rotated log for each of the last n seconds.
type crowd struct {
	podlogs.Dir
	n int
}

func (c crowd) Names(yield func(string) bool) error {
	for i := range c.n {
		at := time.Date(2026, 1, 1, 0, 0, c.n-i, 0, time.UTC)
		if !yield(at.Format("0.log.20060102-150405")) {
			return nil
		}
	}
	return nil
}

func (crowd) Stat(string) (podlogs.Stat, error) {
	return podlogs.Stat{Size: 1, Links: 1, Regular: true}, nil
}

// TestManyNames: of more logs than can be kept in memory, the newest are read, and a
// warning says so.
func TestManyNames(t *testing.T) {
	warnings := 0
	s := &source{dir: crowd{n: 5*maxGenerations + 7}, warn: func(bool, string, ...any) { warnings++ }}
	for range 2 {
		gens, err := s.list()
		if err != nil || len(gens) != maxGenerations || gens[0].Compare(gens[1].Name) >= 0 {
			t.Fatalf("%d generations, %v", len(gens), err)
		}
		if last := gens[len(gens)-1].Stamp; !last.Equal(time.Date(2026, 1, 1, 0, 0, 5*maxGenerations+7, 0, time.UTC)) {
			t.Errorf("the newest is of %v", last)
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings", warnings)
	}
}
