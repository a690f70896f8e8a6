package logs

import (
	"bytes"
	"regexp"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
)

// maxLine is the length at which a line is emitted in pieces, in bytes: a container
// that never writes a newline must not fill the memory.
const maxLine = 1 << 20

// selection selects lines.
type selection struct {
	stream string // "": both
	since  time.Time
	grep   *regexp.Regexp // nil: all
}

// lines assembles lines from blocks of a container's logs, in bounded memory.
type lines struct {
	selection
	// emit is called with each selected line, joined: its time is that of its first
	// part, and Partial means that the rest is the stream's next line. A line that is
	// not CRI has no stream, and the time of the line before it. Its slices are valid
	// until emit returns.
	emit func(*crilog.Line)
	// foreign is called with each line that is not CRI.
	foreign func(text []byte)
	// resumed is called at the first record after a gap, with the times of the
	// record before it and of its own.
	resumed func(before, after time.Time)

	// first is called after the first line of each stream, selected or not: if the
	// reading began within a log, that line may lack its beginning.
	first func()

	parser crilog.Parser
	rec    crilog.Line // the current record
	joiner crilog.Joiner
	begun  [2]beginning // of the lines in the joiner, of stdout and stderr
	carry  []byte       // a record that has not ended
	long   *crilog.Line // the record that carry continues, too long to be kept
	last   time.Time    // of the newest record
	gapped bool
	out    crilog.Line
	ended  [2]bool // a line of the stream has ended
}

// beginning is the time of the first part of a line that has not ended.
type beginning struct {
	at    time.Time
	stamp []byte
	open  bool
}

func newLines(s selection, emit func(*crilog.Line)) *lines {
	return &lines{selection: s, emit: emit, joiner: crilog.Joiner{Limit: maxLine}}
}

// block takes the next bytes of a log.
func (l *lines) block(p []byte) {
	if len(l.carry) > 0 || l.long != nil {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.keep(p)
			return
		}
		l.carry = append(l.carry, p[:i]...)
		l.endRecord()
		p = p[i+1:]
	}
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		l.record(p[:i])
		p = p[i+1:]
	}
	l.keep(p)
}

// keep keeps the beginning of a record, and emits it when it is too long.
func (l *lines) keep(p []byte) {
	l.carry = append(l.carry, p...)
	if len(l.carry) < maxLine {
		return
	}
	if l.long == nil {
		var r crilog.Line
		if !l.parser.Parse(l.carry, &r) {
			l.notCRI(l.carry, true)
			r = crilog.Line{} // it has no stream
		} else {
			first := r
			first.Partial = true
			l.add(&first)
		}
		l.long = &crilog.Line{Time: r.Time, TimeText: bytes.Clone(r.TimeText), Stream: r.Stream, Partial: r.Partial}
	} else {
		l.more(true)
	}
	l.carry = l.carry[:0]
}

// more emits the next piece of a record whose beginning was emitted.
func (l *lines) more(cut bool) {
	if l.long.Stream == "" {
		l.notCRI(l.carry, cut)
		return
	}
	r := *l.long
	r.Content, r.Partial = l.carry, r.Partial || cut
	l.add(&r)
}

// endRecord takes carry as the end of a record.
func (l *lines) endRecord() {
	if l.long != nil {
		l.more(false)
		l.long = nil
	} else {
		l.record(l.carry)
	}
	l.carry = l.carry[:0]
}

// endFile ends a record without a newline: the file is no longer written.
func (l *lines) endFile() {
	if len(l.carry) > 0 || l.long != nil {
		l.endRecord()
	}
}

// end emits the lines that have not ended.
func (l *lines) end() {
	l.endFile()
	for i, stream := range []string{crilog.Stdout, crilog.Stderr} {
		b := &l.begun[i]
		if b.open && l.joiner.Begun(stream) {
			l.joined(b, stream, l.joiner.Take(stream), false)
		}
		b.open = false
	}
}

// gap marks that something is missing before the next block.
func (l *lines) gap() {
	l.end()
	l.gapped = true
}

// record takes one record, without its newline.
func (l *lines) record(raw []byte) {
	if !l.parser.Parse(raw, &l.rec) {
		l.notCRI(raw, false)
		return
	}
	l.add(&l.rec)
}

func (l *lines) add(r *crilog.Line) {
	if l.gapped {
		l.gapped = false
		l.resumed(l.last, r.Time)
	}
	l.last = r.Time
	if l.stream != "" && r.Stream != l.stream {
		return
	}
	b := &l.begun[streamIndex(r.Stream)]
	if !r.Partial && !b.open { // the common case
		l.whole(r)
		return
	}
	if !b.open {
		b.at, b.stamp, b.open = r.Time, append(b.stamp[:0], r.TimeText...), true
	}
	if content, whole := l.joiner.Add(*r); whole {
		l.joined(b, r.Stream, content, r.Partial)
		b.open = r.Partial
	}
}

func (l *lines) joined(b *beginning, stream string, text []byte, cut bool) {
	l.out = crilog.Line{Time: b.at, TimeText: b.stamp, Stream: stream, Partial: cut, Content: text}
	l.whole(&l.out)
}

func (l *lines) whole(r *crilog.Line) {
	if l.selects(r) {
		l.emit(r)
	}
	if i := streamIndex(r.Stream); !l.ended[i] {
		l.ended[i] = true
		if l.first != nil {
			l.first()
		}
	}
}

// notCRI emits a line that is not in CRI's format unchanged. It has no stream, and
// the time of the line before it.
func (l *lines) notCRI(text []byte, cut bool) {
	if l.foreign != nil {
		l.foreign(text)
	}
	l.out = crilog.Line{Time: l.last, Partial: cut, Content: text}
	if l.stream == "" && l.selects(&l.out) {
		l.emit(&l.out)
	}
}

func (l *lines) selects(r *crilog.Line) bool {
	return (l.since.IsZero() || !r.Time.Before(l.since)) && (l.grep == nil || l.grep.Match(r.Content))
}

func streamIndex(stream string) int {
	if stream == crilog.Stderr {
		return 1
	}
	return 0
}
