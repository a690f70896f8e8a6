package crilog

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestParse(t *testing.T) {
	at := time.Date(2026, 3, 29, 1, 59, 59, 123456789, time.UTC)
	for _, c := range []struct {
		in      string
		stream  string
		partial bool
		content string
	}{
		{"2026-03-29T01:59:59.123456789Z stdout F hello", Stdout, false, "hello"},
		{"2026-03-29T01:59:59.123456789Z stdout F hello\n", Stdout, false, "hello"},
		{"2026-03-29T01:59:59.123456789+00:00 stderr P part of it\n", Stderr, true, "part of it"},
		{"2026-03-29T03:59:59.123456789+02:00 stderr F  two blanks ", Stderr, false, " two blanks "},
		{"2026-03-29T01:59:59.123456789Z stdout F:tag:other x y", Stdout, false, "x y"},
		{"2026-03-29T01:59:59.123456789Z stdout P:tag x", Stdout, true, "x"},
		{"2026-03-29T01:59:59.123456789Z stdout F \n", Stdout, false, ""},
		{"2026-03-29T01:59:59.123456789Z stdout F\n", Stdout, false, ""},
	} {
		l, err := Parse([]byte(c.in))
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if l.Stream != c.stream || l.Partial != c.partial || string(l.Content) != c.content || !l.Time.Equal(at) {
			t.Errorf("Parse(%q) = %+v", c.in, l)
		}
		if want, _, _ := strings.Cut(c.in, " "); string(l.TimeText) != want {
			t.Errorf("Parse(%q): time text %q", c.in, l.TimeText)
		}
	}
}

var garbage = []string{
	"",
	"\n",
	"hello world",
	"2026-03-29T01:59:59Z",
	"2026-03-29T01:59:59Z stdout",
	"2026-03-29T01:59:59Z stdout ",
	"2026-03-29T01:59:59Z stdin F x",
	"2026-03-29T01:59:59Z stdout X x",
	"2026-03-29T01:59:59Z stdout FP x",
	"2026-13-29T01:59:59Z stdout F x",
	"2026-03-29 01:59:59 stdout F x",
	"\x00\x00\x00\x00 stdout F x",
	" stdout F x",
}

func TestParseGarbage(t *testing.T) {
	for _, in := range append(garbage, strings.Repeat("x", 1000)) {
		l, err := Parse([]byte(in))
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("Parse(%q) = %+v, %v; want ErrMalformed", in, l, err)
		} else if len(err.Error()) > 500 {
			t.Errorf("the error for a line of %d bytes has %d", len(in), len(err.Error()))
		}
	}
}

// FuzzClock: times one after the other, as package time reads them.
func FuzzClock(f *testing.F) {
	for _, text := range []string{
		"2026-03-29T01:59:59.123456789Z 2026-03-29T01:59:00.1Z", "2026-03-29T01:59:59.12345678Z 2026-03-29T01:59:60.1Z",
		"2024-02-29T23:59:59.999999999Z 2023-02-29T23:59:59.999999999Z", "2026-03-29T01:59:59.123456789+00:00 2026-03-29T01:59:59.123456789+02:00",
		"2026-03-29T01:59:59.5+02:00 2026-03-29T01:59:59.5Z", "2026-03-29T01:59:59.1234567890Z", "2026-03-29T01:59:59.1234567:Z", "2026-03-29T01:59:59.Z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c clock
		for s := range strings.SplitSeq(text, " ") {
			var want time.Time
			err := want.UnmarshalText([]byte(s))
			got, ok := c.read([]byte(s))
			if ok && (err != nil || !got.Equal(want) || got.String() != want.String()) {
				t.Fatalf("%q of %q: %v; package time says %v, %v", s, text, got, want, err)
			}
			if usual := len(s) > 20 && s[19] == '.'; !ok && err == nil && usual {
				t.Fatalf("%q of %q is not understood", s, text)
			}
		}
	})
}

