package watcher

import (
	"math"
	"time"
)

const (
	// A log's rate is taken over windows of a quarter of what a rotation takes, and not
	// over shorter or longer ones than these: a runtime writes what it has read in
	// batches, and two checks a millisecond apart may see one batch, or none.
	minRateWindow = 4 * time.Millisecond
	maxRateWindow = 20 * time.Millisecond
	// peakHalfLife is when a peak that a log no longer reaches counts half, and
	// meanHalfLife the same for its mean rate.
	peakHalfLife = 2 * time.Second
	meanHalfLife = 250 * time.Millisecond
	// stillTime without growth is more than a pause between two writes.
	stillTime = 100 * time.Millisecond
)

// speed is how fast a log has grown of late, in bytes/s.
type speed struct{ mean, peak float64 }

// growth is how fast a log grows, over its rotations.
type growth struct {
	// The last check's size and time.
	size int64
	at   time.Time
	// The window: how much it grew in which time, and when the one before it ended. It
	// may be of several files: a fast log may be rotated before a window is over.
	bytes   int64
	elapsed time.Duration
	ended   time.Time
	speed
	// last is when it had grown. A log that is empty counts as one that grows if the
	// one before it did: its runtime may not have reopened it yet.
	last time.Time
}

// restart continues in another file.
func (g *growth) restart(size int64, now time.Time) { g.size, g.at = size, now }

// update takes in a size, and returns the rate of the window that it ends; 0: none. What
// is written while the log is empty goes to the one before it, until the runtime has
// reopened it: that is not part of a window.
func (g *growth) update(size int64, now time.Time, reaction time.Duration) (rate float64) {
	before, at := g.size, g.at
	g.restart(size, now)
	if before == 0 {
		return 0
	}
	g.bytes += size - before
	g.elapsed += now.Sub(at)
	if g.elapsed < min(max(reaction/4, minRateWindow), maxRateWindow) {
		return 0
	}
	rate = float64(g.bytes) / g.elapsed.Seconds()
	decay := max(g.elapsed, now.Sub(g.ended))
	if g.ended.IsZero() {
		g.mean, decay = rate, 0
	}
	g.peak = max(rate, g.peak*left(decay, peakHalfLife))
	g.mean = rate + (g.mean-rate)*left(decay, meanHalfLife)
	g.bytes, g.elapsed, g.ended = 0, 0, now
	return rate
}

// left is the share that is left after a time of what decays.
func left(elapsed, halfLife time.Duration) float64 {
	return math.Exp2(-elapsed.Seconds() / halfLife.Seconds())
}

// active reports whether the log grew at a time.
func (g *growth) active(at time.Time) bool { return at.Sub(g.last) <= stillTime }

// now is how fast the log grows at a time.
func (g *growth) now(now time.Time) speed {
	if !g.active(now) {
		return speed{}
	}
	return g.speed
}

const (
	// minBurst is the rate in bytes/s at which any log may grow from one moment to
	// the next, although none was seen to: containerd passes on 50 to 112 MB/s for one
	// container on two cores.
	minBurst = 100e6
	// burstMargin is by how much more than the fastest log was seen to.
	burstMargin = 1.25
	// burstHalfLife is when the fastest rate counts half, if no log has it again.
	burstHalfLife = 10 * time.Minute
)

// fastest is the fastest growth that was seen of any log. It decides when to check a
// log next.
type fastest struct {
	rate float64 // bytes/s
	at   time.Time
}

// note takes in the rate of a log.
func (f *fastest) note(rate float64, now time.Time) {
	if rate >= f.decayed(now) {
		f.rate, f.at = rate, now
	}
}

func (f *fastest) decayed(now time.Time) float64 {
	return f.rate * left(now.Sub(f.at), burstHalfLife)
}

// burst is the rate in bytes/s at which any log may grow from now on.
func (f *fastest) burst(now time.Time) float64 { return max(minBurst, burstMargin*f.decayed(now)) }
