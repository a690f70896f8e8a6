package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// screen shows states.
type screen interface {
	every() time.Duration
	frame(st State) error
	// ending says that the view is over and the counting begins.
	ending(dir string) error
}

// What the terminal is told. Nothing has to be put right at the end: the cursor is
// hidden within one write only, and no mode stays set.
const (
	hideCursor  = "\x1b[?25l"
	showCursor  = "\x1b[?25h"
	eraseLine   = "\x1b[2K"
	eraseBelow  = "\x1b[J"
	eraseScreen = "\x1b[H\x1b[2J"
)

// live redraws a frame in place.
type live struct {
	out    io.Writer
	size   func() (width, height int)
	style  Style
	render func(State, int, Style) []string

	drawn         int // lines of the last frame
	width, height int // when it was drawn
}

func (l *live) every() time.Duration { return frameEvery }

func (l *live) frame(st State) error {
	width, height := l.size()
	lines := l.render(st, width, l.style)
	// The cursor rests below the frame; a frame that scrolls cannot be drawn over.
	if height > 1 && len(lines) > height-1 {
		lines = lines[:height-1]
	}
	var b strings.Builder
	b.WriteString(hideCursor)
	switch {
	case l.drawn == 0:
	case width != l.width || height < l.height:
		// The terminal has wrapped or scrolled the old frame as it saw fit.
		b.WriteString(eraseScreen)
	default:
		fmt.Fprintf(&b, "\r\x1b[%dA", l.drawn)
	}
	for _, line := range lines {
		// Erased before, not after: behind a full line the cursor is still on it.
		b.WriteString(eraseLine + line + "\r\n")
	}
	b.WriteString(eraseBelow + showCursor)
	l.drawn, l.width, l.height = len(lines), width, height
	_, err := io.WriteString(l.out, b.String())
	return err
}

func (l *live) ending(dir string) error {
	_, err := fmt.Fprintf(l.out, "\rstopping, then counting the lines (a second Ctrl-C gives up and leaves %s)\n", clean(dir))
	return err
}

// plain prints a line a second, and each warning once.
type plain struct {
	out io.Writer

	begun     bool
	shown     time.Duration // elapsed at the last line
	rotations int
	lastNote  string
}

func (p *plain) every() time.Duration { return lineEvery }

func (p *plain) frame(st State) error {
	var b strings.Builder
	if !p.begun {
		p.begun = true
		b.WriteString(strings.Join(st.head(), "  ") + "\n")
	}
	for _, n := range st.Notes {
		if n != p.lastNote {
			b.WriteString("daemon: " + n + "\n")
			p.lastNote = n
		}
	}
	if st.Elapsed-p.shown < lineEvery/2 {
		return p.write(&b) // the last frame of a run, on the heels of the one before
	}
	p.shown = st.Elapsed
	r := st.ReadBack
	fmt.Fprintf(&b, "%6.1fs  %s lines/s  %s  rotations %d (+%d)  worst overshoot %s  on disk %s  read back %s lines: %d lost\n",
		st.Elapsed.Seconds(), thousands(uint64(st.LineRate)), rate(st.Rate), st.Rotations, st.Rotations-p.rotations,
		percent(st.WorstOvershoot, st.Limit), size(st.OnDisk), thousands(r.Lines), r.Lost)
	p.rotations = st.Rotations
	return p.write(&b)
}

func (p *plain) write(b *strings.Builder) error {
	_, err := io.WriteString(p.out, b.String())
	return err
}

func (p *plain) ending(string) error { return nil }
