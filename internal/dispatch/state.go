package dispatch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/rotator"
)

// Problem is why a container's log could not be rotated, or housekeeping failed.
type Problem struct {
	Time time.Time
	Text string
}

func problemOf(err error) *Problem {
	return &Problem{Time: time.Now(), Text: strings.ReplaceAll(err.Error(), "\n", "; ")}
}

// Backlog is what housekeeping could not do yet.
type Backlog struct{ Files, Bytes int64 }

// state is what is remembered of a directory to be shown.
type state struct {
	id           string // the container that logs there
	seen         time.Time
	rotations    uint64
	last         *Finished // FinalSize is that at the exchange until it is closed
	rotatedAt    time.Time
	rotating     *Problem // why the last rotation failed; nil: it did not
	housekeeping *Problem
	skipped      error
	fallback     string
	waiting      *Waiting // nil: no rotation waits for a log reader
	backlog      Backlog

	// size is the live log's at the last sweep or rotation; past is what was
	// written before it, and base what was there at first.
	size, past, base int64
	written          int64
	sized            time.Time
	rate             float64

	first   time.Time // of the live log's first line, of firstID
	firstID string

	oldest   string // what oldestAt is of
	oldestAt time.Time
}

// become notes which container logs there. What the one before it had in its live
// log stays counted.
func (s *state) become(id string) {
	if s.id != id && s.id != "" {
		s.past += s.size
		s.size = 0
	}
	s.id = id
}

// noteRotated takes in a rotation that was done.
func (d *Dispatcher) noteRotated(r Rotated) {
	e, _ := d.Policy(r.Due.Dir)
	interval := d.minInterval(r.Due.Dir, e.MinInterval)
	early := false
	d.with(r.Due.Dir, func(c *container) {
		s := &c.state
		s.become(r.Container.ID)
		s.past += r.Size
		s.size = 0
		s.rotations++
		s.rotating = nil
		early = bySize(r.Due.Cause) && !s.rotatedAt.IsZero() && r.Time.Sub(s.rotatedAt) < interval
		s.last, s.rotatedAt = &Finished{Rotated: r, FinalSize: r.Size}, r.Time
	})
	if early {
		d.o.Metrics.ForcedInterval.Inc()
	}
}

// sinceRotation is the time since a directory's last rotation.
func (d *Dispatcher) sinceRotation(dir string) (since time.Duration) {
	d.with(dir, func(c *container) { since = time.Since(c.state.rotatedAt) })
	return since
}

// noteSize takes in a live log's size, in bytes.
func (d *Dispatcher) noteSize(dir, id string, size int64) {
	d.with(dir, func(c *container) {
		s := &c.state
		s.become(id)
		if s.sized.IsZero() {
			s.base = size - s.past
		}
		before, at := s.written, s.sized
		s.size, s.sized = size, s.seen
		s.written = max(before, s.past+size-s.base) // a truncated log does not make it smaller
		if elapsed := s.sized.Sub(at).Seconds(); !at.IsZero() && elapsed > 0 {
			s.rate = float64(s.written-before) / elapsed
		}
	})
}

// noteHousekeeping takes in the result of a housekeeping run.
func (d *Dispatcher) noteHousekeeping(dir string, rep rotator.Report, err error) {
	var left Backlog
	if err != nil || rep.Busy > 0 {
		left = d.leftOver(dir)
	}
	began := false
	d.with(dir, func(c *container) {
		c.state.backlog = left
		began = err != nil && c.state.housekeeping == nil
		c.state.housekeeping = nil
		if err != nil {
			c.state.housekeeping = problemOf(err)
		}
	})
	if began {
		d.o.Failed(Failed{Dir: dir, Housekeeping: true, Err: err})
	}
}

// leftOver is what there is to do in a directory now.
func (d *Dispatcher) leftOver(dir string) (b Backlog) {
	files, _ := podlogs.ListDir(d.fs, dir, maxListed) // what cannot be listed is not counted
	p, known := d.policy(dir)
	if !known {
		return b
	}
	steps, _ := rotator.Plan(files, p, time.Now())
	for _, step := range steps {
		b.Files++
		b.Bytes += max(0, step.Size)
	}
	return b
}

// maxListed bounds the listing of one directory.
const maxListed = 1 << 14

