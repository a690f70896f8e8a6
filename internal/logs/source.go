package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// source reads one container's logs in a goroutine of its own, and sends batches
// of lines.
type source struct {
	*Options
	name  string // the container's
	rel   string // its directory, below PodLogsDir
	fs    podlogs.FS
	dir   podlogs.Dir
	warn  func(failed bool, format string, args ...any)
	ahead int // bytes to decompress before they are needed

	lines  *lines
	format format
	skip   int64 // lines to drop: the tail begins after them
	out    sender

	pending []*generation // to be read, oldest first
	floor   *generation   // the newest that was begun, or was missing at its turn; never nil
	cur     *generation   // being read; its file is open
	from    reader        // of cur
	next    *ahead        // of pending[0], if it is compressed
	nextGen *generation
	buf     []byte // for uncompressed logs

	follow follower

	foreignWarned, cutWarned, tooManyWarned bool
	missing                                 gap // before the next line
}

// run reads until there is no more, or, following, until the container is removed
// or the context ends.
func (s *source) run(ctx context.Context) {
	defer s.out.close()
	defer s.closeFiles()
	s.buf = make([]byte, blockSize)
	s.floor = &generation{} // precedes all others
	s.follow.begin()
	if err := s.snapshot(); err != nil {
		s.warn(true, "%s: %v", s.name, err)
		return
	}
	s.selectRestart()
	if len(s.pending) == 0 && !s.Follow {
		reason := "there are no logs"
		if s.Previous {
			reason += " of a restart before the latest"
		}
		s.warn(true, "%s: %s", s.name, reason)
		return
	}
	if err := s.findStart(ctx); err != nil {
		return // the context's
	}
	for ctx.Err() == nil && s.advance(ctx) {
		s.read(ctx)
	}
	if ctx.Err() == nil {
		s.lines.end()
		s.missing.add(s.floor.behind)
		s.resumed(s.lines.last, time.Time{})
		s.out.flush()
	}
}

// snapshot lists the logs, and opens the newest, so that neither what is rotated
// from now on nor what was a moment ago is missed or read twice.
func (s *source) snapshot() error {
	for {
		gens, err := s.list()
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		newest := len(gens) - 1
		s.pending = gens
		if newest < 0 || s.Previous {
			break
		}
		f, err := s.open(gens[newest])
		if err == nil { // listed again: what was rotated before it was opened is listed now
			gens[newest].file = f
			if gens, err = s.list(); err == nil {
				err = s.hold(f, gens)
			}
		}
		if !errors.Is(err, fs.ErrNotExist) { // else it was rotated
			break // errors are reported at its turn
		}
		for _, g := range s.pending {
			g.close()
		}
	}
	s.follow.remember(s.pending)
	return nil
}

// hold takes a listing whose newest log is f, and sets the end of the newest log
// with content, which the runtime may still write though it is rotated: the live log
// is empty until it has reopened. The error is fs.ErrNotExist if f is not the newest.
func (s *source) hold(f *file, gens []*generation) error {
	newest := len(gens) - 1
	if newest < 0 || gens[newest].Name != f.As(gens[newest].Kind) || gens[newest].id != s.pending[len(s.pending)-1].id {
		return fs.ErrNotExist
	}
	s.pending = gens
	for gens[newest].file = f; newest >= 0; newest-- {
		g := gens[newest]
		if g.id == (podlogs.ID{}) {
			break
		}
		if g.file == nil {
			var err error
			if g.file, err = s.open(g); err != nil {
				return err
			}
		}
		if g.size > 0 {
			g.size = wholeRecords(g.file, g.size)
		}
		if g.end = g.size; g.end > 0 {
			break
		}
	}
	return nil
}

// wholeRecords returns where the last whole record ends within size bytes of a
// log, to which the runtime may be writing one.
func wholeRecords(f *file, size int64) int64 {
	from := max(0, size-maxLine)
	tail := make([]byte, size-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return size
	}
	now, err := f.Stat()
	i := bytes.LastIndexByte(tail, '\n')
	if err != nil || now.Size == size || i < 0 { // it ends there: it has no writer
		return size
	}
	return from + int64(i) + 1
}

// selectRestart leaves the generations of the restart before the latest.
func (s *source) selectRestart() {
	if !s.Previous || len(s.pending) == 0 {
		return
	}
	latest := s.pending[len(s.pending)-1].Restart
	s.pending = slices.DeleteFunc(s.pending, func(g *generation) bool { return g.Restart == latest })
	if n := len(s.pending); n > 0 {
		before := s.pending[n-1].Restart
		s.pending = slices.DeleteFunc(s.pending, func(g *generation) bool { return g.Restart != before })
	}
}

