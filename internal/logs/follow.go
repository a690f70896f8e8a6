package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Following polls, and sets no inotify watch: a watch on a busy log's directory
// costs the writer more than the write (see the watcher's package), and the kernel
// allows few instances a user. A look costs two system calls.
const (
	pollMin = 10 * time.Millisecond  // after something has come
	pollMax = 200 * time.Millisecond // of a quiet log; more would be felt

	// lookEvery is the least time between two looks at the directory while there is
	// enough to read, or while nobody takes what was read.
	lookEvery = 50 * time.Millisecond
	// listEvery is the longest time between two listings: the directory's time of
	// change, which saves the others, is a hint.
	listEvery = time.Second
	// mtimeTick is more than the grain of the directory's time of change.
	mtimeTick = 100 * time.Millisecond

	// closeWithin is how long a rotated log may stay open for writing, nothing being
	// written, while there is a newer one. A runtime closes it within milliseconds.
	closeWithin = 5 * time.Second
	// closeWithinUnknown is the same where the kernel does not tell who writes.
	closeWithinUnknown = 2 * time.Second
	// removedFor is how long there must be no log at all before a container counts as
	// removed: longer than the moment between rename and reopen.
	removedFor = 2 * time.Second
)

// follower is what a source knows from looking at its directory again and again.
type follower struct {
	looked, listed time.Time
	modified       time.Time // the directory's, when it was listed
	keys           map[key]bool
	ids            map[id]bool
	bases          map[string]bool
	none           time.Time // since when there has been no log; zero: there are some

	poll   time.Duration
	quiet  time.Time // since when nothing has come from the log that is read
	closed bool      // nobody writes to it any more
	gone   bool      // the container is gone, and that has been told
	failed bool      // that the directory cannot be listed has been told
}

func (f *follower) begun() { f.quiet, f.closed, f.poll = time.Now(), false, pollMin }

func (f *follower) grew() { f.quiet, f.poll = time.Now(), pollMin }

// saw remembers a listing, to know the next by it.
func (f *follower) saw(gens []*generation) {
	f.listed = time.Now()
	f.keys, f.ids, f.bases = make(map[key]bool), make(map[id]bool), make(map[string]bool)
	for _, g := range gens {
		f.bases[g.base] = true
		if !g.live {
			f.keys[g.key] = true
		}
		if g.id != (id{}) {
			f.ids[g.id] = true
		}
	}
	if len(gens) > 0 {
		f.none = time.Time{}
	} else if f.none.IsZero() {
		f.none = f.listed
	}
}

// knows reports whether a generation was there at the listing before.
func (f *follower) knows(g *generation) bool {
	return (!g.live && f.keys[g.key]) || (g.id != (id{}) && f.ids[g.id])
}

// finished reports whether the plain log that is read, of which there is no more at
// the moment, is to be left for the next. It waits for a while when it is not.
func (s *source) finished(ctx context.Context) bool {
	if s.Follow {
		s.look(false)
		s.truncated()
		if len(s.pending) == 0 {
			return !s.await(ctx)
		}
	} else if s.cur.live || len(s.pending) == 0 {
		return true
	}
	switch {
	case s.follow.closed: // before it was read to its end
		return true
	case s.written():
		s.sleep(ctx, pollMin)
	default:
		s.follow.closed = true
	}
	return false
}

// written reports whether somebody may write to the log that is read.
func (s *source) written() bool {
	written, err := s.cur.file.written()
	quiet := time.Since(s.follow.quiet)
	switch {
	case err == nil && !written:
		return false
	case err == nil && quiet > closeWithin:
		s.note(true, "%s: %s is still open for writing though there is a newer log: what comes to it is not followed", s.name, s.cur.file.Name())
		return false
	case err == nil:
		return true
	}
	i, err := s.cur.file.stat()
	return err == nil && time.Since(i.modified) < closeWithinUnknown && quiet < closeWithinUnknown
}

// truncated begins anew with a log that somebody cut short.
func (s *source) truncated() {
	p, ok := s.from.(*plain)
	if !ok {
		return
	}
	if i, err := s.cur.file.stat(); err == nil && i.size < p.off {
		s.note(true, "%s: %s was truncated while it was read: lines may be missing, or come twice", s.name, s.cur.file.Name())
		p.off = 0
		s.lines.gap()
	}
}

// await waits for a while and looks again. It reports false when nothing will come:
// the container is gone.
func (s *source) await(ctx context.Context) bool {
	if s.follow.gone {
		return false
	}
	if s.removed() {
		s.follow.gone = true
		s.note(false, "%s: its logs were removed: the container is gone", s.name)
		return false
	}
	s.sleep(ctx, s.follow.poll)
	s.follow.poll = min(pollMax, 2*s.follow.poll)
	s.look(false)
	return ctx.Err() == nil
}

// removed reports whether the directory is gone, or has been empty for long with
// nobody writing.
func (s *source) removed() bool {
	at, err := statx(unix.AT_FDCWD, s.dir.f.Name(), s.dir.f.Name())
	if own, ownErr := s.dir.stat(""); ownErr == nil && (errors.Is(err, fs.ErrNotExist) || err == nil && at.id != own.id) {
		return true
	}
	if s.cur == nil || s.follow.none.IsZero() || time.Since(s.follow.none) < removedFor {
		return false
	}
	written, err := s.cur.file.written()
	return err != nil || !written
}

