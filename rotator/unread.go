package rotator

import (
	"errors"
	"io"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// Positions are the offsets up to which log readers have read a container's logs, by
// inode: of several readers, the lowest one. A log that no reader has open is not in it.
type Positions map[uint64]int64

// Read is what log readers have read of a container's rotated logs.
type Read struct {
	Positions Positions
	// Again returns the present position; nil: the one in Positions. A log is emptied
	// before it is asked for, so that its readers cannot read on.
	Again func(inode uint64) int64
}

// Missed is the position of a log that was rotated before a reader had opened it, or in
// which a reader has stalled. It does not wait for its readers, but counts as lost when it
// is pruned, and is not compressed, so that its lines can be counted.
const Missed = -1

// Assumed is the position of a log that may have a reader, while the readers are not known yet. It
// waits for them, and does not count as lost when it is pruned.
const Assumed = -2

// unread returns how many of size bytes have not been read.
func (p Positions) unread(inode uint64, size int64) int64 {
	if pos, ok := p[inode]; ok {
		return max(0, size-max(0, pos))
	}
	return 0
}

// Lost is what a log had that was pruned before it was read.
type Lost struct {
	Bytes, Lines int64
	// From and To are the times of the first and the last of these lines; zero if
	// there is no line that can be parsed.
	From, To time.Time
}

// maxSize bounds the size that is reckoned with, so that the sizes of sparse files
// cannot overflow a sum: 256 TiB.
const maxSize = 1 << 48

// unread reports whether a reader has not read a log to its end. The live log is not
// held: its rotation waits for the readers. Those of earlier restarts are.
func (pl *planner) unread(f podlogs.File) bool {
	return !pl.isLive(f) && !pl.missed(f) && pl.policy.Positions.unread(f.Inode, f.Size) > 0
}

func (pl *planner) missed(f podlogs.File) bool { return pl.policy.Positions[f.Inode] == Missed }

// holdPause is after how long a log that is held for its readers is looked at again:
// nothing reports that they have read it.
const holdPause = time.Second

// held reports whether a log must wait for its readers, and notes to look again.
func (pl *planner) held(f podlogs.File) bool {
	if !pl.unread(f) {
		return false
	}
	pl.notBefore(holdPause)
	return true
}

// maxRace is how far, in bytes, and maxRecords how many records a reader may read on while a
// log is emptied, to be counted to the line.
const (
	maxRace    = 16 << 20
	maxRecords = 1 << 16
)

// record is the end of a record, from where the reader was, and its line.
type record struct {
	end  int64
	line int64 // 0: another record completes the line
	time time.Time
}

// empty empties a rotated log that is removed although it was not read to its end:
// while a reader has it open, unlinking it would free nothing. It returns what the
// last unread bytes of the file held. again returns the position of the reader now: once the
// file is empty, it may have read on.
func empty(f podlogs.Handle, size, unread int64, again func() int64) (lost Lost, err error) {
	unread = max(0, min(unread, size, size-again()))
	from := size - unread
	var first []record // that the reader may read on
	records := crilog.NewReader(io.NewSectionReader(f, from, unread))
	for unread > 0 {
		line, err := records.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		r := record{end: records.Offset(), line: 1, time: line.Time}
		if line.Partial { // the rest of a line that was read in part cannot be parsed, and counts
			r.line = 0
		}
		lost.add(r)
		if r.end <= maxRace && len(first) < maxRecords {
			first = append(first, r)
		}
		if err != nil && !errors.Is(err, crilog.ErrMalformed) {
			break // a disk that cannot be read must not keep its space from being freed
		}
	}
	if err := f.Truncate(); err != nil || unread == 0 {
		return lost, err
	}
	if lost.Bytes = min(unread, max(0, size-again())); lost.Bytes == 0 {
		return Lost{}, nil
	}
	for _, r := range first {
		if r.end <= unread-lost.Bytes {
			lost.Lines -= r.line
		} else if !r.time.IsZero() {
			lost.From = r.time
			break
		}
	}
	return lost, nil
}

// add counts a record.
func (l *Lost) add(r record) {
	l.Lines += r.line
	if r.time.IsZero() {
		return
	}
	if l.From.IsZero() {
		l.From = r.time
	}
	l.To = r.time
}
