package rotator

import (
	"math"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Policy is what a container's rotated logs are kept to.
type Policy struct {
	// MaxFiles is the maximum number of files of a live log, itself counted, as
	// kubelet counts containerLogMaxFiles.
	MaxFiles int
	// MaxTotalSize is the maximum size in bytes of a container's logs, over all
	// restarts, live logs counted; 0: no limit. For it, live logs of earlier
	// restarts are pruned too, and grace periods overridden. The newest rotated
	// log stays, even if it does not fit, until the live log has a quarter of the
	// total: log shippers may not have read it yet.
	MaxTotalSize int64
	// Reserve is the size in bytes that is kept free of MaxTotalSize: what the live log
	// grows by until the next prune. A sixteenth of Limit is kept free in any case, as
	// long as the live log may grow by that.
	Reserve int64
	// Limit is the size in bytes at which the live log is rotated, see
	// [EffectiveLimit]; 0: none.
	Limit int64
	// Grace is how long a rotated log is neither compressed nor removed, so
	// that a log shipper can finish it; MaxTotalSize overrides it.
	Grace time.Duration
	// MaxAge is how long after its last line a rotated log is kept; 0: no limit.
	MaxAge time.Duration
	// Read is what the log readers have read. A log that they have not read to its end
	// is neither compressed nor removed while all logs together are within
	// MaxTotalSize + Allowance.
	Read
	// Allowance is how many bytes beyond MaxTotalSize unread logs may take.
	Allowance int64
	// Followed is set when log readers are known. The newest rotated log is then
	// removed for MaxTotalSize as any other, once they have read it.
	Followed bool
	// Codec is what rotated logs are compressed with; nil: they are not.
	Codec *podlogs.Codec
	// Level is the codec's, 1 (fastest) to 9 (smallest); 0: its default.
	Level int
	// CompressAfter is how long after its rotation a log is compressed, at the earliest: one
	// that is pruned before is not worth it. It does not count where MaxFiles logs of Limit
	// do not fit into MaxTotalSize, since compressed more of them do.
	CompressAfter time.Duration
}

// EffectiveLimit returns the size in bytes at which a live log is rotated: half
// of the total at most, so that the live log and the newest rotated log fit into
// it. maxSize 0: the log is not rotated; maxTotal 0: no total.
func EffectiveLimit(maxSize, maxTotal int64) int64 {
	if maxTotal <= 0 {
		return maxSize
	}
	return min(maxSize, max(1, maxTotal/2))
}

// Action is what one step does.
type Action uint8

const (
	// RemoveLeftover removes what an interrupted compression or rotation left: a
	// temp, or an empty rotated log.
	RemoveLeftover Action = iota + 1
	// Reconcile decides between a source and the compressed log beside it: the
	// source is removed if the compressed log holds all of it, else the
	// compressed log is.
	Reconcile
	// Prune removes a generation that the policy does not keep.
	Prune
	// Compress replaces a rotated log by a compressed one.
	Compress
)

// Reason says why a generation is pruned.
type Reason string

const (
	// ByFiles: more files than MaxFiles.
	ByFiles Reason = "max_files"
	// BySize: more bytes than MaxTotalSize.
	BySize Reason = "max_total_size"
	// ByAge: older than MaxAge.
	ByAge Reason = "max_age"
	// ByPressure: the node's logs exceed their limit; see [Rotator.Prune].
	ByPressure Reason = "pressure"
)

// Step is one operation in a container's directory.
type Step struct {
	Action Action
	// Name is the file that the step removes or replaces. A planned Prune removes
	// all files of its generation.
	Name podlogs.Name
	// Compressed is the compressed log: the one beside a source, for Reconcile,
	// or the one to create.
	Compressed podlogs.Name
	// Size is in bytes: the file's, or for a planned Prune its generation's.
	Size int64
	// Reason is set for Prune.
	Reason Reason
	// Forced is set when a log is pruned within its grace period.
	Forced bool
	// Inode is the removed file's, and Lost what it had that was not read, for a Prune
	// that was carried out.
	Inode uint64
	Lost  Lost
}

// Plan returns the steps to take in a container's directory, in this order, and
// after how long there may be more of them without any change on disk (0: never).
// It depends only on its arguments. Planning again on what a plan left finds no
// more steps, except for what a Reconcile found damaged or a Compress made room
// for.
//
// A plan on a part of a listing is safe: what makes a file one too many is newer
// than it, and what makes the total too large is on the disk. Only a grace period
// may be missed, and a file may be pruned by size that would have fitted in the end.
func Plan(files []podlogs.File, p Policy, now time.Time) (steps []Step, again time.Duration) {
	pl := planner{policy: p, now: now}
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b podlogs.File) int { return a.Compare(b.Name) })
	kept := pl.generations(sorted)
	if len(kept) > 0 {
		pl.base = kept[len(kept)-1].Base
	}
	kept = pl.pruneAge(kept)
	kept = pl.pruneFiles(kept)
	kept = pl.pruneSize(kept)
	kept = pl.pruneFiles(kept) // the size may have taken what the grace period held
	pl.reconcile(kept)
	pl.compress(kept)
	return pl.steps, pl.again
}

