package linecheck

import (
	"bytes"
	"compress/gzip"
	"math"
	"strings"
	"testing"
)

func TestAppendLine(t *testing.T) {
	for _, width := range []int{0, 17, 19, 20, 21, 50, 200, 20_000, 600_000} {
		line := AppendLine([]byte("kept:"), "stdout", 12, width)
		line, found := bytes.CutPrefix(line, []byte("kept:"))
		if !found {
			t.Fatal("what was in dst is gone")
		}
		if want := max(width, len("stdout 0000000012 .")); len(line) != want {
			t.Errorf("width %d: %d bytes", width, len(line))
		}
		if !bytes.HasPrefix(line, []byte("stdout 0000000012 ")) || bytes.IndexByte(line, '\n') >= 0 {
			t.Errorf("width %d: %.80q", width, line)
		}
		if !bytes.Equal(line, AppendLine(nil, "stdout", 12, width)) {
			t.Errorf("width %d: not the same again", width)
		}
	}
	if got := AppendLine(nil, "stderr", math.MaxUint64, 0); string(got) != "stderr 18446744073709551615 ." {
		t.Errorf("%q", got)
	}
	if got := AppendLine(nil, "stderr", 1_000_000_000, 0); string(got) != "stderr 1000000000 ." {
		t.Errorf("%q", got)
	}
}

