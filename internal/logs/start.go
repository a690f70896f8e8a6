package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

const (
	// clockSlack is by how much the times of two generations may overlap, or a clock
	// have been set back, for --since to find all lines.
	clockSlack = time.Minute

	// firstWindow is how much of the end of an uncompressed log is searched for a
	// tail, in bytes; four times as much each time that it is not enough.
	firstWindow = 64 << 10

	// searchBack is how far before a tail's first line the beginnings of its lines are
	// searched for, in bytes, when the streams are cut into parts and mixed.
	searchBack = 16 << 20
)

// findStart drops what --since certainly excludes, and what precedes the tail.
func (s *source) findStart(ctx context.Context) error {
	s.dropOld()
	if s.Tail < 0 {
		return nil
	}
	var enough int64 // bytes from where there were enough lines on
	for want := s.Tail + 1; ; want *= 2 {
		at, off, err := s.atLeast(ctx, want)
		if err != nil {
			return err
		}
		t, err := s.count(ctx, s.pending[at:], off, true)
		if err != nil {
			return err
		}
		if t.lines >= s.Tail && enough == 0 {
			enough = t.bytes
		}
		whole := at == 0 && off == 0
		clean := t.lines-t.unsure >= s.Tail || (enough > 0 && t.bytes > enough+searchBack)
		if whole || clean {
			s.skip = max(0, t.lines-s.Tail)
			if s.drop(at); len(s.pending) > 0 {
				s.pending[0].start = off
			}
			return nil
		}
	}
}

// dropOld drops the generations before the last one that begins before --since.
func (s *source) dropOld() {
	if s.Since.IsZero() {
		return
	}
	for i := len(s.pending) - 1; i > 0; i-- {
		if at, ok := s.firstTime(s.pending[i]); ok && at.Before(s.Since.Add(-clockSlack)) {
			s.drop(i)
			return
		}
	}
}

// drop drops the first n generations.
func (s *source) drop(n int) {
	if n > 0 {
		for _, g := range s.pending[:n] {
			g.close()
		}
		s.floor, s.pending = s.pending[n-1], s.pending[n:]
	}
}

// firstTime is the time of a generation's first line.
func (s *source) firstTime(g *generation) (at time.Time, ok bool) {
	f := g.file
	if f == nil {
		var err error
		if f, err = s.open(g); err != nil {
			return at, false // reported at its turn
		}
		defer f.Close() //nolint:errcheck // opened for reading
	}
	from, err := f.content()
	if err != nil {
		return at, false
	}
	defer from.Close() //nolint:errcheck // frees memory
	line, err := crilog.NewReader(from).Next()
	return line.Time, err == nil
}

// atLeast finds an offset after which about as many lines as wanted are selected, or
// the start: in an uncompressed log the beginning of a record, in a compressed one
// its start. It goes back from the newest, and reads no log before that.
func (s *source) atLeast(ctx context.Context, want int64) (at int, off int64, err error) {
	have := int64(0)
	for at = len(s.pending) - 1; at >= 0; at-- {
		g := s.pending[at]
		for window := int64(firstWindow); ; window *= 4 {
			off = 0
			if window < g.size && s.hasOffsets(g) {
				off = recordAfter(g.file, g.size-window)
			}
			t, err := s.count(ctx, s.pending[at:at+1], off, false)
			if err != nil {
				return 0, 0, err
			}
			if have+t.lines >= want {
				return at, off, nil
			}
			if off == 0 {
				have += t.lines
				if g.end < 0 {
					g.close()
				}
				break
			}
		}
	}
	return 0, 0, nil
}

// hasOffsets reports whether g is uncompressed, and keeps it open then: an offset in
// it must stay valid.
func (s *source) hasOffsets(g *generation) bool {
	if g.file == nil && g.id != (podlogs.ID{}) {
		f, err := s.open(g)
		if err != nil {
			return false
		}
		g.file = f
	}
	return g.file != nil && !g.file.Compressed()
}

// recordAfter returns where the next record begins; 0 if it is not near.
func recordAfter(f *file, off int64) int64 {
	buf := make([]byte, blockSize)
	for read := 0; read < maxLine; {
		n, err := f.ReadAt(buf, off)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return off + int64(i) + 1
		}
		if err != nil {
			return 0
		}
		off += int64(n)
		read += n
	}
	return 0
}

// tally is the result of a count.
type tally struct {
	lines int64 // selected
	bytes int64 // decompressed
	// unsure is how many of the first lines may lack their beginning.
	unsure int64
}

// count counts the selected lines in successive generations, from an offset in the
// first. last: the log ends with them.
func (s *source) count(ctx context.Context, gens []*generation, off int64, last bool) (t tally, err error) {
	l := newLines(s.lines.selection, func(*crilog.Line) { t.lines++ })
	l.first = func() { t.unsure = t.lines }
	l.resumed = func(time.Time, time.Time) {}
	for i, g := range gens {
		if i > 0 && g.Restart != gens[i-1].Restart {
			l.end()
		}
		if err := s.countOne(ctx, l, g, off, &t.bytes); err != nil {
			return t, err
		}
		if !s.Follow || i < len(gens)-1 {
			l.endFile()
		}
		off = 0
	}
	if last && !s.Follow {
		l.end()
	}
	return t, nil
}

// countOne returns only the context's error: what cannot be read is reported when
// it is its turn to be read.
func (s *source) countOne(ctx context.Context, l *lines, g *generation, off int64, bytes *int64) error {
	f := g.file
	if f == nil {
		var err error
		if f, err = s.open(g); err != nil {
			l.gap()
			return nil
		}
		defer f.Close() //nolint:errcheck // opened for reading
	}
	var from reader
	if f.Compressed() {
		from = decompressAhead(f, s.ahead)
	} else {
		from = readUncompressed(f, off, g.end, s.buf)
	}
	defer from.close()
	for ctx.Err() == nil {
		p, err := from.next()
		if len(p) > 0 {
			*bytes += int64(len(p))
			l.block(p)
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			l.endFile()
			l.gap()
		}
		break
	}
	return ctx.Err()
}
