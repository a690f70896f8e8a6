package rotator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRotateAnswers is what Rotate makes of a runtime's answers.
func TestRotateAnswers(t *testing.T) {
	type answer = func(ctx context.Context, do func()) error
	no := errors.New("answered: no")
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", ErrUnanswered, ctx.Err())
	}
	tests := map[string]struct {
		answer answer
		undo   bool
		err    error // nil: done
		back   bool  // the live log has its name back
	}{
		"the deadline passes after the runtime did it":  {answer: func(ctx context.Context, do func()) error { do(); return hang(ctx) }},
		"the deadline passes before the runtime did it": {answer: func(ctx context.Context, _ func()) error { return hang(ctx) }, err: ErrUnanswered},
		"… and is not undone":                           {answer: func(ctx context.Context, _ func()) error { return hang(ctx) }, undo: true, err: ErrUnanswered},
		"slow, but in time":                             {answer: func(_ context.Context, do func()) error { time.Sleep(999 * time.Millisecond); do(); return nil }},
		"an answered error, though it was done":         {answer: func(_ context.Context, do func()) error { do(); return no }, undo: true},
		"not running, though it was done":               {answer: func(_ context.Context, do func()) error { do(); return ErrNotRunning }},
		"nil, though nothing happened":                  {answer: func(context.Context, func()) error { return nil }, undo: true, err: ErrUnanswered},
		"not running":                                   {answer: func(context.Context, func()) error { return fmt.Errorf("%w: %w", ErrNotRunning, no) }, err: ErrNotRunning, back: true},
		"an answered error":                             {answer: func(context.Context, func()) error { return no }, err: ErrRefused},
		"an answered error, to be undone":               {answer: func(context.Context, func()) error { return no }, undo: true, err: ErrRefused, back: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
				first, err := os.Stat(rt.path)
				if err != nil {
					t.Fatal(err)
				}
				rt.answer = tt.answer
				req := request(1)
				req.Undo = tt.undo
				done, err := r.Rotate(t.Context(), req)
				if !errors.Is(err, tt.err) || rt.asked != 1 || done.Reopened != (tt.err == nil) || done.Undone != tt.back || (done.To == "") != tt.back {
					t.Fatalf("asked %d times: %+v, %v (want %v)", rt.asked, done, err, tt.err)
				}
				after, statErr := os.Stat(rt.path)
				switch {
				case tt.back:
					if statErr != nil || !os.SameFile(first, after) || len(ls(t, root)) != 1 {
						t.Fatalf("the live log does not have its name back: %v, %q", statErr, ls(t, root))
					}
				case tt.err == nil:
					rt.live()
				case rt.rename != errors.Is(statErr, fs.ErrNotExist) || !rt.rename && after.Size() > 0:
					t.Fatalf("the result is unclear, and it was not left as it was: %v", statErr)
				}
				rt.write(5)
				// The runtime recovers: the next call does the repair.
				rt.answer = nil
				if _, err := r.Rotate(t.Context(), request(1)); err != nil {
					t.Fatal(err)
				}
				rt.live()
				rt.write(5)
				rt.wantLines(r, 0)
			})
		})
	}
}

// crashed moves the live log and requests no reopen, as a crash in between.
func crashed(t *testing.T, r *Rotator) {
	t.Helper()
	runtime := r.runtime
	r.runtime = answers{ErrUnanswered}
	if done, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, ErrUnanswered) || done.To == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	r.runtime = runtime
}

func inodeAt(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

type answers struct{ err error }

func (a answers) ReopenContainerLog(context.Context, string) error { return a.err }

// TestRotateRepairs: a crash came between exchange or rename and reopen. The log
// that is not due is not moved.
func TestRotateRepairs(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		crashed(t, r)
		rt.write(10)
		if need, err := r.NeedsReopen(container, "0.log"); !need || err != nil {
			t.Fatalf("NeedsReopen = %v, %v", need, err)
		}
		done, err := r.Rotate(t.Context(), request(1<<60))
		if err != nil || done.To != "" || !done.Reopened || rt.asked != 1 {
			t.Fatalf("%+v, asked %d times: %v", done, rt.asked, err)
		}
		rt.live()
		// Silent for a week: the live log is empty, and nothing is wrong with it.
		if need, err := r.NeedsReopen(container, "0.log"); need || err != nil {
			t.Errorf("a silent container: NeedsReopen = %v, %v", need, err)
		}
		if done, err := r.Rotate(t.Context(), request(0)); !errors.Is(err, ErrNotDue) || rt.asked != 1 {
			t.Errorf("a silent container: %+v, asked %d times: %v", done, rt.asked, err)
		}
		rt.write(10)
		rt.wantLines(r, 0)
		if got := ls(t, root); len(got) != 2 {
			t.Errorf("files: %q", got)
		}
	})
}

