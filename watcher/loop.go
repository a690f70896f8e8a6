package watcher

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// loop owns the watch set and everything known about the logs. All of it runs
// on one goroutine; nothing here blocks.
type loop struct {
	*Watcher
	notify  notifier
	scanner *scanner

	dirs map[string]*logDir  // container directories, by rel
	pods map[string]*podTree // podLogsDir itself is ""
	hot  hotHeap
	// timer fires when hot's first is to be checked.
	timer *time.Timer

	// queue is what the scanner is to list, first come, first served; queued
	// keeps one directory from standing in it twice.
	queue  []request
	queued map[string]bool

	sweep sweepState
	// told are the problems that were logged and have not passed.
	told map[string]bool
}

// podTree is podLogsDir or one pod's directory: watched for new directories.
type podTree struct {
	watched bool
	seen    uint64 // the sweep that saw it last
	burst   burst
}

// sweepState is the sweep that is under way.
type sweepState struct {
	number  uint64
	running bool
	cause   Cause
	// left is how many listings are still to come.
	left int
}

func newLoop(w *Watcher, n notifier, s *scanner) *loop {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &loop{
		Watcher: w, notify: n, scanner: s, timer: t,
		dirs:   make(map[string]*logDir),
		pods:   make(map[string]*podTree),
		queued: make(map[string]bool),
		told:   make(map[string]bool),
	}
}

func (l *loop) run(ctx context.Context) error {
	defer l.timer.Stop()
	for {
		var requests chan<- request
		var next request
		if len(l.queue) > 0 {
			requests, next = l.scanner.requests, l.queue[0]
		}
		var sweeps <-chan Cause
		if !l.sweep.running {
			sweeps = l.sweeps
		}
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-l.notify.Events():
			if !ok {
				return errors.New("inotify: the instance was closed")
			}
			l.stats.events.Add(1)
			l.event(ev)
		case err := <-l.notify.Errors():
			l.lost(err)
		case <-l.timer.C:
			l.checkHot()
		case requests <- next:
			l.queue = l.queue[1:]
			delete(l.queued, next.rel)
		case res := <-l.scanner.results:
			l.scanned(res)
		case cause := <-sweeps:
			l.startSweep(cause)
		case d := <-l.done:
			l.finished(d)
		}
		l.setTimer()
	}
}

// event is a hint about one path; what is true is looked up.
func (l *loop) event(ev fsnotify.Event) {
	rel, ok := strings.CutPrefix(ev.Name, l.cfg.PodLogsDir)
	if !ok {
		return
	}
	rel = strings.TrimPrefix(rel, "/")
	gone := ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename)
	switch depth(rel) {
	case 0:
		if gone { // podLogsDir was removed or moved
			l.Sweep(CauseOverflow)
		}
	case 1, 2:
		switch {
		case gone:
			l.forget(rel)
		case ev.Has(fsnotify.Create):
			l.made(rel)
		}
		l.calm(parent(rel))
	case 3:
		dir, name := parent(rel), rel[strings.LastIndexByte(rel, '/')+1:]
		if d := l.dirs[dir]; d != nil {
			_, live, _ := logName(name)
			l.written(d, live && ev.Has(fsnotify.Create))
		}
	}
}

// made is called for a new name where directories are expected.
func (l *loop) made(rel string) {
	var st unix.Stat_t
	if unix.Lstat(l.scanner.path(rel), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		l.found(rel, CauseWrite)
	}
}

// lost is called when events were lost, or the instance has an error.
func (l *loop) lost(err error) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		l.stats.overflows.Add(1)
		l.cfg.Log.Warn().Msg("inotify: the event queue overflowed; sweeping now (if this repeats, raise it: sysctl fs.inotify.max_queued_events)")
	} else {
		l.stats.watchErrors.Add(1)
		l.cfg.Log.Warn().Err(err).Msg("inotify: error; sweeping now")
	}
	l.Sweep(CauseOverflow)
}

// calm takes the watch off a directory above the containers' in which somebody
// makes more noise than pods can; the next sweep puts it back.
func (l *loop) calm(rel string) {
	if t := l.pods[rel]; t != nil && t.watched && t.burst.over(time.Now(), podEvents) {
		l.unwatch(rel)
		t.watched = false
		l.once("noisy "+rel, func() {
			l.cfg.Log.Warn().Str("dir", l.scanner.path(rel)).Msg("too many events in this directory; leaving it to the sweep")
		})
	}
}

// ask queues a listing.
func (l *loop) ask(req request) {
	if !l.queued[req.rel] {
		l.queued[req.rel] = true
		l.queue = append(l.queue, req)
	}
}

func (l *loop) startSweep(c Cause) {
	l.stats.sweeps.Add(1)
	l.sweep.number++
	l.sweep = sweepState{number: l.sweep.number, running: true, cause: c, left: 1}
	// Watch first, then list: what is made in between is in both.
	if t := l.pod(""); !t.watched {
		t.watched = l.watch("")
	}
	l.queue = append(l.queue, request{rel: "", cause: c})
}

// scanned takes in a listing.
func (l *loop) scanned(res result) {
	if depth(res.rel) < 2 {
		l.tree(res)
	} else if d := l.dirs[res.rel]; d != nil {
		l.listed(d, res)
	}
}

