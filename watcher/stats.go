package watcher

import (
	"sync"
	"sync/atomic"
)

// Stats are a watcher's counters since it was made, and its state now.
type Stats struct {
	Events      uint64 // inotify events received
	Checks      uint64 // stats of a live log
	Overflows   uint64 // times that the event queue overflowed
	WatchErrors uint64 // watches that could not be had, and other inotify errors
	Sweeps      uint64 // sweeps begun
	Tracked     int64  // container directories, as of the last sweep
	Hot         int64  // logs on the timer now
}

type counters struct {
	events, checks, overflows, watchErrors, sweeps atomic.Uint64
	tracked, hot                                   atomic.Int64
	hotDirs                                        sync.Map // by rel; for IsHot
}

// heats and cools note what has become of a log, and how many are hot now.
func (c *counters) heats(rel string, hot int) {
	c.hotDirs.Store(rel, nil)
	c.hot.Store(int64(hot))
}

func (c *counters) cools(rel string, hot int) {
	c.hotDirs.Delete(rel)
	c.hot.Store(int64(hot))
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
