package watcher

import "time"

// Limits are the sizes and the interval that decide when a live log is due.
type Limits struct {
	// MaxSize is the size in bytes from which the log is due; 0 or less: never.
	MaxSize int64
	// MaxTotalSize is the limit in bytes of the container's logs together; 0: none.
	// A log is due at half of it at the latest, so that one rotated log fits
	// beside the live one.
	MaxTotalSize int64
	// MinInterval is the minimum time between two rotations of one log: the time
	// that log shippers have for each generation. MaxTotalSize overrides it.
	MinInterval time.Duration
	// Reaction is the time from a log's being due until its rotation is done.
	Reaction Reaction
}

// Reaction is the time that a rotation takes of late, from the check that finds a
// log due until the runtime writes to the new live log.
type Reaction struct {
	Median, High time.Duration // High is exceeded seldom
}

const (
	// maxEarly is the share of a limit by which a finished log is smaller than the
	// limit at the most, if its rotation takes the median time.
	maxEarly = 1. / 3
	// maxLead is the share of a limit that a lead has at the most.
	maxLead = 31. / 32
)

// lead returns by how many bytes a log is due before it has limit bytes, so that it
// has no more than these when its rotation is done.
func (l Limits) lead(limit int64, s speed) int64 {
	usual := s.mean*l.Reaction.Median.Seconds() + maxEarly*float64(limit)
	return int64(min(s.peak*l.Reaction.High.Seconds(), usual, maxLead*float64(limit)))
}

// limit returns the size in bytes from which a log is due; 0: never.
func (l Limits) limit() int64 {
	if l.MaxSize <= 0 || l.MaxTotalSize <= 0 {
		return max(0, l.MaxSize)
	}
	return min(l.MaxSize, max(1, l.MaxTotalSize/2))
}

// decision is what Limits says about one state of a directory.
type decision struct {
	// due: the log must be rotated.
	due bool
	// target is the size in bytes that a log that is due should have when its
	// rotation is done, and lead by how much before its limit it is due.
	target, lead int64
	// wait is how long MinInterval still holds back a log at its limit. The log
	// is due after it, or when full is set.
	wait time.Duration
	// full: the logs together have reached MaxTotalSize.
	full bool
	// headroom is after how many more bytes the decision may change; 0: not by
	// growing.
	headroom int64
}

// decide decides for a live log of size bytes that grows at a speed, beside other
// logs of otherBytes, since after the last rotation.
//
// A log that MinInterval holds back is due all the same at half of MaxTotalSize:
// if it grew further, the total could afterwards be kept only by removing the
// one generation that a log shipper is reading.
func (l Limits) decide(size, otherBytes int64, since time.Duration, s speed) (d decision) {
	room := func(to int64) {
		if to > 0 && (d.headroom == 0 || to < d.headroom) {
			d.headroom = to
		}
	}
	if l.MaxTotalSize > 0 {
		left := l.total(s) - otherBytes - size
		d.full = left <= 0
		room(left)
	}
	limit, half := l.limit(), max(1, l.total(s)/2)
	target := limit
	if l.MaxTotalSize > 0 {
		target = min(limit, half)
	}
	dueAt := target - l.lead(target, s)
	switch {
	case limit == 0:
	case size < dueAt:
		room(dueAt - size)
	case since >= l.MinInterval:
		d.due, d.target, d.lead = true, target, limit-dueAt
		if l.MinInterval > 0 && size > limit { // it was held back, and can be until a gap between two writes
			d.target = size + l.lead(size, s)
			if l.MaxTotalSize > 0 {
				d.target = min(d.target, half)
			}
		}
	default:
		d.wait = l.MinInterval - since
		if l.MaxTotalSize > 0 {
			dueAt = half - l.lead(half, s)
			room(dueAt - size)
			if size >= dueAt {
				d.due, d.target, d.lead = true, half, max(0, limit-dueAt)
			}
		}
	}
	return d
}

// total returns how many bytes a container's logs may have together when they are
// pruned: MaxTotalSize, less what the live log grows by until that is done.
func (l Limits) total(s speed) int64 {
	return l.MaxTotalSize - min(l.lead(l.MaxTotalSize, s), l.MaxTotalSize/4)
}