type planner struct {
	policy Policy
	now    time.Time
	base   string // the latest restart's live log, which is never removed
	pairs  []Step // to reconcile, unless they are pruned
	steps  []Step
	again  time.Duration
}

// generations joins the files of each rotation to one, under the name of the
// compressed log if there is one and with the size of all. It plans what is left
// over and returns the rest, live logs included, oldest first.
func (pl *planner) generations(sorted []podlogs.File) (kept []podlogs.File) {
	for _, f := range sorted {
		last := len(kept) - 1
		switch {
		case f.Kind == podlogs.Temp:
			pl.leftover(f)
		case f.Kind != podlogs.Live && last >= 0 && kept[last].SameGeneration(f.Name):
			// Sorted, a compressed log stands right behind its source.
			if source := kept[last]; source.Kind == podlogs.Rotated && source.Regular {
				pl.pairs = append(pl.pairs, Step{Action: Reconcile, Name: source.Name, Compressed: f.Name, Size: source.Size})
			}
			f.Size += min(kept[last].Size, math.MaxInt64-f.Size) // sparse files' sizes could overflow
			f.Inode = kept[last].Inode                           // the file that readers have open
			kept[last] = f
		default:
			kept = append(kept, f)
		}
	}
	return slices.DeleteFunc(kept, func(f podlogs.File) bool {
		empty := f.Kind == podlogs.Rotated && f.Regular && f.Size == 0
		if empty {
			pl.emptyRotated(f)
		}
		return empty
	})
}

// emptyRotated removes the empty file of a rotation that never came to its exchange.
// A recent one may belong to a rotation that is under way, which is about to swap
// the container's lines under that name. A change time well ahead of now comes from
// before the clock was set back.
func (pl *planner) emptyRotated(f podlogs.File) {
	if left := unprovenAge - pl.now.Sub(f.Changed); left > 0 && left <= 2*unprovenAge {
		pl.notBefore(left)
		return
	}
	pl.leftover(f)
}

func (pl *planner) leftover(f podlogs.File) {
	pl.steps = append(pl.steps, Step{Action: RemoveLeftover, Name: f.Name, Size: f.Size})
}

// pruneAge prunes what is older than MaxAge, and notes when the next one will be.
// A time ahead of now comes from a clock that was wrong: the age is unknown.
func (pl *planner) pruneAge(files []podlogs.File) (kept []podlogs.File) {
	if pl.policy.MaxAge <= 0 {
		return files
	}
	for _, f := range files {
		left := max(pl.policy.MaxAge-pl.now.Sub(f.Modified), pl.remainingGrace(f))
		switch {
		case pl.isLive(f), pl.held(f):
		case left <= 0:
			pl.prune(f, ByAge)
			continue
		default:
			pl.notBefore(left)
		}
		kept = append(kept, f)
	}
	return kept
}

// pruneFiles keeps each live log to MaxFiles, itself counted.
func (pl *planner) pruneFiles(files []podlogs.File) (kept []podlogs.File) {
	maxRotated := max(0, pl.policy.MaxFiles-1)
	rotated := make(map[string]int)
	for _, f := range files {
		if f.Kind != podlogs.Live {
			rotated[f.Base]++
		}
	}
	for _, f := range files {
		switch {
		case f.Kind == podlogs.Live || rotated[f.Base] <= maxRotated:
		case pl.inGrace(f), pl.held(f):
			rotated[f.Base] = 0 // a newer one is not pruned before it
		default:
			rotated[f.Base]--
			pl.prune(f, ByFiles)
			continue
		}
		kept = append(kept, f)
	}
	return kept
}

// pruneSize keeps the directory to MaxTotalSize, which comes before the grace
// period: first what has been read, the oldest first, then what has not, as far as
// the allowance does not cover it.
func (pl *planner) pruneSize(files []podlogs.File) (kept []podlogs.File) {
	total := pl.policy.MaxTotalSize
	if total <= 0 {
		return files
	}
	var sum, live int64
	for _, f := range files {
		sum += min(f.Size, maxSize)
		if pl.isLive(f) {
			live = f.Size
		}
	}
	newest := newestRotated(files)
	if live > total/4 || pl.policy.Followed && newest >= 0 && !pl.unread(files[newest]) {
		newest = -1
	}
	// A reserve, so that the total is not crossed again at the next write, yet no
	// more than the live log is going to need.
	reserve := max(0, min(pl.policy.Limit/16, pl.policy.Limit-live), pl.reserve())
	over := sum - min(total, maxSize) + reserve
	drop := make([]bool, len(files))
	mark := func(unread bool) {
		for i, f := range files {
			if over > 0 && !pl.isLive(f) && i != newest && unread == pl.unread(f) {
				over -= min(f.Size, maxSize)
				drop[i] = true
			}
		}
	}
	mark(false)
	over -= pl.policy.Allowance
	mark(true)
	for i, f := range files {
		if drop[i] {
			pl.prune(f, BySize)
			continue
		}
		pl.held(f)
		kept = append(kept, f)
	}
	return kept
}

