package watcher

import (
	"errors"
	"maps"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// podEvents a second are more than a node's pods usually cause.
	podEvents = 1000
	// A directory with more of them has no watch for throttlePause, then for twice
	// that and so on, at most for maxThrottlePause: a sweep's interval.
	throttlePause    = time.Second
	maxThrottlePause = 10 * time.Second
	// maxDirs bounds the containers' directories that are tracked: many times
	// what a node can run.
	maxDirs = 20_000
)

// podDir is podLogsDir or one pod's directory: watched for new directories.
type podDir struct {
	watch    watch
	seen     uint64 // the sweep that saw it last
	stamp    stamp  // when it was last listed
	burst    burst
	throttle pace
	// dirs are the containers' directories in it, by rel.
	dirs map[string]*logDir
}

// sweepState is the sweep that is under way, or was the last.
type sweepState struct {
	number  uint64
	running bool
	causes  sweepCauses
	// left is how many listings are still to come: each request with another
	// cause than CauseWrite is the sweep's, and is answered once.
	left int
}

// mustRewatch reports whether a watch that seems to be on may be another's: the
// name had an event, or events were lost. A directory that was moved keeps its
// watch under its old name, until the event of that removes it.
func (l *loop) mustRewatch(c Cause) bool {
	return c == CauseWrite || l.sweep.causes.has(CauseOverflow)
}

func (l *loop) startSweep(causes sweepCauses) {
	l.stats.sweeps.Add(1)
	l.sweep = sweepState{number: l.sweep.number + 1, running: true, causes: causes}
	l.openNotify()
	// Watch first, then list: what is created in between is in both.
	root := l.pods[""]
	l.watch("", &root.watch)
	l.ask(request{cause: causes.strongest()})
}

// ask queues a listing.
func (l *loop) ask(req request) {
	if req.cause != CauseWrite {
		l.sweep.left++
	}
	l.queue = append(l.queue, req)
}

// scanned takes in a listing. One that began before the directory was removed
// and created again does no harm: what it does not find is looked up, and the
// listing of the new one follows it.
func (l *loop) scanned(res result) {
	if p := l.pods[res.rel]; p != nil {
		l.tree(p, res)
	} else if d := l.dirs[res.rel]; d != nil {
		l.listed(d, res)
	}
	if res.cause == CauseWrite {
		return
	}
	if l.sweep.left--; l.sweep.left == 0 {
		l.endSweep()
	}
}

// tree takes in the listing of podLogsDir or of a pod's directory.
func (l *loop) tree(p *podDir, res result) {
	dirs := res.dirs
	switch {
	case res.same:
		dirs = l.known(res.rel)
	case res.err == nil:
		p.stamp = res.stamp
	case errors.Is(res.err, errTooMany):
		l.tooMany()
	case res.rel == "" && isGone(res.err):
		l.warnOnce("root").Str("dir", l.cfg.PodLogsDir).Msg("podLogsDir does not exist; waiting for it")
	case res.rel != "" && (isGone(res.err) || isNotDir(res.err)):
		l.gone(res.rel)
	default:
		l.problem("list", res.rel, res.err)
		dirs = l.known(res.rel) // may be there still
	}
	for _, rel := range dirs {
		if depth(rel) == 1 {
			l.foundPod(rel, res.cause)
		} else {
			l.foundDir(p, rel, res.cause)
		}
	}
}

// known returns the directories in podLogsDir or a pod's directory, as far as
// they were seen.
func (l *loop) known(rel string) (dirs []string) {
	for dir := range l.pods[rel].dirs {
		dirs = append(dirs, dir)
	}
	if rel == "" {
		for pod := range l.pods {
			if pod != "" {
				dirs = append(dirs, pod)
			}
		}
	}
	return dirs
}

func (l *loop) foundPod(rel string, c Cause) {
	p := l.pods[rel]
	if p == nil {
		if len(l.pods) > maxEntries {
			l.tooMany()
			return
		}
		p = &podDir{dirs: make(map[string]*logDir)}
		l.pods[rel] = p
	}
	p.seen = l.sweep.number
	// It may be another directory by now, and the event that said so lost: one with
	// the same stamp is the same.
	same := p.watch.on && !l.mustRewatch(c) && p.stamp != stamp{} && p.stamp == l.scanner.stamp(rel)
	if !same {
		l.watch(rel, &p.watch)
		p.stamp = stamp{}
	}
	l.ask(request{rel: rel, cause: c, same: same})
}

