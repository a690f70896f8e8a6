package demo

import (
	"slices"
	"sync"
)

// keptOvershoots bounds the memory of a demo that runs for days: quantiles are
// of the last so many rotations, 800 KB.
const keptOvershoots = 100_000

// counts are rotations and their overshoots, in bytes.
type counts struct {
	mu    sync.Mutex
	n     int
	ring  []int64
	most  int64
	final int64 // of the last rotation
}

func (c *counts) add(overshoot int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ring) < keptOvershoots {
		c.ring = append(c.ring, overshoot)
	} else {
		c.ring[c.n%keptOvershoots] = overshoot
	}
	c.n++
	c.final, c.most = overshoot, max(c.most, overshoot)
}

func (c *counts) last() (rotations int, overshoot int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n, c.final
}

func (c *counts) total() int {
	n, _ := c.last()
	return n
}

func (c *counts) worst() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

// quantile returns the overshoot that a share q of the rotations did not exceed.
func (c *counts) quantile(q float64) int64 {
	c.mu.Lock()
	sorted := slices.Clone(c.ring)
	c.mu.Unlock()
	if len(sorted) == 0 {
		return 0
	}
	slices.Sort(sorted)
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
