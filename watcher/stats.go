package watcher

import (
	"sync"
	"sync/atomic"
)

// Stats are a watcher's counters since New, and its state now.
type Stats struct {
	Events      uint64 // inotify events received
	Checks      uint64 // stats of a live log
	Overflows   uint64 // overflows of the event queue
	WatchErrors uint64 // failed watches and instances, and other inotify errors
	Sweeps      uint64 // sweeps begun
	Tracked     int64  // container directories, as of the last sweep
	Hot         int64  // logs on the timer now
}

type counters struct {
	events, checks, overflows, watchErrors, sweeps atomic.Uint64
	tracked, hot                                   atomic.Int64
	hotDirs                                        sync.Map // by rel; for IsHot
}

// setHot records whether a log is hot, and how many are.
func (c *counters) setHot(rel string, hot bool, count int) {
	if hot {
		c.hotDirs.Store(rel, nil)
	} else {
		c.hotDirs.Delete(rel)
	}
	c.hot.Store(int64(count))
}

// IsHot reports whether the live log of a container's directory, relative to
// PodLogsDir, is hot. It may be called from any goroutine.
func (w *Watcher) IsHot(dir string) bool {
	_, hot := w.stats.hotDirs.Load(dir)
	return hot
}

// Stats may be called from any goroutine.
func (w *Watcher) Stats() Stats {
	return Stats{
		Events:      w.stats.events.Load(),
		Checks:      w.stats.checks.Load(),
		Overflows:   w.stats.overflows.Load(),
		WatchErrors: w.stats.watchErrors.Load(),
		Sweeps:      w.stats.sweeps.Load(),
		Tracked:     w.stats.tracked.Load(),
		Hot:         w.stats.hot.Load(),
	}
}
