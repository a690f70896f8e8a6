package pressure

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/rotator"
)

// Container is one container's directory.
type Container struct {
	// Dir is relative to podLogsDir.
	Dir string
	// Files are its logs, oldest first, as rotator.Files returns them.
	Files []podlogs.File
	// Live is the live log that a running container writes and that may be
	// rotated; "": there is none.
	Live string
	// MaxFiles and MaxAge are what its own policy keeps, counted as the rotator
	// counts; 0: no limit.
	MaxFiles int
	MaxAge   time.Duration
	// Stuck: its rotated logs cannot be removed now. They count all the same.
	Stuck bool
}

// Reason is why a rotated log is removed.
type Reason = rotator.Reason

// ByShare: the container is over its fair share. A plan's other reasons are the
// rotator's: the container's own policy does not keep the log.
const ByShare Reason = "share"

// Prune has one rotated log removed, with whatever else there is of the same
// generation: a compressed log beside its source, an unfinished temp.
type Prune struct {
	Dir    string
	Name   podlogs.Name
	Reason Reason
	// Bytes and Files are what it frees.
	Bytes, Files int64
}

// Rotate has a live log rotated before it is at its limit.
type Rotate struct {
	Dir, Log string
	// Size is the log's in bytes. Once it is smaller somebody has rotated it.
	Size int64
}

// Plan is what to do, in this order.
type Plan struct {
	Prunes  []Prune
	Rotates []Rotate
	// Short is what neither can free.
	Short Need
}

// Usage is what a container's logs take, in bytes.
func (c Container) Usage() (bytes int64) {
	for _, f := range c.Files {
		if f.Regular {
			bytes = sum(bytes, f.Size)
		}
	}
	return bytes
}

const (
	// worthwhile is the part of the need that a live log must have to be rotated
	// early, as a divisor. A disk that something else has filled would otherwise
	// cost every container the lines it has just written, and gain nothing.
	worthwhile = 1000
	// leastRotated is the least size of one, in bytes: each is a request to the
	// runtime.
	leastRotated = 64 << 10
)

// Build plans what frees n. It depends on its arguments alone.
func Build(containers []Container, n Need, now time.Time) Plan {
	pl := planner{need: n, least: max(n.Bytes/worthwhile, leastRotated)}
	for _, c := range containers {
		pl.holders = append(pl.holders, newHolder(c, now))
	}
	slices.SortFunc(pl.holders, func(a, b *holder) int { return strings.Compare(a.dir, b.dir) })

	pl.drain(past, bytes, 0)
	pl.drain(past, inodes, 0)
	share := pl.share(bytes)
	pl.drain(kept, bytes, share)
	pl.rotate(share)
	// A rotation frees no inode: the live log is made anew.
	pl.drain(kept, inodes, pl.share(inodes))
	pl.plan.Short = Need{Bytes: max(0, pl.need.Bytes), Inodes: max(0, pl.need.Inodes)}
	return pl.plan
}

type planner struct {
	holders []*holder // by name
	need    Need      // what is still to be freed; below 0: more was
	least   int64     // of a live log that is rotated
	plan    Plan
}

// measure is what is short: bytes or inodes.
type measure int

const (
	bytes measure = iota
	inodes
)

func (pl *planner) needs(m measure) int64 {
	if m == inodes {
		return pl.need.Inodes
	}
	return pl.need.Bytes
}

// share is the highest level at which there is enough when each who holds more is
// cut to it, or as far as he has something to give; 0 if there is none.
func (pl *planner) share(m measure) int64 {
	low, high := int64(0), int64(0) // at low there is enough, if at any; above high there is not
	for _, h := range pl.holders {
		high = max(high, h.holds[m])
	}
	for low < high {
		level := high - (high-low)/2
		cut := int64(0)
		for _, h := range pl.holders {
			cut = sum(cut, min(pl.givable(h, m), max(0, h.holds[m]-level)))
		}
		if cut >= pl.needs(m) {
			low = level
		} else {
			high = level - 1
		}
	}
	return low
}

// givable is what a container has that may go, but for what is past its count or
// age: that has gone before it comes to shares.
func (pl *planner) givable(h *holder, m measure) (n int64) {
	if m == inodes {
		return h.give[inodes]
	}
	if h.live != "" && h.liveSize >= pl.least {
		n = h.liveSize
	}
	return sum(n, h.give[bytes])
}

// drain takes what list has, each time from the container that holds the most,
// until there is enough or none holds more than share.
func (pl *planner) drain(list func(*holder) *[]generation, m measure, share int64) {
	if pl.needs(m) <= 0 {
		return
	}
	q := queue{measure: m}
	for _, h := range pl.holders {
		if len(*list(h)) > 0 {
			q.holders = append(q.holders, h)
		}
	}
	heap.Init(&q)
	for pl.needs(m) > 0 && q.Len() > 0 && q.holders[0].holds[m] > share {
		h := q.holders[0]
		from := list(h)
		g := (*from)[0]
		*from = (*from)[1:]
		pl.need.Bytes -= g.bytes
		pl.need.Inodes -= g.files
		h.holds[bytes] -= g.bytes
		h.holds[inodes] -= g.files
		if g.reason == ByShare {
			h.give[bytes] -= g.bytes
			h.give[inodes] -= g.files
		}
		pl.plan.Prunes = append(pl.plan.Prunes, Prune{Dir: h.dir, Name: g.name, Reason: g.reason, Bytes: g.bytes, Files: g.files})
		if len(*from) == 0 {
			heap.Pop(&q)
		} else {
			heap.Fix(&q, 0)
		}
	}
}

