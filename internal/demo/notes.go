package demo

import (
	"bytes"
	"strings"
	"sync"
)

// maxNotes bounds what is kept of the daemon's warnings; what they are about
// comes first, so the first ones are kept.
const maxNotes = 20

// notes collects the daemon's warnings, one a Write: written to the terminal,
// they would garble the view.
type notes struct {
	mu    sync.Mutex
	lines []string
	more  int
	ended bool
}

// ending leaves out what is said because the daemon was told to stop.
func (n *notes) ending() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
}

// Write takes one line of log.
func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.ended && bytes.Contains(p, []byte("context canceled")):
	case len(n.lines) < maxNotes:
		n.lines = append(n.lines, clean(strings.TrimSpace(string(p))))
	default:
		n.more++
	}
	return len(p), nil
}

// latest returns the last two, which is what a view has room for.
func (n *notes) latest() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.lines[max(0, len(n.lines)-2):]...)
}

func (n *notes) all() (lines []string, more int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.lines...), n.more
}