func (l *loop) foundDir(p *podDir, rel string, c Cause) {
	d := l.dirs[rel]
	switch {
	case d != nil:
		l.swept(d, c)
	case len(l.dirs) >= maxDirs:
		l.tooMany()
		p.stamp = stamp{} // there may be room later
		return
	default:
		d = newLogDir(rel, l.scanner.path(rel))
		l.dirs[rel], p.dirs[rel] = d, d
		l.watch(rel, &d.watch)
		l.list(d, c)
	}
	d.seen = l.sweep.number
}

// endSweep forgets what the sweep did not find, and the problems that are
// solved.
func (l *loop) endSweep() {
	l.sweep.running = false
	for rel, p := range l.pods {
		if rel != "" && p.seen != l.sweep.number {
			l.forget(rel)
		}
	}
	for rel, d := range l.dirs {
		if d.seen != l.sweep.number {
			l.forget(rel)
		}
	}
	maps.DeleteFunc(l.warned, func(_ string, seen uint64) bool { return seen+1 < l.sweep.number })
	l.stats.tracked.Store(int64(len(l.dirs)))
	l.cfg.Swept(l.sweep.causes.strongest())
	l.requests.wakeUp() // one may have been requested since
}

// forget drops a pod's or a container's directory and what is below it.
func (l *loop) forget(rel string) {
	if p := l.pods[rel]; p != nil {
		for sub := range p.dirs {
			l.forget(sub)
		}
		l.unwatch(rel, &p.watch)
		delete(l.pods, rel)
	}
	if d := l.dirs[rel]; d != nil {
		l.offTimer(d)
		l.unwatch(rel, &d.watch)
		delete(l.dirs, rel)
		delete(l.pods[parent(rel)].dirs, rel)
	}
}

// gone is called when a directory was removed. What has its name by now is
// another one.
func (l *loop) gone(rel string) {
	l.forget(rel)
	l.onCreate(rel)
}

// onCreate is called for a new name where directories are expected.
func (l *loop) onCreate(rel string) {
	var st unix.Stat_t
	if unix.Lstat(l.scanner.path(rel), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return
	}
	if depth(rel) == 1 {
		l.foundPod(rel, CauseWrite)
	} else if p := l.pods[parent(rel)]; p != nil {
		l.foundDir(p, rel, CauseWrite)
	}
}

// checkDir checks a container's directory on request. The runtime may know one
// that no event and no sweep has shown yet.
func (l *loop) checkDir(rel string) {
	if d := l.dirs[rel]; d != nil {
		d.limits = l.cfg.Limits(rel)
		d.needsCheck = true
		if now := time.Now(); d.log.dues.next.After(now) {
			d.log.dues.next = now // the log may have been due before its container was known
		}
		l.list(d, CauseWrite)
		l.check(d, CauseWrite)
		return
	}
	if depth(rel) != 2 || filepath.Clean("/"+rel) != "/"+rel {
		return
	}
	if l.pods[parent(rel)] == nil {
		l.onCreate(parent(rel))
	}
	l.onCreate(rel)
}

// throttle removes the watch of a directory above the containers' with more
// events than pods cause. A sweep puts it back, and finds what was created.
func (l *loop) throttle(rel string) {
	p := l.pods[rel]
	now := time.Now()
	if p == nil || !p.watch.on || !p.burst.over(now, podEvents) {
		return
	}
	l.unwatch(rel, &p.watch)
	p.throttle.delay(now, throttlePause, maxThrottlePause)
	time.AfterFunc(p.throttle.pause, func() { l.Sweep(CauseOverflow) })
	l.warnOnce("throttle "+rel).Str("dir", l.scanner.path(rel)).Msg("event rate too high; directory falls back to the sweep")
}

func (l *loop) tooMany() {
	l.warnOnce("many").Err(errTooMany).Str("dir", l.cfg.PodLogsDir).Msg("not all log directories are tracked")
}
