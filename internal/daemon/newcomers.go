package daemon

import (
	"context"
	"time"

	"github.com/logwatch/logwatch/watcher"
)

const (
	// newcomerPause is how long after a new directory the runtime is asked: its
	// container is started meanwhile, and others' directories may come too.
	newcomerPause = 300 * time.Millisecond
	// newcomerTries is how often, each time after twice as long: an image may
	// have to be pulled. Then it is the sweep's business.
	newcomerTries = 5
)

// unknown notes a directory whose container is not known yet. When policies
// depend on pods' labels or annotations, the runtime is asked soon: the limit
// may be another than the one that holds meanwhile.
func (d *Daemon) unknown(dir string, r *rules) {
	if !r.readsPods() {
		return
	}
	select {
	case d.newcomers <- dir:
	default: // the one that waits already will do
	}
}

// meetNewcomers asks the runtime about new directories until ctx ends.
func (d *Daemon) meetNewcomers(ctx context.Context) error {
	given := map[string]bool{} // up: no container turned up for it
	for {
		var dir string
		select {
		case <-ctx.Done():
			return nil
		case dir = <-d.newcomers:
		}
		if given[dir] {
			continue
		}
		if len(given) >= knownAtMost {
			clear(given)
		}
		given[dir] = true
		if d.meet(ctx, dir) {
			delete(given, dir)
			d.watcher.Sweep(watcher.CauseReload)
		}
	}
}

// meet reports whether a directory's container became known.
func (d *Daemon) meet(ctx context.Context, dir string) bool {
	for try, wait := 0, newcomerPause; try < newcomerTries; try, wait = try+1, 2*wait {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		if d.inventory.Refresh(ctx) != nil {
			continue
		}
		if _, ok := d.inventory.ByDir(d.cfg.PodLogsDir + "/" + dir); ok {
			return true
		}
	}
	return false
}
