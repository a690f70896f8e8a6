package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Following polls, and sets no inotify watch: a watch on a busy log's directory
// costs the writer more than the write (see package watcher), and the kernel
// allows few instances a user. A poll costs two system calls.
const (
	pollMin = 10 * time.Millisecond  // after something was read
	pollMax = 200 * time.Millisecond // of a quiet log; a longer delay would be felt

	// scanEvery is the minimum time between two scans of the directory while there
	// is enough to read, or while the output is blocked.
	scanEvery = 50 * time.Millisecond
	// listEvery is the maximum time between two listings: the directory's
	// modification time, which saves the others, is a hint.
	listEvery = time.Second
	// mtimeTick is more than the granularity of the directory's modification time.
	mtimeTick = 100 * time.Millisecond

	// closeWithin is how long a rotated log may stay open for writing, nothing being
	// written, while there is a newer one with content. A runtime closes it within
	// milliseconds.
	closeWithin = 5 * time.Second
	// closeWithinUnknown is the same where the kernel has no file leases.
	closeWithinUnknown = 2 * time.Second
	// removedFor is how long there must be no log before a container counts as
	// removed: longer than the time between a plain rename and the reopen.
	removedFor = 2 * time.Second
)

// follower is what a source knows from earlier scans of its directory.
type follower struct {
	scanned, listed time.Time
	modified        time.Time // the directory's, at the last listing
	seen            listing   // the last one
	none            time.Time // since when there has been no log; zero: there are some
	// read are the uncompressed logs that were read, with the offset that was
	// reached, as long as they are listed: a rotation that is reverted gives the
	// newest one its live name back.
	read map[podlogs.ID]int64

	poll   time.Duration
	quiet  time.Time // since when the log that is read has ended; zero: it has not
	closed bool      // it is no longer open for writing
	ended  bool      // the container was removed, and that was reported
	failed bool      // a failed listing was reported
}

// listing is what a scan compares the next one with.
type listing struct {
	rotated map[podlogs.Name]bool // false: empty, as before an exchange
	ids     map[podlogs.ID]bool
	newest  map[string]time.Time // stamp by log; zero: it has no rotated one
}

func (f *follower) begin() { f.quiet, f.closed, f.poll = time.Time{}, false, pollMin }

func (f *follower) grew() { f.quiet, f.poll = time.Time{}, pollMin }

func (f *follower) remember(gens []*generation) {
	f.listed = time.Now()
	f.seen = listing{make(map[podlogs.Name]bool), make(map[podlogs.ID]bool), make(map[string]time.Time)}
	read := make(map[podlogs.ID]int64)
	for _, g := range gens { // the live log comes last
		newest := f.seen.newest[g.Base]
		if g.Kind != podlogs.Live {
			newest, f.seen.rotated[g.Name] = g.Stamp, !g.empty()
		}
		f.seen.newest[g.Base], f.seen.ids[g.id] = newest, true
		if off, ok := f.read[g.id]; ok {
			read[g.id] = off
		}
	}
	delete(f.seen.ids, podlogs.ID{})
	f.read = read
	if len(gens) > 0 {
		f.none = time.Time{}
	} else if f.none.IsZero() {
		f.none = f.listed
	}
}

// finished reports whether the uncompressed log that is read, which has ended for
// now, is complete, so that the next can be read. Otherwise it waits.
func (s *source) finished(ctx context.Context) bool {
	if s.Follow {
		s.scan(false)
		s.checkTruncated()
		if len(s.pending) == 0 {
			return !s.await(ctx)
		}
	} else if s.cur.end >= 0 || len(s.pending) == 0 {
		return true
	}
	switch {
	case s.follow.closed: // before it was read to its end
		return true
	case s.openForWrite():
		s.sleep(ctx)
	default:
		s.follow.closed = true
	}
	return false
}

// openForWrite reports whether lines may still be written to the log that is read.
// A rotated log stays in use until the runtime has reopened, however long that
// fails; the live log is empty that long.
func (s *source) openForWrite() bool {
	if s.follow.quiet.IsZero() {
		s.follow.quiet = time.Now()
	}
	quiet := time.Since(s.follow.quiet)
	unused := s.Follow && s.allEmpty()
	open, err := s.cur.file.OpenForWrite()
	switch {
	case err == nil && open && quiet > closeWithin && !unused:
		s.warn(true, "%s: %s is still open for writing though there is a newer log: what is written to it is not followed", s.name, s.cur.file.path)
		return false
	case err == nil:
		return open
	}
	st, err := s.cur.file.Stat()
	return err == nil && (unused || time.Since(st.Modified) < closeWithinUnknown && quiet < closeWithinUnknown)
}

// checkTruncated starts over with a log that was truncated.
func (s *source) checkTruncated() {
	p, ok := s.from.(*uncompressed)
	if !ok {
		return
	}
	if st, err := s.cur.file.Stat(); err == nil && st.Size < p.off {
		s.warn(true, "%s: %s was truncated while it was read: lines may be missing, or come twice", s.name, s.cur.file.path)
		p.off = 0
		s.lines.gap()
	}
}

