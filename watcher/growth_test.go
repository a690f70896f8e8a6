package watcher

import (
	"math"
	"testing"
	"time"
)

// grow makes the log longer by bytes each millisecond, for a time.
func (b *bubble) grow(bytes int64, d time.Duration) {
	b.Helper()
	for range d / time.Millisecond {
		b.write(log0, bytes)
		time.Sleep(time.Millisecond)
	}
	b.wait()
}

// TestDueBeforeLimit: a log that grows is due so early that a rotation ends at its
// limit; a faster one earlier, and a slow one at its limit.
func TestDueBeforeLimit(t *testing.T) {
	for _, perMs := range []int64{10, 100, 1000} {
		l := Limits{MaxSize: limit, Reaction: Reaction{Median: 10 * time.Millisecond, High: 20 * time.Millisecond}}
		withLog(t, l, func(b *bubble) {
			for len(b.reports) == 0 {
				b.turn()
				b.grow(perMs, time.Millisecond)
			}
			due := b.reports[0]
			b.reports = nil
			final := due.Size + 20*perMs // when its rotation is done, at its latest
			if final > limit+2*perMs || final < limit-6*perMs {
				t.Errorf("%d bytes/ms: due at %d bytes, %d when rotated, limit %d", perMs, due.Size, final, limit)
			}
			if due.Limit != limit || due.Target != limit || math.Abs(due.Rate/float64(1000*perMs)-1) > 0.3 || due.Size < limit-due.Lead {
				t.Errorf("%d bytes/ms: reported %+v", perMs, due.Due)
			}
		})
	}
}

// TestStoppedLogIsNotDueEarly: a log that has stopped is not rotated before it is at its
// limit, though its lead becomes longer.
func TestStoppedLogIsNotDueEarly(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		const perMs = 1000
		b.grow(perMs, (limit-15*perMs)/perMs*time.Millisecond)
		b.advance(2 * stillTime)
		b.limits.Reaction = Reaction{Median: 20 * time.Millisecond, High: 20 * time.Millisecond}
		b.sweep(CauseSweep)
		b.wantDue(0)
		b.write(log0, limit)
		b.wantDue(1)
	})
}

// TestNewFileKeepsLead: the log that follows a rotated one is due as early, though its
// runtime puts it in place late.
func TestNewFileKeepsLead(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, Reaction: Reaction{Median: 200 * time.Millisecond, High: 200 * time.Millisecond}}, func(b *bubble) {
		const perMs = 2000
		for len(b.reports) == 0 {
			b.turn()
			b.grow(perMs, time.Millisecond)
		}
		b.reports = nil
		b.turn()
		b.exchange()
		b.checkDir()
		for range 20 { // empty
			b.advance(10 * time.Millisecond)
			b.checkDir()
		}
		b.write(log0+".tmp", limit-100*perMs)
		b.rename(log0+".tmp", log0)
		b.checkDir()
		if due := b.wantDue(1); !due.Growing {
			t.Errorf("reported %+v", due.Due)
		}
	})
}

// TestRateOfFastLog: the rate of a log that is rotated after a few milliseconds each time
// is that of the times in which it is not empty; what its runtime puts in place late
// lowers neither the mean nor the peak.
func TestRateOfFastLog(t *testing.T) {
	const perMs, life = 100_000, 5 // bytes, and milliseconds until the next rotation
	now := time.Now()
	var g growth
	for range 100 {
		for ms := range 60 { // empty until the reopen
			g.restart(0, now)
			now = now.Add(time.Millisecond)
			if ms%10 == 0 {
				g.update(0, now, 80*time.Millisecond)
			}
		}
		for ms := range int64(life) {
			now = now.Add(time.Millisecond)
			g.update((ms+1)*perMs, now, 80*time.Millisecond)
		}
		g.last = now
		if got := g.now(now); !g.ended.IsZero() && (math.Abs(got.mean/(1000*perMs)-1) > 0.01 || math.Abs(got.peak/(1000*perMs)-1) > 0.01) {
			t.Fatalf("mean %.0f, peak %.0f, want %d", got.mean, got.peak, 1000*perMs)
		}
	}
	if g.ended.IsZero() {
		t.Error("no rate was taken")
	}
}

// TestPeakDecaysInTime: a peak that a fast log no longer has is forgotten, however short
// the times are in which the log is not empty.
func TestPeakDecaysInTime(t *testing.T) {
	now := time.Now()
	var g growth
	g.update(1, now, 0)
	now = now.Add(minRateWindow)
	g.update(1e6, now, 0)
	before := g.peak
	now = now.Add(peakHalfLife - minRateWindow)
	g.restart(1, now)
	now = now.Add(minRateWindow)
	g.update(2, now, 0)
	if share := g.peak / before; math.Abs(share-0.5) > 0.01 {
		t.Errorf("after its half-life, a peak is %g of it", share)
	}
}

// TestFastestDecays: what one log could do once is forgotten.
func TestFastestDecays(t *testing.T) {
	now := time.Now()
	var f fastest
	for _, step := range []struct {
		after time.Duration
		rate  float64
		want  float64
	}{
		{0, 0, minBurst},
		{0, 60e6, minBurst},
		{0, 400e6, 500e6},
		{burstHalfLife, 100e6, 250e6},
		{burstHalfLife, 300e6, 375e6},
		{24 * time.Hour, 0, minBurst},
	} {
		now = now.Add(step.after)
		f.note(step.rate, now)
		if got := f.burst(now); math.Abs(got-step.want) > 1 {
			t.Errorf("after %v and %g: %g, want %g", step.after, step.rate, got, step.want)
		}
	}
}
