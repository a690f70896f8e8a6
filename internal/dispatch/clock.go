package dispatch

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxClockStep is how far the wall clock may run ahead of the time since boot between
// two sweeps: more is a step, as NTP makes it after a boot with a wrong clock.
const maxClockStep = time.Minute

// clock notices when the wall clock is stepped forward. Files that were written
// before seem older than they are.
type clock struct {
	mu      sync.Mutex
	boot    time.Duration // since boot, suspension included, at the last check
	wall    time.Time     // at the last check; zero: there was none
	stepped time.Time     // when a step was last noticed
}

// check compares the clocks as they are now.
func (c *clock) check(boot time.Duration, wall time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall = wall.Round(0) // without its monotonic reading
	if !c.wall.IsZero() && wall.Sub(c.wall)-(boot-c.boot) > maxClockStep {
		c.stepped = time.Now()
	}
	c.boot, c.wall = boot, wall
}

// trusts reports whether an age can be relied on: no step was noticed for as long.
func (c *clock) trusts(age time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stepped.IsZero() || time.Since(c.stepped) >= age
}

// noteClock is called with each sweep.
func (d *Dispatcher) noteClock() {
	var boot unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) == nil { // Linux has this clock
		d.clock.check(time.Duration(boot.Nano()), time.Now())
	}
}
