package logs

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// generation is what was logged between two rotations: the live log, or a
// rotated one, which may be there plain, compressed, or for a moment both.
type generation struct {
	key
	id   id    // of the plain file; zero if there is none
	size int64 // bytes on disk

	// file is set when it is held open, whatever becomes of its name.
	file *file
	// after is the newest stamp that its log had when it was opened as the live
	// log: whatever it is renamed to is later.
	after time.Time
	// gap is what is known to be missing before it, behind after it.
	gap, behind gap
}

// key orders generations.
type key struct {
	restart uint64
	base    string // N.log
	live    bool
	stamp   time.Time // of a rotated log
}

func (k key) compare(o key) int {
	switch c := cmp.Compare(k.restart, o.restart); {
	case c != 0:
		return c
	case k.base != o.base: // 0.log and 00.log
		return strings.Compare(k.base, o.base)
	case k.live && o.live:
		return 0
	case k.live:
		return 1
	case o.live:
		return -1
	}
	return k.stamp.Compare(o.stamp)
}

// name is the file's name when it is of this kind.
func (k key) name(kind podlogs.Kind) string {
	return podlogs.Name{Base: k.base, Restart: k.restart, Stamp: k.stamp, Kind: kind}.String()
}

// kinds are the files that it may be. A compressed log is there before its source
// goes, so that who tries them in this order misses none.
func (k key) kinds() []podlogs.Kind {
	if k.live {
		return []podlogs.Kind{podlogs.Live}
	}
	return []podlogs.Kind{podlogs.Rotated, podlogs.Compressed, podlogs.CompressedZstd}
}

// gap is a piece of the log that is not there any more.
type gap struct {
	files int
	bytes int64 // on disk
	// maybe: nothing that was there at the last look is there now, so that there
	// may have been more in between.
	maybe bool
}

func (g *gap) add(o gap) {
	g.files += o.files
	g.bytes += o.bytes
	g.maybe = g.maybe || o.maybe
}

// list returns all generations in a container's directory, oldest first.
//
// It reads the names twice: one that comes while another goes, as when a log is
// compressed, may be missed by a reading, but no log is compressed twice.
func (d *dir) list() ([]*generation, error) {
	found := make(map[key]bool)
	for range 2 {
		err := d.names(func(s string) {
			if n, ok := podlogs.ParseName(s); ok && n.Kind != podlogs.Temp {
				found[key{n.Restart, n.Base, n.Kind == podlogs.Live, n.Stamp}] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	gens := make([]*generation, 0, len(found))
	for k := range found {
		g := &generation{key: k}
		for _, kind := range k.kinds() {
			if i, err := d.stat(k.name(kind)); err == nil {
				g.size = i.size
				if kind == podlogs.Live || kind == podlogs.Rotated {
					g.id = i.id
				}
				break
			}
		}
		gens = append(gens, g)
	}
	slices.SortFunc(gens, func(a, b *generation) int { return a.compare(b.key) })
	return gens, nil
}

// openAny opens a generation in the form that it is there. The error is
// fs.ErrNotExist when there is none.
func (d *dir) openAny(k key) (f *file, err error) {
	for _, kind := range k.kinds() {
		f, err = d.open(k.name(kind), kind)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, err
}

// newestStamp is that of a log's newest rotated generation; zero: there is none.
func newestStamp(gens []*generation, base string) (newest time.Time) {
	for _, g := range gens {
		if g.base == base && !g.live && g.stamp.After(newest) {
			newest = g.stamp
		}
	}
	return newest
}

func find(gens []*generation, k key) *generation {
	i, ok := slices.BinarySearchFunc(gens, k, func(g *generation, k key) int { return g.compare(k) })
	if !ok {
		return nil
	}
	return gens[i]
}
