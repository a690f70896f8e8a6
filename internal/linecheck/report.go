package linecheck

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Report is what a Checker found. Lines that belong to no stream are counted
// as corrupt under the stream "".
type Report struct {
	Streams map[string]StreamReport
}

// StreamReport counts the lines of one stream.
type StreamReport struct {
	First      uint64 // lowest number seen: First-1 lines before it were pruned (or lost)
	Last       uint64 // highest number seen
	Lines      uint64 // undamaged lines seen, doubled ones included
	Missing    uint64 // numbers between First and Last that did not come
	Doubled    uint64 // lines that had come before
	OutOfOrder uint64 // lines that came after a later one
	Corrupt    uint64 // lines that are not what was written
	FirstBad   string // the first thing that was wrong
}

// Report returns what was found so far.
func (c *Checker) Report() Report {
	r := Report{Streams: make(map[string]StreamReport, len(c.streams)+1)}
	for name, s := range c.streams {
		r.Streams[name] = s.report
	}
	if c.unknown.report.Corrupt > 0 {
		r.Streams[""] = c.unknown.report
	}
	return r
}

// OK says in one error what is lost, doubled, reordered or damaged; nil: nothing.
// wantLast is the number of lines that were written to each stream; nil skips the
// check for lines lost at the end. Lines before the first one seen are not
// missed: see Pruned.
func (r Report) OK(wantLast map[string]uint64) error {
	var bad []string
	names := slices.Collect(maps.Keys(r.Streams))
	for name := range wantLast {
		if _, seen := r.Streams[name]; !seen {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		s := r.Streams[name]
		parts := s.faults()
		want, wanted := wantLast[name]
		switch {
		case wantLast == nil || name == "":
		case !wanted && s.Lines > 0:
			parts = append(parts, "nothing was written to it")
		case s.Last < want:
			parts = append(parts, fmt.Sprintf("%d lost at the end (last is %d of %d)", want-s.Last, s.Last, want))
		case s.Last > want:
			parts = append(parts, fmt.Sprintf("last is %d, but %d were written", s.Last, want))
		}
		if len(parts) == 0 {
			continue
		}
		if s.FirstBad != "" {
			parts = append(parts, "first: "+s.FirstBad)
		}
		if name == "" {
			name = "no stream"
		}
		bad = append(bad, name+": "+strings.Join(parts, ", "))
	}
	if bad == nil {
		return nil
	}
	return errors.New(strings.Join(bad, "; "))
}

// Pruned returns how many lines are missing before the first ones seen, in all
// streams together. It is 0 when nothing was pruned.
func (r Report) Pruned() uint64 {
	n := uint64(0)
	for _, s := range r.Streams {
		if s.First > 0 {
			n += s.First - 1
		}
	}
	return n
}

func (s StreamReport) faults() []string {
	var parts []string
	for _, f := range []struct {
		n    uint64
		what string
	}{{s.Missing, "missing"}, {s.Doubled, "doubled"}, {s.OutOfOrder, "out of order"}, {s.Corrupt, "corrupt"}} {
		if f.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	return parts
}
