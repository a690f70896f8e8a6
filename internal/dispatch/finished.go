package dispatch

import (
	"errors"
	"slices"
	"time"

	"github.com/logwatch/logwatch/rotator"
)

// Finished is a rotated log that its runtime has closed.
type Finished struct {
	// Rotated has the log's size at the exchange.
	Rotated
	// FinalSize includes what the runtime wrote after the exchange, in bytes.
	FinalSize int64
	// Splits is how many lines continue in the next log.
	Splits int
}

// Overshoot is by how many bytes the finished log is past the limit of its rotation;
// below zero: it is smaller. 0 for causes that have no limit (age, pressure, operator).
func (f Finished) Overshoot() int64 {
	if !bySize(f.Due.Cause) {
		return 0
	}
	return f.FinalSize - f.Due.Limit
}

// Late is how many bytes the runtime wrote after the exchange.
func (f Finished) Late() int64 { return f.FinalSize - f.Size }

const (
	// maxUnfinished bounds how many rotated logs of a container are remembered until
	// they are closed. There is one, unless the runtime leaves logs open.
	maxUnfinished = 8
	// finishPause is until a rotated log that is open is checked again. It grows with
	// the time since the rotation.
	finishPause    = 100 * time.Millisecond
	maxFinishPause = 10 * time.Second
)

// unfinished remembers a rotation until its log is closed. One that was undone, and
// whose log is rotated now, is replaced.
func (d *Dispatcher) unfinished(r Rotated) {
	d.with(r.Due.Dir, func(c *container) {
		c.unfinished = slices.DeleteFunc(c.unfinished, func(old Rotated) bool { return old.Inode == r.Inode })
		c.unfinished = append(c.unfinished, r)
		c.unfinished = slices.Delete(c.unfinished, 0, max(0, len(c.unfinished)-maxUnfinished))
	})
}

// finishRotated takes in the rotated logs of a directory that have been closed. One
// that was compressed or removed before is not counted.
func (d *Dispatcher) finishRotated(dir string) {
	var rotated []Rotated
	d.with(dir, func(c *container) { rotated = slices.Clone(c.unfinished) })
	for _, r := range rotated {
		looked, read := d.look(dir), d.accesses.ignore(r.Inode)
		end, err := d.rotator.Finished(dir, r.To)
		read()
		looked()
		if errors.Is(err, rotator.ErrBusy) {
			d.prunes.AddAfter(dir, min(max(finishPause, time.Since(r.Time)/10), maxFinishPause))
			continue
		}
		first := false // of a prune and a compression at the same time
		d.with(dir, func(c *container) {
			before := len(c.unfinished)
			c.unfinished = slices.DeleteFunc(c.unfinished, func(u Rotated) bool { return u.Inode == r.Inode })
			first = len(c.unfinished) < before
		})
		if first && err == nil && end.Inode == r.Inode {
			d.noteFinished(Finished{Rotated: r, FinalSize: end.Size, Splits: end.Splits})
		}
	}
}

// noteFinished counts and shows a finished log.
func (d *Dispatcher) noteFinished(f Finished) {
	m := d.o.Metrics
	if bySize(f.Due.Cause) {
		m.Overshoot.Observe(float64(f.Overshoot()))
	}
	m.LateBytes.Add(float64(max(0, f.Late())))
	m.SplitRecords.Add(float64(f.Splits))
	d.with(f.Due.Dir, func(c *container) {
		s := &c.state
		if s.last != nil && s.last.Inode == f.Inode && s.last.To == f.To {
			s.last = &f
			s.past += f.Late()
		}
	})
	named(d.log.Debug(), f.Container).Str("file", f.To).Int64("size", f.FinalSize).Int64("overshoot", f.Overshoot()).
		Int64("late", f.Late()).Int("splits", f.Splits).Msg("rotated log is finished")
	d.o.Finished(f)
}
