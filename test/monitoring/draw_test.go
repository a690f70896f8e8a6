package monitoring

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The picture's measures, in pixels: a column and a row of the grid, what is left
// between two panels, and what a panel keeps around its plot.
const (
	column, line, gap  = 58, 30, 8
	axis, head, legend = 58, 28, 24
)

// colors are Grafana's, of thresholds.
var colors = map[string]string{"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "text": "#ccccdc"}

var palette = []string{"#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#fade2a", "#ca95e5", "#37872d"}

const style = `body{margin:0;background:#111217;color:#ccccdc;font:12px "DejaVu Sans",sans-serif}
.note{position:absolute;left:8px;right:8px;top:8px;line-height:1.5}
.row{position:absolute;font-weight:bold;font-size:14px;padding-top:5px}
.panel{position:absolute;background:#181b1f;border:1px solid #2c2f36;border-radius:3px;overflow:hidden;box-sizing:border-box}
.title{font-weight:bold;padding:6px 8px;white-space:nowrap}
.big{text-align:center;font-size:30px;padding-top:6px}
.legend{position:absolute;bottom:3px;left:8px;right:8px;height:18px;overflow:hidden;white-space:nowrap;font-size:11px}
.legend i{display:inline-block;width:10px;height:4px;margin:0 4px 2px 8px}
svg{position:absolute;left:0;top:28px}text{fill:#8e8fa0;font-size:10px}table{margin:4px 8px;border-spacing:12px 3px}td,th{text-align:left}`

// draw makes a picture of the dashboard with a browser: its panels where they are on
// the grid, with the answers to their own queries.
func draw(t *testing.T, d dashboard, shown map[string][]result, from, to time.Time, file string) {
	t.Helper()
	const note = 62 // pixels on top
	var b strings.Builder
	fmt.Fprintf(&b, `<!doctype html><meta charset=utf-8><style>%s</style><div class=note><b>configs/grafana-dashboard.json</b>: its panels, `+
		`with a real Prometheus' answers to their own queries, from a real daemon on a small embedded node in %.0f s of load (CPU and memory are those of both). `+
		`At the end the runtime hangs and the budget is made too small.<br>Drawn by logwatch's own test (test/monitoring), not by Grafana, `+
		`which gives it another look.</div>`, style, to.Sub(from).Seconds())
	bottom := 0
	place := func(p panel, class, content string) {
		g := p.Grid
		bottom = max(bottom, note+(g.Y+g.H)*line)
		fmt.Fprintf(&b, `<div class=%s style="left:%dpx;top:%dpx;width:%dpx;height:%dpx">%s</div>`,
			class, g.X*column+gap, note+g.Y*line, g.W*column-gap, g.H*line-gap, content)
	}
	for _, p := range d.Panels {
		if p.Type == "row" {
			place(p, "row", "▾ "+html.EscapeString(p.Title))
		}
	}
	for _, p := range d.all() {
		place(p, "panel", `<div class=title>`+html.EscapeString(p.Title)+`</div>`+content(p, shown, from, to))
	}
	page := filepath.Join(t.TempDir(), "dashboard.html")
	if err := os.WriteFile(page, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		needs(t, "chromium is not installed: apt-get install --no-install-recommends chromium")
	}
	if file, err = filepath.Abs(file); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir="+t.TempDir(),
		fmt.Sprintf("--window-size=%d,%d", columns*column+gap, bottom), "--screenshot="+file, "file://"+page).CombinedOutput()
	if err != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
}

// series is what is drawn of an answer: one line, or one table row.
type series struct {
	name   string
	labels map[string]string
	points []point
}

func (s series) most() (top float64) {
	for _, pt := range s.points {
		top = max(top, pt.value)
	}
	return top
}

