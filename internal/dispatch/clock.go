package dispatch

import (
	"sync"
	"time"
)

// maxClockStep is how far the wall clock may run ahead of the monotonic one between
// two sweeps: more is a step, as NTP makes it after a boot with a wrong clock.
const maxClockStep = time.Minute

// clock notices when the wall clock is stepped forward. Files that were written
// before seem older than they are.
type clock struct {
	mu      sync.Mutex
	mono    time.Time // of the last check, with its monotonic reading
	wall    time.Time // the same without
	stepped time.Time // when a step was last noticed
}

// check compares the clocks; mono and wall are the time now.
func (c *clock) check(mono, wall time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mono.IsZero() && wall.Sub(c.wall)-mono.Sub(c.mono) > maxClockStep {
		c.stepped = mono
	}
	c.mono, c.wall = mono, wall
}

// trusts reports whether an age can be relied on: no step was noticed for as long.
func (c *clock) trusts(age time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stepped.IsZero() || time.Since(c.stepped) >= age
}

// noteClock is called with each sweep.
func (d *Dispatcher) noteClock(now time.Time) { d.clock.check(now, now.Round(0)) }
