package rotator

import (
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Policy is what a container's rotated logs are kept to.
type Policy struct {
	// MaxFiles is the most files a live log may have, itself counted, as
	// kubelet counts containerLogMaxFiles.
	MaxFiles int
	// MaxTotalSize is the most bytes that the container's directory may hold,
	// over all restarts, live logs counted; 0: no limit. The live logs of earlier
	// restarts may go for it, oldest first. The newest rotated log stays even if
	// it does not fit: log shippers may not have seen it yet, and it goes when
	// there is a newer one.
	MaxTotalSize int64
	// Limit is the size in bytes to which the live log is going to grow: room
	// for most of it is kept within MaxTotalSize. 0: none.
	Limit int64
	// Grace is how long a rotated log is neither compressed nor removed, so
	// that a log shipper can finish it; MaxTotalSize overrides it.
	Grace time.Duration
	// MaxAge is how long after its last line a rotated log is kept; 0: no limit.
	MaxAge time.Duration
	// Codec is what rotated logs are compressed with.
	Codec Codec
	// Level is the codec's, 1 (fastest) to 9 (smallest); 0: its default.
	Level int
}

// Action is what one step does.
type Action uint8

const (
	// RemoveTemp removes what an interrupted compression left.
	RemoveTemp Action = iota + 1
	// Settle decides between a source and the compressed log beside it: the
	// source goes if that holds all of it, else that goes.
	Settle
	// Prune removes a rotated log that the policy does not keep.
	Prune
	// Compress replaces a rotated log by a compressed one.
	Compress
)

// Reason says why a file is pruned.
type Reason string

const (
	// ByFiles: more files than MaxFiles.
	ByFiles Reason = "max_files"
	// BySize: more bytes than MaxTotalSize.
	BySize Reason = "max_total_size"
	// ByAge: older than MaxAge.
	ByAge Reason = "max_age"
)

// Step is one thing to do in a container's directory.
type Step struct {
	Action Action
	// Name is the file that the step removes or replaces.
	Name podlogs.Name
	// Packed is the compressed log: the one beside a source, for Settle, or the
	// one to be made.
	Packed podlogs.Name
	// Size is the file's size in bytes.
	Size int64
	// Reason is set for Prune.
	Reason Reason
	// Forced is set when a file goes within its grace period.
	Forced bool
}

// Plan says what there is to do in a container's directory, in this order, and
// after how long there may be more to do without anything changing (0: never).
// It depends on its arguments alone. Planning again on what a plan left finds
// nothing more, but for what a Settle found broken or a Compress made room for.
//
// A plan on a part of a listing is safe: what makes a file one too many is newer
// than it, and what makes the total too large is on the disk. Only a grace period
// may be missed, and by size a file may go that would have fitted in the end.
func Plan(files []podlogs.File, p Policy, now time.Time) (steps []Step, again time.Duration) {
	pl := planner{policy: p, now: now}
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b podlogs.File) int { return a.Compare(b.Name) })
	if len(sorted) > 0 {
		pl.base = sorted[len(sorted)-1].Base
	}
	kept := pl.settle(sorted)
	kept = pl.pruneAge(kept)
	kept = pl.pruneFiles(kept)
	kept = pl.pruneSize(kept)
	kept = pl.pruneFiles(kept) // the size may have taken what the grace period held
	pl.compress(kept)
	return pl.steps, pl.again
}

type planner struct {
	policy Policy
	now    time.Time
	base   string // the latest restart's; its live log is never removed
	steps  []Step
	again  time.Duration
}

// settle removes temps, and joins a source and its .gz to one generation. It
// returns the live logs and one file a generation, oldest first.
func (pl *planner) settle(sorted []podlogs.File) (kept []podlogs.File) {
	for _, f := range sorted {
		if f.Kind != podlogs.Temp {
			continue
		}
		pl.steps = append(pl.steps, Step{Action: RemoveTemp, Name: f.Name, Size: f.Size})
	}
	for i, f := range sorted {
		switch {
		case f.Kind == podlogs.Temp:
		case f.Kind == podlogs.Rotated && f.Regular && i+1 < len(sorted) && sorted[i+1].Compressed() && sorted[i+1].SameGeneration(f.Name):
			// Sorted, a compressed log stands right behind its source.
			pl.steps = append(pl.steps, Step{Action: Settle, Name: f.Name, Packed: sorted[i+1].Name, Size: f.Size})
		default:
			kept = append(kept, f)
		}
	}
	return kept
}

