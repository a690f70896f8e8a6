package dispatch

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/rotator"
)

// missedLog is a log that was rotated before its readers had opened it.
type missedLog struct {
	readers []string // their commands
	at      time.Time
}

// takeMissed forgets a log that was pruned, and returns the commands of the readers that
// missed it.
func (d *Dispatcher) takeMissed(dir string, inode uint64) (commands []string) {
	d.with(dir, func(c *container) {
		commands = c.missed[inode].readers
		delete(c.missed, inode)
	})
	return commands
}

// forgetMissed forgets the logs that are not listed, which another program removed: a new
// log may get their inode. One that was rotated just now may be missing in the list.
func (d *Dispatcher) forgetMissed(dir string, files []podlogs.File) {
	d.with(dir, func(c *container) {
		maps.DeleteFunc(c.missed, func(inode uint64, m missedLog) bool {
			listed := slices.ContainsFunc(files, func(f podlogs.File) bool { return f.Inode == inode && f.Kind == podlogs.Rotated })
			return !listed && time.Since(m.at) > missedLasts
		})
	})
}

// dead returns the readers of a directory that have exited. What they had read of a log is forgotten
// once it is removed.
func (d *Dispatcher) dead(dir string) (dead []readers.Follower) {
	if d.o.Readers == nil {
		return nil
	}
	return slices.DeleteFunc(d.o.Readers.Followers(dir, anyAge), func(f readers.Follower) bool { return !f.Dead })
}

// noteLost logs and counts what was removed before it was read. dead is of before the removal.
func (d *Dispatcher) noteLost(dir string, done []rotator.Step, dead []readers.Follower) {
	for _, s := range done {
		if s.Lost.Bytes == 0 {
			continue
		}
		followers := slices.DeleteFunc(d.o.Readers.Followers(dir, anyAge), func(f readers.Follower) bool { return f.Dead })
		missed := d.takeMissed(dir, s.Inode)
		behind := slices.Clone(missed)
		for _, f := range append(followers, dead...) {
			// One that missed it all may have a predecessor that has exited.
			if pos, ok := f.Open(s.Inode); ok && pos < s.Size && !f.Kubelet && !slices.Contains(missed, f.Command) {
				behind = append(behind, f.Command)
				d.o.Metrics.UnreadPruned.WithLabelValues(f.Command).Add(float64(min(s.Lost.Bytes, s.Size-pos)))
			}
		}
		if len(behind) == 0 { // see holdInUse
			missed = []string{unknownReader}
			behind = missed
		}
		for _, command := range missed {
			d.o.Metrics.UnreadPruned.WithLabelValues(command).Add(float64(s.Lost.Bytes))
		}
		slices.Sort(behind)
		d.o.Metrics.UnreadLinesPruned.Add(float64(s.Lost.Lines))
		by := strings.Join(slices.Compact(behind), ", ")
		hint := "raise unreadLogBudget if the disk has room"
		if s.Reason == rotator.ByPressure {
			hint = "free disk space, or raise nodeLogBudget if it is set"
		}
		d.log.Warn().Str("dir", dir).Str("file", s.Name.String()).Str("reason", string(s.Reason)).Str("readers", by).
			Int64("bytes", s.Lost.Bytes).Int64("lines", s.Lost.Lines).Time("from", s.Lost.From).Time("to", s.Lost.To).
			Str("hint", hint).Msg("pruned log lines that a log reader has not read")
		d.o.Failed(Failed{Dir: dir, Housekeeping: true, Err: errors.New(lostText(s.Lost, by))})
	}
}

// lostText describes what was pruned before the readers had read it.
func lostText(lost rotator.Lost, readers string) string {
	text := "pruned " + display.Plural(lost.Lines, "line")
	if !lost.From.IsZero() {
		text += fmt.Sprintf(", of %s to %s,", lost.From.Format(time.RFC3339), lost.To.Format(time.RFC3339))
	}
	return text + " not read by " + cmp.Or(readers, "a log reader")
}
