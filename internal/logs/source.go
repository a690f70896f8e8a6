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
	"github.com/logwatch/logwatch/internal/status"
)

// source reads one container's logs: a goroutine of its own, which sends batches
// of lines.
type source struct {
	*Options
	name  string // the container's
	dir   *dir
	note  func(failed bool, format string, args ...any)
	ahead int // bytes to decompress before they are wanted

	lines  *lines
	format format
	skip   int64 // lines not to be handed out: the tail begins behind them
	start  int64 // where to begin in the first generation, in bytes
	out    sender

	pending []*generation // not begun to be read, oldest first
	floor   *generation   // the newest that has been begun, or was gone at its turn; never nil
	cur     *generation   // being read; its file is open
	from    reader        // of cur
	next    *ahead        // of pending[0], if it is compressed
	nextGen *generation
	buf     []byte // for plain logs

	follow follower

	foreignTold, cutTold bool
	missing              gap // before the line that comes next
}

// run reads until there is no more, or, following, until the container is gone or
// the context ends.
func (s *source) run(ctx context.Context) {
	defer s.out.close()
	defer s.closeFiles()
	s.buf = make([]byte, blockSize)
	s.floor = &generation{} // before all others
	s.follow.begun()
	if err := s.snapshot(); err != nil {
		s.note(true, "%s: %v", s.name, err)
		return
	}
	s.selectRestart()
	if len(s.pending) == 0 && !s.Follow {
		s.note(true, "%s: %s", s.name, s.emptyHanded())
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

func (s *source) emptyHanded() string {
	if s.Previous {
		return "there are no logs of a restart before the latest"
	}
	return "there are no logs"
}

// snapshot lists what there is, and opens the newest live log, so that neither
// what is rotated from now on nor what was a moment ago is missed or read twice.
func (s *source) snapshot() error {
	for {
		gens, err := s.dir.list()
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		s.pending = gens
		newest := len(gens) - 1
		if newest < 0 || !gens[newest].live || s.Previous {
			break
		}
		g := gens[newest]
		f, err := s.dir.open(g.base, g.kinds()[0])
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was rotated, and is listed under its new name now
		}
		if err != nil { // it is told when it is its turn
			break
		}
		// Listed again: whatever was rotated before it was opened is there now.
		gens, err = s.dir.list()
		if now := find(gens, g.key); err == nil && now != nil && now.id == f.id {
			s.pending = gens
			now.file, now.after, now.size = f, newestStamp(gens, g.base), wholeRecords(f, now.size)
			break
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	s.follow.saw(s.pending)
	return nil
}

// wholeRecords returns where the last whole record ends within size bytes of a live
// log, of which the runtime may be writing one.
func wholeRecords(f *file, size int64) int64 {
	from := max(0, size-maxLine)
	tail := make([]byte, size-from)
	if _, err := f.ReadAt(tail, from); err != nil {
		return size
	}
	now, err := f.stat()
	i := bytes.LastIndexByte(tail, '\n')
	if err != nil || now.size == size || i < 0 { // cut short for good, as nobody goes on
		return size
	}
	return from + int64(i) + 1
}

// selectRestart leaves the generations of the restart before the latest.
func (s *source) selectRestart() {
	if !s.Previous || len(s.pending) == 0 {
		return
	}
	latest := s.pending[len(s.pending)-1].restart
	s.pending = slices.DeleteFunc(s.pending, func(g *generation) bool { return g.restart == latest })
	if n := len(s.pending); n > 0 {
		before := s.pending[n-1].restart
		s.pending = slices.DeleteFunc(s.pending, func(g *generation) bool { return g.restart != before })
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
		if g.file == nil && g.live && s.Follow && s.openLive(g) {
			continue // there may be something before it now
		}
		g.gap.add(s.floor.behind)
		s.pending, s.floor = s.pending[1:], g
		if s.begin(g) {
			return true
		}
	}
	return false
}

// begin opens g, closes what was read before, and tells what is missing.
func (s *source) begin(g *generation) bool {
	s.missing.add(g.gap)
	if g.gap != (gap{}) {
		s.lines.gap()
	}
	from, err := s.reader(g)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.lost(g)
		return false
	case err != nil:
		s.note(true, "%s: %v", s.name, err)
		s.lines.gap()
		return false
	}
	if s.cur != nil && s.cur.restart != g.restart {
		s.lines.end() // no line goes on in another container's log
	}
	s.leave()
	s.cur, s.from, s.start = g, from, 0
	s.follow.begun()
	s.format.from(g.restart, g.file.name)
	s.unpackNext()
	return true
}

// lost notes that a generation went before it was read. With it goes what was to
// be skipped of it, as far as that is known.
func (s *source) lost(g *generation) {
	s.missing.add(gap{files: 1, bytes: g.size})
	s.lines.gap()
	s.skip = 0
}

// reader opens g, unless that has been done, and reads it from the start.
func (s *source) reader(g *generation) (reader, error) {
	if s.nextGen == g {
		u := s.next
		s.next, s.nextGen = nil, nil
		return u, nil
	}
	if g.file == nil {
		f, err := s.dir.openAny(g.key)
		if err != nil {
			return nil, err
		}
		g.file = f
	}
	if g.file.Compressed() {
		return unpack(g.file, s.ahead), nil
	}
	end := int64(-1)
	if !s.Follow && g.live { // a writer that is faster than we are must not keep us for ever
		end = g.size
	}
	return readPlain(g.file, s.start, end, s.buf), nil
}

// unpackNext begins to decompress the log that comes next.
func (s *source) unpackNext() {
	if s.next != nil || len(s.pending) == 0 || s.pending[0].live || s.pending[0].file != nil || !s.cur.file.Compressed() {
		return
	}
	g := s.pending[0]
	f, err := s.dir.openAny(g.key)
	if err != nil {
		return // it is told when it is its turn
	}
	g.file = f
	if f.Compressed() {
		s.next, s.nextGen = unpack(f, s.ahead), g
	}
}

// leave closes what has been read.
func (s *source) leave() {
	if s.cur == nil {
		return
	}
	s.from.close()
	_ = s.cur.file.Close() // opened for reading
	s.cur.file = nil
}

func (s *source) closeFiles() {
	s.leave()
	if s.next != nil {
		s.next.close()
	}
	for _, g := range s.pending {
		if g.file != nil {
			_ = g.file.Close() // opened for reading
		}
	}
	_ = s.dir.f.Close() // opened for reading
}

// read reads the current generation to its end.
func (s *source) read(ctx context.Context) {
	for ctx.Err() == nil && !s.out.stopped {
		p, err := s.from.next()
		if len(p) > 0 {
			s.lines.block(p)
			s.follow.grew()
			if s.Follow {
				s.look(false)
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			s.note(true, "%s: %v: what follows in it cannot be read", s.name, fmt.Errorf("%s: %w", s.cur.file.Name(), err))
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

// handOut takes the lines that are wanted.
func (s *source) handOut(l *crilog.Line) {
	if s.skip > 0 {
		s.skip--
		return
	}
	if l.Partial && !s.cutTold {
		s.cutTold = true
		s.note(false, "%s: a line is longer than %d bytes: it is shown in pieces", s.name, maxLine)
	}
	s.out.line(&s.format, l)
}

// foreign tells once that there are lines that are not CRI.
func (s *source) foreign([]byte) {
	if !s.foreignTold {
		s.foreignTold = true
		s.note(false, "%s: %s has lines that are not in CRI's format: they are shown as they are", s.name, s.cur.file.Name())
	}
}

// resumed tells what is missing between two lines of these times; zero: none came.
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
	verb, much := "are", ""
	switch m := s.missing; {
	case m.files == 0:
		verb = "may be"
	case m.maybe:
		much = fmt.Sprintf(" (%d files with %s, or more)", m.files, status.Size(m.bytes))
	default:
		much = fmt.Sprintf(" (%d files with %s)", m.files, status.Size(m.bytes))
	}
	s.missing = gap{}
	s.note(true, "%s: lines %s %s gone: rotated away before they were read%s", s.name, where, verb, much)
}
