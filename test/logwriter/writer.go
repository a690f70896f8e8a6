package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/logwatch/logwatch/internal/linecheck"
)

const (
	// batch is the number of bytes per write(2): half of a pipe's usual 64 KiB, so
	// that a reader can empty one half while the other fills.
	batch = 32 << 10
	// longLine is the width of a -long-every line: containerd and CRI-O split lines
	// at 16 KiB, so it is logged in two parts.
	longLine = 20 << 10
	// catchUp is the maximum time that a delayed writer makes up for. More would be a
	// large burst after a restart of the runtime, which -rate must prevent.
	catchUp = time.Second
	// minSleep keeps a fast writer from waking up for every line.
	minSleep = time.Millisecond
)

type options struct {
	rate           int64         // bytes per second; 0: no limit
	line           int           // bytes, without the newline
	lines          uint64        // 0: no end
	stderrEvery    uint64        // 0: never
	longEvery      uint64        // 0: never
	on, off        time.Duration // both 0: no bursts
	noFinalNewline bool
}

func (o options) check() error {
	switch {
	case o.rate < 0:
		return fmt.Errorf("invalid -rate %d; must be 0 (no limit) or bytes per second", o.rate)
	case o.line <= 0:
		return fmt.Errorf("invalid -line %d; must be at least 1", o.line)
	case o.on < 0 || o.off < 0 || (o.on == 0) != (o.off == 0):
		return fmt.Errorf("-on %s -off %s: specify both as positive durations, or neither", o.on, o.off)
	case o.noFinalNewline && o.lines == 0:
		return errors.New("-no-final-newline requires -lines")
	}
	return nil
}

// stream is one of the two outputs, with its own numbers.
type stream struct {
	name string
	out  io.Writer
	seq  uint64 // of the last line
	buf  []byte // whole lines only
}

func (s *stream) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	_, err := s.out.Write(s.buf)
	s.buf = s.buf[:0]
	if err != nil {
		return fmt.Errorf("write %s up to line %d: %w", s.name, s.seq, err)
	}
	return nil
}

type writer struct {
	options
	stdout, stderr *stream

	since time.Time // begin of written
	// written is the number of bytes since then, which -rate limits.
	written int64
	burst   time.Time // when the current burst began
}

func newWriter(o options, stdout, stderr io.Writer) *writer {
	return &writer{
		options: o,
		stdout:  &stream{name: "stdout", out: stdout},
		stderr:  &stream{name: "stderr", out: stderr},
	}
}

// run writes all lines, or up to the current one when ctx ends.
func (w *writer) run(ctx context.Context) error {
	w.since = time.Now()
	w.burst = w.since
	for n := uint64(1); (w.lines == 0 || n <= w.lines) && ctx.Err() == nil; n++ {
		if err := w.writeLine(n); err != nil {
			return err
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	return w.flush()
}

// writeLine adds line n, counted over both streams, to its stream's batch.
func (w *writer) writeLine(n uint64) error {
	s := w.stdout
	if every(w.stderrEvery, n) {
		s = w.stderr
	}
	width := w.line
	if every(w.longEvery, n) {
		width = max(width, longLine)
	}
	before := len(s.buf)
	s.seq++
	s.buf = linecheck.AppendLine(s.buf, s.name, s.seq, width)
	if !w.noFinalNewline || n != w.lines {
		s.buf = append(s.buf, '\n')
	}
	w.written += int64(len(s.buf) - before)
	if len(s.buf) < batch {
		return nil
	}
	return s.flush()
}

// wait delays the writer as -rate, -on and -off specify.
func (w *writer) wait(ctx context.Context) error {
	if w.rate == 0 && w.on == 0 {
		return nil
	}
	now := time.Now()
	if w.on > 0 && now.Sub(w.burst) >= w.on {
		if err := w.sleep(ctx, w.off); err != nil {
			return err
		}
		w.burst = time.Now()
		w.since, w.written = w.burst, 0
		return nil
	}
	if w.rate == 0 {
		return nil
	}
	due := w.since.Add(time.Duration(float64(w.written) / float64(w.rate) * float64(time.Second)))
	switch ahead := due.Sub(now); {
	case ahead >= minSleep:
		return w.sleep(ctx, ahead)
	case ahead < -catchUp:
		w.since, w.written = now, 0
	}
	return nil
}

// sleep flushes all batches and waits for d.
func (w *writer) sleep(ctx context.Context, d time.Duration) error {
	if err := w.flush(); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

func (w *writer) flush() error {
	return errors.Join(w.stdout.flush(), w.stderr.flush())
}

func every(k, n uint64) bool { return k > 0 && n%k == 0 }
