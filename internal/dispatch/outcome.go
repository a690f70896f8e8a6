package dispatch

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/rotator"
)

// Answers to an operator's request for a rotation.
const (
	AnswerRotated        = "rotated"
	AnswerReopened       = "reopened"        // the live log was missing, and is there again
	AnswerEmpty          = "empty"           // there is nothing to rotate
	AnswerAlreadyRotated = "already_rotated" // in the meantime, for another cause
	AnswerStopped        = "stopped"         // the container is not running
	AnswerFailed         = "failed"          // Err says why
)

// Answer is the result of a rotation that an operator asked for.
type Answer struct {
	Result string
	rotator.Rotation
	Err error
}

const (
	firstRetry = time.Second
	maxRetry   = time.Minute
	// hangPause gives a runtime that hangs the time to do what it was asked: on
	// CRI-O a second reopen behind the first truncates the new log.
	hangPause = 10 * time.Second
)

// outcome is what an attempt's error leads to.
type outcome struct {
	// is are the errors that it is for: all of them. None: any error.
	is []error
	// result and reopen are label values; reopen "": the reopen did not fail.
	result, reopen string
	// retry is the first pause before the next request; each further failure
	// doubles it. 0: no retry, something else will request the rotation again.
	retry time.Duration
	// hangs: the runtime may still carry out the reopen.
	hangs bool
	// stopped: the container is known not to run.
	stopped bool
	// skip: the log is not rotated, and is reported as skipped.
	skip bool
	// message is logged once per container; "": the outcome is not a problem.
	message string
	answer  string
}

// outcomes is the table, the first row that matches counts.
var outcomes = []outcome{
	{is: []error{rotator.ErrNotDue}, result: telemetry.ResultNotDue, answer: AnswerAlreadyRotated},
	{is: []error{cri.ErrNotRunning}, result: telemetry.ResultNotRunning, stopped: true, answer: AnswerStopped},
	{is: []error{rotator.ErrNotRunning}, result: telemetry.ResultNotRunning, reopen: telemetry.ReopenNotRunning, stopped: true, answer: AnswerStopped},
	{is: []error{fs.ErrNotExist}, result: telemetry.ResultNotRunning, answer: AnswerStopped},
	{is: []error{podlogs.ErrNotRegular}, result: telemetry.ResultNotRegular, skip: true, answer: AnswerFailed},
	{
		is: []error{rotator.ErrRefused}, result: telemetry.ResultRefused, reopen: telemetry.ReopenRefused, retry: firstRetry, answer: AnswerFailed,
		message: "runtime refused to reopen the log; retrying",
	},
	{
		is: []error{rotator.ErrUnanswered, context.DeadlineExceeded}, result: telemetry.ResultUnanswered, reopen: telemetry.ReopenTimeout,
		retry: hangPause, hangs: true, answer: AnswerFailed,
		message: "runtime has not reopened the log; still writing to the rotated file; retrying",
	},
	{
		is: []error{cri.ErrNotSent}, result: telemetry.ResultUnanswered, reopen: telemetry.ReopenUnanswered, retry: firstRetry, answer: AnswerFailed,
		message: "runtime has not reopened the log; still writing to the rotated file; retrying",
	},
	{ // it was sent, and conmon outlives the runtime: it may act yet
		is: []error{rotator.ErrUnanswered}, result: telemetry.ResultUnanswered, reopen: telemetry.ReopenUnanswered,
		retry: hangPause, hangs: true, answer: AnswerFailed,
		message: "runtime has not reopened the log; still writing to the rotated file; retrying",
	},
	{
		is: []error{errUnidentified}, result: telemetry.ResultUnknown, answer: AnswerFailed,
		message: "cannot identify the container for a log; will retry",
	},
	{is: []error{errUnknown}, result: telemetry.ResultUnknown, answer: AnswerFailed},
	{result: telemetry.ResultFailed, retry: firstRetry, answer: AnswerFailed, message: "rotation failed; retrying"},
}

// outcomeOf returns the row for an error; the zero outcome for nil.
func outcomeOf(err error) outcome {
	if err == nil {
		return outcome{result: telemetry.ResultRotated, answer: AnswerRotated}
	}
	for _, o := range outcomes {
		matches := true
		for _, is := range o.is {
			matches = matches && errors.Is(err, is)
		}
		if matches {
			return o
		}
	}
	return outcome{} // the last row matches any error
}

// answer sends the result to the operators.
func (w want) answer(a Answer) {
	for _, op := range w.operators {
		if op.log != w.Log {
			op.answer(Answer{Result: AnswerStopped}) // the container was restarted
			continue
		}
		op.answer(a)
	}
}

