package demo

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// lineChecker checks the numbered lines of a container's logs, oldest first.
//
// Package verify does the same for logs that are all there. Where the oldest
// ones were pruned, a stream may begin with the end of a line whose beginning was
// pruned: that is a pruned line, not a damaged one.
type lineChecker struct {
	// pruned says that logs before the first one may be gone.
	pruned  bool
	joiner  crilog.Joiner
	checker linecheck.Checker
	begun   map[string]bool // streams that have come to the beginning of a line

	fragments map[string]uint64 // by stream: lines whose beginning was pruned, one at most
}

// read takes one log.
func (l *lineChecker) read(from io.Reader) error {
	lines := crilog.NewReader(from)
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if l.pruned && l.fragment(line) {
			continue
		}
		if content, whole := l.joiner.Add(line); whole {
			l.checker.Add(content)
		}
	}
}

// fragment reports whether a record is the end of a line that began in a pruned
// log. Lines begin with their stream's name, and have it nowhere else.
func (l *lineChecker) fragment(line crilog.Line) bool {
	if l.begun[line.Stream] {
		return false
	}
	begins := bytes.HasPrefix(line.Content, []byte(line.Stream+" "))
	if begins || !line.Partial {
		if l.begun == nil {
			l.begun = map[string]bool{}
		}
		l.begun[line.Stream] = true // after this record, a line begins
		if !begins {
			if l.fragments == nil {
				l.fragments = map[string]uint64{}
			}
			l.fragments[line.Stream]++
		}
	}
	return !begins
}

// checked is what was found in a container's logs.
type checked struct {
	linecheck.Report
	// Names are those of the logs that were read, without .gz.
	Names []string
	// Fragments are, by stream, lines whose beginning was pruned; they count as
	// pruned.
	Fragments map[string]uint64
	// Err is why reading ended early.
	Err error
}

// readDisk reads what is there at the end.
func readDisk(r podlogs.FS, dir string) (c checked) {
	logs, err := podlogs.Logs(r, dir)
	if err != nil {
		return checked{Err: err}
	}
	l := lineChecker{pruned: true} // judge sees to it that it was by policy
	for _, log := range logs {
		if c.Err = readLog(r, dir, log.Name.String(), &l); c.Err != nil {
			break
		}
		c.Names = append(c.Names, generationName(log.Name.String()))
	}
	c.Report, c.Fragments = l.checker.Report(), l.fragments
	return c
}

func readLog(r podlogs.FS, dir, name string, l *lineChecker) error {
	f, err := podlogs.OpenLog(r, dir, name)
	if err != nil {
		return err
	}
	return errors.Join(l.read(f), f.Close())
}

// generationName is a log's name whether it is compressed or not.
func generationName(name string) string { return strings.TrimSuffix(name, ".gz") }