// rotate takes the live logs of those that hold more than share, the largest
// first.
func (pl *planner) rotate(share int64) {
	var large []*holder
	for _, h := range pl.holders {
		if h.live != "" && h.liveSize >= pl.least && h.holds[bytes] > share {
			large = append(large, h)
		}
	}
	slices.SortStableFunc(large, func(a, b *holder) int { return cmp.Compare(b.liveSize, a.liveSize) })
	for _, h := range large {
		if pl.need.Bytes <= 0 {
			return
		}
		pl.plan.Rotates = append(pl.plan.Rotates, Rotate{Dir: h.dir, Log: h.live, Size: h.liveSize})
		pl.need.Bytes -= h.liveSize
		h.holds[bytes] -= h.liveSize
		h.live = ""
	}
}

// holder is a container while it is planned for.
type holder struct {
	dir        string
	holds      [2]int64 // by measure
	give       [2]int64 // of kept; by measure
	past, kept []generation
	live       string
	liveSize   int64
}

func past(h *holder) *[]generation { return &h.past }
func kept(h *holder) *[]generation { return &h.kept }

// generation is the files of one rotation; name is the first of them.
type generation struct {
	name         podlogs.Name
	bytes, files int64
	modified     time.Time // the latest of them
	reason       Reason
}

func newHolder(c Container, now time.Time) *holder {
	h := &holder{dir: c.Dir}
	h.holds[bytes] = c.Usage()
	var all []generation
	for _, f := range c.Files {
		if !f.Regular {
			continue // nothing is freed by removing a name
		}
		h.holds[inodes]++
		if f.Kind == podlogs.Live {
			if f.Name.String() == c.Live {
				h.live, h.liveSize = c.Live, f.Size
			}
			continue
		}
		// Sorted, the files of one generation stand side by side.
		if last := len(all) - 1; last < 0 || all[last].name.Base != f.Base || !all[last].name.Stamp.Equal(f.Stamp) {
			all = append(all, generation{name: f.Name})
		}
		g := &all[len(all)-1]
		g.bytes, g.files = sum(g.bytes, f.Size), g.files+1
		if f.Modified.After(g.modified) {
			g.modified = f.Modified
		}
	}
	if c.Stuck {
		return h
	}
	// A temp alone is what a crash left: housekeeping removes it.
	all = slices.DeleteFunc(all, func(g generation) bool { return g.name.Kind == podlogs.Temp })
	markBeyondPolicy(all, c, now)
	for _, g := range all {
		if g.reason != ByShare {
			h.past = append(h.past, g)
			continue
		}
		h.kept = append(h.kept, g)
		h.give[bytes], h.give[inodes] = sum(h.give[bytes], g.bytes), h.give[inodes]+g.files
	}
	return h
}

// key names a generation, whatever the kind of its file.
func key(n podlogs.Name) podlogs.Name { return n.As(podlogs.Rotated) }

// markBeyondPolicy gives each generation the reason for which the container's own
// policy does not keep it, by the rotator's rules but for grace periods; ByShare if
// it does. What is older than one that is not kept is not kept either, so that no
// hole comes into a log's lines.
func markBeyondPolicy(all []generation, c Container, now time.Time) {
	p := rotator.Policy{MaxFiles: c.MaxFiles, MaxAge: c.MaxAge}
	if p.MaxFiles <= 0 {
		p.MaxFiles = math.MaxInt
	}
	beyond := map[podlogs.Name]Reason{}
	steps, _ := rotator.Plan(c.Files, p, now)
	for _, s := range steps {
		if s.Action == rotator.Prune {
			beyond[key(s.Name)] = s.Reason
		}
	}
	older := map[string]Reason{} // by live log
	for i := len(all) - 1; i >= 0; i-- {
		g := &all[i]
		if reason, ok := beyond[key(g.name)]; ok {
			older[g.name.Base] = reason
		}
		if g.reason = older[g.name.Base]; g.reason == "" {
			g.reason = ByShare
		}
	}
}

// queue is a heap: the holder of the most first, among equals by name.
type queue struct {
	measure measure
	holders []*holder
}

func (q *queue) Len() int { return len(q.holders) }

func (q *queue) Less(i, j int) bool {
	a, b := q.holders[i], q.holders[j]
	if c := cmp.Compare(b.holds[q.measure], a.holds[q.measure]); c != 0 {
		return c < 0
	}
	return a.dir < b.dir
}

func (q *queue) Swap(i, j int) { q.holders[i], q.holders[j] = q.holders[j], q.holders[i] }

func (q *queue) Push(x any) { q.holders = append(q.holders, x.(*holder)) }

func (q *queue) Pop() any {
	last := q.Len() - 1
	h := q.holders[last]
	q.holders = q.holders[:last]
	return h
}

// sum adds sizes without overflow: sparse files' can be anything.
func sum(a, b int64) int64 {
	if s := a + b; s >= a && s >= b {
		return s
	}
	return math.MaxInt64
}
