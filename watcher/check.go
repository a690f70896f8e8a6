package watcher

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// assumedBurst is the rate in bytes/s at which a log may grow from one
	// moment to the next: about twice what containerd passes on for one
	// container on two cores (50–60 MB/s). It decides when to look next.
	assumedBurst = 100e6
	// minCheck is the shortest time between two checks of one log: what Go's
	// timers resolve to. At assumedBurst a log grows by 100 kB meanwhile.
	minCheck = time.Millisecond
	// maxCheck is the longest for a hot log, however large its limit.
	maxCheck = time.Second
	// quietChecks without growth make a hot log cold.
	quietChecks = 5
	// maxBackoff is how much longer than minCheck a check that is due at once
	// may be put off, while nothing grows, as a power of two.
	maxBackoff = 2
	// missingPause is for how long a live log must be absent before that is
	// reported: another rotator may be between its rename and its reopen.
	missingPause = time.Second
	// Failed rotations are tried again after firstRetry, then twice that and so
	// on, at most lastRetry apart: by then it is the sweep's business.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// check stats the live log, reports it if it is due, and sees to the next
// check if it is hot. It reports whether the log has grown.
func (l *loop) check(d *logDir, c Cause) (grown bool) {
	l.stats.checks.Add(1)
	now := time.Now()
	if d.live == "" {
		l.rest(d, now, false, maxCheck)
		return false
	}
	var st unix.Stat_t
	switch err := d.livePath.lstat(&st); {
	case isGone(err):
		l.absent(d, now, c)
		return false
	case err != nil:
		l.problem(d.rel, err)
		l.rest(d, now, false, maxCheck)
		return false
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		st.Size = 0 // no runtime writes it, and nobody may rotate it
	}
	seen := st.Ino == d.inode && now.Sub(d.checked) <= maxCheck
	grown, rate := d.update(&st, now)
	d.growing = grown && seen
	l.judge(d, now, c, grown, rate)
	return grown
}

// update takes in what a check saw; rate is the log's growth in bytes/s since
// the last one.
func (d *logDir) update(st *unix.Stat_t, now time.Time) (grown bool, rate float64) {
	before := d.size
	other := st.Ino != d.inode
	if other || st.Size < before { // rotated or truncated, by whomever
		before = 0
	}
	grown = other || st.Size > before
	if other {
		if d.inode != 0 {
			d.rotated = now // by somebody else
		}
		d.failures, d.notBefore = 0, time.Time{}
	}
	if grown || st.Size != d.size {
		d.ignored = false
	}
	if elapsed := now.Sub(d.checked); elapsed > 0 {
		rate = float64(st.Size-before) / elapsed.Seconds()
	}
	d.missing = time.Time{}
	d.size, d.inode, d.checked = st.Size, st.Ino, now
	return grown, rate
}

// judge decides what follows from a check.
func (l *loop) judge(d *logDir, now time.Time, c Cause, grown bool, rate float64) {
	if d.ignored || d.limits.MaxSize <= 0 {
		l.rest(d, now, grown, maxCheck)
		return
	}
	since := d.limits.MinInterval
	if !d.rotated.IsZero() {
		since = now.Sub(d.rotated)
	}
	due, wait, headroom := d.limits.judge(d.size, d.rest, since)
	in := maxCheck
	if headroom > 0 {
		in = min(in, time.Duration(float64(headroom)/max(rate, assumedBurst)*float64(time.Second)))
	}
	switch {
	case due && wait > 0 && now.Sub(d.restAt) > clockTick:
		// Due only for its total, which housekeeping may have made smaller.
		d.recount = true
		l.list(d, c)
		l.heatAt(d, now.Add(min(wait, maxCheck)))
	case due:
		l.due(d, now, c)
	case wait > 0: // at its limit, and the interval has to pass
		l.isQuiet(d, grown)
		l.heatAt(d, now.Add(min(wait, d.pace(in))))
	default:
		d.failures = 0
		l.rest(d, now, grown, in)
	}
}

// rest leaves a log alone: a cold one until the next event, a hot one for in,
// or until the next event if it has been quiet.
func (l *loop) rest(d *logDir, now time.Time, grown bool, in time.Duration) {
	switch {
	case !d.isHot():
	case l.isQuiet(d, grown):
		l.coolDown(d)
	default:
		l.heatAt(d, now.Add(d.pace(in)))
	}
}

// isQuiet counts a hot log's checks without growth and reports whether they
// are enough to make it cold.
func (l *loop) isQuiet(d *logDir, grown bool) bool {
	if grown {
		d.quiet = 0
		return false
	}
	d.quiet++
	if l.dirChanged(d) {
		l.list(d, CauseWrite) // the next restart's log may be the one that grows
	}
	return d.quiet >= quietChecks
}

// pace keeps the time to the next check from being too short.
func (d *logDir) pace(in time.Duration) time.Duration {
	return max(in, minCheck<<min(d.quiet, maxBackoff))
}

// due reports a log and leaves it alone until Done.
func (l *loop) due(d *logDir, now time.Time, c Cause) {
	if now.Before(d.notBefore) {
		l.heatAt(d, d.notBefore)
		return
	}
	l.unwatchDir(d) // the rotation itself would be a flood of events
	l.offTimer(d)
	d.pending = true
	if d.failures > 0 {
		c = CauseRetry
	}
	l.cfg.Due(Due{Dir: d.rel, Log: d.live, Cause: c, Size: d.size, Limit: d.limits.MaxSize, Growing: d.growing})
}

// absent is called when the live log is not there.
func (l *loop) absent(d *logDir, now time.Time, c Cause) {
	if d.missing.IsZero() {
		d.missing = now
		l.list(d, c) // the container may have been started anew
	}
	reportAt := d.missing.Add(missingPause)
	switch {
	case d.ignored:
		l.rest(d, now, false, maxCheck)
	case now.Before(reportAt) && d.failures == 0:
		l.heatAt(d, reportAt)
	default: // a try that failed may have left it so
		d.size, d.inode, d.growing = 0, 0, false
		l.due(d, now, CauseMissing)
	}
}

// finished takes in what became of a Due.
func (l *loop) finished(f done) {
	d := l.dirs[f.dir]
	if d == nil || !d.pending {
		return
	}
	d.pending = false
	now := time.Now()
	o := f.outcome
	switch {
	case o.Failed:
		wait := min(firstRetry<<min(d.failures, 10), lastRetry)
		d.failures++
		d.notBefore = now.Add(max(wait, o.RetryAfter))
		l.heatAt(d, d.notBefore)
		return
	case o.Ignore:
		// A file that no container writes may still grow.
		d.ignored, d.notBefore = true, now.Add(maxCheck)
	case o.Rotated > 0:
		d.rotated = now
		d.rest += o.Rotated
	default:
		// Whoever rotates found it not due. Should that log still seem so from
		// here, the two would keep each other busy.
		d.notBefore = now.Add(firstRetry)
	}
	d.failures = 0
	if d.ignored {
		l.coolDown(d) // its container's next log is to be an event
		return
	}
	l.heatAt(d, now)
	l.check(d, CauseWrite)
}
