package agent

import (
	"time"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/watcher"
)

// sweepAge has a live log rotated whose oldest line is older than its policy's
// MaxAge, so that it can go; without, a quiet container's lines would stay for
// ever. Called from the sweep alone.
func (d *Daemon) sweepAge(c cri.Container, dir, log string, size int64) {
	maxAge := d.effective(dir).MaxAge
	if maxAge <= 0 || size == 0 {
		return
	}
	now := time.Now()
	// It is read again only when it could be old: a rotation makes it younger, and
	// nothing makes it older.
	if now.Sub(d.oldest[c.ID]) <= maxAge {
		return
	}
	first, err := d.readFirst(dir, log)
	if err != nil || first.IsZero() {
		return // empty, or damaged: nothing that has an age
	}
	d.oldest[c.ID] = first
	if now.Sub(first) > maxAge {
		d.due(watcher.Due{Dir: dir, Log: log, Cause: watcher.CauseAge, Size: size, Limit: size})
	}
}

// readFirst returns the time of a live log's first line; zero if there is none.
func (d *Daemon) readFirst(dir, log string) (time.Time, error) {
	f, err := podlogs.OpenLog(d.fs, dir, log)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	line, err := crilog.NewReader(f).Next()
	return line.Time, err
}
