package demo

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

// someState has what a view must cope with: a full bar, one past its limit, an
// empty one, a name that is long and one that would clear the screen.
func someState() State {
	return State{
		header:  header{Runtime: "containerd", Limit: 1 << 20, LimitText: "1Mi", MaxFiles: 5},
		Elapsed: 83 * time.Second,
		Containers: []ContainerState{
			{Name: "checkout", Size: 400 << 10, Rate: 2.4e6, Rotations: 131, Overshoot: 3300, Plain: 2, Compressed: 3},
			{Name: "batch-import", Size: 1<<20 + 30<<10, Rate: 29.9e6, Rotations: 1802, Overshoot: 120 << 10, Plain: 4, Compressed: 2},
			{Name: "new", Plain: 1},
			{Name: "evil\x1b[2J\r\nname-of-a-container", Size: 900 << 10, Rate: 12e3, Rotations: 2, Overshoot: 30 << 10, Plain: 3},
		},
		Rotations: 1935, WorstOvershoot: 210 << 10, Lines: 15_300_000, Written: 2 << 30, OnDisk: 17 << 20,
		LineRate: 201_300, Rate: 32.3e6, CPU: 41, ReadBack: ReadBack{Lines: 15_200_000},
		Notes: []string{"WRN a log was not rotated; trying again \x1b]0;title\a dir=a"},
	}
}

func TestRender(t *testing.T) {
	for _, c := range []struct {
		width int
		style Style
		name  string
	}{
		{40, Style{}, "40"},
		{80, Style{}, "80"},
		{120, Style{}, "120"},
		{80, Style{Color: true, Unicode: true}, "80-color"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(Render(someState(), c.width, c.style), "\n") + "\n"
			golden(t, "view-"+c.name, strings.ReplaceAll(got, "\x1b", "^"))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

var colors = regexp.MustCompile(`\x1b\[[0-9]*m`)

func TestRenderKeepsToTheWidth(t *testing.T) {
	noisy := someState()
	noisy.LineRate, noisy.Rate, noisy.CPU, noisy.Elapsed = 1e9, 999.9e6, 6400, 1000*time.Hour
	for i := range noisy.Containers {
		c := &noisy.Containers[i]
		c.Rate, c.Size, c.Overshoot, c.Rotations = 999.9e6, 1023<<30, 100<<20, 99999
	}
	for width := range 200 {
		for _, style := range []Style{{}, {Color: true, Unicode: true}} {
			for i, st := range []State{someState(), noisy, {}} {
				for _, line := range Render(st, width, style) {
					bare := colors.ReplaceAllString(line, "")
					// A figure that is absurdly large may take its column over.
					if n := utf8.RuneCountInString(bare); n > width && i != 1 {
						t.Fatalf("width %d: %d cells: %q", width, n, bare)
					}
					if !style.Color && bare != line || strings.ContainsAny(bare, "\x00\x07\x1b\r\n") {
						t.Fatalf("width %d: control characters in %q", width, line)
					}
				}
			}
		}
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		size(1023):              "1023B",
		size(1024):              "1.0Ki",
		size(1023 << 10):        "1023Ki",
		size(1<<20 - 1):         "1.0Mi",
		rate(999.6e3):           "1.0MB/s",
		rate(12e3):              "12kB/s",
		thousands(0):            "0",
		thousands(1234567):      "1,234,567",
		thousands(999):          "999",
		clock(3725 * 1e9):       "1:02:05",
		clean("a\tb\"é\x7f"):    `a\tb"\u00e9\x7f`,
		clean("plain \"text\""): `plain "text"`,
		fit("abcdef", 4):        "abc~",
		percent(1, 0):           "0.00%",
		fmt.Sprintf("%q", wrap("x  one two three", 8, 3)): `["x  one" "   two" "   three"]`,
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLiveDrawsInPlace(t *testing.T) {
	var out strings.Builder
	width, height := 80, 24
	l := &live{out: &out, size: func() (int, int) { return width, height }, render: Render}
	draw := func() string {
		out.Reset()
		if err := l.frame(someState()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	first := draw()
	lines := strings.Count(first, "\n")
	if strings.Contains(first, eraseScreen) || strings.Contains(first, "A") && strings.Contains(first, fmt.Sprintf("\x1b[%dA", lines)) {
		t.Errorf("the first frame overwrites what was there: %q", first)
	}
	if second := draw(); !strings.HasPrefix(second, hideCursor+fmt.Sprintf("\r\x1b[%dA", lines)) {
		t.Errorf("the second frame is not drawn over the first: %q", second)
	}
	width = 60
	if resized := draw(); !strings.Contains(resized, eraseScreen) {
		t.Errorf("nothing is erased after a resize: %q", resized)
	}
	height = 6
	small := draw()
	if got := strings.Count(small, "\n"); got != 5 {
		t.Errorf("%d lines on a screen of 6, want 5", got)
	}
	for _, frame := range []string{first, small} {
		if !strings.HasSuffix(frame, showCursor) {
			t.Errorf("the cursor stays hidden: %q", frame)
		}
	}
}
