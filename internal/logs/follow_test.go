package logs

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/rotator"
)

func allLines(from, to int) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		b.WriteString(lineText(n) + "\n")
	}
	return b.String()
}

// differ reports where two texts differ.
func differ(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	t.Errorf("%d lines, want %d; from line %d on\n%q\nwant\n%q", len(a), len(b), i, a[i:min(len(a), i+4)], b[i:min(len(b), i+4)])
}

// TestFollowsSlowly: a reader that is many rotations behind misses no line that
// still exists, and gets none twice, whatever the rotated logs have become.
func TestFollowsSlowly(t *testing.T) {
	for name, form := range forms {
		for _, codec := range podlogs.CodecNames(false) {
			t.Run(name+"/"+codec, func(t *testing.T) {
				tr := newTree(t)
				c := tr.container()
				c.form = form
				c.write(2000)
				c.rotate(1000, podlogs.CodecNamed(codec))
				f := tr.follow(tr.options(), make(chan struct{}))
				for i := range 40 {
					c.write(1 + c.r.IntN(3000))
					c.rotate(1000, podlogs.CodecNamed(codec))
					if i%5 == 4 { // it writes once in five rotations
						f.gate <- struct{}{}
					}
				}
				c.next()
				c.write(500)
				c.write(10)
				close(f.gate)
				out, warnings, err := f.stop(c.last)
				if err != nil || warnings != "" {
					t.Errorf("%v\n%s", err, warnings)
				}
				differ(t, out, allLines(1, c.last))
			})
		}
	}
}

// TestFollowsFast: a reader that keeps up.
func TestFollowsFast(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) { followFast(t, form) })
	}
}

