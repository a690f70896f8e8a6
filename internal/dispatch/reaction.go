package dispatch

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logwatch/logwatch/watcher"
)

const (
	// recentTimes is of how many times the quantiles are. One that took long, such as
	// after a pause of the machine, is forgotten after so many rotations.
	recentTimes = 128
	// exceeded is how many of recentTimes are longer than the high quantile, and
	// firstExceeded how many times it takes until one is.
	exceeded      = 2
	firstExceeded = 8
	// firstTime is what a rotation may take before the first one was seen: more than
	// a healthy runtime's does.
	firstTime = 10 * time.Millisecond
)

// recent holds the latest times of one kind.
type recent struct {
	mu    sync.Mutex
	times []time.Duration // the oldest is at next, once there are recentTimes
	next  int
	value atomic.Pointer[watcher.Reaction]
}

// note takes in a time.
func (r *recent) note(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.times) < recentTimes {
		r.times = append(r.times, d)
	} else {
		r.times[r.next] = d
		r.next = (r.next + 1) % recentTimes
	}
	sorted := slices.Clone(r.times)
	slices.Sort(sorted)
	n := len(sorted)
	high := n - 1 - max(min(n/firstExceeded, 1), exceeded*n/recentTimes)
	r.value.Store(&watcher.Reaction{Median: sorted[n/2], High: sorted[high]})
}

// reaction returns the quantiles.
func (r *recent) reaction() watcher.Reaction {
	if v := r.value.Load(); v != nil {
		return *v
	}
	return watcher.Reaction{Median: firstTime, High: firstTime}
}

const (
	// rateLasts is for how long the rate with which a log was found due counts.
	rateLasts = 10 * time.Second
	// maxReserve is the share of a total that is kept free at the most.
	maxReserve = 1. / 4
)

// reserve is what a container may write, in bytes, until its logs are pruned again.
func (d *Dispatcher) reserve(dir string, total int64) (bytes int64) {
	d.with(dir, func(c *container) {
		if time.Since(c.rateAt) < rateLasts {
			bytes = int64(min(c.rate*d.reactions.reaction().High.Seconds(), maxReserve*float64(total)))
		}
	})
	return bytes
}
