package watcher

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// loop owns the watch set and everything known about the logs. All of it runs
// on one goroutine; nothing here blocks.
type loop struct {
	*Watcher
	notify  notifier // nil while there is no inotify instance
	scanner *scanner

	pods map[string]*podDir // by rel; podLogsDir itself is ""
	dirs map[string]*logDir // containers' directories, by rel
	hot  hotHeap
	// fastest is the fastest growth of any log.
	fastest fastest
	// timer fires when hot's first check is due.
	timer *time.Timer

	// queue holds the requests for the scanner, first come, first served.
	queue []request
	sweep sweepState
	// warned holds the problems that were logged, with the number of the sweep
	// that was the last when each was seen last; see warnOnce.
	warned map[string]uint64
}

func newLoop(w *Watcher, s *scanner) *loop {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &loop{
		Watcher: w, scanner: s, timer: t,
		pods:   map[string]*podDir{"": {}},
		dirs:   make(map[string]*logDir),
		warned: make(map[string]uint64),
	}
}

func (l *loop) run(ctx context.Context) error {
	defer l.timer.Stop()
	defer l.closeNotify()
	for {
		var scan chan<- request
		var next request
		if len(l.queue) > 0 {
			scan, next = l.scanner.requests, l.queue[0]
		}
		var events <-chan fsnotify.Event
		var errs <-chan error
		if l.notify != nil {
			events, errs = l.notify.Events(), l.notify.Errors()
		}
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-events:
			if !ok {
				l.closed()
				break
			}
			l.stats.events.Add(1)
			l.event(ev)
		case err := <-errs:
			l.lost(err)
		case <-l.timer.C:
			l.checkHot()
		case scan <- next:
			l.queue = l.queue[1:]
		case res := <-l.scanner.results:
			l.scanned(res)
		case <-l.requests.wake:
			l.requested()
		case <-l.pings:
		}
		l.setTimer()
	}
}

// requested begins what was requested from outside. A sweep waits for the end of
// the one under way.
func (l *loop) requested() {
	dirs, sweep := l.requests.drain(!l.sweep.running)
	for rel := range dirs {
		l.checkDir(rel)
	}
	if sweep != 0 {
		l.startSweep(sweep)
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
		if gone { // podLogsDir was removed or moved, and its watch with it
			l.Sweep(CauseOverflow)
		}
	case 1, 2:
		switch {
		case gone:
			l.gone(rel)
		case ev.Has(fsnotify.Create):
			l.onCreate(rel)
		}
		l.throttle(parent(rel))
	case 3:
		dir, name := parent(rel), rel[strings.LastIndexByte(rel, '/')+1:]
		if d := l.dirs[dir]; d != nil {
			l.written(d, ev.Has(fsnotify.Create) && podlogs.IsLive(name))
		}
	}
}

// lost is called when events were lost, or the instance has an error.
func (l *loop) lost(err error) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		l.stats.overflows.Add(1)
		l.warnOnce("overflow").Str("hint", "if this repeats, raise it: sysctl fs.inotify.max_queued_events").
			Msg("inotify event queue overflowed; sweeping now")
	} else {
		l.stats.watchErrors.Add(1)
		l.warnOnce("lost").Err(err).Msg("inotify error; sweeping now")
	}
	l.Sweep(CauseOverflow)
}

// openNotify opens the inotify instance if there is none.
func (l *loop) openNotify() {
	if l.notify != nil {
		return
	}
	n, err := l.open()
	if err != nil {
		l.stats.watchErrors.Add(1)
		l.warnOnce("open").Err(err).Str("hint", "raise it: sysctl fs.inotify.max_user_instances").
			Msg("cannot open an inotify instance; falling back to the periodic sweep")
		return
	}
	l.notify = n
}

func (l *loop) closeNotify() {
	if l.notify != nil {
		_ = l.notify.Close() // nothing was written
		l.notify = nil
	}
}

// reopenPause is between the end of an inotify instance and the sweep that opens
// the next: instances that end at once must not keep the loop busy.
const reopenPause = time.Second

// closed is called when the inotify instance was closed by an error.
func (l *loop) closed() {
	l.closeNotify()
	for _, p := range l.pods {
		p.watch.on = false
	}
	for _, d := range l.dirs {
		d.watch.on = false
	}
	l.stats.watchErrors.Add(1)
	l.warnOnce("closed").Msg("inotify instance was closed; sweeping soon")
	time.AfterFunc(reopenPause, func() { l.Sweep(CauseOverflow) })
}

// watch is an inotify watch.
type watch struct {
	on bool
	// dev and inode are the directory's when the watch was put on.
	dev, inode uint64
}

// watch puts a watch on the directory that has the name now. That may be another
// one than before, which is no longer watched then.
func (l *loop) watch(rel string, w *watch) {
	if l.notify == nil {
		return
	}
	stat := unix.Lstat
	if rel == "" { // podLogsDir may be a link, and point elsewhere by now
		stat = unix.Stat
	}
	var st unix.Stat_t
	if stat(l.scanner.path(rel), &st) != nil || st.Ino != w.inode || st.Dev != w.dev {
		l.unwatch(rel, w)
	}
	err := l.notify.Add(l.scanner.path(rel))
	if err == nil {
		*w = watch{true, st.Dev, st.Ino}
		return
	}
	l.unwatch(rel, w)
	if isGone(err) {
		return
	}
	l.stats.watchErrors.Add(1)
	problem, hint := "watch "+rel, "the directory is checked at each sweep"
	if errors.Is(err, unix.ENOSPC) { // for this one and for all others
		problem, hint = "watches", "raise it: sysctl fs.inotify.max_user_watches"
	}
	l.warnOnce(problem).Err(err).Str("dir", l.scanner.path(rel)).Str("hint", hint).
		Msg("cannot add inotify watch; falling back to the periodic sweep")
}

// unwatch removes a watch. The kernel may have done so: it removes that of a
// directory that is removed.
func (l *loop) unwatch(rel string, w *watch) {
	if w.on && l.notify != nil {
		_ = l.notify.Remove(l.scanner.path(rel))
	}
	w.on = false
}

// problem logs once that a directory or its live log cannot be read.
func (l *loop) problem(what, rel string, err error) {
	l.warnOnce(what+" "+rel).Err(err).Str("dir", l.scanner.path(rel)).Str("op", what).
		Msg("cannot read a log directory; retrying at each sweep")
}

// warnOnce returns the log line for a problem; nil if it was logged already. A
// problem is solved when two sweeps in a row have not seen it.
func (l *loop) warnOnce(problem string) *zerolog.Event {
	_, known := l.warned[problem]
	l.warned[problem] = l.sweep.number
	if known {
		return nil
	}
	return l.cfg.Log.Warn()
}

func parent(rel string) string {
	i := strings.LastIndexByte(rel, '/')
	return rel[:max(i, 0)]
}
