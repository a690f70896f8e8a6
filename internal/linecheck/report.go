package linecheck

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Report is the result of a Checker. Lines without a known stream are counted as
// corrupt under the stream "".
type Report struct {
	Streams map[string]StreamReport
}

// StreamReport counts the lines of one stream.
type StreamReport struct {
	First      uint64 // lowest number seen: First-1 lines before it were pruned (or lost)
	Last       uint64 // highest number seen
	Lines      uint64 // undamaged lines seen, doubled ones included
	Missing    uint64 // numbers between First and Last that were not seen
	LongestGap uint64 // most of them in a row
	Doubled    uint64 // lines that had been seen before
	OutOfOrder uint64 // lines that came after a later one
	Corrupt    uint64 // lines that are not what was written
	FirstBad   string // the first fault
}

// Totals is a Report's sum over all streams, compared with what was written.
// Written = Found + Pruned + Lost, unless more was found than written.
type Totals struct {
	Written uint64
	Found   uint64 // undamaged lines, each counted once
	Pruned  uint64 // before the first line of their stream: pruned, if pruning was possible
	Lost    uint64 // the other lines that were not found

	Doubled, OutOfOrder, Corrupt uint64
}

// Report returns what was found so far.
func (c *Checker) Report() Report {
	r := Report{Streams: make(map[string]StreamReport, len(c.streams)+1)}
	for name, s := range c.streams {
		report := s.report
		for _, g := range s.gaps {
			report.LongestGap = max(report.LongestGap, g.to-g.from+1)
		}
		r.Streams[name] = report
	}
	if c.unknown.report.Corrupt > 0 {
		r.Streams[""] = c.unknown.report
	}
	return r
}

// OK returns one error that lists what is lost, doubled, out of order or damaged.
// wantLast is the number of lines that were written to each stream; nil skips the
// check for lines lost at the end. Lines before the first one seen are not reported:
// see Pruned.
func (r Report) OK(wantLast map[string]uint64) error {
	var bad []string
	for _, name := range r.names(wantLast) {
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

// names returns the streams that were seen or wanted.
func (r Report) names(want map[string]uint64) []string {
	all := maps.Clone(want)
	if all == nil {
		all = map[string]uint64{}
	}
	for name := range r.Streams {
		all[name] = 0
	}
	return slices.Sorted(maps.Keys(all))
}

// Pruned returns how many lines are missing before the first ones seen, in all
// streams together. It is 0 when nothing was pruned.
func (r Report) Pruned() uint64 {
	n := uint64(0)
	for _, s := range r.Streams {
		n += max(s.First, 1) - 1
	}
	return n
}

// Totals compares the report with the number of lines written to each stream.
func (r Report) Totals(written map[string]uint64) Totals {
	var t Totals
	for _, name := range r.names(written) {
		s, w := r.Streams[name], written[name]
		t.Written += w
		t.Found += s.Lines - s.Doubled
		t.Pruned += max(s.First, 1) - 1
		t.Lost += s.Missing + w - min(s.Last, w)
		t.Doubled += s.Doubled
		t.OutOfOrder += s.OutOfOrder
		t.Corrupt += s.Corrupt
	}
	return t
}

// Add returns the sum of both.
func (t Totals) Add(o Totals) Totals {
	return Totals{
		Written: t.Written + o.Written, Found: t.Found + o.Found, Pruned: t.Pruned + o.Pruned, Lost: t.Lost + o.Lost,
		Doubled: t.Doubled + o.Doubled, OutOfOrder: t.OutOfOrder + o.OutOfOrder, Corrupt: t.Corrupt + o.Corrupt,
	}
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