// TestRotateReturns: after a crash between exchange and reopen, the log that the runtime
// still writes gets its name back, so that its readers read on. It does not if the runtime
// reopens the log at that moment, or has stopped writing, nor where the live log is absent:
// another rotator may be between its rename and its reopen.
func TestRotateReturns(t *testing.T) {
	back := request(1 << 60)
	back.Return = true
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		before := inodeAt(t, rt.path)
		crashed(t, r)
		rt.write(10)
		done, err := r.Rotate(t.Context(), back)
		if rt.rename {
			if err != nil || done.Returned || !done.Reopened {
				t.Fatalf("%+v: %v", done, err)
			}
			return
		}
		if err != nil || !done.Returned || done.Reopened || done.To != "" || rt.asked != 0 {
			t.Fatalf("%+v, asked %d times: %v", done, rt.asked, err)
		}
		if got := ls(t, root); len(got) != 1 || inodeAt(t, rt.path) != before {
			t.Errorf("files: %q", got)
		}
		rt.write(10)
		if done, err := r.Rotate(t.Context(), request(1)); err != nil || done.To == "" || rt.asked != 1 {
			t.Fatalf("%+v, asked %d times: %v", done, rt.asked, err)
		}
		rt.live()
		rt.write(10)
		rt.wantLines(r, 0)
	})
	for _, reopens := range []bool{true, false} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
			crashed(t, r)
			rt.write(10)
			if reopens {
				r.fs = before(r.fs, "exchange", "0.log", 1, func() { rt.do(); rt.write(1) })
			} else {
				rt.stop()
			}
			done, err := r.Rotate(t.Context(), back)
			if done.Returned || err != nil {
				t.Fatalf("%+v, asked %d times: %v", done, rt.asked, err)
			}
			rt.wantLines(r, 0)
		})
	}
}

// TestRotateLate: the runtime acts after its deadline, on one request or on two.
// What it writes by then is not discarded by another.
func TestRotateLate(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
		var late []func()
		rt.answer = func(_ context.Context, do func()) error {
			late = append(late, do)
			return ErrUnanswered
		}
		for range 2 {
			if _, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, ErrUnanswered) {
				t.Fatal(err)
			}
			rt.write(5)
		}
		for _, do := range late { // in a row, as conmon does when it wakes up
			do()
		}
		for range 3 {
			if _, err := r.Rotate(t.Context(), request(1000)); !errors.Is(err, ErrNotDue) || rt.asked != 2 {
				t.Fatalf("asked %d times: %v", rt.asked, err)
			}
			rt.write(5)
		}
		rt.live()
		rt.wantLines(r, 0)
	})
}

// TestRotateReopenedInBetween: the runtime reopens the log, late or by itself,
// between the look and the request, which is not sent then.
func TestRotateReopenedInBetween(t *testing.T) {
	for _, op := range []string{"size of the rotated log", "last look"} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
			act := func() { rt.do(); rt.write(5) }
			if op == "last look" {
				r.fs = before(r.fs, "stat", "0.log", 1, act)
			} else {
				r.fs = before(r.fs, "stat", "*", 1, act)
			}
			done, err := r.Rotate(t.Context(), request(1))
			if err != nil || rt.asked != 0 || !done.Reopened {
				t.Fatalf("%s: %+v, asked %d times: %v", op, done, rt.asked, err)
			}
			rt.live()
			rt.wantLines(r, 0)
		})
	}
}

