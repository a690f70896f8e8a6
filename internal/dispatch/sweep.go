package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// goneSweeps is how many sweeps in a row a container must be missing from the
// runtime's list before its logs are removed.
const goneSweeps = 2

// removal is a container that was seen running.
type removal struct {
	cri.Container
	log  string
	gone int // sweeps in a row that did not find it
}

// Sweep checks every container that the runtime has listed against the disk,
// whatever the watcher believes. It is called after each successful list; recovered
// is set if the list before it failed.
func (d *Dispatcher) Sweep(ctx context.Context, cause watcher.Cause, recovered bool) {
	d.noteClock()
	if recovered {
		d.retryNow()
	}
	for _, c := range d.o.Inventory.All() {
		if c.Resolved { // else resolve inspects it
			d.inspect(cause, c)
		}
	}
	for _, dir := range d.allowance.dirs() { // its readers, or the pod, may be gone
		d.prunes.Add(dir)
	}
	d.sweepRemoved(ctx)
	d.forget()
}

// inspect checks one container's live log.
func (d *Dispatcher) inspect(cause watcher.Cause, c cri.Container) {
	dir, log, err := podlogs.SplitPath(d.o.PodLogsDir, c.LogPath)
	switch {
	case !c.Running:
		if err == nil && c.Exited {
			d.sweepExited(dir, log, c)
		}
	case err != nil:
		d.skip("", c, err)
	default:
		d.sweepRunning(cause, dir, log, c)
	}
}

// retryNow ends all delays: the runtime has come back.
func (d *Dispatcher) retryNow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for dir, c := range d.containers {
		if c.failures > 0 {
			c.failures, c.notBefore = 0, time.Time{}
			d.rotations.Add(dir)
		}
	}
}

// sweepRunning checks a running container's live log.
func (d *Dispatcher) sweepRunning(cause watcher.Cause, dir, log string, c cri.Container) {
	path := d.o.PodLogsDir + "/" + dir + "/" + log
	st, err := podlogs.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return // the watcher reports a directory that cannot be read
	case !st.Regular:
		d.skip(dir, c, fmt.Errorf("%s: %w", path, podlogs.ErrNotRegular))
		return
	}
	lost := err != nil
	if st.Size == 0 && !lost {
		lost = d.needsReopen(dir, log, st.Inode)
	}
	// Another rotator may be between its rename and its reopen: what the last
	// sweep found too has been so for long.
	report, skipped, clean := false, false, d.rules.Load().cleanRemoved
	d.with(dir, func(e *container) {
		report = lost && (e.missing || cause == watcher.CauseStartup) && e.rotating.IsZero()
		e.missing = lost
		skipped, e.state.skipped = e.state.skipped != nil, nil
		if clean {
			e.noteRan(c, log)
		}
	})
	if report {
		d.Due(watcher.Due{Dir: dir, Log: log, Cause: watcher.CauseMissing, Limit: math.MaxInt64})
	}
	if lost {
		return
	}
	d.sampleReads(dir, path, st)
	if skipped {
		d.warn.Clear("skip " + c.ID)
	}
	d.noteSize(dir, c.ID, st.Size)
	e, _ := d.Policy(dir)
	if limit := rotator.EffectiveLimit(e.MaxSize, e.MaxTotalSize); limit > 0 && st.Size >= limit && d.sinceRotation(dir) >= d.minInterval(dir, e.MinInterval) {
		d.Due(watcher.Due{Dir: dir, Log: log, Cause: cause, Size: st.Size, Limit: limit})
		return
	}
	d.sweepAge(dir, log, c.ID, st, e.MaxAge)
}

// provenLasts is how long it is not checked again that a runtime writes an empty live log.
// That ends with another file, unless a runtime closes a log of a container that runs on.
const provenLasts = time.Minute

