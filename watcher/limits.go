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
	// wait is how long MinInterval still holds back a log at its limit. The log
	// is due after it, or when full is set.
	wait time.Duration
	// full: the logs together have reached MaxTotalSize.
	full bool
	// headroom is after how many more bytes the decision may change; 0: not by
	// growing.
	headroom int64
}

// decide decides for a live log of size bytes beside other logs of otherBytes,
// since after the last rotation.
//
// A log that MinInterval holds back is due all the same at half of MaxTotalSize:
// if it grew further, the total could afterwards be kept only by removing the
// one generation that a log shipper is reading.
func (l Limits) decide(size, otherBytes int64, since time.Duration) (d decision) {
	room := func(to int64) {
		if to > 0 && (d.headroom == 0 || to < d.headroom) {
			d.headroom = to
		}
	}
	if l.MaxTotalSize > 0 {
		left := l.MaxTotalSize - otherBytes - size
		d.full = left <= 0
		room(left)
	}
	limit := l.limit()
	switch {
	case limit == 0:
	case size < limit:
		room(limit - size)
	case since >= l.MinInterval:
		d.due = true
	default:
		d.wait = l.MinInterval - since
		if l.MaxTotalSize > 0 {
			d.due = size >= l.MaxTotalSize/2
			room(l.MaxTotalSize/2 - size)
		}
	}
	return d
}
