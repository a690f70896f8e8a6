package agent

import (
	"context"
	"sync"
	"time"

	"github.com/logwatch/logwatch/watcher"
)

const (
	// newcomerPause is how long after a new directory the runtime is asked: its
	// container is started meanwhile, and others' directories may come too.
	newcomerPause = 200 * time.Millisecond
	// newcomerTries is how often, each time after twice as long: an image may
	// have to be pulled. Then it is the sweep's business.
	newcomerTries = 5
)

// newcomers are directories whose containers are not known. The runtime is asked
// soon, and not only when a log is due: to be rotated at its limit, the limit
// that its pod's labels and annotations give must be known, and whose it is.
type newcomers struct {
	wake chan struct{} // room for one

	mu   sync.Mutex
	seen map[string]bool // asked for, in vain or not yet
	new  []string
}

// add notes a directory, once.
func (n *newcomers) add(dir string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[dir] {
		return
	}
	if len(n.seen) >= knownAtMost {
		clear(n.seen)
	}
	n.seen[dir] = true
	n.new = append(n.new, dir)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take returns what was added since.
func (n *newcomers) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	dirs := n.new
	n.new = nil
	return dirs
}

// met lets a directory be a newcomer again: the next container in it.
func (n *newcomers) met(dir string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.seen, dir)
}

// meetNewcomers asks the runtime about new directories until ctx ends.
func (d *Daemon) meetNewcomers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.newcomers.wake:
		}
		var dirs []string
		wait := newcomerPause
		for range newcomerTries {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
			dirs = append(dirs, d.newcomers.take()...)
			if dirs = d.meet(ctx, dirs); len(dirs) == 0 {
				break
			}
			wait *= 2
		}
	}
}

// meet asks once, and returns the directories whose containers are still not
// known. What holds for the others may be another policy.
func (d *Daemon) meet(ctx context.Context, dirs []string) (unknown []string) {
	if d.inventory.Refresh(ctx) != nil {
		return dirs // the sweep tells of it
	}
	for _, dir := range dirs {
		if _, ok := d.inventory.ByDir(d.cfg.PodLogsDir + "/" + dir); ok {
			d.newcomers.met(dir)
		} else {
			unknown = append(unknown, dir)
		}
	}
	if len(unknown) < len(dirs) && d.rules.Load().resolver.NeedsPod() {
		d.watcher.Sweep(watcher.CauseReload)
	}
	return unknown
}
