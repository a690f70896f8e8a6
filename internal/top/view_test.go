package top

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/logwatch/logwatch/internal/api"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// screen is what is shown, without colors.
func (d *driver) screen() string {
	return ansi.Strip(d.View().Content) + "\n"
}

func TestGolden(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for _, size := range [][2]int{{80, 24}, {20, 10}, {200, 50}} {
		for name, keys := range map[string][]string{
			"list": nil, "cursor": {"down", "down", "down", "down"}, "filter": {"/", "shop"}, "filtered": {"/", "shop", "enter", "n"},
			"details": {"down", "down", "down", "enter"}, "help": {"?"},
		} {
			for _, unicode := range []bool{true, false} {
				name := fmt.Sprintf("%s-%dx%d", name, size[0], size[1])
				if !unicode {
					if size[0] != 80 {
						continue
					}
					name += "-ascii"
				}
				t.Run(name, func(t *testing.T) {
					d := watching(Options{Unicode: unicode})
					d.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
					d.press(keys...)
					d.poll()
					golden(t, name, d.screen())
				})
			}
		}
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
		t.Errorf("it shows\n%s\nwant\n%s\n(go test ./internal/top -update writes the golden files anew)", got, want)
	}
}

// fits checks that lines fit a terminal, whichever way it measures characters.
func fits(t *testing.T, what string, d *driver, width, height int) {
	t.Helper()
	lines := strings.Split(d.View().Content, "\n")
	if len(lines) != height {
		t.Fatalf("%s at %dx%d: %d lines", what, width, height, len(lines))
	}
	for _, l := range lines {
		if w := max(ansi.StringWidth(l), ansi.StringWidthWc(l)); w > width {
			t.Fatalf("%s at %dx%d: a line has %d cells: %q", what, width, height, w, ansi.Strip(l))
		}
		if plain := ansi.Strip(l); strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x9b || r == 0x202e }) {
			t.Fatalf("%s at %dx%d: control characters: %q", what, width, height, plain)
		}
	}
}

// TestEveryScreen: at each size, whatever is shown fits and holds no control
// character, and nothing panics; also when the size changes in between.
func TestEveryScreen(t *testing.T) {
	for name, s := range map[string]api.Status{"sample": sample(20), "hostile": hostiles(), "empty": {}, "waiting": {Node: api.Node{Waiting: hostile}}} {
		for _, unicode := range []bool{true, false} {
			d := drive(Options{Unicode: unicode, Which: api.Names{Namespace: hostile}}, func(api.Names, bool) (api.Status, error) { return s, nil })
			for _, keys := range [][]string{nil, {"down"}, {"enter"}, {"end"}, {"esc", "?"}, {"end"}, {"esc", "/", "日本é"}, {"enter"}, {"esc"}} {
				d.press(keys...)
				d.poll()
				for width := 1; width <= 210; width += 1 + width/6 {
					for _, height := range []int{1, 2, 3, 4, 8, 24} {
						d.send(tea.WindowSizeMsg{Width: width, Height: height})
						fits(t, name, d, width, height)
					}
				}
			}
		}
	}
}

// TestRandomKeys: whatever keys come in whatever order, it fits.
func TestRandomKeys(t *testing.T) {
	keys := []string{"up", "down", "enter", "esc", "home", "end", "pgup", "pgdown", "backspace", "r", "s", "o", "n", "e", "R", "/", "?", "x", "日"}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		d := drive(Options{Unicode: true}, func(api.Names, bool) (api.Status, error) { return many(r.IntN(60), r.IntN(100)), nil })
		d.poll()
		for range 300 {
			k := keys[r.IntN(len(keys))]
			d.press(k)
			if r.IntN(5) == 0 {
				d.wait(time.Second)
			}
			width, height := 1+r.IntN(120), 1+r.IntN(40)
			d.send(tea.WindowSizeMsg{Width: width, Height: height})
			fits(t, "after "+k, d, width, height)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

// TestColumnsHold: names with wide and combining characters do not move what is
// right of them.
func TestColumnsHold(t *testing.T) {
	var all []api.Container
	for _, pod := range []string{"web", "日本語", "e\u0301a", hostile, strings.Repeat("日", 80), strings.Repeat("e\u0301", 80), "❤️", "🇩🇪", "\u0301x", "각", "ก็", "नी"} {
		all = append(all, api.Container{Names: api.Names{Namespace: "ns", Pod: pod}, Size: 7777, Limit: mi})
	}
	d := drive(Options{Unicode: true}, func(api.Names, bool) (api.Status, error) { return api.Status{Containers: all}, nil })
	d.poll()
	at, rows := -1, 0
	for line := range strings.Lines(d.screen()) {
		before, _, found := strings.Cut(line, "7.6Ki")
		if !found {
			continue
		}
		rows++
		if at < 0 {
			at = ansi.StringWidth(before)
		}
		if ansi.StringWidth(before) != at || ansi.StringWidthWc(before) != at {
			t.Errorf("%q: the size is at %d or %d, not %d", before, ansi.StringWidth(before), ansi.StringWidthWc(before), at)
		}
	}
	if rows != len(all) {
		t.Errorf("%d rows of %d are shown:\n%s", rows, len(all), d.screen())
	}
}

// TestViewCost: it does not grow with what there is.
func TestViewCost(t *testing.T) {
	cost := func(n int) float64 {
		d := drive(Options{Unicode: true}, func(api.Names, bool) (api.Status, error) { return many(n, 9), nil })
		d.poll()
		return testing.AllocsPerRun(10, func() {
			d.arrange()
			d.View()
		})
	}
	if few, all := cost(50), cost(5000); all > 1.5*few {
		t.Errorf("a picture of 5000 containers takes %v allocations, of 50 %v", all, few)
	}
}

// BenchmarkView: what is rendered does not grow with what there is.
func BenchmarkView(b *testing.B) {
	for _, n := range []int{50, 5000} {
		d := drive(Options{Unicode: true}, func(api.Names, bool) (api.Status, error) { return many(n, 9), nil })
		d.send(tea.WindowSizeMsg{Width: 200, Height: 50})
		d.poll()
		d.press("end")
		b.Run(fmt.Sprint("view/", n), func(b *testing.B) {
			for b.Loop() {
				d.arrange()
				d.View()
			}
		})
		b.Run(fmt.Sprint("answer/", n), func(b *testing.B) {
			s := many(n, 10)
			for b.Loop() {
				d.send(answer{status: s, at: d.now})
			}
		})
	}
}
