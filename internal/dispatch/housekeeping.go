package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/rotator"
)

const (
	// rotatingPause is when pruning looks again while a rotation is under way: far
	// more than one takes while the runtime is healthy.
	rotatingPause = 20 * time.Millisecond
	// maxPruneWait is how long a request to prune waits for a rotation: one that
	// takes longer hangs.
	maxPruneWait = 250 * time.Millisecond
	// compressAfter is how long after its rotation a log is compressed. Of a container that
	// writes more than 40 MB/s, four logs of the default limit are not kept for that long.
	compressAfter = time.Second
	// cleanPause is between two tries to remove a removed container's logs.
	cleanPause = 10 * time.Second
)

// pruneRequest are rotated logs that must be removed whatever the policy keeps.
type pruneRequest struct {
	names []podlogs.Name
	done  func(rotator.Report, error)
	sofar []rotator.Step // done before a compression was in the way
}

// Changed requests that a directory is brought within its policy.
func (d *Dispatcher) Changed(dir string) {
	d.with(dir, func(c *container) { c.unpruned = true })
	d.prunes.Add(dir)
}

// Prune removes rotated logs of a directory, for the sake of other containers. done
// is called with the result, from a worker.
func (d *Dispatcher) Prune(dir string, names []podlogs.Name, done func(rotator.Report, error)) {
	d.with(dir, func(c *container) { c.prunes = append(c.prunes, pruneRequest{names: names, done: done}) })
	d.prunes.Add(dir)
}

// clean requests that the logs of a removed container are removed.
func (d *Dispatcher) clean(dir string, r removal) {
	d.with(dir, func(c *container) { c.cleans = append(c.cleans, r) })
	d.prunes.Add(dir)
}

// prune is the run of the prune queue: what must be removed first, then what the
// policy does not keep. It leaves a directory alone while a rotation is under way:
// between rename and reopen there is one rotated log too many, which gets its name
// back if its container has just exited.
func (d *Dispatcher) prune(ctx context.Context, dir string) {
	var busy podlogs.Name
	var requests []pruneRequest
	var cleans []removal
	wait := false
	d.with(dir, func(c *container) {
		if wait = !c.rotating.IsZero(); wait {
			if c.deferred.IsZero() {
				c.deferred = time.Now()
			}
			if time.Since(c.rotating) > maxPruneWait { // a reopen hangs: others should give
				requests, c.prunes = c.prunes, nil
			}
			return
		}
		c.deferred, c.unpruned = time.Time{}, false
		requests, c.prunes = c.prunes, nil
		cleans, c.cleans = c.cleans, nil
		busy, c.pruning = c.compressing, make(chan struct{})
	})
	if wait {
		for _, r := range requests {
			r.done(rotator.Report{Done: r.sofar, Busy: len(r.names)}, nil)
		}
		d.prunes.AddAfter(dir, rotatingPause)
		return
	}
	defer d.pruned(dir)
	d.finishRotated(dir)
	for _, r := range cleans {
		d.cleanLog(ctx, dir, r)
	}
	d.pruneLogs(ctx, dir, requests, busy)
	policy, known := d.policy(dir)
	if !known {
		return // noteUnknown adds the key again when it is
	}
	read, dead := d.ignoreReads(policy.Positions), d.dead(dir)
	rep, err := d.rotator.Tidy(ctx, dir, policy, busy)
	read()
	d.count(dir, rep, dead)
	d.unblock(dir, rep)
	d.housekept(ctx, dir, rep, err)
	if rep.Again > 0 {
		d.prunes.AddAfter(dir, rep.Again)
	}
	if len(rep.Done) > 0 {
		if policy.Followed || len(policy.Positions) > 0 {
			d.unreadPolicy(dir, &policy) // others may have what was given back
		}
		d.o.Check(dir) // the watcher has the total of before the prune
	}
	if rep.Pending {
		d.compressions.Add(dir)
	}
}

// pruneLogs prunes the logs that requests name.
func (d *Dispatcher) pruneLogs(ctx context.Context, dir string, requests []pruneRequest, busy podlogs.Name) {
	for _, r := range requests {
		read, _, _ := d.read(dir)
		end, dead := d.ignoreReads(read.Positions), d.dead(dir)
		rep, err := d.rotator.Prune(ctx, dir, r.names, busy, read)
		end()
		d.count(dir, rep, dead)
		rep.Done = append(r.sofar, rep.Done...)
		if rep.Blocked && err == nil {
			r.sofar = rep.Done
			d.with(dir, func(c *container) { c.prunes = append(c.prunes, r) })
			d.unblock(dir, rep)
			continue
		}
		r.done(rep, err)
	}
}

// pruned lets compressions of a directory begin again.
func (d *Dispatcher) pruned(dir string) {
	d.with(dir, func(c *container) {
		close(c.pruning)
		c.pruning = nil
	})
}

// unblock ends a compression of what must be removed, after which pruning is tried again. No
// other one begins before.
func (d *Dispatcher) unblock(dir string, rep rotator.Report) {
	var cancel context.CancelFunc
	d.with(dir, func(c *container) {
		c.blocked = rep.Blocked || len(c.prunes) > 0
		cancel = c.cancel
	})
	switch {
	case !rep.Blocked:
	case cancel == nil: // it has ended since
		d.prunes.Add(dir)
	default:
		cancel()
	}
}

