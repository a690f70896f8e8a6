package agent

import (
	"context"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// goneSweeps is how many sweeps in a row a container must be gone from the
// runtime's list before its logs are removed.
const goneSweeps = 2

// removal is a container that this daemon saw running.
type removal struct {
	cri.Container
	gone int // sweeps in a row that did not find it
}

// sweepRemoved removes the logs of containers that were removed from the runtime
// (cleanRemovedContainers), as kubelet does when it removes them. Only positive
// evidence counts: this daemon saw the container run, two successful lists in a
// row lack it, and the same runtime still has its pod. A runtime that lost its
// state, or another in its place, has no such pod, and the logs stay. When the
// pod is gone too, kubelet removes the pod's whole directory.
//
// Called from the sweep alone, after a successful Refresh.
func (d *Daemon) sweepRemoved(ctx context.Context) {
	if !d.rules.Load().cfg.CleanRemovedContainers {
		clear(d.seen)
		return
	}
	for _, c := range d.inventory.Running() {
		d.seen[c.ID] = removal{Container: c}
	}
	for id, r := range d.seen { // in no order: none that hangs is always first
		if d.inventory.Has(id) {
			r.gone = 0
		} else if r.gone++; r.gone >= goneSweeps {
			there, err := d.inventory.HasPod(ctx, r.Container)
			if err != nil {
				return // nobody knows: the next sweep asks again, of a runtime that hangs not for each
			}
			delete(d.seen, id)
			if there {
				d.cleanLater(r.Container)
			}
			continue
		}
		d.seen[id] = r
	}
}

// cleanLater has a removed container's logs removed by its directory's next
// housekeeping job: the pool runs one at a time for a directory.
func (d *Daemon) cleanLater(c cri.Container) {
	dir, log, err := podlogs.SplitPath(d.cfg.PodLogsDir, c.LogPath)
	if err != nil {
		return // refused while it ran
	}
	d.mu.Lock()
	d.cleans[dir] = append(d.cleans[dir], log)
	d.mu.Unlock()
	d.tidy(dir)
}

// cleanRemoved does what cleanLater noted for a directory.
func (d *Daemon) cleanRemoved(ctx context.Context, dir string) {
	d.mu.Lock()
	logs := d.cleans[dir]
	delete(d.cleans, dir)
	d.mu.Unlock()
	for _, log := range logs {
		removed, err := d.rotator.Clean(ctx, dir, log)
		d.stats.CleanedFiles.Add(float64(len(removed)))
		d.log.Info().Err(err).Str("dir", dir).Strs("files", removed).Msg("removed the logs of a container that was removed")
	}
}