// reserve is the policy's Reserve, which no result of a compression takes.
func (pl *planner) reserve() int64 { return min(pl.policy.Reserve, pl.policy.MaxTotalSize, maxSize) }

// isLive reports whether f is the live log of the latest restart. The containers
// of earlier restarts have ended.
func (pl *planner) isLive(f podlogs.File) bool { return f.Kind == podlogs.Live && f.Base == pl.base }

// newestRotated is the index of the newest rotated log in sorted files; -1 if
// there is none.
func newestRotated(files []podlogs.File) int {
	newest := -1
	for i, f := range files {
		if f.Kind != podlogs.Live {
			newest = i
		}
	}
	return newest
}

func (pl *planner) prune(f podlogs.File, why Reason) {
	pl.steps = append(pl.steps, Step{
		Action: Prune, Name: f.Name, Size: f.Size, Reason: why, Forced: pl.remainingGrace(f) > 0,
	})
}

func (pl *planner) reconcile(kept []podlogs.File) {
	for _, f := range kept {
		for len(pl.pairs) > 0 && pl.pairs[0].Name.Compare(f.Name) <= 0 {
			if pl.pairs[0].Name.SameGeneration(f.Name) {
				pl.steps = append(pl.steps, pl.pairs[0])
			}
			pl.pairs = pl.pairs[1:]
		}
	}
}

// compressesLater reports whether f was rotated too recently to be compressed, and notes when
// it may be.
func (pl *planner) compressesLater(f podlogs.File) bool {
	p := pl.policy
	left := p.CompressAfter - pl.now.Sub(f.Changed)
	if left <= 0 || left > p.CompressAfter || p.MaxTotalSize > 0 && p.Limit > p.MaxTotalSize/int64(max(1, p.MaxFiles)) {
		return false
	}
	pl.notBefore(left)
	return true
}

// compress plans every uncompressed rotated log but the newest, which log shippers
// may still be reading under its new name, as long as there is room for both
// source and result.
func (pl *planner) compress(files []podlogs.File) {
	if pl.policy.Codec == nil {
		return
	}
	newest, left := newestRotated(files), pl.left(files)
	for i, f := range files {
		if f.Kind == podlogs.Rotated && f.Regular && i != newest && pl.fits(f.Size, left) && !pl.missed(f) && !pl.inGrace(f) && !pl.held(f) && !pl.compressesLater(f) {
			pl.steps = append(pl.steps, Step{
				Action: Compress, Name: f.Name, Compressed: f.As(pl.policy.Codec.Kind()), Size: f.Size,
			})
		}
	}
}

// left is what files leave of the total; -1: less than nothing.
func (pl *planner) left(files []podlogs.File) (left int64) {
	left = pl.policy.MaxTotalSize - pl.reserve()
	for _, f := range files {
		left = max(-1, left-f.Size)
	}
	return left
}

// logsShrink is the least factor by which logs shrink, as a rule; 4 to 20 is usual.
const logsShrink = 4

// fits reports whether what a log of size bytes is compressed to has room.
func (pl *planner) fits(size, left int64) bool {
	return pl.policy.MaxTotalSize <= 0 || size/logsShrink <= left
}

// inGrace reports whether f is in its grace period, and notes when that ends.
func (pl *planner) inGrace(f podlogs.File) bool {
	left := pl.remainingGrace(f)
	if left > 0 {
		pl.notBefore(left)
	}
	return left > 0
}

// notBefore notes that there will be more to do after a time.
func (pl *planner) notBefore(left time.Duration) {
	if pl.again == 0 || left < pl.again {
		pl.again = left
	}
}

// remainingGrace is 0 for a compressed log, whose grace period came before it, and
// for a change time ahead of now: after a clock step the age is unknown, and
// lines are not kept safe by the grace period.
func (pl *planner) remainingGrace(f podlogs.File) time.Duration {
	if f.Kind != podlogs.Rotated || f.Changed.After(pl.now) {
		return 0
	}
	return max(0, pl.policy.Grace-pl.now.Sub(f.Changed))
}

// String names the action as logs and metrics do.
func (a Action) String() string {
	return [...]string{"", "remove_leftover", "reconcile", "prune", "compress"}[a]
}
