package report

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	_ "gonum.org/v1/plot/vg/vgsvg" // the format that Save writes
)

const width, height = 8 * vg.Inch, 4 * vg.Inch

// plots draws the measures that have figures, and returns the files by measure.
func (r *Report) plots(dir string) (map[string][]string, error) {
	drawn := map[string][]string{}
	for _, d := range []struct {
		measure, file string
		draw          func(*Measure) (*plot.Plot, error)
	}{
		{"steady2x8", "overshoot-steady2x8.svg", overshootMarks},
		{"flatout1", "overshoot-flatout1.svg", overshootMarks},
		{"flatout1", "live-log-flatout1.svg", sizesOverTime},
		{"compression", "compression.svg", compressionCurve},
		{"writerate", "cpu-write-rate.svg", func(m *Measure) (*plot.Plot, error) {
			return curves(m, "CPU of watching by write rate", "writes/s", "CPU, % of a core", "writes", "share", 1)
		}},
		{"growth", "cpu-containers.svg", func(m *Measure) (*plot.Plot, error) {
			return curves(m, "CPU by number of containers, same bytes in all", "containers", "CPU, % of a core", "containers", "share", 1)
		}},
		{"growth", "rss-containers.svg", func(m *Measure) (*plot.Plot, error) {
			return curves(m, "Memory by number of containers", "containers", "peak RSS, MB", "containers", "peakRSS", 1e6)
		}},
	} {
		m := r.Measure(d.measure)
		if m == nil {
			continue
		}
		p, err := d.draw(m)
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", d.file, err)
		}
		if p == nil {
			continue
		}
		p.BackgroundColor = color.White
		if err := p.Save(width, height, filepath.Join(dir, d.file)); err != nil {
			return nil, fmt.Errorf("plot %s: %w", d.file, err)
		}
		drawn[d.measure] = append(drawn[d.measure], d.file)
	}
	return drawn, nil
}

// minLog stands for zero on a logarithmic axis.
const minLog = 0.01

// overshootMarks draws p50, p99 and max by subject. Marks and not bars, which
// would begin at zero.
func overshootMarks(m *Measure) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text = m.Title, "bytes past the limit, % of it"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	var names []string
	marks := [3]plotter.XYs{}
	for _, row := range m.Rows {
		if _, ok := row.Figures["p50"]; !ok {
			continue
		}
		for i, key := range []string{"p50", "p99", "max"} {
			marks[i] = append(marks[i], plotter.XY{X: float64(len(names)), Y: max(row.Figures[key], minLog)})
		}
		names = append(names, row.Name)
	}
	if len(names) == 0 {
		return nil, nil
	}
	for i, title := range []string{"p50", "p99", "max"} {
		s, err := plotter.NewScatter(marks[i])
		if err != nil {
			return nil, err
		}
		s.Color, s.Shape, s.Radius = plotutil.Color(i), plotutil.Shape(i), vg.Points(4)
		p.Add(s)
		p.Legend.Add(title, s)
	}
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	p.NominalX(names...)
	p.Y.Min, p.Y.Max = minLog, p.Y.Max*5
	p.X.Min, p.X.Max = -0.5, float64(len(names))-0.5
	return p, nil
}

// sizesOverTime draws the live log's size, by subject, in MB.
func sizesOverTime(m *Measure) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "Size of the live log. "+m.Title, "s", "MB"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	n := 0
	for _, row := range m.Rows {
		if len(row.Points) == 0 {
			continue
		}
		var xy plotter.XYs
		for _, at := range row.Points {
			xy = append(xy, plotter.XY{X: at.At.Seconds(), Y: max(float64(at.Size)/1e6, 0.1)})
		}
		line, err := plotter.NewLine(xy)
		if err != nil {
			return nil, err
		}
		line.Color = plotutil.Color(n)
		n++
		p.Add(line)
		p.Legend.Add(row.Name, line)
	}
	if n == 0 {
		return nil, nil
	}
	// Room for the legend above the lines.
	p.Y.Min, p.Y.Max = 0.1, p.Y.Max*20
	p.Legend.Top, p.Legend.Left = true, true
	return p, nil
}

// compressionCurve draws CPU against size.
func compressionCurve(m *Measure) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "Compression: CPU against size", "CPU s per GB", "size, % of the input"
	byFamily, order := map[string]plotter.XYs{}, []string{}
	labels := plotter.XYLabels{}
	for _, row := range m.Rows {
		family := row.Name
		if f, level, ok := strings.Cut(row.Name, " "); ok && f != "kubelet's" {
			family = f
			labels.Labels = append(labels.Labels, level)
		} else {
			labels.Labels = append(labels.Labels, "")
		}
		at := plotter.XY{X: row.Figures["cpuPerGB"], Y: row.Figures["ratio"]}
		labels.XYs = append(labels.XYs, at)
		if byFamily[family] == nil {
			order = append(order, family)
		}
		byFamily[family] = append(byFamily[family], at)
	}
	if len(order) == 0 {
		return nil, nil
	}
	for i, family := range order {
		line, points, err := plotter.NewLinePoints(byFamily[family])
		if err != nil {
			return nil, err
		}
		line.Color, points.Color, points.Shape = plotutil.Color(i), plotutil.Color(i), plotutil.Shape(i)
		p.Add(line, points)
		p.Legend.Add(family, line, points)
	}
	text, err := plotter.NewLabels(labels)
	if err != nil {
		return nil, err
	}
	p.Add(text)
	p.Legend.Top = true
	return p, nil
}

// curves draws one figure against another on a logarithmic axis; rows that
// differ after the last comma only are one curve.
func curves(m *Measure, title, x, y, xKey, yKey string, scale float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	lines, order := map[string]plotter.XYs{}, []string{}
	for _, row := range m.Rows {
		vx, ok := row.Figures[xKey]
		vy, ok2 := row.Figures[yKey]
		if !ok || !ok2 {
			continue
		}
		name := row.Name
		if i := strings.LastIndex(name, ","); i >= 0 {
			name = name[:i]
		}
		if lines[name] == nil {
			order = append(order, name)
		}
		lines[name] = append(lines[name], plotter.XY{X: vx, Y: vy / scale})
	}
	if len(order) == 0 {
		return nil, nil
	}
	for i, name := range order {
		line, points, err := plotter.NewLinePoints(lines[name])
		if err != nil {
			return nil, err
		}
		line.Color, points.Color, points.Shape = plotutil.Color(i), plotutil.Color(i), plotutil.Shape(i)
		p.Add(line, points)
		p.Legend.Add(name, line, points)
	}
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Left = true, true
	return p, nil
}
