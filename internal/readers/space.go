package readers

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// spaceTime is how long what is known of a mount namespace is used: something may be mounted in
// it later.
const spaceTime = time.Minute

// space is a mount namespace.
type space struct {
	sees bool // has podLogsDir, or a part of it, mounted
	at   time.Time
}

// place is where podLogsDir is: a path in a file system.
type place struct {
	device string // major:minor as in mountinfo; empty: unknown
	path   string // in the file system, escaped as in mountinfo
	at     time.Time
}

// escape writes a path as /proc/PID/mountinfo has it.
var escape = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)

// locate finds out where podLogsDir is.
func (t *Tracker) locate(now time.Time) {
	for namespace, s := range t.spaces {
		if now.Sub(s.at) > 2*spaceTime {
			delete(t.spaces, namespace)
		}
	}
	if now.Sub(t.place.at) < spaceTime {
		return
	}
	t.place = place{at: now}
	path, err := filepath.EvalSymlinks(t.podLogsDir)
	if err != nil {
		return
	}
	mounts, err := t.fs.GetMounts()
	if err != nil {
		return
	}
	path = escape.Replace(path)
	var point string
	for _, m := range mounts { // a later one covers an earlier one
		if within(path, m.MountPoint) && len(m.MountPoint) >= len(point) {
			point = m.MountPoint
			t.place.device, t.place.path = m.MajorMinorVer, filepath.Join(m.Root, strings.TrimPrefix(path, point))
		}
	}
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

// sees reports whether a process can open the logs by their path.
func (t *Tracker) sees(d procDir, pid int, now time.Time) (bool, error) {
	if t.place.device == "" {
		return true, nil
	}
	namespace, err := d.link("ns/mnt")
	if err != nil {
		return false, err
	}
	s, ok := t.spaces[namespace]
	if !ok || now.Sub(s.at) >= spaceTime {
		mounts, err := t.fs.GetProcMounts(pid)
		if err != nil {
			return true, nil // its descriptors say more
		}
		s = space{at: now, sees: t.place.seenBy(mounts)}
		t.spaces[namespace] = s
	}
	return s.sees, nil
}

func (p place) seenBy(mounts []*procfs.MountInfo) bool {
	for _, m := range mounts {
		if m.MajorMinorVer == p.device && (within(p.path, m.Root) || within(m.Root, p.path)) {
			return true
		}
	}
	return false
}