// pruneAge removes what is older than MaxAge, and notes when the next one will
// be. A time ahead of now is of a clock that was wrong: it tells no age.
func (pl *planner) pruneAge(files []podlogs.File) (kept []podlogs.File) {
	if pl.policy.MaxAge <= 0 {
		return files
	}
	for _, f := range files {
		left := max(pl.policy.MaxAge-pl.now.Sub(f.Modified), pl.remainingGrace(f))
		switch {
		case pl.isLive(f):
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
	atMost := max(0, pl.policy.MaxFiles-1)
	rotated := make(map[string]int)
	for _, f := range files {
		if f.Kind != podlogs.Live {
			rotated[f.Base]++
		}
	}
	for _, f := range files {
		switch {
		case f.Kind == podlogs.Live || rotated[f.Base] <= atMost:
		case pl.inGrace(f):
			rotated[f.Base] = 0 // what is newer does not go before it
		default:
			rotated[f.Base]--
			pl.prune(f, ByFiles)
			continue
		}
		kept = append(kept, f)
	}
	return kept
}

// pruneSize keeps the directory to MaxTotalSize; the promise to the disk comes
// before the grace period.
func (pl *planner) pruneSize(files []podlogs.File) (kept []podlogs.File) {
	if pl.policy.MaxTotalSize <= 0 {
		return files
	}
	// A quarter of the limit is for the overshoot of the rotated logs: without
	// it MaxFiles logs of a little more than the limit would never fit.
	room := pl.policy.Limit - pl.policy.Limit/4
	left := pl.policy.MaxTotalSize
	for _, f := range files {
		if pl.isLive(f) {
			// Below 0 and no further: sparse files' sizes could overflow it.
			left = max(-1, left-f.Size)
			room -= min(room, f.Size)
		}
	}
	left -= room
	newest := newestRotated(files)
	// From the newest to the oldest, as far as it goes.
	first := len(files)
	for ; first > 0; first-- {
		if f := files[first-1]; !pl.isLive(f) {
			left = max(-1, left-f.Size)
		}
		if left < 0 {
			break
		}
	}
	for i, f := range files {
		if !pl.isLive(f) && i < first && i != newest {
			pl.prune(f, BySize)
			continue
		}
		kept = append(kept, f)
	}
	return kept
}

// isLive reports whether f is the log that a runtime writes, or is going to. The
// live logs of earlier restarts are not: their containers have ended.
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

// compress takes every plain rotated log but the newest, which log shippers may
// still be reading under its new name, as long as there is room for both source
// and result.
func (pl *planner) compress(files []podlogs.File) {
	if pl.policy.Codec == NoCodec {
		return
	}
	newest := newestRotated(files)
	left := pl.policy.MaxTotalSize
	for _, f := range files {
		left = max(-1, left-f.Size)
	}
	for i, f := range files {
		fits := pl.policy.MaxTotalSize <= 0 || f.Size/logsShrink <= left
		if f.Kind == podlogs.Rotated && f.Regular && i != newest && fits && !pl.inGrace(f) {
			pl.steps = append(pl.steps, Step{
				Action: Compress, Name: f.Name, Packed: f.As(pl.policy.Codec.kind()), Size: f.Size,
			})
		}
	}
}

// logsShrink is by how much logs shrink at least, as a rule: 4 to 20 times.
const logsShrink = 4

// inGrace reports whether f is still to be left alone, and notes when it is not
// any more.
func (pl *planner) inGrace(f podlogs.File) bool {
	left := pl.remainingGrace(f)
	if left > 0 {
		pl.notBefore(left)
	}
	return left > 0
}

// notBefore notes that there will be something to do after a time.
func (pl *planner) notBefore(left time.Duration) {
	if pl.again == 0 || left < pl.again {
		pl.again = left
	}
}

// remainingGrace is 0 for a compressed log, which had its grace before it was made, and
// for a change time ahead of now: after a clock step nobody knows the age, and
// the grace period is a courtesy, not what keeps lines safe.
func (pl *planner) remainingGrace(f podlogs.File) time.Duration {
	if f.Kind != podlogs.Rotated || f.Changed.After(pl.now) {
		return 0
	}
	return max(0, pl.policy.Grace-pl.now.Sub(f.Changed))
}

// String names the action as logs and metrics do.
func (a Action) String() string {
	return [...]string{"", "remove-temp", "settle", "prune", "compress"}[a]
}
