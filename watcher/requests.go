package watcher

import (
	"math/bits"
	"slices"
	"sync"
)

// requests holds what was requested of the loop and has not begun.
type requests struct {
	wake chan struct{} // room for one

	mu     sync.Mutex
	sweeps sweepCauses
	dirs   map[string]bool // to be checked
}

func (r *requests) sweep(c Cause) {
	r.mu.Lock()
	r.sweeps = r.sweeps.with(c)
	r.mu.Unlock()
	r.wakeUp()
}

func (r *requests) check(dir string) {
	r.mu.Lock()
	r.dirs[dir] = true
	r.mu.Unlock()
	r.wakeUp()
}

func (r *requests) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// drain returns and forgets the directories to be checked, and, if sweep is
// set, the causes of the next sweep.
func (r *requests) drain(sweep bool) (dirs map[string]bool, sweeps sweepCauses) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.dirs) > 0 {
		dirs, r.dirs = r.dirs, map[string]bool{}
	}
	if sweep {
		sweeps, r.sweeps = r.sweeps, 0
	}
	return dirs, sweeps
}

// sweepCauses is the set of the causes of one sweep.
type sweepCauses uint8

// byStrength orders the causes of a sweep.
var byStrength = []Cause{CauseSweep, CauseReload, CauseOverflow, CauseStartup}

// with adds a cause. One that is not a sweep's counts as CauseSweep.
func (s sweepCauses) with(c Cause) sweepCauses {
	return s | 1<<max(0, slices.Index(byStrength, c))
}

func (s sweepCauses) has(c Cause) bool { return s&sweepCauses(0).with(c) != 0 }

// strongest is the cause that the sweep is reported with.
func (s sweepCauses) strongest() Cause { return byStrength[bits.Len8(uint8(s))-1] }
