package watcher

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// minCheck is the shortest time between two checks of one log: what Go's
	// timers resolve to. At minBurst a log grows by 100 kB in it.
	minCheck = time.Millisecond
	// maxCheck is the longest for a hot log, however large its limit.
	maxCheck = time.Second
	// quietChecks without growth make a hot log cold.
	quietChecks = 5
	// maxBackoff is how much longer than minCheck a check that is due at once
	// may be put off, while nothing grows, as a power of two.
	maxBackoff = 2
	// missingPause is for how long a live log must be absent before that is
	// reported: another rotator may be between its rename and its reopen. It is
	// checked each missingCheck for its return.
	missingPause = time.Second
	missingCheck = 50 * time.Millisecond
	// A log that stays due, or a total that stays reached, is reported again after
	// reportPause, then after twice that and so on, at most each maxReportPause: a
	// rotation takes a few milliseconds, and one that takes longer was queued
	// behind others or has failed, and has backoff of its own. The receiver merges
	// reports, so that these cost next to nothing.
	reportPause    = 100 * time.Millisecond
	maxReportPause = time.Second
)

// check stats the live log, reports it if it is due, and sets its next check if
// it is hot.
func (l *loop) check(d *logDir, c Cause) {
	l.stats.checks.Add(1)
	now := time.Now()
	if d.live == "" {
		l.leaveOrCool(d, now, false, maxCheck)
		return
	}
	var st unix.Stat_t
	switch err := d.livePath.lstat(&st); {
	case isGone(err):
		l.absent(d, now, c)
		return
	case err != nil:
		l.problem("stat", d.rel, err)
		l.leaveOrCool(d, now, false, maxCheck)
		return
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		st.Size = 0 // no runtime writes it, and it must not be rotated
	}
	before := d.log.inode
	grown := d.log.update(&st, now)
	if rate := d.log.growth.update(st.Size, now, d.limits.Reaction.High); rate > minBurst {
		l.fastest.note(rate, now)
	}
	if before != 0 && before != st.Ino {
		l.list(d, CauseWrite) // what was rotated is one of the others now
	}
	l.decide(d, now, c, grown)
}

// update takes in what a check saw.
func (g *liveLog) update(st *unix.Stat_t, now time.Time) (grown bool) {
	other, truncated := st.Ino != g.inode, st.Size < g.size
	grown = other || truncated && st.Size > 0 || st.Size > g.size
	recent := now.Sub(g.checked) <= maxCheck
	active := g.growth.active(g.checked)
	g.growing = grown && recent && (!other || active && st.Size > 0)
	if g.growing || active && recent && st.Size == 0 {
		g.growth.last = now
	}
	if other {
		g.replaced(st, now)
	}
	if other || truncated {
		g.growth.restart(st.Size, now)
	}
	g.missing = time.Time{}
	g.size, g.inode, g.checked = st.Size, st.Ino, now
	return grown
}

// replaced is called when another inode has the live log's name: a rotation, by
// any rotator. An empty one that is replaced in its turn is part of the same
// rotation, in which conmon puts a file of its own in its place; and one that
// comes back was not rotated.
func (g *liveLog) replaced(st *unix.Stat_t, now time.Time) {
	g.dues, g.fulls = pace{}, pace{}
	switch {
	case g.size > 0:
		g.before = generation{g.inode, g.size, g.rotated}
		g.rotated = now
	case g.before.inode == st.Ino && st.Size >= g.before.size && st.Size > 0:
		g.rotated = g.before.rotated
	}
}

