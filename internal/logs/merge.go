package logs

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
)

// batch is some lines of one container, ready to be written.
type batch struct {
	buf []byte
	// For merging: where each line ends in buf, and its Unix time in ns.
	ends  []int
	times []int64
	// idle: no more will come until something is logged.
	idle bool
}

// sender is a source's end of its feed. It is used by the source's goroutine.
type sender struct {
	ctx     context.Context // the source's: how long it may block in send
	ch      chan *batch
	free    chan *batch
	wake    chan<- struct{}
	merge   bool
	prefix  []byte
	several *atomic.Bool // lines get the prefix
	tick    func()       // called every scanEvery while the output is blocked

	cur     *batch
	idling  bool
	stopped bool // the context has ended
}

// maxBatches is how many batches a source may be ahead.
const maxBatches = 2

func (s *sender) line(f *format, l *crilog.Line) {
	if s.cur == nil {
		s.cur = s.fresh()
	}
	b := s.cur
	if s.several.Load() {
		b.buf = append(b.buf, s.prefix...)
	}
	b.buf = f.text(b.buf, l)
	if s.merge {
		b.ends, b.times = append(b.ends, len(b.buf)), append(b.times, l.Time.UnixNano())
	}
	if len(b.buf) >= blockSize {
		s.flush()
	}
}

func (s *sender) fresh() *batch {
	select {
	case b := <-s.free:
		b.buf, b.ends, b.times, b.idle = b.buf[:0], b.ends[:0], b.times[:0], false
		return b
	default:
		const room = 4 << 10 // bytes; few lines are longer
		return &batch{buf: make([]byte, 0, blockSize+room)}
	}
}

// flush sends the current batch.
func (s *sender) flush() {
	if s.cur != nil {
		s.send(s.cur)
		s.cur, s.idling = nil, false
	}
}

// idle sends the current batch, and that no more will come for now.
func (s *sender) idle() {
	switch {
	case s.cur != nil:
		s.cur.idle = true
		s.flush()
	case !s.idling:
		s.send(&batch{idle: true})
	}
	s.idling = true
}

func (s *sender) send(b *batch) {
	select {
	case s.ch <- b:
	default:
		s.wait(b)
	}
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

func (s *sender) wait(b *batch) {
	t := time.NewTicker(scanEvery)
	defer t.Stop()
	for {
		select {
		case s.ch <- b:
			return
		case <-s.ctx.Done():
			s.stopped = true
			return
		case <-t.C:
			s.tick()
		}
	}
}

func (s *sender) close() {
	close(s.ch)
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// feed is the reader's end.
type feed struct {
	ch    <-chan *batch
	free  chan<- *batch
	cur   *batch // nil: none
	line  int    // the next of cur
	off   int    // where that begins
	idle  bool
	ended bool
}

// fill receives a batch if there is one. It reports whether what comes next is
// known: a batch, or nothing for now.
func (f *feed) fill() bool {
	for f.cur == nil && !f.ended {
		select {
		case b, ok := <-f.ch:
			switch {
			case !ok:
				f.ended = true
			case len(b.buf) > 0:
				f.cur, f.line, f.off, f.idle = b, 0, 0, false
			default:
				f.idle = b.idle
			}
		default:
			return f.idle
		}
	}
	return true
}

// next returns the lines up to a time, or all of a batch that is not merged.
func (f *feed) next(until int64) []byte {
	b, from := f.cur, f.off
	if len(b.times) == 0 {
		f.off = len(b.buf)
	}
	for f.line < len(b.times) && (f.off == from || b.times[f.line] <= until) {
		f.off = b.ends[f.line]
		f.line++
	}
	return b.buf[from:f.off]
}

// done returns the batch to the source once all of it is written.
func (f *feed) done() {
	const maxBatch = 1 << 20 // bytes; one long line may have enlarged it
	if f.off < len(f.cur.buf) {
		return
	}
	f.idle = f.cur.idle
	if cap(f.cur.buf) <= maxBatch {
		select {
		case f.free <- f.cur:
		default:
		}
	}
	f.cur = nil
}

// earliest returns the feed with the earliest line, and the time of the earliest
// line of the others. known is false while that is not known. first is nil without
// a line.
func earliest(all []*feed) (first *feed, until int64, known bool) {
	known, until = true, 1<<63-1
	for _, f := range all {
		known = f.fill() && known
		if f.cur == nil {
			continue
		}
		if first == nil || f.time() < first.time() {
			if first != nil {
				until = first.time() // it was the earliest of those before
			}
			first = f
		} else {
			until = min(until, f.time())
		}
	}
	return first, until, known
}

func (f *feed) time() int64 {
	if len(f.cur.times) == 0 {
		return 0
	}
	return f.cur.times[f.line]
}