// TestRotateUndoFindsItInUse: the runtime reopens the live log before it is looked
// at for the undo. It is not touched.
func TestRotateUndoFindsItInUse(t *testing.T) {
	forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
		f := &faults{at: -1}
		r.fs = before(hookFS{FS: r.fs, hook: f.hook}, "open", "0.log", 3, rt.do) // the check, the proof, the undo
		rt.answer = func(context.Context, func()) error { return ErrNotRunning }
		if done, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, ErrNotRunning) || done.To == "" {
			t.Fatalf("%+v, %v", done, err)
		}
		moves := 0
		for _, op := range f.log {
			if strings.HasPrefix(op, "exchange ") || strings.HasPrefix(op, "rename ") {
				moves++
			}
		}
		if want := map[bool]int{false: 1, true: 2}[rt.rename]; moves != want { // a failed exchange, and a rename
			t.Errorf("%d moves, want %d:\n%s", moves, want, strings.Join(f.log, "\n"))
		}
		rt.live()
		rt.write(5)
		rt.wantLines(r, 0)
	})
}

// TestRotateBackIsTaken: the runtime reopens the live log at the moment at which
// the rotated log is to get its name back. Both stay.
func TestRotateBackIsTaken(t *testing.T) {
	for _, lines := range []int{0, 5} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
			act := func() { rt.do(); rt.write(lines) }
			if rt.rename {
				r.fs = before(r.fs, "rename", "*", 1, act)
			} else {
				r.fs = before(r.fs, "exchange", "0.log", 2, act)
			}
			rt.answer = func(context.Context, func()) error { return ErrNotRunning }
			done, err := r.Rotate(t.Context(), request(1))
			if !errors.Is(err, ErrNotRunning) || strings.Contains(err.Error(), "name back") || done.To == "" || done.Undone {
				t.Fatalf("%+v, %v", done, err)
			}
			rt.live()
			rt.write(5)
			rt.wantLines(r, 0)
			if got := ls(t, root); len(got) != 2 {
				t.Errorf("files: %q", got)
			}
		})
	}
}

// TestRotateUndoesLater: the request is repeated, and undone in the end, if the
// newest rotated log is what the container writes, or wrote.
func TestRotateUndoesLater(t *testing.T) {
	for _, tt := range []struct {
		cause           error
		stopped, leases bool
		undone          bool
	}{
		{ErrRefused, false, true, true},
		{ErrRefused, true, true, false}, // it writes to another file
		{ErrRefused, false, false, true},
		{ErrNotRunning, true, true, true},
		{ErrNotRunning, false, true, false}, // another process writes it
	} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
			if !tt.leases {
				r.fs = failing(r.fs, "lease", unix.EACCES)
			}
			crashed(t, r)
			rt.write(5)
			rt.answer = func(context.Context, func()) error { return tt.cause }
			if tt.stopped {
				rt.stop()
			}
			req := request(1)
			req.Undo = true
			done, err := r.Rotate(t.Context(), req)
			if !errors.Is(err, tt.cause) || done.Undone != tt.undone || tt.undone && len(ls(t, root)) != 1 {
				t.Fatalf("%+v: %+v, %v, %q", tt, done, err, ls(t, root))
			}
			if tt.undone && !tt.stopped {
				rt.live()
				rt.write(5)
			}
			rt.wantLines(r, 0)
		})
	}
}

// TestRotateLosesLeases: leases become unavailable after the exchange. Then the
// other inode, the content or the runtime's word is the proof.
func TestRotateLosesLeases(t *testing.T) {
	for _, tt := range []struct {
		answer error
		lines  int
	}{{nil, 0}, {ErrUnanswered, 1}, {ErrUnanswered, 0}} {
		forms(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, _ string) {
			var want error
			if tt.answer != nil && tt.lines == 0 && !rt.conmon && !rt.rename {
				want = ErrUnanswered // the same inode, empty, and no word
			}
			off := false
			r.fs = hookFS{FS: before(r.fs, "stat", "*", 1, func() { off = true }), hook: func(op, _ string) error {
				if op == "lease" && off {
					return unix.EINVAL
				}
				return nil
			}}
			rt.answer = func(_ context.Context, do func()) error {
				do()
				rt.closeTail()
				rt.write(tt.lines)
				return tt.answer
			}
			if done, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, want) || done.Reopened != (want == nil) {
				t.Fatalf("%+v, %v", done, err)
			}
			if need, err := r.NeedsReopen(container, "0.log"); need || err != nil {
				t.Errorf("NeedsReopen = %v, %v", need, err)
			}
			rt.live()
			rt.wantLines(r, 0)
		})
	}
}
