package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/crilog"
)

// ten is ten lines, five minutes from one to the next.
func ten(from int) string {
	var b strings.Builder
	for i := from; i < from+10; i++ {
		fmt.Fprintf(&b, "%s%d\n", stamped(300*i), i)
	}
	return b.String()
}

func numbers(from, n int) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// generations writes five logs of ten lines, 0 to 49. The oldest two are damaged:
// reading them warns.
func (tr *tree) generations() {
	tr.write("app", "0.log.20260101-000000.gz", "")
	for i, name := range []string{"0.log.20260101-000000.gz", "0.log.20260101-000001.zst"} {
		tr.write("app", name, "")
		if err := os.WriteFile(filepath.Join(tr.dir("app"), name), []byte(ten(10*i)), 0o600); err != nil {
			tr.t.Fatal(err)
		}
	}
	tr.write("app", "0.log.20260101-000002.gz", ten(20))
	tr.write("app", "0.log.20260101-000003", ten(30))
	tr.write("app", "0.log", ten(40))
}

// TestReadsNoMoreThanNeeded: neither --tail nor --since looks into older logs than
// it must.
func TestReadsNoMoreThanNeeded(t *testing.T) {
	tr := newTree(t)
	tr.generations()
	for line := 20; line < 50; line++ {
		o := tr.options()
		o.Since = time.Date(2026, 3, 29, 0, 0, 300*line, 1, time.UTC)
		if line < 21 { // the log before must be looked into, to know that it has none
			continue
		}
		if got, want := tr.must(o), numbers(line, 50-line); got != want {
			t.Errorf("since line %d:\n%s", line, got)
		}
	}
	for n := range 30 { // the thirtieth may begin in the log before
		o := tr.options()
		o.Tail = int64(n)
		if got, want := tr.must(o), numbers(50-n, n); got != want {
			t.Errorf("tail %d:\n%s", n, got)
		}
	}
}

// TestGoesOnAfterDamage: what can be read is read, and the rest is reported.
func TestGoesOnAfterDamage(t *testing.T) {
	tr := newTree(t)
	tr.generations()
	path := filepath.Join(tr.dir("app"), "0.log.20260101-000002.gz")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-9], 0o600); err != nil { // its end, and the sum
		t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(tr.dir("app"), "0.log.20260101-000004")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, filepath.Join(t.TempDir(), "other")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tr.dir("app"), "0.log.20260101-000006.gz"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(tr.dir("app"), "0.log.20260101-000005"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, warnings, err := tr.read(tr.options())
	if !errors.Is(err, ErrIncomplete) || out != numbers(30, 20) {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"000000.gz: gzip: invalid header", "000001.zst: invalid input", "000002.gz: it has 2 links: not a regular file",
		"000004: not a regular file", "000005: not a regular file",
		"000006.gz: unexpected EOF",
	} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no warning of %q in\n%s", want, warnings)
		}
	}
	if n := strings.Count(warnings, "\n"); n != 6 {
		t.Errorf("%d warnings:\n%s", n, warnings)
	}
}

