package top

import (
	"flag"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/logwatch/logwatch/internal/api"
)

var screenshots = flag.Bool("screenshots", false, "draw the pictures in docs/img again")

// TestScreenshots draws what a terminal shows.
func TestScreenshots(t *testing.T) {
	if !*screenshots {
		t.Skip("only with -screenshots")
	}
	const width, height = 116, 22
	tm := topIn(t, &fakeDaemon{answer: busyNode()}, width, height, "--interval", "200ms")
	tm.awaitText("payments-0")
	time.Sleep(15 * time.Second) // for the trends: a picture waits for nothing else
	tm.keys("Down", "Down", "Down")
	tm.await("the cursor", func(lines []string) bool { return !strings.HasPrefix(lines[4], "▸") })
	draw(t, tm, "top.svg", width, height)
	tm.keys("e", "Home", "Enter")
	tm.awaitText("override 2")
	draw(t, tm, "top-details.svg", width, height)
}

// busyNode is a node whose containers log in waves.
func busyNode() func() api.Status {
	type source struct {
		api.Container
		wave func(t float64) float64 // bytes a second
	}
	steady := func(rate float64) func(float64) float64 { return func(float64) float64 { return rate } }
	waves := func(rate, period, duty float64) func(float64) float64 {
		return func(t float64) float64 {
			if math.Mod(t, period) > duty*period {
				return rate / 50
			}
			return rate * (0.8 + 0.2*math.Sin(5*t))
		}
	}
	var all []source
	add := func(namespace, pod, name string, limit int64, wave func(float64) float64) {
		c := api.Container{
			Names: api.Names{Namespace: namespace, Pod: pod, Container: name}, ID: fmt.Sprintf("%064x", len(all)+0x5eed), Dir: namespace + "_" + pod + "_6f1c/" + name,
			Log: "0.log", Limit: limit, MaxTotal: 5 * limit, Files: 1, MaxFiles: 5, Size: int64(len(all)*7919*977) % limit,
		}
		c.Total = c.Size
		all = append(all, source{c, wave})
	}
	add("shop", "checkout-6c9f7b5d48-4mzkj", "app", 10*mi, waves(9*mi, 2, 0.6))
	add("shop", "checkout-6c9f7b5d48-4mzkj", "istio-proxy", 10*mi, waves(0.5*mi, 2, 0.7))
	add("shop", "search-58d8c6c6bb-zx9lq", "app", 50*mi, func(t float64) float64 { return 3 * mi * (1 + math.Sin(2*t)) })
	add("shop", "payments-0", "db", 20*mi, waves(90<<10, 2, 0.6))
	add("shop", "cart-7f54b9d55b-p8w2c", "app", 10*mi, waves(120<<10, 6, 0.3))
	add("batch", "import-28917360-qq7xs", "loader", 10*mi, waves(24*mi, 3, 0.5))
	add("monitoring", "prometheus-node-exporter-b7xwq", "node-exporter", 10*mi, steady(210))
	add("monitoring", "loki-0", "loki", 10*mi, waves(30<<10, 3, 0.5))
	add("kube-system", "coredns-7db6d8ff4d-x2v9p", "coredns", 10*mi, waves(700, 5, 0.5))
	add("kube-system", "kube-proxy-9k2lt", "kube-proxy", 10*mi, steady(0))
	add("kube-system", "cilium-4t8xd", "cilium-agent", 10*mi, waves(2<<10, 7, 0.4))
	add("ingress-nginx", "ingress-nginx-controller-2vq8d", "controller", 25*mi, func(t float64) float64 { return mi * (1.2 + math.Sin(3*t) + 0.3*math.Sin(9*t)) })
	begun := time.Now()
	last, rotations := begun, uint64(18231)
	return func() api.Status {
		now := time.Now()
		s := sample(0)
		s.Containers = nil
		for i := range all {
			c := &all[i]
			rate := c.wave(now.Sub(begun).Seconds())
			c.Polled = rate > 2000
			grown := int64(rate * now.Sub(last).Seconds())
			c.Written, c.Size, c.Rate = c.Written+grown, c.Size+grown, rate
			if c.Size >= c.Limit {
				over := (c.Size * 31) % 20000
				c.LastRotation = &api.Rotation{Time: now, Cause: "write", To: "0.log.20260102-030301", Size: c.Limit + over, Overshoot: over, Seconds: 0.0012}
				c.Size, c.Files = c.Size-c.Limit, min(c.Files+1, c.MaxFiles)
				c.Rotations++
				rotations++
			}
			c.Total = c.Size + int64(c.Files-1)*c.Limit
			s.Containers = append(s.Containers, c.Container)
		}
		s.Containers[3].LastError = &api.Problem{Time: begun, Text: "rotate: rename shop_payments-0_6f1c/db/0.log: read-only file system: mount it read-write, or exclude it"}
		last = now
		s.Node.Rotations, s.Node.Failures, s.Node.Backlog = rotations, 0, api.Backlog{}
		s.Node.Started, s.Node.Polled, s.Node.Watched = now.Add(-51*time.Hour), 8, 4
		s.Node.Budget = &api.Budget{Limit: 2 << 30, Usage: 1300 << 20}
		return s
	}
}