func TestParseDoesNotAllocate(t *testing.T) {
	for _, in := range []string{
		"2026-03-29T01:59:59.123456789Z stdout F hello\n",
		"2026-03-29T01:59:59.123456789+02:00 stderr P hello\n",
	} {
		line := []byte(in)
		if n := testing.AllocsPerRun(100, func() { _, _ = Parse(line) }); n != 0 {
			t.Errorf("Parse(%q): %v allocations", in, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, in := range garbage {
		f.Add([]byte(in))
	}
	for _, in := range []string{"2026-03-29T01:59:59.123456789Z stderr P hello", "2026-02-30T01:59:59.123456789Z stderr P hello"} {
		f.Add([]byte(in))
		f.Add([]byte(in + "\n"))
	}
	f.Add([]byte("2026-03-29T01:59:59.123456789+02:00 stderr P:x:y \n"))
	f.Add([]byte("2026-03-29T01:59:59.5-12:45 stdout F"))
	var p Parser
	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := Parse(in)
		if !bytes.HasSuffix(in, []byte{'\n'}) {
			var fast Line
			if ok := p.Parse(in, &fast); ok != (err == nil) || ok && !reflect.DeepEqual(fast, l) {
				t.Fatalf("Parser: %+v, %v; Parse: %+v, %v", fast, ok, l, err)
			}
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		if l.Stream != Stdout && l.Stream != Stderr {
			t.Fatalf("stream %q", l.Stream)
		}
		// What was understood, written again, means the same.
		tag := " F "
		if l.Partial {
			tag = " P "
		}
		again, err := Parse([]byte(string(l.TimeText) + " " + l.Stream + tag + string(l.Content) + "\n"))
		if err != nil || !again.Time.Equal(l.Time) || again.Partial != l.Partial || !bytes.Equal(again.Content, l.Content) {
			t.Fatalf("%q: %+v, then %+v, %v", in, l, again, err)
		}
	})
}

const head = "2026-03-29T01:59:59Z stdout F "

func TestReader(t *testing.T) {
	fits := strings.Repeat("a", MaxLine-len(head)-1)
	in := head + "one\n" + "garbage\n" + head + fits + "\n" + head + fits + "b\n" + head + "\n" + head + "torn"
	for name, src := range map[string]io.Reader{
		"whole": strings.NewReader(in),
		"half":  iotest.HalfReader(strings.NewReader(in)),
		"eof":   iotest.DataErrReader(strings.NewReader(in)),
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(src)
			for i, want := range []struct {
				content string
				err     error
			}{
				{"one", nil},
				{"", ErrMalformed},
				{fits, nil},
				{"", ErrTooLong},
				{"", nil},
				{"torn", io.ErrUnexpectedEOF},
				{"", io.EOF},
				{"", io.EOF},
			} {
				l, err := r.Next()
				if !errors.Is(err, want.err) || string(l.Content) != want.content {
					t.Fatalf("line %d: %d bytes, %v; want %d bytes, %v", i+1, len(l.Content), err, len(want.content), want.err)
				}
			}
			if cap(r.long) > 2*MaxLine {
				t.Errorf("holds %d bytes", cap(r.long))
			}
		})
	}
}

func TestReaderTornGarbage(t *testing.T) {
	r := NewReader(strings.NewReader("2026-03-2"))
	if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestReaderEndlessLine(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat("x", 3*MaxLine)))
	if _, err := r.Next(); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestReaderKeepsError(t *testing.T) {
	broken := errors.New("broken disk")
	r := NewReader(io.MultiReader(strings.NewReader(head+"one\n"+head), iotest.ErrReader(broken)))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}

func TestJoiner(t *testing.T) {
	var j Joiner
	for i, c := range []struct {
		stream  string
		partial bool
		content string
		want    string
		whole   bool
	}{
		{Stdout, false, "plain", "plain", true},
		{Stdout, true, "a", "", false},
		{Stderr, true, "1", "", false},
		{Stdout, true, "b", "", false},
		{Stderr, false, "2", "12", true},
		{Stdout, false, "c", "abc", true},
		{Stdout, false, "", "", true},
		{Stdout, true, "", "", false},
		{Stdout, false, "x", "x", true},
	} {
		got, whole := j.Add(Line{Stream: c.stream, Partial: c.partial, Content: []byte(c.content)})
		if string(got) != c.want || whole != c.whole {
			t.Errorf("%d: %q %v; want %q %v", i, got, whole, c.want, c.whole)
		}
	}
	if n := len(j.Rest()); n != 0 {
		t.Errorf("%d bytes are pending", n)
	}
	j.Add(Line{Stream: Stderr, Partial: true, Content: []byte("cut")})
	if n := len(j.Rest()); n != 1 {
		t.Errorf("%d lines are pending; want 1", n)
	}
}

