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
	watched bool // cold, and its watch is on
	pending bool // reported due, and Done was not called yet
	index   int  // in the heap of the hot; -1 if it is not hot
	burst   burst
	next    time.Time // when to check, if hot
	quiet   int       // checks in a row without growth, while hot

	// What its last listing said.
	asked    bool   // the next one is under way
	again    bool   // and may have begun before what it is to show
	unswept  bool   // it was for an event: the sweep has not told of it
	recount  bool   // a check waits for the next one's rest
	stamp    stamp  // of the directory; see listing
	live     string // the live log's name; "" if none is known
	livePath statPath
	rest     int64     // bytes in the other logs
	restAt   time.Time // when rest was counted

	// What the last check of the live log said.
	limits  Limits
	size    int64
	inode   uint64 // 0: not seen yet
	checked time.Time
	growing bool      // it had grown since the one before, a moment ago
	missing time.Time // since when it is absent

	// What became of its rotations.
	rotated   time.Time // the last one that we know of
	failures  int       // in a row
	notBefore time.Time // not to be reported again earlier
	ignored   bool      // no rotation while it is as it is
}

func newLogDir(rel, path string) *logDir {
	return &logDir{rel: rel, statPath: newStatPath(path), index: -1, unswept: true}
}

// written is called for an event in a container's directory; made, if a live
// log appeared in it.
func (l *loop) written(d *logDir, made bool) {
	if made {
		l.list(d, CauseWrite)
	}
	if !d.isCold() {
		return // an event that was queued before the watch was taken off
	}
	if now := time.Now(); d.burst.over(now, coldEvents) {
		l.heatAt(d, now)
	}
	l.check(d, CauseWrite)
}

// list has a container's directory listed.
func (l *loop) list(d *logDir, c Cause) {
	if d.asked {
		d.again = true
		return
	}
	d.asked = true
	l.ask(request{rel: d.rel, cause: c})
}

// listed takes in the listing of a container's directory.
func (l *loop) listed(d *logDir, res result) {
	d.asked = false
	other := false
	switch {
	case isGone(res.err) || isNoDir(res.err):
		l.forget(d.rel)
		return
	case res.err != nil:
		l.problem(d.rel, res.err)
	default:
		l.solved(d.rel)
		other = l.update(d, res.list)
		// A restart adds to the directory's total, and is told of at once.
		d.unswept = res.cause == CauseWrite && !other
		if !d.unswept {
			l.cfg.Changed(d.rel)
		}
	}
	if d.again {
		d.again = false
		l.list(d, CauseWrite)
	}
	d.restAt = time.Now() // after an error too: the last count has to do
	look := d.isCold() || other || d.recount
	d.recount = false
	if look && !d.pending {
		l.check(d, res.cause)
	}
}

// update takes in a listing and reports whether another log is the live one.
func (l *loop) update(d *logDir, list listing) (other bool) {
	d.limits = l.cfg.Limits(d.rel)
	d.stamp, d.rest = list.stamp, list.rest
	if list.live == "" || list.live == d.live {
		return false
	}
	d.live = list.live
	d.livePath = newStatPath(l.scanner.path(d.rel) + "/" + d.live)
	// Nothing that is known of the old one holds for it.
	d.size, d.inode, d.missing = 0, 0, time.Time{}
	d.rotated, d.failures, d.notBefore, d.ignored = time.Time{}, 0, time.Time{}, false
	return true
}

// swept looks at a directory for the sweep.
func (l *loop) swept(d *logDir, c Cause) {
	d.limits = l.cfg.Limits(d.rel)
	if d.pending {
		return
	}
	changed := l.dirChanged(d)
	if d.unswept || changed || c == CauseReload {
		l.list(d, c)
	}
	if d.isHot() {
		return
	}
	// What bears the name now may be another directory, and the event that said
	// so may be lost.
	if changed || !d.watched || c.doubtsWatches() {
		d.watched = l.watch(d.rel)
	}
	if grown := l.check(d, c); grown && !d.watched && d.isCold() {
		l.heatAt(d, time.Now()) // while it grows, the timer stands in
	}
}

// dirChanged reports whether names came or went since the last listing.
func (l *loop) dirChanged(d *logDir) bool {
	var st unix.Stat_t
	if d.statPath.lstat(&st) != nil {
		return true
	}
	return d.stamp != stamp{st.Mtim.Nano(), st.Ino}
}