// report logs, counts and shows the result of an attempt.
func (d *Dispatcher) report(w want, c cri.Container, done rotator.Rotation, o outcome, err error) {
	answer := Answer{Result: o.answer, Rotation: done, Err: err}
	if err == nil && done.To == "" {
		o.result, answer.Result = telemetry.ResultReopened, AnswerReopened
	}
	d.o.Metrics.Rotations.WithLabelValues(string(w.Cause), o.result).Inc()
	if o.reopen != "" {
		d.o.Metrics.ReopenFailures.WithLabelValues(o.reopen).Inc()
	}
	r := Rotated{Time: time.Now(), Container: c, Due: w.Due, Rotation: done}
	if done.To != "" {
		d.unfinished(r)
	}
	switch {
	case err == nil:
		d.done(r)
	case o.skip:
		d.skip(w.Dir, c, err)
	case o.message != "":
		d.failed(w, c, o, err)
	default:
		d.with(w.Dir, func(e *container) { e.state.rotating = nil })
	}
	w.answer(answer)
}

// done records a rotation, or a live log that was reopened.
func (d *Dispatcher) done(r Rotated) {
	dir := r.Due.Dir
	if d.warn.Clear("rotate " + dir) {
		named(d.log.Info(), r.Container).Str("dir", dir).Msg("log is rotated again")
	}
	ev := named(d.log.Info(), r.Container).Str("cause", string(r.Due.Cause)).Dur("duration_ms", r.Took)
	switch {
	case r.Returned:
		ev.Msg("restored the live log's name; the runtime still writes to it")
	case r.To == "":
		d.with(dir, func(e *container) { e.state.rotating = nil })
		ev.Msg("reopened a missing live log")
	default:
		d.o.Metrics.Rotation.Observe(r.Took.Seconds())
		d.noteFallback(dir, r.Fallback)
		d.noteRotated(r)
		d.rotated.Add(1) // then the container's state shows it
		ev.Int64("size", r.Size).Str("to", r.To).Msg("rotated")
	}
	d.o.Rotated(r)
}

// failed records a problem that lasts until the next rotation succeeds.
func (d *Dispatcher) failed(w want, c cri.Container, o outcome, err error) {
	d.failures.Add(1)
	d.warn.Do("rotate "+w.Dir, func() {
		named(d.log.Warn(), c).Err(err).Str("dir", w.Dir).Str("cause", string(w.Cause)).Dur("retryAfter", o.retry).Msg(o.message)
	})
	began := false
	d.with(w.Dir, func(e *container) {
		began = e.state.rotating == nil
		e.state.rotating = problemOf(err)
	})
	if began {
		d.o.Failed(Failed{Dir: w.Dir, Cause: w.Cause, Err: err})
	}
}

// skip records that a log is not rotated; dir "": its path is not below podLogsDir.
func (d *Dispatcher) skip(dir string, c cri.Container, why error) {
	d.warn.Do("skip "+c.ID, func() {
		named(d.log.Warn(), c).Err(why).Str("path", c.LogPath).Str("podLogsDir", d.o.PodLogsDir).Msg("skipping container log")
	})
	if dir != "" {
		d.with(dir, func(e *container) { e.state.skipped = why })
	}
}

// noteFallback warns once, until it changes, that a directory's rotations cannot use
// the exchange.
func (d *Dispatcher) noteFallback(dir string, why error) {
	reason := fallbackReason(why)
	d.with(dir, func(e *container) { e.state.fallback = reason })
	if why == nil {
		d.warn.Clear("fallback " + dir)
		return
	}
	d.o.Metrics.RotationFallbacks.WithLabelValues(reason).Inc()
	d.warn.Do("fallback "+dir, func() {
		d.log.Warn().Err(why).Str("dir", dir).Str("reason", reason).Msg("rotating by rename; the live log is absent until the runtime has reopened it")
	})
}

// fallbackReason is the label value for why a live log was renamed instead of
// exchanged; "": it was exchanged.
func fallbackReason(why error) string {
	switch {
	case why == nil:
		return ""
	case errors.Is(why, podlogs.ErrLeaseUnsupported):
		return telemetry.FallbackLease
	case errors.Is(why, unix.ENOSPC), errors.Is(why, unix.EDQUOT):
		return telemetry.FallbackNoSpace
	case errors.Is(why, unix.EINVAL), errors.Is(why, unix.ENOSYS), errors.Is(why, unix.EOPNOTSUPP):
		return telemetry.FallbackExchange
	}
	return telemetry.FallbackCreate
}
