package readers

import (
	"math"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// successor is what a dead process's place may be taken by.
type successor struct {
	command string
	started uint64
	first   time.Time // when it was found
	live    bool      // has the container's live log open
}

// maxHandover is how long before its predecessor's end a process that replaces it may have been
// found, as in a rolling update with a surge. One that ran for longer is another collector.
const maxHandover = 3 * time.Minute

// succeeds reports whether s continues the work of p.
func (s successor) succeeds(p *process) bool {
	return s.command == p.command && s.started > p.started && s.first.After(p.died.Add(-maxHandover))
}

// follower returns the process as a reader of a container; nil if it is not one. exited reports
// that it is dead: see deadFollower.
func (p *process) follower(t *Tracker, v view, maxAge time.Duration) (f *Follower, s successor, exited bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.died.IsZero() {
		p.refresh(t, v, maxAge, now)
		now = time.Now()
	}
	if !p.died.IsZero() {
		return nil, s, true
	}
	s = successor{command: p.command, started: p.started, first: p.first, live: p.open[v.live.ID] != nil}
	fl := p.follows[v.dir]
	switch {
	case fl == nil || fl.since.IsZero():
		if !v.expects(p.command) {
			return nil, s, false
		}
		if fl == nil {
			fl = &follow{asked: now}
			p.follows[v.dir] = fl
		}
		if now.Sub(fl.asked) > v.timeout {
			return nil, s, false
		}
		return p.expected(fl.asked), s, false
	case !p.counts(fl, v, now), now.Sub(fl.progress) > v.timeout, p.command == kubelet && len(fl.files) == 0:
		return nil, s, false
	}
	return p.result(t, fl, v, now), s, false
}

// expected returns the process as one that has not opened a log of the container yet.
func (p *process) expected(progress time.Time) *Follower {
	since := p.since
	if since.IsZero() {
		since = p.first
	}
	return &Follower{
		PID: p.pid, Command: p.command, Dead: !p.died.IsZero(), Expected: true, Since: since, Progress: progress,
	}
}

// result returns the process as a reader of the container.
func (p *process) result(t *Tracker, fl *follow, v view, now time.Time) *Follower {
	f := &Follower{
		PID: p.pid, Command: p.command, Kubelet: p.command == kubelet, Dead: !p.died.IsZero(),
		Since: fl.since, Progress: fl.progress, Rate: fl.rate.at(now),
		Positions: make(map[uint64]int64, len(fl.files)), Stalled: map[uint64]int64{}, Closed: make(map[uint64]int64, len(fl.closed)),
	}
	p.forget(t, fl, v)
	for id, file := range fl.files {
		if dead := !p.died.IsZero(); dead || file.advances(now, v.timeout) {
			f.Positions[id.Inode] = max(0, file.pos)
		} else {
			f.Stalled[id.Inode] = max(0, file.pos)
		}
	}
	for id, pos := range fl.closed {
		f.Closed[id.Inode] = pos
	}
	return f
}

// forget drops files that are not open and no longer exist: another file may get their inode.
func (p *process) forget(t *Tracker, fl *follow, v view) {
	dead := !p.died.IsZero()
	if fl.checked.Equal(v.modified) || len(fl.closed) == 0 && !dead {
		return
	}
	found, err := t.exist(v.dir, func(id podlogs.ID) bool {
		_, closed := fl.closed[id]
		return closed || fl.files[id] != nil
	})
	if err != nil {
		return
	}
	for id := range fl.closed {
		if !found[id] {
			delete(fl.closed, id)
		}
	}
	if dead {
		for id := range fl.files {
			if !found[id] {
				delete(fl.files, id)
				delete(p.open, id)
			}
		}
	}
	if v.settled {
		fl.checked = v.modified
	}
}

// refresh reads the process's positions in a container's logs if they are older than maxAge.
func (p *process) refresh(t *Tracker, v view, maxAge time.Duration, now time.Time) {
	fl := p.follows[v.dir]
	looked := p.listed
	if fl != nil && (fl.looked.After(looked) || len(fl.files) == 0) { // a list does not judge those that are closed
		looked = fl.looked
	}
	if now.Sub(looked) <= maxAge {
		return
	}
	complete := fl == nil || p.reread(fl)
	if !complete && p.proc.exited() {
		p.exit(now)
		return
	}
	opens := v.live.Inode != 0 && p.open[v.live.ID] == nil // it may have opened the live log since
	if (opens || !complete) && now.Sub(p.listed) >= max(relistPause, relistShare*p.took) {
		if err := p.list(t, t.known(v)); gone(err) {
			p.exit(now)
			return
		}
		if fl = p.follows[v.dir]; fl != nil && !fl.looked.Before(p.listed) { // judged with the list
			return
		}
	}
	if fl != nil {
		p.judge(fl, v, time.Now())
	}
}

// deadFollower returns a dead process as a reader of a container; nil if it does not count.
func (p *process) deadFollower(t *Tracker, v view, successors []successor) *Follower {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.wasReader() || p.command == kubelet || now.Sub(p.died) > v.timeout {
		return nil
	}
	fl := p.follows[v.dir]
	opened := fl != nil && !fl.since.IsZero()
	for _, s := range successors {
		if !s.succeeds(p) || opened && !s.live {
			continue
		}
		if opened {
			fl.left = true
		}
		return nil
	}
	switch {
	case !opened && v.expects(p.command):
		return p.expected(p.died)
	case !opened || fl.left || p.since.IsZero() && len(fl.files) == 0:
		return nil
	}
	f := p.result(t, fl, v, now)
	if p.since.IsZero() {
		f.Since = time.Time{}
	}
	return f
}

// rate is the most that was read in a second recently.
type rate struct {
	value float64 // bytes/s at since
	since time.Time
	bytes int64 // read after since
}

const (
	// minRateTime is the shortest time over which a rate is computed: a shorter one shows
	// single reads.
	minRateTime = 250 * time.Millisecond
	rateDecay   = 10 * time.Second
)

// add counts bytes that were read up to now.
func (r *rate) add(bytes int64, now time.Time) {
	if r.since.IsZero() {
		r.since = now
		return
	}
	r.bytes += bytes
	elapsed := now.Sub(r.since)
	if elapsed < minRateTime {
		return
	}
	r.value = max(r.at(now), float64(r.bytes)/elapsed.Seconds())
	r.since, r.bytes = now, 0
}

// at returns the decayed rate.
func (r *rate) at(now time.Time) float64 {
	return r.value * math.Exp(-now.Sub(r.since).Seconds()/rateDecay.Seconds())
}