// cell size in pixels.
const (
	cellWidth, cellHeight = 9, 20
	margin                = 12
)

// palette is that of a dark terminal.
var palette = map[string]string{
	"": "#d4d4d4", "30": "#1e1e1e", "31": "#f4706b", "32": "#6bbf6b", "33": "#e0b050", "34": "#6b9fe0", "35": "#c586c0", "36": "#4fb8c8", "37": "#d4d4d4",
}

const background = "#1e1e1e"

// pen is how a cell is drawn.
type pen struct {
	colour                          string // an SGR parameter
	bold, faint, reverse, underline bool
}

// sgr takes in an escape sequence's parameters.
func (p pen) sgr(t *testing.T, params string) pen {
	for n := range strings.SplitSeq(params, ";") {
		switch n {
		case "", "0":
			p = pen{}
		case "1":
			p.bold = true
		case "2":
			p.faint = true
		case "4":
			p.underline = true
		case "7":
			p.reverse = true
		case "39":
			p.colour = ""
		case "49": // there are no backgrounds
		default:
			if _, ok := palette[n]; !ok {
				t.Fatalf("no picture of SGR %q", params)
			}
			p.colour = n
		}
	}
	return p
}

// draw makes an SVG of a terminal's cells.
func draw(t *testing.T, tm *tmux, name string, width, height int) {
	t.Helper()
	var b strings.Builder
	w, h := width*cellWidth+2*margin, height*cellHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="15">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="8" fill="%s"/>`+"\n", w, h, background)
	for y, line := range strings.Split(strings.TrimSuffix(tm.run("capture-pane", "-p", "-e", "-N"), "\n"), "\n") {
		drawLine(t, &b, line, margin+y*cellHeight)
	}
	b.WriteString("</svg>\n")
	if err := os.WriteFile(filepath.Join("..", "..", "docs", "img", name), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// drawLine draws runs of cells that look the same.
func drawLine(t *testing.T, b *strings.Builder, line string, y int) {
	var p pen
	x := margin
	text := ""
	flush := func() {
		if text != "" {
			drawRun(b, text, p, x, y)
			x += ansi.StringWidth(text) * cellWidth
			text = ""
		}
	}
	for len(line) > 0 {
		if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
			flush()
			var params string
			params, line, ok = strings.Cut(rest, "m")
			if !ok {
				t.Fatalf("no picture of %q", rest)
			}
			p = p.sgr(t, params)
			continue
		}
		cluster, _ := ansi.FirstGraphemeCluster(line, ansi.GraphemeWidth)
		text += cluster
		line = line[len(cluster):]
	}
	flush()
}

func drawRun(b *strings.Builder, text string, p pen, x, y int) {
	colour, width := palette[p.colour], ansi.StringWidth(text)*cellWidth
	if p.reverse {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`, x, y, width, cellHeight, colour)
		colour = background
	}
	style := ""
	if p.bold {
		style += ` font-weight="bold"`
	}
	if p.faint {
		style += ` opacity="0.6"`
	}
	if p.underline {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="1" fill="%s"/>`, x, y+cellHeight-2, width, colour)
	}
	rest := []rune(text)
	for i, r := range rest {
		if block(b, r, x+i*cellWidth, y, colour, p.faint) {
			rest[i] = ' '
		}
	}
	if left := strings.TrimLeft(string(rest), " "); strings.TrimSpace(left) != "" {
		skipped := len(rest) - len([]rune(left))
		left = strings.TrimRight(left, " ")
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s"%s textLength="%d" xml:space="preserve">%s</text>`,
			x+skipped*cellWidth, y+cellHeight-5, colour, style, ansi.StringWidth(left)*cellWidth, html.EscapeString(left))
	}
	b.WriteString("\n")
}

// block draws bars and trends as rectangles: fonts do not agree on them.
func block(b *strings.Builder, r rune, x, y int, colour string, faint bool) bool {
	px, py, w, h, opacity := float64(x), float64(y), float64(cellWidth), float64(cellHeight-2), "1"
	bars, trends := "░▒▓", string(sparks[1:])
	switch {
	case strings.ContainsRune(bars, r):
		opacity = []string{"0.25", "0.5", "0.75"}[strings.IndexRune(bars, r)/3]
		py, h = py+3, h-4
	case r == '█' && !faint:
		py, h = py+3, h-4
	case strings.ContainsRune(trends, r):
		full := h - 2
		h = full * float64(strings.IndexRune(trends, r)/3+1) / 8
		py += full + 2 - h
	default:
		return false
	}
	if faint {
		opacity = "0.6"
		if r == '░' {
			opacity = "0.18"
		}
	}
	fmt.Fprintf(b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s" opacity="%s"/>`, number(px), number(py), number(w), number(h), colour, opacity)
	return true
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
