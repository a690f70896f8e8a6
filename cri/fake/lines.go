package fake

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
)

// maxRecord is the longest content of a record; longer lines are cut.
const maxRecord = 16 << 10 // bytes; containerd's default

// Widths of the pattern's lines.
const (
	defaultWidth = 120      // bytes; a typical log line
	longWidth    = 20 << 10 // bytes; cut in two …
	longerWidth  = 40 << 10 // … and in three
)

var streams = [2]string{crilog.Stdout, crilog.Stderr}

// lineWriter formats the lines of one container, whose lock guards it.
type lineWriter struct {
	style   Style
	pattern Pattern
	last    [2]uint64 // number of each stream's last line
	lines   uint64    // of the pattern
	bytes   int64     // of the pattern's records; the base of its pace
	stamp   []byte    // the time of the next records, with a blank
	content []byte
}

func newLineWriter(style Style, p *Pattern) lineWriter {
	m := lineWriter{style: style}
	if p != nil {
		m.pattern = *p
	}
	if m.pattern.LineBytes <= 0 {
		m.pattern.LineBytes = defaultWidth
	}
	return m
}

func (m *lineWriter) written() map[string]uint64 {
	return map[string]uint64{streams[0]: m.last[0], streams[1]: m.last[1]}
}

// stampNow sets the time of the next records: one for each write(2), since formatting
// it costs more than the rest of a line.
func (m *lineWriter) stampNow() {
	now := time.Now()
	if m.style == CRIO {
		m.stamp = now.AppendFormat(m.stamp[:0], "2006-01-02T15:04:05.000000000-07:00")
	} else {
		m.stamp = now.UTC().AppendFormat(m.stamp[:0], time.RFC3339Nano)
	}
	m.stamp = append(m.stamp, ' ')
}

// next returns the pattern's next line. The content is valid until the next call; ok is
// false when the pattern is done.
func (m *lineWriter) next() (stream string, content []byte, ok bool) {
	p := &m.pattern
	if m.done() {
		return "", nil, false
	}
	m.lines++
	every := func(k int) bool { return k > 0 && m.lines%uint64(k) == 0 }
	s, width := 0, p.LineBytes
	if every(p.StderrEvery) {
		s = 1
	}
	if every(p.LongEvery) {
		width = longWidth
		if every(2 * p.LongEvery) {
			width = longerWidth
		}
	}
	m.last[s]++
	m.content = linecheck.AppendLine(m.content[:0], streams[s], m.last[s], width)
	return streams[s], m.content, true
}

func (m *lineWriter) done() bool { return m.pattern.Lines > 0 && m.lines >= m.pattern.Lines }

// fill appends the pattern's lines to buf until it has limit bytes.
func (m *lineWriter) fill(buf []byte, limit int) []byte {
	start := len(buf)
	for len(buf)-start < limit {
		stream, content, ok := m.next()
		if !ok {
			break
		}
		buf = m.line(buf, stream, content)
	}
	m.bytes += int64(len(buf) - start)
	return buf
}

// raw appends a line with any content.
func (m *lineWriter) raw(buf []byte, stream string, content []byte) ([]byte, error) {
	if _, err := streamIndex(stream); err != nil {
		return nil, err
	}
	if bytes.IndexByte(content, '\n') >= 0 {
		return nil, errors.New("the content holds a newline")
	}
	return m.line(buf, stream, content), nil
}

// numbered appends the stream's next n lines.
func (m *lineWriter) numbered(buf []byte, stream string, n, width int) ([]byte, error) {
	s, err := streamIndex(stream)
	if err != nil {
		return nil, err
	}
	for range n {
		m.last[s]++
		m.content = linecheck.AppendLine(m.content[:0], stream, m.last[s], width)
		buf = m.line(buf, stream, m.content)
	}
	return buf, nil
}

func streamIndex(stream string) (int, error) {
	i := slices.Index(streams[:], stream)
	if i < 0 {
		return 0, fmt.Errorf("unknown stream %q: want stdout or stderr", stream)
	}
	return i, nil
}

// line appends a line, cut into parts if it is long.
func (m *lineWriter) line(buf []byte, stream string, content []byte) []byte {
	for len(content) > maxRecord {
		buf = m.record(buf, stream, 'P', content[:maxRecord])
		content = content[maxRecord:]
	}
	return m.record(buf, stream, 'F', content)
}

func (m *lineWriter) record(buf []byte, stream string, tag byte, content []byte) []byte {
	buf = append(buf, m.stamp...)
	buf = append(buf, stream...)
	buf = append(buf, ' ', tag, ' ')
	buf = append(buf, content...)
	return append(buf, '\n')
}

// inFlight returns the lines that a containerd logger has read from the container and
// not written when it is replaced: tail is for the old file, rest for the new one. The
// last line of the tail is cut.
func (m *lineWriter) inFlight(budget int) (tail, rest []byte) {
	defer func() { m.bytes += int64(len(tail) + len(rest)) }()
	m.stampNow()
	cut := ""
	for cut == "" {
		stream, content, ok := m.next()
		if !ok {
			return tail, nil
		}
		if budget -= len(content); budget > 0 {
			tail = m.line(tail, stream, content)
			continue
		}
		tail, rest = m.cut(tail, rest, stream, content, len(content)+budget)
		cut = stream
	}
	// Each stream has a logger, so that a line of the other one may be cut as well.
	stream, content, ok := m.next()
	switch {
	case !ok:
	case stream == cut:
		rest = m.line(rest, stream, content)
	default:
		tail, rest = m.cut(tail, rest, stream, content, len(content)/2)
	}
	return tail, rest
}

// cut appends the first at bytes of a line to tail and the others to rest, at least one
// to each.
func (m *lineWriter) cut(tail, rest []byte, stream string, content []byte, at int) (newTail, newRest []byte) {
	at = min(max(at, 1), len(content)-1, maxInFlight)
	return m.record(tail, stream, 'P', content[:at]), m.line(rest, stream, content[at:])
}