// advance begins with the next generation that can be read. It reports false
// when there is none.
func (s *source) advance(ctx context.Context) bool {
	for ctx.Err() == nil {
		if len(s.pending) == 0 {
			if !s.Follow || !s.await(ctx) {
				return false
			}
			continue
		}
		g := s.pending[0]
		if g.file == nil && s.prepare(ctx, g) {
			continue
		}
		s.missing.add(s.floor.behind)
		if s.floor.behind != (gap{}) {
			s.lines.gap()
		}
		s.pending, s.floor = s.pending[1:], g
		if s.begin(g) {
			return true
		}
	}
	return false
}

// begin opens g, closes what was read before, and reports what is missing.
func (s *source) begin(g *generation) bool {
	from, err := s.reader(g)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.missing.add(gap{files: 1, bytes: g.size})
		s.lines.gap()
		s.skip = 0 // as far as is known, the lines to be skipped are missing
		return false
	case err != nil:
		s.warn(true, "%s: %v", s.name, err)
		s.lines.gap()
		return false
	}
	if s.cur != nil && s.cur.Restart != g.Restart {
		s.lines.end() // no line continues in another container's log
	}
	s.leave()
	s.cur, s.from = g, from
	s.follow.begin()
	s.format.from(g.Restart, g.file.String())
	s.decompressNext()
	return true
}

// reader opens g, unless it is open, and reads it from its start.
func (s *source) reader(g *generation) (reader, error) {
	if s.nextGen == g {
		a := s.next
		s.next, s.nextGen = nil, nil
		return a, nil
	}
	if g.file == nil {
		f, err := s.open(g)
		if err != nil {
			return nil, err
		}
		g.file = f
	}
	if g.file.Compressed() {
		return decompressAhead(g.file, s.ahead), nil
	}
	end := g.end
	if s.Follow {
		end = -1
	}
	return readUncompressed(g.file, g.start, end, s.buf), nil
}

// decompressNext begins to decompress the log that comes next.
func (s *source) decompressNext() {
	if s.next != nil || len(s.pending) == 0 || s.pending[0].id != (podlogs.ID{}) || s.pending[0].file != nil || !s.cur.file.Compressed() {
		return
	}
	g := s.pending[0]
	f, err := s.open(g)
	if err != nil {
		return // reported at its turn
	}
	g.file, s.next, s.nextGen = f, decompressAhead(f, s.ahead), g
}

// leave closes what has been read.
func (s *source) leave() {
	if s.cur == nil {
		return
	}
	if p, ok := s.from.(*uncompressed); ok {
		s.follow.read[s.cur.id] = p.off
	}
	s.from.close()
	s.cur.close()
}

func (s *source) closeFiles() {
	s.leave()
	if s.next != nil {
		s.next.close()
	}
	for _, g := range s.pending {
		g.close()
	}
	_ = s.dir.Close() // opened for reading
}

// read reads the current generation to its end.
func (s *source) read(ctx context.Context) {
	for ctx.Err() == nil && !s.out.stopped {
		p, err := s.from.next()
		if len(p) > 0 {
			s.lines.block(p)
			if s.Follow {
				s.follow.grew()
				s.scan(false)
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			s.warn(true, "%s: %s: %v: what follows in it cannot be read", s.name, s.cur.file.path, err)
			s.lines.endFile()
			s.lines.gap()
			return
		}
		if s.cur.file.Compressed() || s.finished(ctx) {
			break
		}
	}
	s.lines.endFile()
}

// emit takes the selected lines.
func (s *source) emit(l *crilog.Line) {
	if s.skip > 0 {
		s.skip--
		return
	}
	if l.Partial && !s.cutWarned {
		s.cutWarned = true
		s.warn(false, "%s: a line is longer than %d bytes: it is shown in pieces", s.name, maxLine)
	}
	s.out.line(&s.format, l)
}

// foreign warns once of lines that are not in CRI's format.
func (s *source) foreign([]byte) {
	if !s.foreignWarned {
		s.foreignWarned = true
		s.warn(false, "%s: %s has lines that are not in CRI's format: they are shown unchanged", s.name, s.cur.file.path)
	}
}

// resumed reports what is missing between two lines of these times; zero: none came.
func (s *source) resumed(before, after time.Time) {
	if s.missing == (gap{}) {
		return
	}
	where := "before " + after.Format(time.RFC3339Nano)
	switch {
	case after.IsZero() && before.IsZero():
		where = "of this log"
	case after.IsZero():
		where = "after " + before.Format(time.RFC3339Nano)
	case !before.IsZero():
		where = "between " + before.Format(time.RFC3339Nano) + " and " + after.Format(time.RFC3339Nano)
	}
	verb, size := "are", ""
	switch m := s.missing; {
	case m.files == 0:
		verb = "may be"
	case m.maybe:
		size = fmt.Sprintf(" (%d files with %s, or more)", m.files, display.Bytes(m.bytes))
	default:
		size = fmt.Sprintf(" (%d files with %s)", m.files, display.Bytes(m.bytes))
	}
	s.missing = gap{}
	s.warn(true, "%s: lines %s %s gone: rotated away before they were read%s", s.name, where, verb, size)
}
