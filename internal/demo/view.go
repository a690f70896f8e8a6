package demo

import (
	"fmt"
	"strings"
	"time"
)

// header is what does not change during a run.
type header struct {
	Runtime     string
	Limit       int64 // bytes
	LimitText   string
	MaxFiles    int
	MinInterval time.Duration
}

// State is what a frame shows.
type State struct {
	header
	Elapsed    time.Duration
	Containers []ContainerState

	Rotations       int
	WorstOvershoot  int64   // bytes
	Lines           uint64  // written
	Written, OnDisk int64   // bytes
	LineRate, Rate  float64 // lines and bytes a second
	CPU             float64 // percent of one core
	ReadBack        ReadBack
	Notes           []string // the daemon's last warnings
}

// ContainerState is one container's part of a State. Sizes are in bytes.
type ContainerState struct {
	Name              string
	Size              int64 // of the live log
	OnDisk            int64 // of all its files
	Rate              float64
	Rotations         int
	Overshoot         int64 // of the last rotation
	Plain, Compressed int   // files, the live one counted
}

// ReadBack is what was read from rotated logs so far, in lines.
type ReadBack struct{ Lines, Lost, Doubled, OutOfOrder uint64 }

func (r *ReadBack) add(o ReadBack) {
	r.Lines += o.Lines
	r.Lost += o.Lost
	r.Doubled += o.Doubled
	r.OutOfOrder += o.OutOfOrder
}

// Style is what the terminal can show.
type Style struct {
	Color   bool
	Unicode bool
}

const (
	minWidth  = 40 // cells; a narrower terminal gets cut lines
	wideWidth = 78 // cells; from here on a container takes one line
	maxBar    = 40 // cells
	maxName   = 16 // cells
)

// SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Render makes a frame's lines: none takes more than width cells, and no name or
// warning reaches the terminal with a control character.
func Render(st State, width int, style Style) []string {
	full := max(width, minWidth)
	if width < minWidth {
		style = Style{} // what is cut must not have escapes
	}
	lines := flow(st.head(), full)
	for i := range lines {
		lines[i] = style.paint(bold, lines[i])
	}
	lines = append(lines, "")
	lines = append(lines, st.table(full, style)...)
	lines = append(lines, "")
	lines = append(lines, flow(st.totals(), full)...)
	for _, l := range flow(st.readBack(), full) {
		code := green
		if r := st.ReadBack; r.Lost+r.Doubled+r.OutOfOrder > 0 {
			code = red
		}
		lines = append(lines, style.paint(code, l))
	}
	for _, n := range st.Notes {
		lines = append(lines, style.paint(yellow, fit("daemon: "+clean(n), full)))
	}
	if width < minWidth {
		for i := range lines {
			lines[i] = fit(lines[i], width)
		}
	}
	return lines
}

// flow puts parts on as few lines as they need.
func flow(parts []string, width int) (lines []string) {
	for _, p := range parts {
		p = fit(p, width)
		if last := len(lines) - 1; last >= 0 && len(lines[last])+2+len(p) <= width {
			lines[last] += "  " + p
			continue
		}
		lines = append(lines, p)
	}
	return lines
}

func (st State) head() []string {
	pause := "rotated at once"
	if st.MinInterval > 0 {
		pause = "at most every " + st.MinInterval.String()
	}
	return []string{
		"logwatch demo", clock(st.Elapsed), clean(st.Runtime), "limit " + clean(st.LimitText),
		fmt.Sprintf("keeps %d files", st.MaxFiles), pause,
	}
}

func (st State) totals() []string {
	return []string{
		thousands(uint64(st.LineRate)) + " lines/s", rate(st.Rate),
		"written " + size(st.Written), "on disk " + size(st.OnDisk),
		fmt.Sprintf("rotations %s", thousands(uint64(st.Rotations))),
		"worst overshoot " + percent(st.WorstOvershoot, st.Limit),
		fmt.Sprintf("CPU %.0f%% (with the writers)", st.CPU),
	}
}

func (st State) readBack() []string {
	r := st.ReadBack
	return []string{
		"read back " + thousands(r.Lines) + " lines:", thousands(r.Lost) + " lost,",
		thousands(r.Doubled) + " doubled,", thousands(r.OutOfOrder) + " out of order",
	}
}

func (st State) table(width int, style Style) (lines []string) {
	name := len("container")
	for _, c := range st.Containers {
		name = max(name, min(len(clean(c.Name)), maxName))
	}
	if width < wideWidth {
		for _, c := range st.Containers {
			lines = append(lines, st.narrow(c, name, width, style)...)
		}
		return lines
	}
	const rest = len("  1000Ki  100%  999.9MB/s  rotated  1000Ki 100.00%  9+9gz")
	bar := min(maxBar, width-name-2-rest)
	lines = append(lines, style.paint(dim, fmt.Sprintf("%-*s  %-*s  %9s  %7s  %14s  %5s",
		name, "container", bar+len("  1000Ki  100%"), "live log / limit", "rate", "rotated", "last overshoot", "files")))
	for _, c := range st.Containers {
		lines = append(lines, fmt.Sprintf("%-*s  %s  %6s  %4s  %9s  %7d  %s  %5s",
			name, fit(clean(c.Name), name), st.bar(c, bar, style), size(c.Size), st.full(c), rate(c.Rate), c.Rotations,
			st.overshoot(c, fmt.Sprintf("%6s %7s", size(c.Overshoot), percent(c.Overshoot, st.Limit)), style), c.files()))
	}
	return lines
}

// narrow shows a container in two lines.
func (st State) narrow(c ContainerState, name, width int, style Style) []string {
	bar := width - name - len("    1000Ki  100%")
	return []string{
		fmt.Sprintf("%-*s  %s  %6s  %4s", name, fit(clean(c.Name), name), st.bar(c, bar, style), size(c.Size), st.full(c)),
		fmt.Sprintf("  %9s  %5d rot  %s  %5s", rate(c.Rate), c.Rotations,
			st.overshoot(c, fmt.Sprintf("%8s", "+"+percent(c.Overshoot, st.Limit)), style), c.files()),
	}
}

// full is the live log's share of its limit.
func (st State) full(c ContainerState) string {
	return fmt.Sprintf("%.0f%%", min(share(c.Size, st.Limit), 999))
}

func (c ContainerState) files() string { return fmt.Sprintf("%d+%dgz", c.Plain, c.Compressed) }

// bar is the live log's size against its limit; past it, the bar is full and red.
func (st State) bar(c ContainerState, width int, style Style) string {
	on, off := "#", "."
	if style.Unicode {
		on, off = "\u2588", "\u2591"
	}
	n := min(width, max(0, int(share(c.Size, st.Limit)/100*float64(width)+0.5)))
	code := green
	switch s := share(c.Size, st.Limit); {
	case s > 100:
		code = red
	case s > 80:
		code = yellow
	}
	return style.paint(code, strings.Repeat(on, n)) + style.paint(dim, strings.Repeat(off, width-n))
}

// overshoot is text, blank before the first rotation.
func (st State) overshoot(c ContainerState, text string, style Style) string {
	if c.Rotations == 0 {
		return fmt.Sprintf("%*s", len(text), "-")
	}
	switch s := share(c.Overshoot, st.Limit); {
	case s > 10:
		return style.paint(red, text)
	case s > 2:
		return style.paint(yellow, text)
	}
	return style.paint(green, text)
}
