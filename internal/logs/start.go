package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
)

const (
	// clockSlack is by how much the times of two generations may overlap, or a clock
	// have been set back, for --since to find all lines.
	clockSlack = time.Minute

	// firstWindow is how much of the end of a plain log is looked at for a tail,
	// in bytes; four times as much each time that it is not enough.
	firstWindow = 64 << 10

	// lookBack is how far before a tail's first line the beginnings of its lines are
	// looked for, in bytes, when the streams are cut into parts and mixed.
	lookBack = 16 << 20
)

// findStart leaves out what is certain not to be wanted at the front: what --since
// excludes, and what is before the tail.
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
		clean := t.lines-t.unsure >= s.Tail || (enough > 0 && t.bytes > enough+lookBack)
		if whole || clean {
			s.start, s.skip = off, max(0, t.lines-s.Tail)
			s.drop(at)
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

// drop leaves out the first n generations.
func (s *source) drop(n int) {
	if n > 0 {
		s.floor, s.pending = s.pending[n-1], s.pending[n:]
	}
}

// firstTime is the time of a generation's first line.
func (s *source) firstTime(g *generation) (at time.Time, ok bool) {
	f := g.file
	if f == nil {
		var err error
		if f, err = s.dir.openAny(g.key); err != nil {
			return at, false // told when it is its turn
		}
		defer f.Close() //nolint:errcheck // opened for reading
	}
	var from io.Reader = io.NewSectionReader(f, 0, 1<<62)
	if f.Compressed() {
		z, err := decompress(f)
		if err != nil {
			return at, false
		}
		defer z.Close() //nolint:errcheck // gives memory back
		from = z
	}
	line, err := crilog.NewReader(from).Next()
	return line.Time, err == nil
}

// atLeast finds a place from which on about so many lines are wanted, or the start:
// within a plain log, at the beginning of a record, or at the start of a
// compressed one. It goes back from the newest, and reads no log before that.
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
				if g.file != nil && !g.live {
					_ = g.file.Close() // opened for reading
					g.file = nil
				}
				break
			}
		}
	}
	return 0, 0, nil
}

// hasOffsets reports whether g is plain, and holds it open then: whatever is known
// of its offsets must stay true.
func (s *source) hasOffsets(g *generation) bool {
	if g.file == nil && g.id != (id{}) {
		f, err := s.dir.openAny(g.key)
		if err != nil {
			return false
		}
		g.file = f
	}
	return g.file != nil && !g.file.Compressed()
}

// recordAfter returns where the next record begins; 0 if that is far.
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

// tally is what a counting found.
type tally struct {
	lines int64 // wanted
	bytes int64 // decompressed
	// unsure is how many of the first lines may lack their beginning.
	unsure int64
}

// count counts the wanted lines in some generations, from an offset in the first.
// last: the log ends with them.
func (s *source) count(ctx context.Context, gens []*generation, off int64, last bool) (t tally, err error) {
	l := newLines(s.lines.selection, func(*crilog.Line) { t.lines++ })
	l.first = func() { t.unsure = t.lines }
	l.resumed = func(time.Time, time.Time) {}
	for i, g := range gens {
		if i > 0 && g.restart != gens[i-1].restart {
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

// countOne fails with the context's error alone: what cannot be read is told when
// it is its turn to be read.
func (s *source) countOne(ctx context.Context, l *lines, g *generation, off int64, bytes *int64) error {
	f := g.file
	if f == nil {
		var err error
		if f, err = s.dir.openAny(g.key); err != nil {
			l.gap()
			return nil
		}
		defer f.Close() //nolint:errcheck // opened for reading
	}
	var from reader
	switch {
	case f.Compressed():
		from = unpack(f, s.ahead)
	case g.live:
		from = readPlain(f, off, g.size, s.buf)
	default:
		from = readPlain(f, off, -1, s.buf)
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
