package dispatch

import (
	"maps"
	"slices"
	"sync"
)

// allowance is the node's disk space for logs that readers have not read: what
// containers may have beyond their own totals, together. Its zero value allows
// nothing.
type allowance struct {
	mu       sync.Mutex
	budget   int64            // bytes
	borrowed map[string]int64 // by directory: bytes beyond its own total; none is 0
}

func (a *allowance) set(budget int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.budget = budget
}

// share notes what a directory has beyond its own total and returns how much it may
// have: what the others leave of the budget, and at least its fair share of it. The
// container that has the most is the first to give. over are directories that have
// more than they may now.
func (a *allowance) share(dir string, borrowed int64) (share int64, over []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.borrowed, dir)
	others := slices.Sorted(maps.Values(a.borrowed))
	left := a.budget
	for i, b := range others { // max-min: the share is level with those that have more
		level := left / int64(len(others)-i+1)
		if b >= level {
			left = level
			break
		}
		left -= b
	}
	share = max(0, left)
	if borrowed <= 0 {
		return share, nil
	}
	if a.borrowed == nil {
		a.borrowed = map[string]int64{}
	}
	a.borrowed[dir] = borrowed
	if a.sum() > a.budget {
		for other, b := range a.borrowed {
			if other != dir && b > share {
				over = append(over, other)
			}
		}
	}
	return share, over
}

// dirs returns the directories that have more than their own totals.
func (a *allowance) dirs() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.borrowed))
}

// sum returns what all directories have beyond their totals, in bytes. The caller
// holds mu.
func (a *allowance) sum() (sum int64) {
	for _, b := range a.borrowed {
		sum += b
	}
	return sum
}