// Filler that hardly compresses, or to nothing, would make measurements of
// compression worthless: real logs come out at a third to a twentieth.
func TestCompressesLikeLogs(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	size := 0
	for seq := range uint64(20_000) {
		n, err := w.Write(append(AppendLine(nil, "stdout", seq+1, 150), '\n'))
		if err != nil {
			t.Fatal(err)
		}
		size += n
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ratio := float64(size) / float64(packed.Len())
	t.Logf("gzip: %.1f to 1", ratio)
	if ratio < 3 || ratio > 20 {
		t.Errorf("gzip makes it %.1f times smaller; want 3 to 20", ratio)
	}
}

func check(lines ...uint64) StreamReport {
	var c Checker
	for _, seq := range lines {
		c.Add(AppendLine(nil, "stdout", seq, 60))
	}
	return c.Report().Streams["stdout"]
}

func TestChecker(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []uint64
		want  StreamReport // without FirstBad
		bad   string
	}{
		{"none", nil, StreamReport{}, ""},
		{"in order", []uint64{1, 2, 3}, StreamReport{First: 1, Last: 3, Lines: 3}, ""},
		{"pruned", []uint64{7, 8}, StreamReport{First: 7, Last: 8, Lines: 2}, ""},
		{"gap", []uint64{1, 2, 6, 7}, StreamReport{First: 1, Last: 7, Lines: 4, Missing: 3, LongestGap: 3}, "line 6 follows line 2"},
		{"doubled", []uint64{1, 2, 2, 3}, StreamReport{First: 1, Last: 3, Lines: 4, Doubled: 1}, "line 2 comes again after line 2"},
		{"doubled first", []uint64{4, 4, 4}, StreamReport{First: 4, Last: 4, Lines: 3, Doubled: 2}, "line 4 comes again after line 4"},
		{"swapped", []uint64{1, 3, 2, 4}, StreamReport{First: 1, Last: 4, Lines: 4, OutOfOrder: 1}, "line 3 follows line 1"},
		{"gap filled", []uint64{1, 9, 5, 2, 8, 3, 7}, StreamReport{First: 1, Last: 9, Lines: 7, Missing: 2, LongestGap: 1, OutOfOrder: 5}, "line 9 follows line 1"},
		{"files swapped", []uint64{5, 6, 2, 3, 4}, StreamReport{First: 2, Last: 6, Lines: 5, OutOfOrder: 3}, "line 2 comes after line 6"},
		{"filled twice", []uint64{1, 3, 2, 2}, StreamReport{First: 1, Last: 3, Lines: 4, OutOfOrder: 1, Doubled: 1}, "line 3 follows line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := check(c.lines...)
			if got.FirstBad != c.bad {
				t.Errorf("FirstBad %q; want %q", got.FirstBad, c.bad)
			}
			got.FirstBad = ""
			if got != c.want {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestDamageIsSeen(t *testing.T) {
	good := AppendLine(nil, "stdout", 2, 80)
	for name, line := range map[string][]byte{
		"one byte":     append(bytes.Clone(good[:40]), append([]byte{good[40] ^ 1}, good[41:]...)...),
		"no end":       good[:len(good)-1],
		"cut":          good[:50],
		"cut to head":  good[:len("stdout 0000000002 ")],
		"cut, stopped": append(bytes.Clone(good[:50]), '.'),
		"joined":       append(bytes.Clone(good), good...),
		"other number": bytes.Replace(good, []byte("0000000002"), []byte("0000000003"), 1),
		"zero":         AppendLine(nil, "stdout", 0, 80),
		"short number": []byte("stdout 2 ."),
		"no number":    []byte("stdout"),
		"binary":       {0, 1, 2, 0xff},
		"holes":        make([]byte, 4096),
		"empty":        {},
	} {
		var c Checker
		c.Add(AppendLine(nil, "stdout", 1, 80))
		c.Add(line)
		r := c.Report()
		if n := r.Streams["stdout"].Corrupt + r.Streams[""].Corrupt; n != 1 {
			t.Errorf("%s: %d corrupt lines; want 1", name, n)
		}
		if r.OK(nil) == nil {
			t.Errorf("%s: the report is OK", name)
		}
		if got := r.Streams["stdout"].Lines; got != 1 || len(r.Streams) > 2 {
			t.Errorf("%s: %d good lines in %d streams", name, got, len(r.Streams))
		}
	}
}

func TestOK(t *testing.T) {
	var c Checker
	for seq := uint64(5); seq <= 9; seq++ {
		c.Add(AppendLine(nil, "stdout", seq, 60))
		c.Add(AppendLine(nil, "stderr", seq, 40))
	}
	r := c.Report()
	if err := r.OK(map[string]uint64{"stdout": 9, "stderr": 9}); err != nil {
		t.Errorf("got %v", err)
	}
	if err := r.OK(nil); err != nil {
		t.Errorf("got %v", err)
	}
	if n := r.Pruned(); n != 8 {
		t.Errorf("%d lines pruned; want 8", n)
	}
	err := r.OK(map[string]uint64{"stdout": 12, "other": 1})
	if err == nil {
		t.Fatal("3 lost lines and a lost stream are OK")
	}
	for _, want := range []string{"stdout: 3 lost at the end (last is 9 of 12)", "stderr: nothing was written to it", "other: 1 lost"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if err := (Report{}).OK(map[string]uint64{"stdout": 0}); err != nil {
		t.Errorf("nothing of nothing: %v", err)
	}
}

func TestGapsAreBounded(t *testing.T) {
	var c Checker
	const n = 3 * maxGaps
	for i := range uint64(n) {
		c.Add(AppendLine(nil, "stdout", 2*i+1, 40))
	}
	if got := len(c.streams["stdout"].gaps); got != maxGaps {
		t.Errorf("%d gaps; want %d", got, maxGaps)
	}
	if got := c.Report().Streams["stdout"].Missing; got != n-1 {
		t.Errorf("%d missing; want %d", got, n-1)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	var c Checker
	line, seq := make([]byte, 0, 200), uint64(0)
	if n := testing.AllocsPerRun(100, func() {
		seq++
		line = AppendLine(line[:0], "stdout", seq, 150)
		c.Add(line)
	}); n > 1 {
		t.Errorf("%v allocations a line", n)
	}
}

func BenchmarkAppendLine(b *testing.B) {
	var line []byte
	seq := uint64(0)
	b.SetBytes(150)
	for b.Loop() {
		seq++
		line = AppendLine(line[:0], "stdout", seq, 150)
	}
}

func BenchmarkChecker(b *testing.B) {
	var c Checker
	var line []byte
	seq := uint64(0)
	b.SetBytes(150)
	for b.Loop() {
		seq++
		line = AppendLine(line[:0], "stdout", seq, 150)
		c.Add(line)
	}
}