// Container is the state of one container's directory.
type Container struct {
	Policy policy.Effective
	// Size is the live log's; Total is that of all logs, unfinished temps included;
	// Files is how many there are, without temps. Sizes are in bytes.
	Size, Total int64
	Files       int
	// Written is what was logged since the daemon first saw the container, in
	// bytes; Rate is of the time between the last two sweeps, in bytes a second.
	Written int64
	Rate    float64
	// Rotations is since the daemon first saw the directory.
	Rotations uint64
	Last      *Finished // FinalSize is that at the exchange until it is closed
	Problem   *Problem  // one that lasts; nil: none
	Skipped   error     // why the log is not rotated; nil: it is
	// Lag is what the slowest log reader has not read, in bytes; -1: there is none.
	Lag      int64
	Waiting  *Waiting // the log reader that a rotation waits for; nil: none
	Fallback string   // why the last rotation was a rename; "": it was an exchange
	// OldestLine is when the first line was logged that is kept; zero if unknown,
	// or not requested.
	OldestLine time.Time
}

// Describe returns the state of a directory: one listing, and with oldest the first
// line of one file, once for each generation.
func (d *Dispatcher) Describe(dir, log string, oldest bool) Container {
	e, _ := d.Policy(dir)
	out := Container{Policy: e}
	files, _ := podlogs.ListDir(d.fs, dir, maxListed) // what cannot be listed is a Problem
	for _, f := range files {
		if !f.Regular {
			continue
		}
		out.Total += f.Size
		if f.Kind != podlogs.Temp {
			out.Files++
		}
		if f.Kind == podlogs.Live && f.Base == log {
			out.Size = f.Size
		}
	}
	out.Lag = d.lag(dir, files)
	if oldest {
		out.OldestLine = d.oldestLine(dir, files)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.containers[dir]; c != nil {
		s := &c.state
		out.Written, out.Rate, out.Rotations, out.Last = s.written, s.rate, s.rotations, s.last
		out.Problem, out.Skipped, out.Waiting, out.Fallback = cmp.Or(s.rotating, s.housekeeping), s.skipped, s.waiting, s.fallback
	}
	return out
}

// oldestLine is the time of the first line that is kept; zero if it is unknown.
func (d *Dispatcher) oldestLine(dir string, files []podlogs.File) time.Time {
	i := slices.IndexFunc(files, func(f podlogs.File) bool { return f.Regular && f.Kind != podlogs.Temp })
	if i < 0 {
		return time.Time{}
	}
	oldest := files[i]
	var key, known string
	var at time.Time
	d.with(dir, func(c *container) {
		// A generation keeps its first line whatever it is compressed to; a live
		// log does so until it is rotated.
		key = oldest.Base + oldest.Stamp.String()
		if oldest.Kind == podlogs.Live {
			key = fmt.Sprintf("%s %d", oldest.Base, c.state.rotations)
		}
		known, at = c.state.oldest, c.state.oldestAt
	})
	if known == key {
		return at
	}
	looked := d.look(dir)
	at, _ = d.firstLine(dir, oldest.Name.String(), oldest.Inode)
	looked()
	if at.IsZero() && oldest.Kind == podlogs.Live {
		return at // empty: it may have a line next time
	}
	d.with(dir, func(c *container) { c.state.oldest, c.state.oldestAt = key, at })
	return at
}

// Totals are the counts of a Dispatcher since it was created, and its state now.
type Totals struct {
	Rotations, Failures, Rejected uint64
	Skipped, Fallbacks, Waiting   int // containers now
	Backlog                       Backlog
}

// Totals returns them.
func (d *Dispatcher) Totals() Totals {
	t := Totals{Rotations: d.rotated.Load(), Failures: d.failures.Load(), Rejected: d.rejected.Load()}
	t.Skipped = d.skippedNow()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.containers {
		t.Backlog.Files += c.state.backlog.Files
		t.Backlog.Bytes += c.state.backlog.Bytes
		if c.state.fallback != "" {
			t.Fallbacks++
		}
		if c.state.waiting != nil {
			t.Waiting++
		}
	}
	return t
}

// skippedNow returns how many running containers' logs are not rotated.
func (d *Dispatcher) skippedNow() (n int) {
	for _, c := range d.o.Inventory.Running() {
		if d.WhySkipped(c) != nil {
			n++
		}
	}
	return n
}

// WhySkipped returns why a running container's log is not rotated; nil: it is, or
// its log path is being looked up.
func (d *Dispatcher) WhySkipped(c cri.Container) error {
	if !c.Resolved {
		return c.Err
	}
	dir, _, err := podlogs.SplitPath(d.o.PodLogsDir, c.LogPath)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.containers[dir]; e != nil {
		return e.state.skipped
	}
	return nil
}
