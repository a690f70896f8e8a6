package watcher

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// podEvents a second are more than a node's pods can cause.
	podEvents = 1000
	// maxDirs bounds the containers' directories that are followed: many times
	// what a node can run.
	maxDirs = 20_000
)

// podDir is podLogsDir or one pod's directory: watched for new directories.
type podDir struct {
	watched bool
	seen    uint64 // the sweep that saw it last
	stamp   stamp  // when it was last listed
	burst   burst
	// dirs are the containers' directories in it, by rel.
	dirs map[string]*logDir
}

// sweepState is the sweep that is under way, or was the last.
type sweepState struct {
	number  uint64
	running bool
	cause   Cause
	// left is how many listings are still to come: each request with another
	// cause than CauseWrite is the sweep's, and is answered once.
	left int
	// watchError: a watch could not be had.
	watchError bool
}

// doubtsWatches reports whether a watch that seems to be on may be another's: an
// event told of the name, or events were lost. A directory that was moved keeps
// its watch under its old name, until the event of that takes it off.
func (c Cause) doubtsWatches() bool { return c == CauseWrite || c == CauseOverflow }

func (l *loop) startSweep(c Cause) {
	if c == CauseWrite { // which would not be counted
		c = CauseSweep
	}
	l.stats.sweeps.Add(1)
	l.sweep = sweepState{number: l.sweep.number + 1, running: true, cause: c}
	l.sweepBeside()
	// Watch first, then list: what is made in between is in both.
	root := l.pods[""]
	root.watched = l.watch("")
	l.ask(request{rel: "", cause: c})
}

// ask queues a listing.
func (l *loop) ask(req request) {
	if req.cause != CauseWrite {
		l.sweep.left++
	}
	l.queue = append(l.queue, req)
}

// scanned takes in a listing. What was forgotten meanwhile has none to take in.
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
		l.solved(res.rel)
		p.stamp = res.stamp
	case errors.Is(res.err, errTooMany):
		l.tooMany()
	case res.rel == "" && isGone(res.err):
		l.once("read ", func() {
			l.cfg.Log.Warn().Str("dir", l.cfg.PodLogsDir).Msg("podLogsDir does not exist; waiting for it")
		})
	case res.rel != "" && (isGone(res.err) || isNoDir(res.err)):
		l.forget(res.rel)
	default:
		l.problem(res.rel, res.err)
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

// known are the directories in one, as far as was seen.
func (l *loop) known(rel string) (dirs []string) {
	if rel != "" {
		for sub := range l.pods[rel].dirs {
			dirs = append(dirs, sub)
		}
		return dirs
	}
	for pod := range l.pods {
		if pod != "" {
			dirs = append(dirs, pod)
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
	// It may be another directory by now, and the event that said so lost: one that
	// is as it was is the same.
	now := l.scanner.stamp(rel)
	same := p.watched && now == p.stamp && now != stamp{} && !c.doubtsWatches()
	if !same {
		p.watched, p.stamp = l.watch(rel), stamp{}
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
		d.watched = l.watch(rel)
		l.list(d, c)
	}
	d.seen = l.sweep.number
}

// endSweep forgets what the sweep did not find.
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
	if !l.sweep.watchError {
		delete(l.told, "watches")
	}
	if l.sweep.cause != CauseOverflow {
		delete(l.told, "lost")
	}
	l.stats.tracked.Store(int64(len(l.dirs)))
	l.cfg.Swept(l.sweep.cause)
}

// forget drops a pod's or a container's directory and what is below it.
func (l *loop) forget(rel string) {
	if p := l.pods[rel]; p != nil {
		for sub := range p.dirs {
			l.forget(sub)
		}
		if p.watched {
			l.unwatch(rel)
		}
		delete(l.pods, rel)
	}
	if d := l.dirs[rel]; d != nil {
		l.unwatchDir(d)
		l.offTimer(d)
		delete(l.dirs, rel)
		delete(l.pods[parent(rel)].dirs, rel)
	}
	l.solved(rel)
	delete(l.told, "noisy "+rel)
}

// made is called for a new name where directories are expected.
func (l *loop) made(rel string) {
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

// calm takes the watch off a directory above the containers' in which somebody
// makes more noise than pods can; the next sweep puts it back.
func (l *loop) calm(rel string) {
	p := l.pods[rel]
	if p == nil || !p.watched || !p.burst.over(time.Now(), podEvents) {
		return
	}
	l.unwatch(rel)
	p.watched = false
	l.once("noisy "+rel, func() {
		l.cfg.Log.Warn().Str("dir", l.scanner.path(rel)).Msg("too many events in this directory; leaving it to the sweep")
	})
}
