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
	// Live is the live log that a running container writes and that may be rotated;
	// "": none.
	Live string
	// MaxFiles and MaxAge are those of its own policy, see rotator.Policy; 0: no
	// limit.
	MaxFiles int
	MaxAge   time.Duration
	// Stuck: its rotated logs cannot be removed now. They still count.
	Stuck bool
}

// Reason is why a rotated log is removed.
type Reason = rotator.Reason

// ByShare: the container is over its fair share. A plan's other reasons are the
// rotator's: the container's own policy does not keep the log.
const ByShare Reason = "share"

// Prune removes one rotated log, with the other files of the same generation: a
// compressed log beside its source, an unfinished temp file.
type Prune struct {
	Dir    string
	Name   podlogs.Name
	Reason Reason
	// Bytes and Files are freed by it.
	Bytes, Files int64
}

// Rotate rotates a live log before it reaches its limit.
type Rotate struct {
	Dir, Log string
	// Size is the log's, in bytes. Once it is smaller, it has been rotated.
	Size int64
}

// Plan is a list of steps, in this order.
type Plan struct {
	Prunes  []Prune
	Rotates []Rotate
	// Short is the part of the need that the steps cannot free.
	Short Need
}

// Usage returns the size of a container's logs in bytes.
func (c Container) Usage() (bytes int64) {
	for _, f := range c.Files {
		if f.Regular {
			bytes = saturatingAdd(bytes, f.Size)
		}
	}
	return bytes
}

const (
	// worthwhile is the part of the need that a live log must have to be rotated
	// early, as a divisor. If other data fills the disk, every container would
	// otherwise lose the lines that it has just written, to no benefit.
	worthwhile = 1000
	// minRotated is the minimum size of such a log, in bytes: each costs a request to
	// the runtime.
	minRotated = 64 << 10
)

// Build plans how to free n. It depends only on its arguments.
func Build(containers []Container, n Need, now time.Time) Plan {
	pl := planner{need: n, minLive: max(n.Bytes/worthwhile, minRotated)}
	for _, c := range containers {
		pl.holders = append(pl.holders, newHolder(c, now))
	}
	slices.SortFunc(pl.holders, func(a, b *holder) int { return strings.Compare(a.dir, b.dir) })

	pl.drain(past, bytes, 0)
	pl.drain(past, inodes, 0)
	share := pl.share(bytes)
	pl.drain(kept, bytes, share)
	pl.rotate(share)
	// A rotation frees no inode: there is a new live log.
	pl.drain(kept, inodes, pl.share(inodes))
	pl.plan.Short = Need{Bytes: max(0, pl.need.Bytes), Inodes: max(0, pl.need.Inodes)}
	return pl.plan
}

type planner struct {
	holders []*holder // by name
	need    Need      // still to free; below 0: more was freed
	minLive int64     // minimum size of a live log that is rotated
	plan    Plan
}

// measure is a resource: bytes or inodes.
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

// share returns the fair share: the highest level at which enough is freed when each
// container above it is cut to it as far as possible; 0 if there is none.
func (pl *planner) share(m measure) int64 {
	low, high := int64(0), int64(0) // low frees enough, if any level does; a level above high does not
	for _, h := range pl.holders {
		high = max(high, h.holds[m])
	}
	for low < high {
		level := high - (high-low)/2
		cut := int64(0)
		for _, h := range pl.holders {
			cut = saturatingAdd(cut, min(pl.givable(h, m), max(0, h.holds[m]-level)))
		}
		if cut >= pl.needs(m) {
			low = level
		} else {
			high = level - 1
		}
	}
	return low
}

// givable returns what may be removed of a container's logs, without those beyond its
// policy, which are removed before shares are computed.
func (pl *planner) givable(h *holder, m measure) (n int64) {
	if m == inodes {
		return h.give[inodes]
	}
	if h.live != "" && h.liveSize >= pl.minLive {
		n = h.liveSize
	}
	return saturatingAdd(n, h.give[bytes])
}

// drain plans prunes from list, each time of the container that uses the most, until
// enough is freed or none uses more than share.
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

// rotate plans rotations of the live logs of containers that use more than share, the
// largest first.
func (pl *planner) rotate(share int64) {
	var large []*holder
	for _, h := range pl.holders {
		if h.live != "" && h.liveSize >= pl.minLive && h.holds[bytes] > share {
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

// holder is the state of a container during planning.
type holder struct {
	dir        string
	holds      [2]int64 // usage, by measure
	give       [2]int64 // sum of kept, by measure
	past, kept []generation
	live       string
	liveSize   int64
}

func past(h *holder) *[]generation { return &h.past }
func kept(h *holder) *[]generation { return &h.kept }

// generation is the files of one rotation; name is that of the first.
type generation struct {
	name         podlogs.Name
	bytes, files int64
	modified     time.Time // the latest
	reason       Reason
}

func newHolder(c Container, now time.Time) *holder {
	h := &holder{dir: c.Dir}
	h.holds[bytes] = c.Usage()
	var all []generation
	for _, f := range c.Files {
		if !f.Regular {
			continue // removing a name frees nothing
		}
		h.holds[inodes]++
		if f.Kind == podlogs.Live {
			if f.Name.String() == c.Live {
				h.live, h.liveSize = c.Live, f.Size
			}
			continue
		}
		// In sorted order, the files of one generation are adjacent.
		if last := len(all) - 1; last < 0 || all[last].name.Base != f.Base || !all[last].name.Stamp.Equal(f.Stamp) {
			all = append(all, generation{name: f.Name})
		}
		g := &all[len(all)-1]
		g.bytes, g.files = saturatingAdd(g.bytes, f.Size), g.files+1
		if f.Modified.After(g.modified) {
			g.modified = f.Modified
		}
	}
	if c.Stuck {
		return h
	}
	// A temp file without a log is left by a crash: housekeeping removes it.
	all = slices.DeleteFunc(all, func(g generation) bool { return g.name.Kind == podlogs.Temp })
	markBeyondPolicy(all, c, now)
	for _, g := range all {
		if g.reason != ByShare {
			h.past = append(h.past, g)
			continue
		}
		h.kept = append(h.kept, g)
		h.give[bytes], h.give[inodes] = saturatingAdd(h.give[bytes], g.bytes), h.give[inodes]+g.files
	}
	return h
}

// key returns the same name for all files of a generation.
func key(n podlogs.Name) podlogs.Name { return n.As(podlogs.Rotated) }

// markBeyondPolicy sets the reason of each generation: why the container's own policy
// does not keep it, by the rotator's rules without grace periods, or ByShare. If a
// generation is not kept, older ones are not either, so that a log's lines have no
// gap.
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

// queue is a heap: the holder that uses the most first, then by name.
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

// saturatingAdd adds sizes without overflow: those of sparse files can be anything.
func saturatingAdd(a, b int64) int64 {
	if s := a + b; s >= a && s >= b {
		return s
	}
	return math.MaxInt64
}
