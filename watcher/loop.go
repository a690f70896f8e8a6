package watcher

import (
	"context"
	"errors"
	"path/filepath"
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

	pods map[string]*podDir // by rel; podLogsDir itself is ""
	dirs map[string]*logDir // containers' directories, by rel
	hot  hotHeap
	// timer fires when hot's first is to be checked.
	timer *time.Timer

	// queue is what the scanner is to list, first come, first served.
	queue  []request
	sweep  sweepState
	beside burst
	// told are the problems that were logged and have not passed.
	told map[string]bool
}

func newLoop(w *Watcher, n notifier, s *scanner) *loop {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &loop{
		Watcher: w, notify: n, scanner: s, timer: t,
		pods: map[string]*podDir{"": {}},
		dirs: make(map[string]*logDir),
		told: make(map[string]bool),
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
		case res := <-l.scanner.results:
			l.scanned(res)
		case cause := <-sweeps:
			l.startSweep(cause)
		case d := <-l.done:
			l.finished(d)
		case <-l.pings:
		}
		l.setTimer()
	}
}

// event is a hint about one path; what is true is looked up.
func (l *loop) event(ev fsnotify.Event) {
	if l.cfg.Beside != "" && filepath.Dir(ev.Name) == l.cfg.Beside {
		l.besideEvent()
		return
	}
	rel, ok := strings.CutPrefix(ev.Name, l.cfg.PodLogsDir)
	if !ok {
		return
	}
	rel = strings.TrimPrefix(rel, "/")
	gone := ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename)
	switch depth(rel) {
	case 0:
		if gone { // podLogsDir was removed or moved, and its watch with it
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

// besideEvents a second are more than a configuration directory has.
const besideEvents = 100

// besideEvent passes an event on. In a directory with too many the watch is
// taken off until the next sweep.
func (l *loop) besideEvent() {
	if l.beside.over(time.Now(), besideEvents) {
		_ = l.notify.Remove(l.cfg.Beside) // the next sweep puts it back
		return
	}
	l.cfg.BesideChanged()
}

// sweepBeside puts the watch on, whatever became of it, and then has it looked
// at.
func (l *loop) sweepBeside() {
	if l.cfg.Beside == "" {
		return
	}
	if err := l.notify.Add(l.cfg.Beside); err != nil {
		l.stats.watchErrors.Add(1)
		l.once("beside", func() {
			l.cfg.Log.Warn().Err(err).Str("dir", l.cfg.Beside).Msg("inotify: a directory cannot be watched; it is looked at with each sweep")
		})
	}
	l.beside = burst{}
	l.cfg.BesideChanged()
}

// lost is called when events were lost, or the instance has an error.
func (l *loop) lost(err error) {
	msg := "inotify: error; sweeping now"
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		l.stats.overflows.Add(1)
		msg = "inotify: the event queue overflowed; sweeping now (if this repeats, raise it: sysctl fs.inotify.max_queued_events)"
	} else {
		l.stats.watchErrors.Add(1)
	}
	l.once("lost", func() { l.cfg.Log.Warn().Err(err).Msg(msg) })
	l.Sweep(CauseOverflow)
}

// watch puts an inotify watch on a directory and reports whether it is there.
func (l *loop) watch(rel string) bool {
	err := l.notify.Add(l.scanner.path(rel))
	if err == nil {
		return true
	}
	l.unwatch(rel) // one that nobody knows of would stay when the log is hot
	if isGone(err) {
		return false
	}
	l.stats.watchErrors.Add(1)
	l.sweep.watchError = true
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

// solved lets a problem be told again when it comes back.
func (l *loop) solved(rel string) { delete(l.told, "read "+rel) }

func (l *loop) tooMany() {
	l.once("many", func() {
		l.cfg.Log.Warn().Err(errTooMany).Str("dir", l.cfg.PodLogsDir).Msg("not all directories are watched")
	})
}

// once tells a problem that was not told yet. What is told of a directory is
// forgotten with it, so that this does not grow.
func (l *loop) once(what string, tell func()) {
	if !l.told[what] {
		l.told[what] = true
		tell()
	}
}

func parent(rel string) string {
	i := strings.LastIndexByte(rel, '/')
	return rel[:max(i, 0)]
}