// decide decides what follows from a check.
//
// The lead is for a log that grows: one that has stopped before it is at its limit is
// not rotated.
func (l *loop) decide(d *logDir, now time.Time, c Cause, grown bool) {
	g := &d.log
	speed := g.growth.now(now)
	since := d.limits.MinInterval
	if !g.rotated.IsZero() {
		since = now.Sub(g.rotated)
	}
	v := d.limits.decide(g.size, d.otherBytes, since, speed)
	in := maxCheck
	if v.headroom > 0 {
		in = min(in, time.Duration(float64(v.headroom)/l.fastest.burst(now)*float64(time.Second)))
	}
	if (grown || g.growth.active(now)) && now.Sub(g.growth.ended) > stillTime { // how fast it grows is not known
		in = min(in, maxRateWindow)
	}
	if v.full {
		inVain := l.full(d, now, c)
		v.due = v.due || inVain && v.wait > 0 && g.size >= d.limits.limit()
		in = min(in, max(clockTick, g.fulls.next.Sub(now)))
	} else {
		g.fulls = pace{}
	}
	switch {
	case v.due:
		due := Due{Cause: c, Rate: speed.peak, Lead: v.lead}
		if speed.peak > 0 {
			due.Target = v.target
		}
		l.due(d, now, due, grown)
	case v.wait > 0: // at its limit, and the interval has to pass
		if !v.full {
			g.dues = pace{}
		}
		l.isQuiet(d, grown)
		l.setHot(d, now.Add(min(v.wait, d.checkIn(in))))
	default:
		g.dues = pace{}
		l.leaveOrCool(d, now, grown, in)
	}
}

// full is called when a check finds the container's total reached. Housekeeping
// may have removed logs since they were listed: it requests another listing. Once the
// last listing is recent enough to be sure, it requests a prune; it reports whether one
// was in vain.
func (l *loop) full(d *logDir, now time.Time, c Cause) (inVain bool) {
	if c == CauseWrite && now.Before(d.log.fulls.next) {
		return false
	}
	recent := now.Sub(d.otherBytesAt) <= clockTick
	inVain = recent && d.log.fulls != (pace{})
	if recent {
		d.log.fulls.delay(now, reportPause, maxReportPause)
		l.cfg.Changed(d.rel)
	} else if !d.needsCheck {
		d.needsCheck = true
		if !d.listing {
			l.list(d, c)
		}
	}
	return inVain
}

// due reports a log that is due and sees to its next check. It is reported when
// that is new, by each sweep, and when it has grown since the last report, as
// often as its pace allows.
func (l *loop) due(d *logDir, now time.Time, due Due, grown bool) {
	g, c := &d.log, due.Cause
	due.Dir, due.Log, due.Size, due.Limit, due.Growing = d.rel, d.live, g.size, d.limits.limit(), g.growing
	if !g.missing.IsZero() {
		due.Cause, due.Size = CauseMissing, 0
	}
	sweeps := c != CauseWrite && g.swept != l.sweep.number
	if sweeps || g.dues == (pace{}) || due.Size != g.reported && !now.Before(g.dues.next) {
		if sweeps {
			g.swept = l.sweep.number
		}
		g.reported = due.Size
		g.dues.delay(now, reportPause, maxReportPause)
		l.cfg.Due(due)
	}
	if grown && !d.isHot() {
		l.setHot(d, now.Add(g.dues.pause)) // the rotation would be a flood of events
		return
	}
	l.leaveOrCool(d, now, grown, max(g.dues.next.Sub(now), maxRateWindow))
}

// absent is called when the live log is not there.
func (l *loop) absent(d *logDir, now time.Time, c Cause) {
	g := &d.log
	if g.missing.IsZero() {
		g.missing, g.growing = now, false
		l.list(d, c) // the container may have been restarted
	}
	if left := g.missing.Add(missingPause).Sub(now); left > 0 {
		l.setHot(d, now.Add(min(left, missingCheck)))
		return
	}
	l.due(d, now, Due{Cause: c}, false)
}

// leaveOrCool leaves a cold log until the next event, and a hot one for in; one
// that has been quiet becomes cold. A cold log that grows without a watch becomes
// hot.
func (l *loop) leaveOrCool(d *logDir, now time.Time, grown bool, in time.Duration) {
	switch {
	case d.isHot() && l.isQuiet(d, grown):
		l.setCold(d)
	case d.isHot(), grown && !d.watch.on:
		l.setHot(d, now.Add(d.checkIn(in)))
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

// checkIn keeps the time to the next check from being too short.
func (d *logDir) checkIn(in time.Duration) time.Duration {
	return max(in, minCheck<<min(d.quiet, maxBackoff))
}