// TestTornCompressed: the lines before the damage are printed.
func TestTornCompressed(t *testing.T) {
	tr := newTree(t)
	var text strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 20_000 {
		fmt.Fprintf(&text, "%s%d %x\n", stamped(i), i, r.Uint64())
	}
	for _, suffix := range suffixes[1:] {
		name := "0.log.20260101-000000" + suffix
		tr.write("app", name, text.String())
		path := filepath.Join(tr.dir("app"), name)
		i, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, i.Size()*2/3); err != nil {
			t.Fatal(err)
		}
		tr.write("app", "0.log", stamped(30_000)+"last\n")
		out, warnings, err := tr.read(tr.options())
		lines := strings.Split(out, "\n")
		if !errors.Is(err, ErrIncomplete) || strings.Count(warnings, "unexpected EOF: what follows in it cannot be read") != 1 {
			t.Errorf("%v\n%s", err, warnings)
		}
		if len(lines) < 8_000 || lines[len(lines)-2] != "last" || !strings.HasPrefix(lines[7000], "7000 ") {
			t.Errorf("%d lines", len(lines))
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLongLine: pieces, in flat memory, however the runtime cut it.
func TestLongLine(t *testing.T) {
	text := strings.Repeat("0123456789abcde ", 5*maxLine/16)
	var parts strings.Builder
	for rest := text; rest != ""; rest = rest[16<<10:] {
		tag, second := "P", 1+(len(text)-len(rest))/(16<<10)%3

		if len(rest) == 16<<10 {
			tag = "F"
		}
		parts.WriteString(strings.TrimSuffix(stamped(second), "F ") + tag + " " + rest[:16<<10] + "\n")
	}
	for name, in := range map[string]string{
		"cut": parts.String(), "whole": stamped(1) + text + "\n", "no CRI": text + "\n", "no newline": stamped(1) + text,
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			tr.write("app", "0.log", in+stamped(2)+"next\n")
			if name == "no newline" {
				tr.write("app", "0.log", in)
			}
			out, warnings, err := tr.read(tr.options())
			o := tr.options()
			o.Timestamps = true
			if dated, _, _ := tr.read(o); name == "cut" && strings.Count(dated, strings.Fields(stamped(1))[0]) != 5 {
				t.Error("not all pieces have the time at which the line began")
			}
			pieces := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			longest := 0
			for _, p := range pieces {
				longest = max(longest, len(p))
			}
			if err != nil || strings.TrimSuffix(strings.Join(pieces, ""), "next") != text || len(pieces) < 5 || longest > 2*maxLine {
				t.Errorf("%v: %d pieces, the longest of %d bytes", err, len(pieces), longest)
			}
			if !strings.Contains(warnings, "longer than 1048576 bytes: it is shown in pieces") {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}

// TestForeignLines: what is not CRI is printed unchanged, and reported once.
func TestForeignLines(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", stamped(1)+"a\n{\"log\":\"docker\"}\n\nx\n"+stamped(2)+"b\ntorn")
	o := tr.options()
	out, warnings, err := tr.read(o)
	if want := "a\n{\"log\":\"docker\"}\n\nx\nb\ntorn\n"; err != nil || out != want || strings.Count(warnings, "\n") != 1 {
		t.Errorf("%v: %q\n%s", err, out, warnings)
	}
	o.JSON = true
	out, _, _ = tr.read(o)
	want := `{"time":null,"stream":null,"namespace":"shop","pod":"web","container":"app","restart":0,"file":"0.log","log":"x"}` + "\n"
	if !strings.Contains(out, want) {
		t.Errorf("%s", out)
	}
	o.JSON, o.Stream = false, crilog.Stdout
	if out, _, _ = tr.read(o); out != "a\nb\n" {
		t.Errorf("%q", out)
	}
}

// TestMerge: several containers, by time; each keeps its order.
func TestMerge(t *testing.T) {
	tr := newTree(t)
	r := rand.New(rand.NewPCG(7, 7))
	var texts [3]strings.Builder
	var want strings.Builder
	names := [...]string{"app", "init", "side"}
	for i := range 20_000 {
		c := r.IntN(1 + r.IntN(3))
		fmt.Fprintf(&texts[c], "%s%d\n", stamped(i), i)
		fmt.Fprintf(&want, "[%s] %d\n", names[c], i)
	}
	for c, name := range names {
		text := texts[c].String()
		half := strings.LastIndexByte(text[:len(text)/2], '\n') + 1
		tr.write(name, "0.log.20260101-000000.gz", text[:half])
		tr.write(name, "0.log", text[half:])
	}
	o := tr.options()
	o.Container = ""
	if got := tr.must(o); got != want.String() {
		t.Errorf("got %d bytes, want %d", len(got), want.Len())
	}
	no := false
	o.Prefix, o.Tail = &no, 1
	if n := strings.Count(tr.must(o), "\n"); n != 3 {
		t.Errorf("%d lines; want one of each container", n)
	}
	o.Prefix, o.Color = nil, true
	if out := tr.must(o); strings.Count(out, "\x1b[0m ") != 3 || !strings.Contains(out, "m[app]\x1b[0m ") {
		t.Errorf("%q", out)
	}
}

func TestEscapes(t *testing.T) {
	const hostile = "\x1b]0;pwned\a\x1b[2J\u009b1A\x9b \u202eabc\ttab äöü 😀 \xff\x00\x7f\rcut\r"
	tr := newTree(t)
	tr.write("app", "0.log", stamped(1)+hostile+"\n")
	o := tr.options()
	const want = `\x1b]0;pwned\a\x1b[2J\u009b1A\x9b \u202eabc` + "\ttab äöü 😀 \xff" + `\x00\x7f\rcut` + "\r\n"
	if got := tr.must(o); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	o.JSON = true
	if got := tr.must(o); !strings.Contains(got, `"log":"\u001b]0;pwned\u0007\u001b[2J\u009b1A\ufffd \u202eabc\ttab äöü 😀 \ufffd\u0000\u007f\rcut\r"}`) {
		t.Errorf("%s", got)
	}
	o.JSON, o.RawEscapes = false, true
	if got := tr.must(o); got != hostile+"\n" {
		t.Errorf("%q", got)
	}
}

// TestHarmless: the fast look sees what the slow one does, at each place.
func TestHarmless(t *testing.T) {
	for length := range 70 {
		text := bytes.Repeat([]byte{'x'}, length)
		for i := range text {
			for c := range 256 {
				text[i] = byte(c)
				if want := c == '\t' || (c >= ' ' && c < 0x7f); harmless(text) != want {
					t.Fatalf("%q", text)
				}
			}
			text[i] = [...]byte{'x', '\t', ' ', '~'}[i%4]
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add([]byte("\x1b[2J\u009b\x9b\u202e\r"))
	f.Add([]byte("\u061c\u200e\u200f\u2066"))
	f.Fuzz(func(t *testing.T, text []byte) {
		text = bytes.ReplaceAll(text, []byte{'\n'}, nil)
		line := &crilog.Line{Content: text}
		out := (&format{}).text(nil, line)
		if len(out) == 0 || !harmlessToTerminals(string(out[:len(out)-1])) {
			t.Errorf("%q", out)
		}
		if harmlessToTerminals(string(text)) && string(out) != string(text)+"\n" {
			t.Errorf("%q became %q", text, out)
		}
		object := (&format{json: true}).text(nil, line)
		if !harmlessToTerminals(string(object[:len(object)-1])) {
			t.Errorf("%q", object)
		}
	})
}

func harmlessToTerminals(text string) bool {
	text = strings.TrimSuffix(text, "\r")
	for i, r := range text {
		if (r < ' ' && r != '\t') || (r >= 0x7f && r < 0xa0) || r == 0x061c || r == 0x200e || r == 0x200f || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return false
		}
		if r == '\ufffd' && text[i] >= 0x80 && text[i] < 0xa0 {
			return false
		}
	}
	return true
}

func TestPods(t *testing.T) {
	tr := newTree(t)
	o := tr.options()
	if _, _, err := tr.read(o); err == nil || !strings.HasPrefix(err.Error(), "no logs of shop/web below ") {
		t.Error(err)
	}
	tr.write("app", "0.log", stamped(1)+"old\n")
	tr.write("init", "0.log", stamped(0)+"first\n")
	old := time.Now().Add(-time.Hour)
	for _, c := range []string{"app", "init"} {
		if err := os.Chtimes(filepath.Join(tr.dir(c), "0.log"), old, old); err != nil {
			t.Fatal(err)
		}
	}
	newer := filepath.Join(tr.root, "shop_web_u2", "app")
	if err := errors.Join(os.MkdirAll(newer, 0o755), os.WriteFile(filepath.Join(newer, "0.log"), []byte(stamped(9)+"new\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	out, warnings, err := tr.read(o)
	if err != nil || out != "new\n" || !strings.Contains(warnings, "2 pods had the name shop/web: this is the one that logged last, u2; before it, with --uid: u1") {
		t.Errorf("%v\n%s%s", err, out, warnings)
	}
	o.UID = "u1"
	if out := tr.must(o); out != "old\n" {
		t.Errorf("%q", out)
	}
	for uid, want := range map[string]string{
		"u": `--uid "u": several pods shop/web have it: there is u1, u2`, "x": `no pod shop/web has the UID "x": there is u1, u2`,
	} {
		o.UID = uid
		if _, _, err := tr.read(o); err == nil || err.Error() != want {
			t.Errorf("%s: %v", uid, err)
		}
	}
	o.UID, o.Container = "u1", ".."
	if _, _, err := tr.read(o); err == nil || err.Error() != `shop/web has no container "..": it has app, init` {
		t.Error(err)
	}
	for begun, want := range map[string]string{
		"": "shop/", "sh": "shop/", "x": "", "shop/": "shop/web", "shop/web/": "shop/web/app shop/web/init", "shop/web/i": "shop/web/init",
	} {
		if got := strings.Join(Complete(tr.root, begun), " "); got != want {
			t.Errorf("complete %q: %q, want %q", begun, got, want)
		}
	}
	if err := os.Mkdir(filepath.Join(tr.root, "shop_a\x1bb_u"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(Complete(tr.root, "shop/"), " "); got != "shop/web" {
		t.Errorf("%q", got)
	}
}

func TestPrevious(t *testing.T) {
	tr := newTree(t)
	o := tr.options()
	o.Previous = true
	tr.write("app", "7.log", stamped(70)+"7\n")
	_, warnings, err := tr.read(o)
	if !errors.Is(err, ErrIncomplete) || !strings.Contains(warnings, "no logs of a restart before the latest") {
		t.Errorf("%v\n%s", err, warnings)
	}
	tr.write("app", "3.log", stamped(30)+"3\n")
	tr.write("app", "5.log.20260101-000000.gz", stamped(50)+"5a\n")
	tr.write("app", "5.log", stamped(51)+"5b\n")
	if got := tr.must(o); got != "5a\n5b\n" {
		t.Errorf("%q", got)
	}
	o.Previous = false
	if got := tr.must(o); got != "3\n5a\n5b\n7\n" {
		t.Errorf("%q", got)
	}
}

// TestVanishes: what is removed before it is read is reported, with the missing times.
func TestVanishes(t *testing.T) {
	tr := newTree(t)
	big := ten(0) + strings.Repeat(stamped(0)+strings.Repeat("x", 1000)+"\n", 4*maxBatches*blockSize/1000)
	tr.write("app", "0.log.20260101-000000", big)
	tr.write("app", "0.log.20260101-000001", ten(10))
	tr.write("app", "0.log.20260101-000002", ten(20))
	tr.write("app", "0.log", ten(30))
	o := tr.options()
	o.Grep = regexp.MustCompile(`^(\d+|x+)$`)
	var warnings bytes.Buffer
	removed := false
	var out strings.Builder
	o.Warnings = &warnings
	o.Out = writerFunc(func(p []byte) (int, error) {
		if !removed { // the reader is at the first log still
			removed = true
			for _, name := range []string{"0.log.20260101-000001", "0.log.20260101-000002"} {
				if err := os.Remove(filepath.Join(tr.dir("app"), name)); err != nil {
					t.Error(err)
				}
			}
		}
		return out.Write(p)
	})
	err := Run(t.Context(), o)
	text := regexp.MustCompile("x+\n").ReplaceAllString(out.String(), "")
	if want := numbers(0, 10) + numbers(30, 10); !errors.Is(err, ErrIncomplete) || text != want {
		t.Errorf("%v:\n%s", err, text)
	}
	want := "shop/web/app: lines between 2026-03-29T00:00:00.000000001Z and 2026-03-29T02:30:00.000000001Z are gone: rotated away before they were read (2 files with "
	if !strings.Contains(warnings.String(), want) || strings.Count(warnings.String(), "\n") != 1 {
		t.Errorf("warnings\n%swant\n%s", warnings.String(), want)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestReaderGone: the reader closes the pipe.
func TestReaderGone(t *testing.T) {
	tr := newTree(t)
	tr.write("app", "0.log", strings.Repeat(stamped(1)+"x\n", 1e6))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o := tr.options()
	o.Out, o.Warnings = w, io.Discard
	ended := make(chan error)
	go func() { ended <- Run(t.Context(), o) }()
	if _, err := r.Read(make([]byte, 100)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, unix.EPIPE) {
		t.Error(err)
	}
	// Following a quiet log, it does not wait for the next line to find out.
	if r, o.Out, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	tr.write("app", "0.log", stamped(1)+"x\n")
	o.Follow = true
	go func() { ended <- Run(t.Context(), o) }()
	if _, err := r.Read(make([]byte, 100)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}
