package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// generation is the content between two rotations: the live log, or a rotated
// one, which may exist uncompressed, compressed, or for a moment both.
type generation struct {
	// Name orders generations. Its Kind is Live or Rotated, compressed or not.
	podlogs.Name
	id   podlogs.ID // of the uncompressed file; zero if there is none
	size int64      // bytes on disk

	// file, if not nil, is kept open, whatever becomes of its name.
	file *file
	// start and end bound what is read of an uncompressed log, in bytes; end is -1
	// for the end of the file.
	start, end int64
	// waiting is since when an empty rotated log has been open for writing.
	waiting time.Time
	// behind is what is known to be missing after it.
	behind gap
}

// empty reports whether the last listing found an uncompressed log without content.
func (g *generation) empty() bool { return g.size == 0 && g.id != (podlogs.ID{}) }

func (g *generation) close() {
	if g.file != nil {
		_ = g.file.Close() // opened for reading
		g.file = nil
	}
}

// gap is a part of the log that no longer exists.
type gap struct {
	files int
	bytes int64 // on disk
	// maybe: no generation of the listing before is left, so that others
	// may have been created and removed in between.
	maybe bool
}

func (g *gap) add(o gap) {
	g.files += o.files
	g.bytes += o.bytes
	g.maybe = g.maybe || o.maybe
}

// file is a log that is open for reading. It stays readable when it is renamed
// or removed.
type file struct {
	podlogs.Handle
	podlogs.Name
	podlogs.ID
	path string
}

// maxGenerations bounds what is kept for a container, in log names: many times
// what a policy keeps.
const maxGenerations = 1 << 14

// list returns the newest generations in the container's directory, oldest first.
//
// A live log that is renamed between the reading of its name and of its size is missing under
// both names: the directory is listed again then.
func (s *source) list() ([]*generation, error) {
	gens, renamed, err := s.listOnce()
	if renamed {
		gens, _, err = s.listOnce()
	}
	return gens, err
}

// listOnce reads the names twice: a name that is created while another is removed, as
// in a compression, may be missed once, but no log is compressed twice. renamed: a live log is
// missing.
func (s *source) listOnce() (gens []*generation, renamed bool, err error) {
	var names []podlogs.Name
	for range 2 {
		var err error
		for n := range podlogs.Names(s.dir, &err) {
			switch n.Kind {
			case podlogs.Live:
			case podlogs.Temp:
				continue
			default:
				n.Kind = podlogs.Rotated
			}
			if names = append(names, n); len(names) == 2*maxGenerations {
				names = s.newest(names)
			}
		}
		if err != nil {
			return nil, false, explain(err)
		}
	}
	gens = make([]*generation, 0, len(names))
	for _, n := range s.newest(names) {
		g := &generation{Name: n, end: -1}
		found := false
		for _, kind := range g.Kinds() {
			if st, err := s.dir.Stat(n.As(kind).String()); err == nil {
				g.size = st.Size
				if kind == n.Kind {
					g.id = st.ID
				}
				gens, found = append(gens, g), true
				break
			}
		}
		renamed = renamed || !found && n.Kind == podlogs.Live
	}
	return gens, renamed, nil
}

func (s *source) newest(names []podlogs.Name) []podlogs.Name {
	slices.SortFunc(names, podlogs.Name.Compare)
	names = slices.CompactFunc(names, func(a, b podlogs.Name) bool { return a.Compare(b) == 0 })
	if extra := len(names) - maxGenerations; extra > 0 {
		if !s.tooManyWarned {
			s.tooManyWarned = true
			s.warn(true, "%s: it has more than %d logs: the oldest are not read", s.name, maxGenerations)
		}
		names = slices.Delete(names, 0, extra)
	}
	return names
}

// open opens a generation in the form in which it exists. The error is
// fs.ErrNotExist if it does not exist, or not under the name that was listed.
func (s *source) open(g *generation) (*file, error) {
	for _, kind := range g.Kinds() {
		n := g.As(kind)
		h, st, err := podlogs.OpenRegular(s.dir, n.String())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, explain(err)
		}
		f := &file{Handle: h, Name: n, ID: st.ID, path: s.PodLogsDir + "/" + s.rel + "/" + n.String()}
		if n.Compressed() || g.id == (podlogs.ID{}) || g.id == f.ID {
			return f, nil
		}
		return nil, errors.Join(fs.ErrNotExist, f.Close()) // another file has the name
	}
	return nil, fs.ErrNotExist
}

// explain adds what to do about an error.
func explain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run as root", err)
	}
	return err
}
