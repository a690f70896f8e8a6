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
	size int64     // at the beginning of the window
	from time.Time // when the window began; zero: not seen yet
	speed
	// last is when it had grown. A log that is empty counts as one that grows if the
	// one before it did: its runtime may not have reopened it yet.
	last time.Time
}

// restart begins a window, in another file.
func (g *growth) restart(size int64, now time.Time) { g.size, g.from = size, now }

// update takes in a size, and returns the rate of the window that it ends; 0: none.
func (g *growth) update(size int64, now time.Time, reaction time.Duration) (rate float64) {
	elapsed := now.Sub(g.from)
	if elapsed < min(max(reaction/4, minRateWindow), maxRateWindow) {
		return 0
	}
	rate = float64(size-g.size) / elapsed.Seconds()
	g.peak = max(rate, g.peak*left(elapsed, peakHalfLife))
	g.mean = rate + (g.mean-rate)*left(elapsed, meanHalfLife)
	g.restart(size, now)
	return rate
}

// left is the share that is left after a time of what decays.
func left(elapsed, halfLife time.Duration) float64 {
	return math.Exp2(-elapsed.Seconds() / halfLife.Seconds())
}

// active reports whether the log grew at a time.
func (g *growth) active(at time.Time) bool { return at.Sub(g.last) <= stillTime }

// at is how fast the log grows at a time.
func (g *growth) at(now time.Time) speed {
	if !g.active(now) {
		return speed{}
	}
	return g.speed
}

const (
	// minBurst is the rate in bytes/s at which any log may grow from one moment to
	// the next, although none was seen to: about twice what containerd passes on for
	// one container on two cores (50–60 MB/s).
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