// compress is the run of the compress queue.
func (d *Dispatcher) compress(ctx context.Context, dir string) {
	policy, known := d.policy(dir)
	if !known {
		return
	}
	d.finishRotated(dir)
	cctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rep, err := d.rotator.Compress(cctx, dir, policy, func(n podlogs.Name) {
		for !d.compressing(dir, n, cancel) && cctx.Err() == nil {
		}
	})
	d.count(dir, rep, nil)
	d.o.Metrics.CompressedIn.Add(float64(rep.BytesIn))
	d.o.Metrics.CompressedOut.Add(float64(rep.BytesOut))
	blocked := false
	d.with(dir, func(c *container) { blocked = c.blocked || len(c.prunes) > 0 })
	if blocked || cctx.Err() != nil { // it was in the way, and may have ended before it was canceled
		d.prunes.Add(dir)
	}
	if cctx.Err() != nil { // pruning requests the rest again
		return
	}
	d.housekept(ctx, dir, rep, err)
	if rep.Again > 0 {
		d.compressions.AddAfter(dir, rep.Again)
	}
	if len(rep.Done) > 0 {
		d.prunes.Add(dir) // a compression changes what fits
	}
}

// compressing notes which generation is compressed from now on; the zero Name: none.
// It waits for a prune of the directory and returns false, to be called again: a
// generation that is pruned must not be compressed at the same time.
func (d *Dispatcher) compressing(dir string, n podlogs.Name, cancel context.CancelFunc) (noted bool) {
	var pruning chan struct{}
	d.with(dir, func(c *container) {
		c.compressing, c.cancel = podlogs.Name{}, nil
		if pruning = c.pruning; pruning != nil && n.Base != "" {
			return
		}
		noted = true
		if n.Base == "" {
			return
		}
		c.compressing, c.cancel = n, cancel
		if c.blocked || len(c.prunes) > 0 {
			cancel() // what must go comes first
		}
	})
	if !noted {
		<-pruning
	}
	return noted
}

// cleanLog removes the logs of a container that was removed, unless the runtime has
// it after all, or another container has the same log path by now.
func (d *Dispatcher) cleanLog(ctx context.Context, dir string, r removal) {
	if _, reused := d.o.Inventory.ByLogPath(r.LogPath); reused {
		return
	}
	_, err := d.o.Inventory.Lookup(ctx, r.ID)
	if err == nil {
		return
	}
	var removed []string
	if errors.Is(err, cri.ErrNotRunning) { // it answers that there is no such container
		removed, err = d.rotator.Clean(ctx, dir, r.log)
		d.o.Metrics.CleanedFiles.Add(float64(len(removed)))
	}
	if err != nil {
		d.warn.Do("clean "+dir, func() {
			d.log.Warn().Err(err).Str("dir", dir).Str("log", r.log).Msg("cannot remove logs of a deleted container; retrying")
		})
		d.with(dir, func(c *container) { c.cleans = append(c.cleans, r) })
		d.prunes.AddAfter(dir, cleanPause)
	} else {
		d.warn.Clear("clean " + dir)
	}
	if len(removed) > 0 {
		d.log.Info().Str("dir", dir).Strs("files", removed).Msg("removed logs of a deleted container")
	}
}

// housekept logs and counts what housekeeping did.
func (d *Dispatcher) housekept(ctx context.Context, dir string, rep rotator.Report, err error) {
	for _, s := range rep.Done {
		level := zerolog.DebugLevel
		if s.Forced {
			level = zerolog.WarnLevel
		}
		d.log.WithLevel(level).Str("dir", dir).Str("file", s.Name.String()).Str("action", s.Action.String()).
			Str("reason", string(s.Reason)).Int64("size", s.Size).Bool("withinGracePeriod", s.Forced).Msg("housekeeping")
	}
	switch {
	case ctx.Err() != nil || errors.Is(err, context.Canceled):
		return
	case rep.NoSpace:
		d.o.Metrics.HousekeepingErrors.WithLabelValues("no_space").Inc()
		d.warn.Do("space", func() {
			d.log.Warn().Err(err).Msg("no space left for compression; rotation and pruning continue")
		})
	case err != nil:
		d.o.Metrics.HousekeepingErrors.WithLabelValues("other").Inc()
		d.warn.Do("housekeeping "+dir, func() {
			d.log.Warn().Err(err).Str("dir", dir).Msg("housekeeping failed for some files; retrying")
		})
	default:
		d.warn.Clear("housekeeping " + dir)
		if rep.BytesIn > 0 {
			d.warn.Clear("space")
		}
	}
	d.noteHousekeeping(dir, rep, err)
}

// count adds what was removed to the metrics. dead: see [Dispatcher.noteLost].
func (d *Dispatcher) count(dir string, rep rotator.Report, dead []readers.Follower) {
	d.noteLost(dir, rep.Done, dead)
	m := d.o.Metrics
	m.LeaseRefusals.Add(float64(rep.Busy))
	for _, s := range rep.Done {
		if s.Action != rotator.Prune {
			continue
		}
		m.PrunedFiles.WithLabelValues(string(s.Reason)).Inc()
		m.PrunedBytes.WithLabelValues(string(s.Reason)).Add(float64(max(0, s.Size)))
		if s.Forced {
			m.ForcedGrace.Inc()
		}
	}
}
