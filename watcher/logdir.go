package watcher

import (
	"time"

	"golang.org/x/sys/unix"
)

// coldEvents a second are cheaper as events than a hot log's checks are.
const coldEvents = 8

// logDir is one container's directory.
type logDir struct {
	rel      string
	statPath statPath
	seen     uint64 // the sweep that saw it last

	// Its state: see hot.go.
	watch watch
	index int // in the heap of the hot; -1: cold
	burst burst
	next  time.Time // when to check, if hot
	quiet int       // checks in a row without growth, while hot

	// Listings.
	listing          bool // one is under way
	again            bool // and may have begun before what it is to show
	needsCheck       bool // a check waits for its result
	needsSweepReport bool // a change was listed that no Changed has reported
	reportChange     bool // the sweep reports the next listing

	// What the last listing said.
	limits       Limits
	stamp        stamp  // of the directory; see listing
	inode        uint64 // of the directory
	live         string // the live log's name; "" if none is known
	livePath     statPath
	otherBytes   int64 // in the other logs
	otherBytesAt time.Time

	log liveLog
}

// liveLog is what is known of a live log from its checks.
type liveLog struct {
	size    int64
	inode   uint64 // 0: not seen yet
	checked time.Time
	growing bool // it had grown since the check before, a moment ago
	growth  growth
	missing time.Time // since when it is absent

	// rotated is when another inode got the name; zero: not seen. before is what
	// had the name until then.
	rotated time.Time
	before  generation

	dues     pace   // of reports; zero while it is not due
	reported int64  // its size at the last
	swept    uint64 // the last sweep that reported it
	fulls    pace   // of Changed, while the total is reached
}

// generation is one inode that was the live log.
type generation struct {
	inode   uint64
	size    int64
	rotated time.Time // when the one before it was rotated
}

func newLogDir(rel, path string) *logDir {
	return &logDir{rel: rel, statPath: newStatPath(path), index: -1, needsSweepReport: true}
}

// written is called for an event in a container's directory. created: a live log
// appeared in it.
func (l *loop) written(d *logDir, created bool) {
	if created {
		l.list(d, CauseWrite)
	}
	if d.isHot() {
		return // an event that was queued before the watch was removed
	}
	if now := time.Now(); d.burst.over(now, coldEvents) {
		l.setHot(d, now)
	}
	l.check(d, CauseWrite)
}

// list requests a listing of a container's directory.
func (l *loop) list(d *logDir, c Cause) {
	if d.listing {
		d.again = true
		return
	}
	d.listing = true
	l.ask(request{rel: d.rel, cause: c})
}

// listed takes in the listing of a container's directory.
func (l *loop) listed(d *logDir, res result) {
	d.listing = false
	other := false
	switch {
	case isGone(res.err) || isNotDir(res.err):
		l.gone(d.rel)
		return
	case res.err != nil:
		l.problem("list", d.rel, res.err)
	default:
		// Another live log adds to the directory's total, and is reported at once.
		changed := res.list.stamp != d.stamp || res.list.otherBytes != d.otherBytes
		other = l.update(d, res.list)
		if other || d.reportChange {
			d.needsSweepReport, d.reportChange = false, false
			l.cfg.Changed(d.rel)
		} else if changed {
			d.needsSweepReport = true
		}
	}
	// Without a watch when it was listed, it may have been created just now.
	if !d.isHot() && !d.watch.on {
		l.watch(d.rel, &d.watch)
		d.again = d.again || d.watch.on
	}
	if d.again {
		d.again = false
		l.list(d, CauseWrite)
	}
	d.otherBytesAt = time.Now() // after an error too: the last count has to do
	if d.needsCheck || other || !d.isHot() {
		d.needsCheck = false
		l.check(d, res.cause)
	}
}

// update takes in a listing and reports whether another log is the live one.
func (l *loop) update(d *logDir, list listing) (other bool) {
	d.limits = l.cfg.Limits(d.rel)
	if d.inode != 0 && d.inode != list.inode { // the directory was created again
		d.live = ""
		l.unwatch(d.rel, &d.watch)
	}
	d.stamp, d.inode, d.otherBytes = list.stamp, list.inode, list.otherBytes
	if list.live == "" || list.live == d.live {
		return false
	}
	d.live = list.live
	d.livePath = newStatPath(l.scanner.path(d.rel) + "/" + d.live)
	d.log = liveLog{}
	return true
}

// swept checks a directory for the sweep.
func (l *loop) swept(d *logDir, c Cause) {
	d.limits = l.cfg.Limits(d.rel)
	changed := l.dirChanged(d)
	// What has the name now may be another directory, and the event that said so
	// may be lost.
	if !d.isHot() && (changed || !d.watch.on || l.mustRewatch(c)) {
		l.watch(d.rel, &d.watch)
	}
	if d.needsSweepReport || changed || c != CauseWrite && l.sweep.causes.has(CauseReload) {
		d.reportChange = c != CauseWrite
		l.list(d, c)
	}
	l.check(d, c)
}

// dirChanged reports whether names came or went since the last listing.
func (l *loop) dirChanged(d *logDir) bool {
	var st unix.Stat_t
	if d.statPath.lstat(&st) != nil {
		return true
	}
	return d.stamp != stamp{st.Mtim.Nano(), st.Ino}
}