// await waits for a while and scans again. It reports false when nothing will
// come: the container was removed.
func (s *source) await(ctx context.Context) bool {
	if s.follow.ended {
		return false
	}
	if s.removed() {
		s.follow.ended = true
		s.warn(false, "%s: its logs were removed: the container is gone", s.name)
		return false
	}
	s.sleep(ctx)
	s.scan(false)
	return ctx.Err() == nil
}

// removed reports whether the directory was removed, or has been empty for long
// with no writer.
func (s *source) removed() bool {
	if isGone(s.fs, s.rel, s.dir) {
		return true
	}
	if s.cur == nil || s.follow.none.IsZero() || time.Since(s.follow.none) < removedFor {
		return false
	}
	open, err := s.cur.file.OpenForWrite()
	return err != nil || !open
}

// isGone reports whether the open directory d no longer has the name rel.
func isGone(root podlogs.FS, rel string, d podlogs.Dir) bool {
	now, err := root.OpenDir(rel)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer now.Close() //nolint:errcheck // opened for reading
	at, err := now.Stat(".")
	own, ownErr := d.Stat(".")
	return err == nil && ownErr == nil && at.ID != own.ID
}

// sleep sends what was read, so that it is not delayed, and waits: longer each
// time until something is read.
func (s *source) sleep(ctx context.Context) {
	s.out.idle()
	t := time.NewTimer(s.follow.poll)
	defer t.Stop()
	s.follow.poll = min(pollMax, 2*s.follow.poll)
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// scan finds what was rotated, removed and created since the last scan. It is
// called often, also while the output is blocked: what two successive listings
// have in common proves that nothing was missed in between, as the oldest are
// removed first. It reports false when the directory cannot be listed.
func (s *source) scan(force bool) bool {
	f, now := &s.follow, time.Now()
	if !force && now.Sub(f.scanned) < scanEvery {
		return true
	}
	f.scanned = now
	st, err := s.dir.Stat(".")
	same := err == nil && st.Modified.Equal(f.modified) && f.listed.Sub(st.Modified) > mtimeTick
	if same && !force && now.Sub(f.listed) < listEvery {
		return true
	}
	f.modified = st.Modified
	gens, err := s.list()
	for try := 0; err == nil && try < 2 && s.isTorn(gens); try++ {
		gens, err = s.list()
	}
	if err != nil {
		if !f.failed {
			s.warn(true, "%s: list %s/%s: %v", s.name, s.PodLogsDir, s.rel, err)
		}
		f.failed = true
		return false
	}
	s.update(gens)
	return true
}

// unread returns the generation that is read and those to be read.
func (s *source) unread() []*generation {
	if s.cur == nil {
		return s.pending
	}
	return append([]*generation{s.cur}, s.pending...)
}

// isTorn reports whether a rotation came between the names and the files of a
// listing: what was the live log is not listed.
func (s *source) isTorn(gens []*generation) bool {
	return slices.ContainsFunc(s.unread(), func(u *generation) bool {
		return u.Kind == podlogs.Live && !slices.ContainsFunc(gens, func(g *generation) bool { return g.id == u.id })
	})
}

// update brings what is unread up to a listing. Files keep their identity
// while a rotation, or its reversal, exchanges their names.
func (s *source) update(gens []*generation) {
	now, find := slices.Clone(gens), s.finder(gens)
	old := make(map[*generation]bool)
	var kept, lost []*generation
	for _, u := range s.unread() {
		old[u] = true
		i, found := find(u)
		switch {
		case found:
			if u.Name != gens[i].Name {
				s.follow.seen.rotated[gens[i].Name] = true // under another name
			}
			u.Name, u.size, u.id = gens[i].Name, gens[i].size, gens[i].id
			if u.file != nil && !u.file.Compressed() {
				u.id = u.file.ID
			}
			now[i] = u
		case u.file != nil: // open, and read though it was removed
			if u.Kind == podlogs.Live { // it precedes all that came after it
				u.Kind, u.Stamp = podlogs.Rotated, s.follow.seen.newest[u.Base].Add(1)
			}
			kept = append(kept, u)
		case !u.empty() && !s.mayBeCompressed(u, gens):
			lost = append(lost, u)
		}
	}
	now = append(now, kept...)
	slices.SortStableFunc(now, func(a, b *generation) int { return a.Compare(b.Name) })
	pending := s.pending[:0:0]
	for _, g := range now {
		switch {
		case g == s.cur:
		case g.Compare(s.floor.Name) <= 0 && (!old[g] || g.size == 0):
			g.close()
		default:
			g.start = max(g.start, s.follow.read[g.id])
			pending = append(pending, g)
		}
	}
	s.pending = pending
	for _, l := range lost {
		before := s.before(l.Name)
		before.behind.add(gap{files: 1, bytes: l.size})
		before.behind.add(l.behind)
		s.skip = 0 // as far as is known, the lines to be skipped are missing
	}
	s.checkChain(gens)
	s.follow.remember(gens)
}

// before returns the generation to be read before a name.
func (s *source) before(n podlogs.Name) *generation {
	at, _ := slices.BinarySearchFunc(s.pending, n, func(g *generation, n podlogs.Name) int { return g.Compare(n) })
	if at == 0 {
		return s.floor
	}
	return s.pending[at-1]
}

// finder returns a function that finds an unread generation in a listing.
func (s *source) finder(gens []*generation) func(u *generation) (int, bool) {
	none := podlogs.ID{}
	ids, names := make(map[podlogs.ID]int), make(map[podlogs.Name]int)
	for i, g := range gens {
		ids[g.id], names[g.Name] = i, i
	}
	return func(u *generation) (int, bool) {
		if i, ok := ids[u.id]; ok && u.id != none {
			return i, true
		}
		if i, ok := names[u.Name]; ok && (u.id == none || gens[i].id == none) { // compressed
			return i, true
		}
		i := -1
		if u.Kind == podlogs.Live && u.file != nil {
			i = slices.IndexFunc(gens, func(g *generation) bool {
				return g.id == none && s.isNew(g, u) && s.sameBeginning(u.file, g)
			})
		}
		return i, i >= 0
	}
}

// isNew reports whether g is a rotated log that u, which was the live log, may
// have become since the last listing.
func (s *source) isNew(g, u *generation) bool {
	return g.Kind == podlogs.Rotated && g.Base == u.Base && !s.follow.seen.rotated[g.Name]
}

// mayBeCompressed reports whether what was the live log may be one of the
// compressed logs that came since the last listing.
func (s *source) mayBeCompressed(u *generation, gens []*generation) bool {
	return u.Kind == podlogs.Live && slices.ContainsFunc(gens, func(g *generation) bool {
		return g.id == (podlogs.ID{}) && s.isNew(g, u)
	})
}

// sameBeginning reports whether a compressed log has the content of f: no two
// begin with the same nanosecond and text.
func (s *source) sameBeginning(f *file, g *generation) bool {
	var own, other [4096]byte
	n, _ := f.ReadAt(own[:], 0)
	compressed, err := s.open(g)
	if err != nil {
		return false
	}
	defer compressed.Close() //nolint:errcheck // opened for reading
	from, err := compressed.content()
	if err != nil {
		return false
	}
	defer from.Close() //nolint:errcheck // frees memory
	m, _ := io.ReadFull(from, other[:])
	return m > 0 && bytes.Equal(own[:n], other[:m])
}

// checkChain marks where no generation proves that a listing continues the last
// one.
func (s *source) checkChain(gens []*generation) {
	seen := &s.follow.seen
	proven := make(map[string]bool)
	for _, g := range gens {
		_, known := seen.rotated[g.Name]
		if _, log := seen.newest[g.Base]; !log || known || seen.ids[g.id] {
			proven[g.Base] = true
		}
	}
	for _, g := range gens {
		if !proven[g.Base] && g.Compare(s.floor.Name) > 0 {
			s.before(g.Name).behind.maybe = true
			proven[g.Base] = true // the first one is enough
		}
	}
}

// prepare opens the next generation when it is its turn, and scans for what has
// come before it. It reports whether what is next may have changed.
func (s *source) prepare(ctx context.Context, g *generation) bool {
	if g.empty() && g.Kind == podlogs.Rotated && s.skipEmpty(ctx, g) {
		return true
	}
	if !s.Follow {
		return false
	}
	f, err := s.open(g)
	if errors.Is(err, fs.ErrNotExist) {
		return s.scan(true) // it has another name now, or was removed
	}
	if err != nil {
		return false // begin reports it
	}
	g.file = f
	if g.Kind != podlogs.Live {
		return false
	}
	g.id = f.ID
	return s.scan(true)
}

// skipEmpty skips an empty rotated log, or waits for its content: either a rotation
// is under way, and will exchange it with the live log, or the log was rotated while
// it was empty, and may still be written. It returns false when it has content.
func (s *source) skipEmpty(ctx context.Context, g *generation) bool {
	f, err := s.open(g)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false // begin reports it
	}
	if err == nil {
		defer f.Close() //nolint:errcheck // opened for reading
	}
	st, err := s.dir.Stat(g.String())
	switch {
	case err != nil || st.ID != g.id || f == nil:
		s.pending = s.pending[1:]
	case st.Size > 0: // and so it keeps the name
		g.size = st.Size
		return false
	case s.isAwaited(g, f):
		s.sleep(ctx)
	default: // not the floor: what it will be exchanged with must be read
		s.pending = s.pending[1:]
		return true
	}
	if s.Follow {
		s.scan(true)
	}
	return true
}

// isAwaited reports whether lines may still be written to an empty rotated log.
func (s *source) isAwaited(g *generation, f *file) bool {
	open, _ := f.OpenForWrite()
	if g.waiting.IsZero() {
		g.waiting = time.Now()
	}
	if s.allEmpty() {
		return open && s.Follow
	}
	return open && time.Since(g.waiting) < closeWithin
}

// allEmpty reports whether no log to be read has content: the runtime may not have
// reopened yet, however long that takes.
func (s *source) allEmpty() bool {
	return !slices.ContainsFunc(s.pending, func(g *generation) bool { return !g.empty() })
}
