package readers

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// directory is what is known of a container's directory.
type directory struct {
	id       podlogs.ID
	modified time.Time    // when live was found; zero: it may have changed since
	live     string       // the name of the newest live log; empty: none
	last     podlogs.Stat // of the live log
}

// mtimeStep is the resolution of modification times: a change within the same step as the one
// before it is not seen.
const mtimeStep = 20 * time.Millisecond

// view is a container's directory as a call finds it.
type view struct {
	dir      string
	modified time.Time
	settled  bool         // no change is possible that modified does not show
	live     podlogs.Stat // the newest live log; zero: none
	timeout  time.Duration

	// Set for Followers.
	commands map[string]int // of readers: the most containers that one process has followed
	most     int
	all      int // containers with a directory
}

// views returns how to look into containers' directories, once into each.
func (t *Tracker) views() func(dir string) view {
	known := map[string]view{}
	return func(dir string) view {
		v, ok := known[dir]
		if !ok {
			v = t.look(dir)
			known[dir] = v
		}
		return v
	}
}

// known returns v for its own directory, and for another what the last look found: each list of a
// process's descriptors asks for all of its directories.
func (t *Tracker) known(v view) func(dir string) view {
	return func(dir string) view {
		if dir == v.dir {
			return v
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		return view{dir: dir, live: t.dirs[dir].last, timeout: t.timeout}
	}
}

// look finds the newest live log of a container. Its directory is listed only when it has changed.
func (t *Tracker) look(dir string) view {
	v := view{dir: dir}
	t.mu.Lock()
	d, ok := t.dirs[dir]
	v.timeout = t.timeout
	t.mu.Unlock()
	path := t.podLogsDir + "/" + dir
	at, err := podlogs.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || !at.Dir {
		return v
	}
	v.modified, v.settled = at.Modified, time.Since(at.Modified) > mtimeStep
	if !ok || d.id != at.ID || !d.modified.Equal(at.Modified) {
		d = directory{id: at.ID, live: newestLive(t.podLogsDir, dir)}
		if v.settled {
			d.modified = at.Modified
		}
	}
	if d.live != "" {
		st, err := podlogs.Statx(unix.AT_FDCWD, path+"/"+d.live, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && st.Regular {
			v.live = st
		}
	}
	d.last = v.live
	t.mu.Lock()
	t.dirs[dir] = d
	t.mu.Unlock()
	return v
}

func newestLive(podLogsDir, dir string) string {
	d, err := podlogs.At(podLogsDir).OpenDir(dir)
	if err != nil {
		return ""
	}
	defer d.Close() //nolint:errcheck // opened for reading
	var newest podlogs.Name
	for n := range podlogs.Names(d, &err) {
		if n.Kind == podlogs.Live && n.Compare(newest) > 0 {
			newest = n
		}
	}
	return newest.Base
}

// exist returns the log files of a container that exist, of those in question.
func (t *Tracker) exist(dir string, wanted func(podlogs.ID) bool) (found map[podlogs.ID]bool, err error) {
	d, err := podlogs.At(t.podLogsDir).OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	found = map[podlogs.ID]bool{}
	for n := range podlogs.Names(d, &err) {
		if st, err := d.Stat(n.String()); err == nil && wanted(st.ID) {
			found[st.ID] = true
		}
	}
	return found, err
}
