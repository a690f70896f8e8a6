package fake

import (
	"cmp"
	"time"
)

// Pattern is what a container writes: numbered lines (package internal/linecheck),
// counted by stream.
type Pattern struct {
	BytesPerSecond float64       // in the log's file; 0: no limit
	On, Off        time.Duration // writes for On, then is quiet for Off; Off 0: steady
	CatchUp        time.Duration // of a stall, what is written at once after it; 0: 100 ms
	LineBytes      int           // content of a line; 0: 120
	StderrEvery    int           // every k-th line is on stderr; 0: none
	LongEvery      int           // every k-th line is longer than 16 KiB, so that it is cut; 0: none
	Lines          uint64        // number of lines; 0: no limit. The container keeps running
}

const (
	maxBatch = 64 << 10 // bytes a write(2); larger writes gain nothing

	// Time between writes: short compared with a rotation, long compared with the cost
	// of waking up.
	minTick = time.Millisecond
	maxTick = 100 * time.Millisecond

	// catchUp is Pattern.CatchUp's default. A pipe bounds it by blocking the container.
	catchUp = 100 * time.Millisecond
)

// pace computes how much is due for writing.
type pace struct {
	rate  float64 // bytes a second; 0: no limit
	debt  time.Duration
	since time.Time
	sent  int64 // bytes before since
}

// due returns how many bytes are due now, after so many.
func (p *pace) due(now time.Time, sent int64) int {
	if p.rate == 0 {
		return maxBatch
	}
	want := p.rate*now.Sub(p.since).Seconds() - float64(sent-p.sent)
	if limit := p.rate * p.debt.Seconds(); want > limit && want > maxBatch {
		p.since, p.sent = now.Add(-p.debt), sent
		want = limit
	}
	return int(want)
}

// runPattern is the writer's goroutine; Exit ends it.
func (c *Container) runPattern() {
	p := c.spec.Writer
	line := float64(c.lines.pattern.LineBytes + len("2006-01-02T15:04:05.000000000Z stdout F \n"))
	tick := minTick
	if p.BytesPerSecond > 0 {
		tick = time.Duration(min(max(line/p.BytesPerSecond*1e9, float64(minTick)), float64(maxTick)))
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	at := pace{rate: p.BytesPerSecond, debt: cmp.Or(p.CatchUp, catchUp), since: start}
	for {
		select {
		case <-c.stop:
			return
		case <-timer.C:
		}
		now := time.Now()
		if wait := p.quiet(now.Sub(start)); wait > 0 {
			at.sent, at.since = c.pause(), now.Add(wait)
			timer.Reset(wait)
			continue
		}
		full, done := c.writeDue(&at, now)
		switch {
		case done:
			return
		case full:
			timer.Reset(0)
		default:
			timer.Reset(tick)
		}
	}
}

// quiet returns for how long the pattern is quiet after running for d.
func (p *Pattern) quiet(d time.Duration) time.Duration {
	if p.Off <= 0 || p.On <= 0 {
		return 0
	}
	cycle := p.On + p.Off
	if in := d % cycle; in >= p.On {
		return cycle - in
	}
	return 0
}

// pause records that nothing is in flight, and returns the pattern's bytes so far.
func (c *Container) pause() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flowing = false
	return c.lines.bytes
}

// writeDue writes the lines that are due, one batch at most. full: more are due at
// once.
func (c *Container) writeDue(at *pace, now time.Time) (full, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return false, true
	}
	limit := at.due(now, c.lines.bytes)
	if limit > 0 {
		c.lines.stampNow()
		c.buf = c.lines.fill(c.buf[:0], min(limit, maxBatch))
		// c.err keeps an error; the container continues, as a real one would.
		_ = c.putLocked(c.file, c.buf)
	}
	done = c.lines.done()
	c.flowing = !done
	return limit >= maxBatch, done
}
