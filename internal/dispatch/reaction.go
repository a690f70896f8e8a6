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
	// The high quantile is the longest time and a margin, so that less than one in a hundred
	// is longer. Up to maxOutliers times are left out that are outlierFactor times as long as
	// the next, as after a pause of the machine; one for each perOutlier times.
	maxOutliers   = 2
	perOutlier    = 8
	outlierFactor = 2
	// firstMedian and firstHigh are what a rotation may take before the first one was
	// seen: more than a healthy runtime's does, and what a busy one's may.
	firstMedian = 10 * time.Millisecond
	firstHigh   = 100 * time.Millisecond
	// firstTimes is after how many rotations firstHigh no longer counts. It does less with each.
	firstTimes = 8
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
	n := time.Duration(len(sorted))
	high := longest(sorted)
	high += high / n // the longest of a few is shorter than what may come
	high = max(high, firstHigh-firstHigh*n/firstTimes)
	r.value.Store(&watcher.Reaction{Median: sorted[n/2], High: high})
}

// longest returns the longest of sorted times, without outliers.
func longest(sorted []time.Duration) time.Duration {
	n := len(sorted)
	for out := min(maxOutliers, n/perOutlier); out > 0; out-- {
		if next := sorted[n-1-out]; sorted[n-out] > outlierFactor*next {
			return next
		}
	}
	return sorted[n-1]
}

// reaction returns the quantiles.
func (r *recent) reaction() watcher.Reaction {
	if v := r.value.Load(); v != nil {
		return *v
	}
	return watcher.Reaction{Median: firstMedian, High: firstHigh}
}

const (
	// rateLasts is for how long the rate with which a log was found due counts.
	rateLasts = 10 * time.Second
	// maxReserve is the share of a total that is kept free at the most.
	maxReserve = 1. / 4
	// reserveMargin is by how much more a prune keeps free than the watcher does, which
	// has the log's rate of now: a prune that it requests must not find nothing to do.
	reserveMargin = 1.25
)

// reserve is what a container may write, in bytes, until its logs are pruned again.
func (d *Dispatcher) reserve(dir string, total int64) int64 {
	lead := d.rate(dir) * (d.reactions.reaction().High + gapTime).Seconds()
	return int64(min(reserveMargin*lead, maxReserve*float64(total)))
}

// rate is how fast a log was written when it was found due of late, in bytes/s.
func (d *Dispatcher) rate(dir string) (rate float64) {
	d.with(dir, func(c *container) {
		if time.Since(c.rateAt) < rateLasts {
			rate = c.rate
		}
	})
	return rate
}
