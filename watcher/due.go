package watcher

import "time"

// Limits say when a live log is due.
type Limits struct {
	// MaxSize is the size in bytes from which the log is due; 0 or less: never.
	MaxSize int64
	// MaxTotalSize is the most bytes that the container's directory is to hold;
	// 0: no limit.
	MaxTotalSize int64
	// MinInterval is the least time between two rotations of one log: the time
	// that log shippers get to see each generation. MaxTotalSize overrides it.
	MinInterval time.Duration
}

// judge says whether a log is due. size is the live log's and rest that of the
// directory's other logs, in bytes; since is the time since the last rotation.
//
// If it is not, wait is after how long it will be at its size, if ever (0: not
// by waiting), and headroom after how many more bytes it will be.
//
// A log that may not be rotated yet for its MinInterval is due all the same at
// half of MaxTotalSize: were it let grow further, the total could afterwards
// only be kept by removing the one generation that a shipper is reading.
func (l Limits) judge(size, rest int64, since time.Duration) (due bool, wait time.Duration, headroom int64) {
	if size < l.MaxSize {
		return false, 0, l.MaxSize - size
	}
	if since >= l.MinInterval {
		return true, 0, 0
	}
	wait = l.MinInterval - since
	if l.MaxTotalSize <= 0 {
		return false, wait, 0
	}
	headroom = min(l.MaxTotalSize-rest-size, l.MaxTotalSize/2-size)
	return headroom <= 0, wait, headroom
}