// tree takes in the listing of podLogsDir or of a pod's directory.
func (l *loop) tree(res result) {
	switch {
	case errors.Is(res.err, errTooMany):
		l.problem(res.rel, res.err)
	case res.rel != "" && (isGone(res.err) || isNoDir(res.err)):
		l.forget(res.rel)
	case isGone(res.err):
		l.once("read ", func() {
			l.cfg.Log.Warn().Str("dir", l.cfg.PodLogsDir).Msg("podLogsDir does not exist; waiting for it")
		})
	case res.err != nil:
		l.problem(res.rel, res.err)
		l.keep(res.rel)
	default:
		l.solved(res.rel)
	}
	for _, name := range res.dirs {
		rel := name
		if res.rel != "" {
			rel = res.rel + "/" + name
		}
		l.found(rel, res.cause)
	}
	if res.cause == l.sweep.cause && l.sweep.running && res.cause != CauseWrite {
		l.sweep.left--
		if res.rel == "" {
			l.sweep.left += len(res.dirs)
		}
		if l.sweep.left <= 0 {
			l.endSweep()
		}
	}
}

// keep lets a directory that cannot be listed now keep what was found in it.
func (l *loop) keep(rel string) {
	if rel == "" {
		for _, t := range l.pods {
			t.seen = l.sweep.number
		}
	}
	for sub, d := range l.dirs {
		if rel == "" || parent(sub) == rel {
			d.seen = l.sweep.number
		}
	}
}

// found is called for each directory in a listing.
func (l *loop) found(rel string, c Cause) {
	if depth(rel) == 2 {
		d := l.dirs[rel]
		if d == nil {
			d = &logDir{rel: rel, path: l.scanner.path(rel), index: -1, cause: c}
			l.dirs[rel] = d
			d.watched = l.watch(rel)
			l.list(d)
		} else {
			l.swept(d, c)
		}
		d.seen = l.sweep.number
		return
	}
	t := l.pod(rel)
	t.seen = l.sweep.number
	if !t.watched {
		t.watched = l.watch(rel)
	}
	if c == CauseWrite {
		l.ask(request{rel: rel, cause: c})
		return
	}
	// A sweep counts its listings: this one is queued even if it stands there.
	l.queued[rel] = true
	l.queue = append(l.queue, request{rel: rel, cause: c})
}

// endSweep forgets what the sweep did not find.
func (l *loop) endSweep() {
	l.sweep.running = false
	for rel, t := range l.pods {
		if rel != "" && t.seen != l.sweep.number {
			l.forget(rel)
		}
	}
	for rel, d := range l.dirs {
		if d.seen != l.sweep.number {
			l.forget(rel)
		}
	}
	l.stats.tracked.Store(int64(len(l.dirs)))
	l.cfg.Swept(l.sweep.cause)
}

func (l *loop) pod(rel string) *podTree {
	t := l.pods[rel]
	if t == nil {
		t = &podTree{seen: l.sweep.number}
		l.pods[rel] = t
	}
	return t
}

// forget drops a pod's or a container's directory and what is below it.
func (l *loop) forget(rel string) {
	if t := l.pods[rel]; t != nil {
		if t.watched {
			l.unwatch(rel)
		}
		delete(l.pods, rel)
		for sub := range l.dirs {
			if parent(sub) == rel {
				l.forget(sub)
			}
		}
	}
	if d := l.dirs[rel]; d != nil {
		if d.watched {
			l.unwatch(rel)
		}
		l.cool(d)
		delete(l.dirs, rel)
	}
	l.solved(rel)
}

// watch puts an inotify watch on a directory and reports whether it is there.
func (l *loop) watch(rel string) bool {
	err := l.notify.Add(l.scanner.path(rel))
	switch {
	case err == nil:
		l.solved("watches")
		return true
	case isGone(err):
		return false
	}
	l.stats.watchErrors.Add(1)
	l.once("watches", func() {
		hint := ""
		if errors.Is(err, unix.ENOSPC) {
			hint = "; raise the limit: sysctl fs.inotify.max_user_watches"
		}
		l.cfg.Log.Warn().Err(err).Str("dir", l.scanner.path(rel)).
			Msg("inotify: a directory cannot be watched; the sweep covers it, which is slower" + hint)
	})
	return false
}

// unwatch takes a watch off. That it is gone already is fine: the kernel takes
// it off a directory that is removed.
func (l *loop) unwatch(rel string) { _ = l.notify.Remove(l.scanner.path(rel)) }

// problem says once that a directory cannot be read.
func (l *loop) problem(rel string, err error) {
	l.once("read "+rel, func() {
		l.cfg.Log.Warn().Err(err).Str("dir", l.scanner.path(rel)).Msg("a directory cannot be read; trying again with each sweep")
	})
}

func (l *loop) once(what string, tell func()) {
	if !l.told[what] {
		l.told[what] = true
		tell()
	}
}

// solved lets a problem be told again when it comes back.
func (l *loop) solved(rel string) {
	delete(l.told, rel)
	delete(l.told, "read "+rel)
	delete(l.told, "noisy "+rel)
}

func parent(rel string) string {
	i := strings.LastIndexByte(rel, '/')
	return rel[:max(i, 0)]
}
