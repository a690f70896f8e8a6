package fake

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
)

// maxRecord is the longest content of one record; longer lines are cut.
const maxRecord = 16 << 10 // bytes; containerd's default

// Widths of the pattern's lines.
const (
	defaultWidth = 120      // bytes; a usual log line
	longWidth    = 20 << 10 // bytes; cut in two …
	longerWidth  = 40 << 10 // … and in three
)

var streams = [2]string{crilog.Stdout, crilog.Stderr}

// lineMaker makes the lines of one container. Its container's lock guards it.
type lineMaker struct {
	style     Style
	pattern   Pattern
	last      [2]uint64 // number of each stream's last line
	made      uint64    // lines of the pattern
	madeBytes int64     // of the pattern's lines, with their heads; what the pace goes by
	stamp     []byte    // the time of the lines being made, with a blank
	content   []byte
}

func newLineMaker(b Style, p *Pattern) lineMaker {
	m := lineMaker{style: b}
	if p != nil {
		m.pattern = *p
	}
	if m.pattern.LineBytes <= 0 {
		m.pattern.LineBytes = defaultWidth
	}
	return m
}

func (m *lineMaker) written() map[string]uint64 {
	return map[string]uint64{streams[0]: m.last[0], streams[1]: m.last[1]}
}

// stampNow sets the time for the lines to come: one for each write(2), since
// formatting it costs more than the rest of a line.
func (m *lineMaker) stampNow() {
	now := time.Now()
	if m.style == CRIO {
		m.stamp = now.AppendFormat(m.stamp[:0], "2006-01-02T15:04:05.000000000-07:00")
	} else {
		m.stamp = now.UTC().AppendFormat(m.stamp[:0], time.RFC3339Nano)
	}
	m.stamp = append(m.stamp, ' ')
}

// next makes the pattern's next line. The content is valid until the following
// call; ok is false when the pattern is done.
func (m *lineMaker) next() (stream string, content []byte, ok bool) {
	p := &m.pattern
	if m.done() {
		return "", nil, false
	}
	m.made++
	every := func(k int) bool { return k > 0 && m.made%uint64(k) == 0 }
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

func (m *lineMaker) done() bool { return m.pattern.Lines > 0 && m.made >= m.pattern.Lines }

// fill appends the pattern's lines to buf until it has limit bytes.
func (m *lineMaker) fill(buf []byte, limit int) []byte {
	start := len(buf)
	for len(buf)-start < limit {
		stream, content, ok := m.next()
		if !ok {
			break
		}
		buf = m.line(buf, stream, content)
	}
	m.madeBytes += int64(len(buf) - start)
	return buf
}

// raw appends a line with any content.
func (m *lineMaker) raw(buf []byte, stream string, content []byte) ([]byte, error) {
	if _, err := streamIndex(stream); err != nil {
		return nil, err
	}
	if bytes.IndexByte(content, '\n') >= 0 {
		return nil, errors.New("the content holds a newline")
	}
	return m.line(buf, stream, content), nil
}

// numbered appends the stream's next n lines.
func (m *lineMaker) numbered(buf []byte, stream string, n, width int) ([]byte, error) {
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
	for i, s := range streams {
		if s == stream {
			return i, nil
		}
	}
	return 0, fmt.Errorf("unknown stream %q: want stdout or stderr", stream)
}

// line appends a line, cut into parts if it is long.
func (m *lineMaker) line(buf []byte, stream string, content []byte) []byte {
	for len(content) > maxRecord {
		buf = m.record(buf, stream, 'P', content[:maxRecord])
		content = content[maxRecord:]
	}
	return m.record(buf, stream, 'F', content)
}

func (m *lineMaker) record(buf []byte, stream string, tag byte, content []byte) []byte {
	buf = append(buf, m.stamp...)
	buf = append(buf, stream...)
	buf = append(buf, ' ', tag, ' ')
	buf = append(buf, content...)
	return append(buf, '\n')
}

// inFlight makes the lines that a containerd logger has taken from the container
// but not written when it is replaced: tail belongs to the old file, rest to the
// new one. The last line of the tail is cut in between.
func (m *lineMaker) inFlight(budget int) (tail, rest []byte) {
	defer func() { m.madeBytes += int64(len(tail) + len(rest)) }()
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
	// Each stream has a logger, so a line of the other one may be cut as well.
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

// cut appends the first at bytes of a line to tail and the others to rest; at
// least one goes to each.
func (m *lineMaker) cut(tail, rest []byte, stream string, content []byte, at int) (newTail, newRest []byte) {
	at = min(max(at, 1), len(content)-1, maxInFlight)
	return m.record(tail, stream, 'P', content[:at]), m.line(rest, stream, content[at:])
}
