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
	// For merging: where each line ends in buf, and its time in ns since 1970.
	ends  []int
	times []int64
	// idle: no more will come before something is logged.
	idle bool
}

// sender is a source's end of its feed. It belongs to the source's goroutine.
type sender struct {
	ctx     context.Context // the source's: how long it may block in send
	ch      chan *batch
	free    chan *batch
	wake    chan<- struct{}
	merge   bool
	prefix  []byte
	several *atomic.Bool // the prefix is wanted
	tick    func()       // called now and then while nobody takes what is sent

	cur     *batch
	idling  bool
	stopped bool // nobody takes anything any more
}

// feeds is how many batches a source may be ahead.
const feeds = 2

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
		const room = 4 << 10 // bytes; that a line more than fills it is rare
		return &batch{buf: make([]byte, 0, blockSize+room)}
	}
}

// flush sends what there is.
func (s *sender) flush() {
	if s.cur != nil {
		s.send(s.cur)
		s.cur, s.idling = nil, false
	}
}

// idle sends what there is, and that no more will come for now.
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
	t := time.NewTicker(lookEvery)
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

// fill gets a batch if there is one. It reports whether it is known what comes
// next: a batch, or nothing for now.
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

// take returns the lines up to a time, or of a batch that is not to be merged, all.
func (f *feed) take(until int64) []byte {
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

// done gives the batch back once all of it has been written.
func (f *feed) done() {
	const most = 1 << 20 // bytes; one line may have made it much larger
	if f.off < len(f.cur.buf) {
		return
	}
	f.idle = f.cur.idle
	if cap(f.cur.buf) <= most {
		select {
		case f.free <- f.cur:
		default:
		}
	}
	f.cur = nil
}

// earliest finds the feed with the earliest line, and the time of the next one
// behind it in any other. It reports false when that is not known yet, and no feed
// when there is nothing.
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