func content(p panel, shown map[string][]result, from, to time.Time) string {
	var all []series
	for _, q := range p.Targets {
		for _, r := range shown[p.Title+q.RefID] {
			name := reField.ReplaceAllStringFunc(q.Legend, func(s string) string { return r.Metric[strings.Trim(s, "{} ")] })
			all = append(all, series{strings.ReplaceAll(name, "}}", ""), r.Metric, r.points()})
		}
	}
	slices.SortStableFunc(all, func(a, b series) int {
		if len(all) > 6 { // more than the legend has room for: the largest first
			return cmp.Compare(b.most(), a.most())
		}
		return cmp.Compare(a.name, b.name)
	})
	switch p.Type {
	case "table":
		return table(all)
	case "stat", "gauge":
		text, color := "–", "text"
		if len(all) > 0 && len(all[0].points) > 0 {
			v := all[0].points[0].value
			text, color = format(v, p.unit()), p.color(v)
		}
		return `<div class=big style="color:` + colors[color] + `">` + text + `</div>`
	}
	pl := plot{w: p.Grid.W*column - gap, h: p.Grid.H*line - gap - head, from: float64(from.Unix()), to: float64(to.Unix())}
	if p.Type == "heatmap" {
		return pl.heatmap(all, p.unit())
	}
	return pl.lines(all, p.unit(), p.FieldConfig.Defaults.Custom.Stacking.Mode == "normal")
}

// color is that of the highest threshold which a value reaches.
func (p panel) color(v float64) (name string) {
	for _, s := range p.FieldConfig.Defaults.Thresholds.Steps {
		if s.Value == nil || v >= *s.Value {
			name = s.Color
		}
	}
	return name
}

func table(all []series) string {
	var b strings.Builder
	b.WriteString("<table>")
	for i, s := range all {
		keys := slices.Sorted(maps.Keys(s.labels))
		if i == 0 {
			b.WriteString("<tr><th>" + html.EscapeString(strings.Join(keys, "\x00")+"\x00nodes"))
		}
		b.WriteString("<tr>")
		for _, k := range keys {
			b.WriteString("<td>" + html.EscapeString(s.labels[k]))
		}
		b.WriteString("<td>" + format(s.points[0].value, "none"))
	}
	return strings.ReplaceAll(b.String(), "\x00", "<th>") + "</table>"
}

// plot is the room for lines, with axes.
type plot struct {
	w, h     int
	from, to float64 // in seconds
}

func (p plot) x(at float64) float64 {
	return axis + (at-p.from)/(p.to-p.from)*float64(p.w-axis-12)
}

func (p plot) y(share float64) float64 { return float64(p.h-legend-16) - share*float64(p.h-legend-24) }

// frame is the plot with its axes; at says what stands at shares of the height.
func (p plot) frame(inner string, at map[float64]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width=%d height=%d>`, p.w, p.h)
	for share, text := range at {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#2c2f36"/><text x=%d y=%.1f text-anchor=end>%s</text>`,
			axis, p.y(share), p.w-12, axis-4, p.y(share)+3, text)
	}
	step := 20.0
	for (p.to-p.from)/step > float64(p.w)/70 {
		step *= 2
	}
	for s := 0.0; s <= p.to-p.from; s += step {
		fmt.Fprintf(&b, `<text x=%.1f y=%.1f text-anchor=middle>%.0f s</text>`, p.x(p.from+s), p.y(0)+13, s)
	}
	return b.String() + inner + `</svg>`
}