func TestJoinerTake(t *testing.T) {
	var j Joiner
	add := func(stream, content string, partial bool) {
		j.Add(Line{Stream: stream, Partial: partial, Content: []byte(content)})
	}
	add(Stdout, "o", true)
	add(Stderr, "e", true)
	if !j.Begun(Stdout) || string(j.Take(Stdout)) != "o" || j.Begun(Stdout) || len(j.Take(Stdout)) != 0 {
		t.Error("stdout's line was not taken once")
	}
	if got, whole := j.Add(Line{Stream: Stdout, Content: []byte("new")}); !whole || string(got) != "new" {
		t.Errorf("after Take: %q, %v", got, whole)
	}
	if n := len(j.Rest()); n != 1 || !j.Begun(Stderr) {
		t.Errorf("%d lines are pending; want stderr's alone", n)
	}
	add(Stderr, "e", false)
	if j.Begun(Stderr) {
		t.Error("a whole line goes on")
	}
}

func TestJoinerIsBounded(t *testing.T) {
	var j Joiner
	part := Line{Stream: Stdout, Partial: true, Content: make([]byte, 1<<20)}
	outs := 0
	for range 40 {
		if content, whole := j.Add(part); whole {
			outs++
			if len(content) != MaxJoined {
				t.Errorf("%d bytes; want %d", len(content), MaxJoined)
			}
		}
	}
	if outs != 2 {
		t.Errorf("handed out %d times; want 2", outs)
	}
	j.Limit = 2 << 20
	j.Take(Stdout)
	j.Add(part)
	if content, whole := j.Add(part); !whole || len(content) != j.Limit {
		t.Errorf("with a limit of %d: %d bytes, %v", j.Limit, len(content), whole)
	}
}

// TestParser: each line of a log, with and without what it remembers.
func TestParser(t *testing.T) {
	var p Parser
	for i, in := range append(slices.Clip(garbage),
		"2026-03-29T01:59:59.123456789Z stdout F hello", "2026-03-29T01:59:00.000000001Z stderr P ", "2026-03-29T02:00:00.000000001Z stderr F x",
		"2026-03-29T02:00:60.000000001Z stdout F x", "2026-03-29T02:00:00.00000000:Z stdout F x", "2026-03-29T02:00:00.000000001Z stdout F:tag x",
		"2026-03-29T02:00:00.12Z stdout F x", "2026-03-29T02:00:00.000000001+01:00 stdout F x", "2026-03-29T02:00:00.000000001+01:00 stdout P x", "2026-03-29T02:00:00.000000001Z stdout X x", "2026-02-29T02:00:00.000000001Z stdout F x") {
		if strings.HasSuffix(in, "\n") {
			continue
		}
		var got Line
		ok := p.Parse([]byte(in), &got)
		want, err := Parse([]byte(in))
		if ok != (err == nil) || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %q: %+v, %v; want %+v, %v", i, in, got, ok, want, err)
		}
	}
}

func BenchmarkParser(b *testing.B) {
	for _, stamp := range []string{"2026-03-29T01:59:59.123456789Z", "2026-03-29T01:59:59.12345678Z", "2026-03-29T01:59:59.123456789+02:00"} {
		b.Run(stamp, func(b *testing.B) {
			line := []byte(stamp + " stdout F " + strings.Repeat("x", 150))
			b.SetBytes(int64(len(line)))
			var p Parser
			var l Line
			for b.Loop() {
				if !p.Parse(line, &l) {
					b.Fatal("no line")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	line := []byte(head + strings.Repeat("x", 150) + "\n")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := Parse(line); err != nil {
			b.Fatal(err)
		}
	}
}