// sleep gives out what there is, so that nobody waits for it, and waits.
func (s *source) sleep(ctx context.Context, d time.Duration) {
	s.out.idle()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// look finds what has been rotated, removed and made since the last look. It is
// called often, also while the reader of our output is slow: what is there at two
// looks running proves that nothing was missed in between, as the oldest go first.
func (s *source) look(force bool) {
	f, now := &s.follow, time.Now()
	if !force && now.Sub(f.looked) < lookEvery {
		return
	}
	f.looked = now
	i, err := s.dir.stat("")
	same := err == nil && i.modified.Equal(f.modified) && f.listed.Sub(i.modified) > mtimeTick
	if same && !force && now.Sub(f.listed) < listEvery {
		return
	}
	f.modified = i.modified
	gens, err := s.dir.list()
	if err == nil && !s.track(gens, false) { // it may have been made a moment before the rename
		gens, err = s.dir.list()
	}
	if err != nil {
		if !f.failed {
			s.note(true, "%s: list %s: %v", s.name, s.dir.f.Name(), err)
		}
		f.failed = true
		return
	}
	s.track(gens, true)
	s.chain(gens)
	s.merge(gens)
	f.saw(gens)
}

// held are the generations whose files are open, and not compressed.
func (s *source) held() (held []*generation) {
	for _, g := range append(slices.Clip(s.pending), s.cur) {
		if g != nil && g.file != nil && !g.file.Compressed() {
			held = append(held, g)
		}
	}
	return held
}

// track finds under which names the logs are now that are open: rotated, or the live
// log again when the runtime would not reopen it. It reports false when one that
// was the live log is not there. sure: then it has been removed.
func (s *source) track(gens []*generation, sure bool) (all bool) {
	all = true
	for _, h := range s.held() {
		now := s.whereIs(h, gens)
		switch {
		case now == nil && h.live && sure: // it stands before all that came after it
			h.live, h.stamp = false, h.after.Add(1)
		case now == nil:
			all = all && !h.live
		case now.key == h.key && h.live: // what is listed with it is older
			h.after = newestStamp(gens, h.base)
		case now.key != h.key:
			h.key, h.after = now.key, newestStamp(gens, h.base)
			s.follow.keys[h.key] = true // it was there before, under another name
		}
	}
	return all
}

// whereIs finds an open log in a listing; nil: it is not there, or compressed, and
// was not the live log.
func (s *source) whereIs(h *generation, gens []*generation) *generation {
	for _, g := range gens {
		if g.id == h.file.id {
			return g
		}
	}
	for _, g := range gens {
		if h.live && !g.live && g.base == h.base && g.stamp.After(h.after) && g.id == (id{}) && s.sameBeginning(h.file, g.key) {
			return g
		}
	}
	return nil
}

// sameBeginning reports whether a generation that was compressed is what f is:
// no two begin with the same nanosecond and text.
func (s *source) sameBeginning(f *file, k key) bool {
	var own, other [4096]byte
	n, _ := f.ReadAt(own[:], 0)
	packed, err := s.dir.openAny(k)
	if err != nil {
		return false
	}
	defer packed.Close() //nolint:errcheck // opened for reading
	var from io.Reader = io.NewSectionReader(packed, 0, int64(len(other)))
	if packed.Compressed() {
		z, err := decompress(packed)
		if err != nil {
			return false
		}
		defer z.Close() //nolint:errcheck // gives memory back
		from = z
	}
	m, _ := io.ReadFull(from, other[:])
	return m > 0 && bytes.Equal(own[:n], other[:m])
}

// chain marks where nothing proves that a listing goes on from the last one.
func (s *source) chain(gens []*generation) {
	proven := make(map[string]bool)
	for _, g := range gens {
		if s.follow.knows(g) || !s.follow.bases[g.base] {
			proven[g.base] = true
		}
	}
	for _, g := range gens {
		if !proven[g.base] {
			g.gap.maybe = true
			proven[g.base] = true // the first one is enough
		}
	}
}

// merge brings what is to be read up to a listing.
func (s *source) merge(gens []*generation) {
	latest := uint64(0)
	if len(gens) > 0 {
		latest = gens[len(gens)-1].restart
	}
	var pending []*generation
	for _, g := range gens {
		if g.compare(s.floor.key) <= 0 {
			continue
		}
		if old := find(s.pending, g.key); old != nil {
			old.id, old.size = g.id, g.size
			old.gap.add(g.gap)
			g = old
		}
		pending = append(pending, g)
	}
	for _, p := range s.pending {
		at, there := slices.BinarySearchFunc(pending, p.key, func(g *generation, k key) int { return g.compare(k) })
		switch {
		case there:
		case p.file != nil:
			pending = slices.Insert(pending, at, p)
		case p.live && (p.restart == latest || s.renamedTo(p, gens)): // the runtime is about to make it, or it has a new name
		default:
			before := s.floor
			if at > 0 {
				before = pending[at-1]
			}
			before.behind.add(p.gap)
			before.behind.add(gap{files: 1, bytes: p.size})
			before.behind.add(p.behind)
		}
	}
	s.pending = pending
}

// renamedTo reports whether a generation is listed under another name.
func (s *source) renamedTo(p *generation, gens []*generation) bool {
	return slices.ContainsFunc(gens, func(g *generation) bool { return g.id == p.id })
}

// openLive opens a live log when it is its turn, and looks what came before it
// meanwhile. It reports whether that may have changed what is next.
func (s *source) openLive(g *generation) bool {
	f, err := s.dir.open(g.base, g.kinds()[0])
	if errors.Is(err, fs.ErrNotExist) {
		// The moment between rename and reopen. If it is there again it is listed.
		s.pending = s.pending[1:]
		return true
	}
	if err != nil {
		return false // begin tells
	}
	g.file = f
	for k := range s.follow.keys { // as it was the live log just now, it will be newer than these
		if k.base == g.base && k.stamp.After(g.after) {
			g.after = k.stamp
		}
	}
	s.look(true)
	return true
}