func (p plot) lines(all []series, unit string, stack bool) string {
	var b, names strings.Builder
	sum, top := map[float64]float64{}, 0.0
	for i, s := range all {
		for j, pt := range s.points {
			if stack {
				sum[pt.at] += pt.value
				s.points[j].value = sum[pt.at]
			}
			top = max(top, s.points[j].value)
		}
		fmt.Fprintf(&names, `<i style="background:%s"></i>%s`, palette[i%len(palette)], html.EscapeString(s.name))
	}
	step := tick(top, unit)
	top = max(step, math.Ceil(top/step)*step)
	for i, s := range slices.Backward(all) {
		var path strings.Builder
		for j, pt := range s.points {
			c := "L"
			if j == 0 || pt.at-s.points[j-1].at > 2 { // a gap
				c = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", c, p.x(pt.at), p.y(pt.value/top))
		}
		color := palette[i%len(palette)]
		if stack && len(s.points) > 0 { // what is above it lies behind it: hidden first
			area := fmt.Sprintf("%sL%.1f %.1fL%.1f %.1fZ", path.String(), p.x(s.points[len(s.points)-1].at), p.y(0), p.x(s.points[0].at), p.y(0))
			fmt.Fprintf(&b, `<path d="%s" fill="#181b1f"/><path d="%s" fill="%s66"/>`, area, area, color)
		}
		fmt.Fprintf(&b, `<path d="%s" fill=none stroke="%s" stroke-width=1.3 />`, path.String(), color)
	}
	at := map[float64]string{}
	for v := 0.0; v <= top*1.001; v += step {
		at[v/top] = format(v, unit)
	}
	return p.frame(b.String(), at) + `<div class=legend>` + names.String() + `</div>`
}

// heatmap has a row for each bucket that is between two others in use.
func (p plot) heatmap(all []series, unit string) string {
	bound := func(s series) float64 { v, _ := strconv.ParseFloat(s.name, 64); return v }
	slices.SortFunc(all, func(a, b series) int { return cmp.Compare(bound(a), bound(b)) })
	// Cumulative as they come: what is below is taken off.
	below, count := map[float64]float64{}, make([]map[float64]float64, len(all))
	first, last, most := len(all), 0, 0.0
	for i, s := range all {
		count[i] = map[float64]float64{}
		for _, pt := range s.points {
			if n := pt.value - below[pt.at]; n > 1e-9 {
				count[i][pt.at], most = n, max(most, n)
				first, last = min(first, i), max(last, i)
			}
			below[pt.at] = pt.value
		}
	}
	var b strings.Builder
	at := map[float64]string{}
	rows := float64(last - first + 1)
	for i := first; i <= last; i++ {
		low := float64(i-first) / rows
		if i > 0 {
			at[low] = format(bound(all[i-1]), unit)
		}
		for _, when := range slices.Sorted(maps.Keys(count[i])) {
			fmt.Fprintf(&b, `<rect x=%.1f y=%.1f width=%.1f height=%.1f fill="#ff780a" opacity="%.2f"/>`, p.x(when-1), p.y(low+1/rows)+1,
				p.x(when)-p.x(when-1), p.y(low)-p.y(low+1/rows)-1, 0.15+0.85*math.Sqrt(count[i][when]/most))
		}
	}
	return p.frame(b.String(), at)
}

// tick is the step of an axis that reaches to top.
func tick(top float64, unit string) float64 {
	if top <= 0 {
		return 1
	}
	base := 10.0
	if unit == "bytes" || unit == "binBps" {
		base = 2
	}
	step := math.Pow(base, math.Floor(math.Log(top/4)/math.Log(base)))
	for _, m := range []float64{1, 2, 5, 10} {
		if top/(step*m) <= 4.5 {
			return step * m
		}
	}
	return step * 10
}

// format writes a number as Grafana would write one of the unit.
func format(v float64, unit string) string {
	short := func(v float64) string {
		if v >= 1000 { // no 1e+03
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	switch unit {
	case "bytes", "binBps":
		names := []string{" B", " KiB", " MiB", " GiB", " TiB"}
		i := 0
		for ; v >= 1024 && i < len(names)-1; i++ {
			v /= 1024
		}
		if unit == "binBps" {
			return strconv.FormatFloat(v, 'g', 4, 64) + names[i] + "/s"
		}
		return strconv.FormatFloat(v, 'g', 4, 64) + names[i]
	case "s":
		switch {
		case v == 0:
			return "0 s"
		case v < 0.001:
			return short(v*1e6) + " µs"
		case v < 1:
			return short(v*1e3) + " ms"
		}
		return short(v) + " s"
	case "percentunit":
		return short(v*100) + " %"
	case "ops":
		return short(v) + "/s"
	}
	return short(v)
}
