package linecheck

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// maxGaps is the number of gaps a stream may have open at once: far more than a
// rotation can cause, and 64 KiB of memory.
const maxGaps = 4096

// Checker checks the lines of a log in their order. The zero value is ready.
type Checker struct {
	streams map[string]*stream
	unknown stream // lines that belong to no stream
	scratch []byte
}

type stream struct {
	report StreamReport
	gaps   []gap // sorted, disjoint, not touching
}

// gap is a range of line numbers that have not been seen, both ends included.
type gap struct{ from, to uint64 }

// Add checks one line, without its newline, and keeps no reference to it.
func (c *Checker) Add(content []byte) {
	name, seq, ok := header(content)
	s := c.streams[string(name)]
	if !ok || !c.genuine(content, string(name), seq) {
		// Damage must not add streams: it counts for known ones only.
		if s == nil {
			s = &c.unknown
		}
		s.report.Corrupt++
		s.bad("damaged line %q", content[:min(len(content), 64)])
		return
	}
	if s == nil {
		if c.streams == nil {
			c.streams = make(map[string]*stream)
		}
		s = &stream{}
		c.streams[string(name)] = s
	}
	s.add(seq)
}

// genuine reports whether content is what AppendLine returns.
func (c *Checker) genuine(content []byte, name string, seq uint64) bool {
	c.scratch = AppendLine(c.scratch[:0], name, seq, len(content))
	return bytes.Equal(c.scratch, content)
}

// header returns the stream and the number at the beginning of a line.
func header(content []byte) (name []byte, seq uint64, ok bool) {
	name, rest, found := bytes.Cut(content, []byte{' '})
	if !found || len(name) == 0 {
		return nil, 0, false
	}
	digits, _, found := bytes.Cut(rest, []byte{' '})
	if !found || len(digits) < minDigits || len(digits) > 20 {
		return name, 0, false
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	return name, seq, err == nil && seq > 0
}

func (s *stream) add(seq uint64) {
	r := &s.report
	r.Lines++
	switch {
	case r.Lines == 1: // the first: what is before it may have been pruned
		r.First, r.Last = seq, seq
	case seq == r.Last+1:
		r.Last = seq
	case seq > r.Last:
		s.bad("line %d follows line %d", seq, r.Last)
		s.open(len(s.gaps), gap{r.Last + 1, seq - 1})
		r.Missing += seq - r.Last - 1
		r.Last = seq
	case seq < r.First:
		s.bad("line %d comes after line %d", seq, r.Last)
		r.OutOfOrder++
		if seq+1 < r.First {
			s.open(0, gap{seq + 1, r.First - 1})
			r.Missing += r.First - seq - 1
		}
		r.First = seq
	case s.fill(seq):
		s.bad("line %d comes after line %d", seq, r.Last)
		r.OutOfOrder++
		r.Missing--
	default:
		s.bad("line %d comes again after line %d", seq, r.Last)
		r.Doubled++
	}
}

// open inserts a gap at index i.
func (s *stream) open(i int, g gap) {
	s.gaps = slices.Insert(s.gaps, i, g)
	if len(s.gaps) > maxGaps {
		s.gaps = slices.Delete(s.gaps, 0, 1)
	}
}

// fill removes seq from the gap that contains it, and reports whether one does.
func (s *stream) fill(seq uint64) bool {
	i, found := slices.BinarySearchFunc(s.gaps, seq, func(g gap, seq uint64) int {
		switch {
		case g.to < seq:
			return -1
		case g.from > seq:
			return 1
		}
		return 0
	})
	if !found {
		return false
	}
	switch g := &s.gaps[i]; {
	case g.from == g.to:
		s.gaps = slices.Delete(s.gaps, i, i+1)
	case seq == g.from:
		g.from++
	case seq == g.to:
		g.to--
	default:
		right := gap{seq + 1, g.to}
		g.to = seq - 1
		s.open(i+1, right)
	}
	return true
}

func (s *stream) bad(format string, args ...any) {
	if s.report.FirstBad == "" {
		s.report.FirstBad = fmt.Sprintf(format, args...)
	}
}