// needsReopen reports whether an empty live log is not open for writing. It is asked for all
// silent containers with each sweep.
func (d *Dispatcher) needsReopen(dir, log string, inode uint64) (lost bool) {
	known := false
	d.with(dir, func(c *container) { known = c.provenInode == inode && time.Since(c.proven) < provenLasts })
	if known {
		return false
	}
	lost, err := d.rotator.NeedsReopen(dir, log) // what cannot be read is looked at again
	if err == nil && !lost {
		d.with(dir, func(c *container) { c.provenInode, c.proven = inode, time.Now() })
	}
	return lost
}

// sweepExited finds logs of exited containers that lost their names: the container
// ended, or the daemon crashed, between rename and reopen.
func (d *Dispatcher) sweepExited(dir, log string, c cri.Container) {
	d.with(dir, func(e *container) {
		if r := e.ran[c.ID]; r != nil {
			r.gone = 0
		}
	})
	st, err := os.Lstat(d.o.PodLogsDir + "/" + dir + "/" + log)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode().IsRegular() && st.Size() == 0 {
		d.Restore(dir, log)
	}
}

// noteRan notes a container that runs, for sweepRemoved. The caller holds the lock.
func (c *container) noteRan(now cri.Container, log string) {
	if c.ran == nil {
		c.ran = map[string]*removal{}
	}
	c.ran[now.ID] = &removal{Container: now, log: log}
}

// sweepAge requests the rotation of a live log whose oldest line is older than its
// policy's MaxAge, so that it can be pruned; a quiet container's lines would
// otherwise stay for ever.
func (d *Dispatcher) sweepAge(dir, log, id string, st podlogs.Stat, maxAge time.Duration) {
	if maxAge <= 0 || st.Size == 0 || !d.clock.trusts(maxAge) {
		return
	}
	var oldest time.Time
	d.with(dir, func(c *container) {
		if c.state.firstID == id {
			oldest = c.state.first
		}
	})
	now := time.Now()
	// It is read again only if it could be old: a rotation makes it younger, and
	// nothing makes it older.
	if now.Sub(oldest) <= maxAge {
		return
	}
	first, err := d.firstLine(dir, log, st.Inode)
	if err != nil || first.IsZero() {
		return // empty or damaged: nothing that has an age
	}
	d.with(dir, func(c *container) { c.state.first, c.state.firstID = first, id })
	if now.Sub(first) > maxAge {
		d.Due(watcher.Due{Dir: dir, Log: log, Cause: watcher.CauseAge, Size: st.Size, Limit: st.Size})
	}
}

// firstLine returns the time of a log's first line; zero if there is none. What another
// program has planted may be one endless line.
func (d *Dispatcher) firstLine(dir, name string, inode uint64) (time.Time, error) {
	defer d.accesses.ignore(inode)()
	f, err := podlogs.OpenLog(d.fs, dir, name)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	line, err := crilog.NewReader(io.LimitReader(f, crilog.MaxLine)).Next()
	return line.Time, err
}

// sweepRemoved removes the logs of containers that were removed from the runtime
// (cleanRemovedContainers), as kubelet does. Only positive evidence counts: this
// daemon saw the container run, two lists in a row lack it, and the same runtime
// still has its pod. A runtime that lost its state, or another one in its place,
// does not have that pod, and the logs stay. When the pod is removed too, kubelet
// removes the pod's whole directory.
func (d *Dispatcher) sweepRemoved(ctx context.Context) {
	clean := d.rules.Load().cleanRemoved
	type candidate struct {
		dir string
		*removal
	}
	var gone []candidate
	d.mu.Lock()
	for dir, c := range d.containers {
		if !clean {
			c.ran = nil
		}
		for id, r := range c.ran {
			if d.o.Inventory.Has(id) {
				r.gone = 0
			} else if r.gone++; r.gone >= goneSweeps {
				gone = append(gone, candidate{dir, r})
			}
		}
	}
	d.mu.Unlock()
	if len(gone) == 0 || d.o.Inventory.ListPods(ctx) != nil {
		return // the next sweep asks again
	}
	for _, r := range gone {
		d.with(r.dir, func(c *container) { delete(c.ran, r.ID) })
		if d.o.Inventory.HasPod(r.Container) {
			d.clean(r.dir, *r.removal)
		}
	}
}