func followFast(t *testing.T, form form) {
	tr := newTree(t)
	c := tr.container()
	c.form = form
	c.write(1)
	o := tr.options()
	o.Tail = 0
	f := tr.follow(o, nil)
	// It is known to have begun when it prints what comes later.
	first := 0
	for ; first == 0; time.Sleep(time.Millisecond) {
		c.write(1)
		if out, _ := f.text(); out != "" {
			if _, err := fmt.Sscanf(out, "%d", &first); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 50 {
		c.write(1 + c.r.IntN(300))
		c.rotate(3, podlogs.Gzip)
		last := c.last - 1 // the last one may be cut, its end to come
		f.until("the line", func(out, _ string) bool { return strings.Contains(out, lineText(last)) })
	}
	c.write(1)
	out, warnings, err := f.stop(c.last)
	if err != nil || warnings != "" {
		t.Errorf("%v\n%s", err, warnings)
	}
	differ(t, out, allLines(first, c.last))
}

var goneWarning = regexp.MustCompile(`lines between (\S+) and (\S+) (are|may be) gone: rotated away before they were read`)

// TestFollowReportsGaps: pruning is faster than the reader. It gets no line twice,
// and each line that it misses is reported.
func TestFollowReportsGaps(t *testing.T) {
	for i, name := range slices.Sorted(maps.Keys(forms)) {
		t.Run(name, func(t *testing.T) {
			files := [...]int{2, 3, 5}[i%3]
			tr := newTree(t)
			c := tr.container()
			c.form = forms[name]
			c.write(20_000)
			f := tr.follow(tr.options(), make(chan struct{}))
			f.gate <- struct{}{} // it has begun
			for i := range 60 {
				c.write(1 + c.r.IntN(20_000))
				c.rotate(files, podlogs.Gzip)
				if i%7 == 6 {
					f.gate <- struct{}{}
				}
			}
			c.write(10)
			close(f.gate)
			out, warnings, err := f.stop(c.last)
			reported := map[string]bool{}
			for _, m := range goneWarning.FindAllStringSubmatch(warnings, -1) {
				reported[m[1]+" "+m[2]] = true
			}
			if !errors.Is(err, ErrIncomplete) || len(reported) == 0 || len(reported) != strings.Count(warnings, "\n") {
				t.Errorf("%v\n%s", err, warnings)
			}
			if gaps := unreported(t, out, reported); gaps == 0 {
				t.Error("no line is missing: the reader was too fast for this test")
			}
		})
	}
}

// unreported fails for lines that are missing without a warning, and counts the
// gaps. A line that a rotation cut may lack the half that is gone.
func unreported(t *testing.T, out string, reported map[string]bool) (gaps int) {
	t.Helper()
	prev, began := 0, ""
	for text := range strings.Lines(out) {
		text = strings.TrimSuffix(text, "\n")
		n, err := strconv.Atoi(text[:min(8, len(text))])
		if err != nil || text != lineText(n) {
			began = text // half a line: a gap is before it or behind it
			continue
		}
		if n == prev+1 {
			prev = n
			continue
		}
		gaps++
		// The halves have the number of the line before, or after.
		ok := false
		for _, from := range []int{prev, prev + 1} {
			for _, to := range []int{n, n - 1} {
				ok = ok || reported[lineTime(from).Format(time.RFC3339Nano)+" "+lineTime(to).Format(time.RFC3339Nano)]
			}
		}
		if n < prev || !ok {
			t.Errorf("line %d follows %d (%q between them)", n, prev, began)
		}
		prev = n
	}
	return gaps
}

// TestFollowKeepsWhatIsOpen: a log that is being read stays readable when it is gone.
func TestFollowKeepsWhatIsOpen(t *testing.T) {
	tr := newTree(t)
	c := tr.container()
	c.write(100_000)
	f := tr.follow(tr.options(), make(chan struct{}))
	f.gate <- struct{}{} // it has opened it
	c.neat = true
	c.rotate(1, nil)
	c.write(10)
	close(f.gate)
	out, warnings, _ := f.stop(c.last)
	if n := strings.Count(warnings, "may be gone"); n != strings.Count(warnings, "\n") || n > 1 { // it may not have seen the name that was pruned
		t.Errorf("warnings %s", warnings)
	}
	differ(t, out, allLines(1, c.last))
}

// TestFollowRenamedBack: the runtime refuses, and the log gets its name back.
func TestFollowRenamedBack(t *testing.T) {
	tr := newTree(t)
	c := tr.container()
	c.write(10)
	f := tr.follow(tr.options(), nil)
	f.until("the first lines", func(out, _ string) bool { return strings.HasSuffix(out, lineText(10)+"\n") })
	c.refuse = true
	for range 3 {
		if _, err := c.rot.Rotate(t.Context(), rotator.Request{Dir: "shop_web_u1/app", Log: "0.log", ContainerID: "id", Undo: true}); !errors.Is(err, rotator.ErrRefused) {
			t.Error(err)
		}
		c.write(10)
	}
	c.refuse = false
	c.rotate(5, podlogs.Gzip)
	c.write(10)
	out, warnings, err := f.stop(c.last)
	if err != nil || warnings != "" {
		t.Errorf("%v\n%s", err, warnings)
	}
	differ(t, out, allLines(1, c.last))
}

// TestFollowRestarts: over restarts, until the pod is removed.
func TestFollowRestarts(t *testing.T) {
	tr := newTree(t)
	c := tr.container()
	c.write(10)
	f := tr.follow(tr.options(), nil)
	for range 5 {
		c.write(10)
		c.next()
		c.write(10)
		c.rotate(5, podlogs.Gzip)
	}
	c.write(10)
	f.until("the last line", func(out, _ string) bool { return strings.HasSuffix(out, lineText(c.last)+"\n") })
	c.exit()
	if err := os.RemoveAll(filepath.Join(tr.root, "shop_web_u1")); err != nil {
		t.Fatal(err)
	}
	if err := <-f.ended; err != nil {
		t.Error(err)
	}
	out, warnings := f.text()
	differ(t, out, allLines(1, c.last))
	if warnings != "logwatch: shop/web/app: its logs were removed: the container is gone\n" {
		t.Errorf("warnings %q", warnings)
	}
}

// TestFollowCleaned: the logs go, their directory stays.
func TestFollowCleaned(t *testing.T) {
	tr := newTree(t)
	c := tr.container()
	c.write(10)
	f := tr.follow(tr.options(), nil)
	f.until("the last line", func(out, _ string) bool { return strings.HasSuffix(out, lineText(c.last)+"\n") })
	c.exit()
	if _, err := c.rot.Clean(t.Context(), "shop_web_u1/app", "0.log"); err != nil {
		t.Fatal(err)
	}
	if err := <-f.ended; err != nil {
		t.Error(err)
	}
	if _, warnings := f.text(); !strings.Contains(warnings, "its logs were removed") {
		t.Errorf("warnings %q", warnings)
	}
}

// TestFollowNewContainers: those of the pod that start later come too, and from then
// on lines have a prefix.
func TestFollowNewContainers(t *testing.T) {
	tr := newTree(t)
	tr.write("init", "0.log", stamped(1)+"one\n")
	o := tr.options()
	o.Container = ""
	f := tr.follow(o, nil)
	f.until("the init container", func(out, _ string) bool { return out == "one\n" })
	tr.write("app", "0.log", stamped(2)+"two\n")
	f.until("the other", func(out, _ string) bool { return out == "one\n[app] two\n" })
	f.cancel()
	if err := <-f.ended; err != nil {
		t.Error(err)
	}
}

// TestFollowHalfLines: a record that is being written is printed when it is whole.
func TestFollowHalfLines(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(1)+"whole\n"+stamped(2)+"ha")
	f := tr.follow(tr.options(), nil)
	f.until("the whole line", func(out, _ string) bool { return out == "whole\n" })
	log, err := os.OpenFile(filepath.Join(tr.dir("app"), "0.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(log, "lf\n"); errors.Join(err, log.Close()) != nil {
		t.Fatal(err)
	}
	f.until("the other", func(out, _ string) bool { return out == "whole\nhalf\n" })
	if err := os.Truncate(log.Name(), 0); err != nil {
		t.Fatal(err)
	}
	f.until("the warning", func(_, warnings string) bool { return strings.Contains(warnings, "was truncated while it was read") })
	tr.write("app", "0.log", stamped(3)+"again\n")
	f.until("the new line", func(out, _ string) bool { return strings.HasSuffix(out, "\nagain\n") })
	f.cancel()
	if err := <-f.ended; !errors.Is(err, ErrIncomplete) {
		t.Error(err)
	}
}
