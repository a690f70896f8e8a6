package watcher

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// TestThrottled: a directory with too many events has no watch for a while, and
// what is created in it in the meantime is found when it has one again. While the
// noise lasts, that takes longer each time, a sweep's interval at most.
func TestThrottled(t *testing.T) {
	for _, rel := range []string{"", "pod"} {
		withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
			taken := 0
			noise := func() {
				for range 3 * podEvents {
					if b.n.watching(b.path(rel)) {
						taken++
					}
					b.event(join(rel, "noise"), fsnotify.Write)
				}
				b.wait()
				if b.n.watching(b.path(rel)) {
					t.Fatalf("%q is watched", rel)
				}
			}
			noise()
			dir := join(join(rel, "new"), "c")[:len(join(rel, "new"))+2*(1-depth(rel))]
			b.check(os.MkdirAll(b.path(dir), 0o755))
			b.check(os.WriteFile(b.path(dir+"/0.log"), make([]byte, limit), 0o600))
			b.advance(throttlePause - time.Nanosecond)
			b.wantDue(0)
			b.advance(time.Nanosecond)
			if due := b.wantDue(1); due.Dir != dir {
				t.Errorf("reported %+v", due.Due)
			}
			if !b.n.watching(b.path(rel)) {
				t.Errorf("%q is not watched", rel)
			}
			taken = 0
			for range 120 { // two minutes
				noise()
				b.advance(time.Second)
			}
			if taken > 16*(podEvents+10) {
				t.Errorf("%q: %d events in two minutes", rel, taken)
			}
			b.wantWarnings(1)
		})
	}
}

func TestOverflowSweeps(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.check(os.Truncate(b.path(log0), limit)) // its event is among the lost
		for range 3 {
			b.n.errors <- fsnotify.ErrEventOverflow
			b.wait()
		}
		if due := b.wantDue(3); due.Cause != CauseOverflow {
			t.Errorf("cause %q", due.Cause)
		}
		if want := []Cause{CauseStartup, CauseOverflow, CauseOverflow, CauseOverflow}; !slices.Equal(b.swept, want) {
			t.Errorf("sweeps %q", b.swept)
		}
		if got := b.w.Stats().Overflows; got != 3 {
			t.Errorf("%d overflows counted", got)
		}
		b.wantWarnings(1)
		b.sweep(CauseSweep)
		b.n.errors <- fsnotify.ErrEventOverflow
		b.wantWarnings(2)
	})
}

func TestOtherInotifyErrorSweeps(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.check(os.Truncate(b.path(log0), limit))
		b.n.errors <- unix.EIO
		b.wantDue(1)
		if s := b.w.Stats(); s.WatchErrors != 1 || s.Overflows != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestNoMoreWatches(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.n.failWith(unix.ENOSPC)
		b.unwatched = true
		b.write(log0, 0)
		b.write("pod/d/0.log", 0)
		b.sweep(CauseStartup)
		b.wantWarnings(1)
		// For each directory, and once more for those that were listed without one.
		if got := b.w.Stats().WatchErrors; got != 6 {
			t.Errorf("%d watch errors counted, want 6", got)
		}
		b.advance(10 * time.Second)
		b.wantState("cold") // and covered by the sweep
		b.write(log0, 1)
		b.sweep(CauseSweep)
		b.wantState("hot") // since it grows, without a watch
		b.write(log0, limit)
		b.advance(maxCheck)
		b.wantDue(1)
		b.rotated()
		b.advance(time.Minute)
		b.sweep(CauseSweep) // which finds another log
		b.advance(time.Minute)
		b.wantWarnings(1)

		// Two sweeps that have all of them end it.
		for want := 1; want <= 2; want++ {
			b.n.failWith(nil)
			b.sweep(CauseSweep)
			for _, rel := range []string{"", "pod", "pod/c", "pod/d"} {
				if !b.n.watching(b.path(rel)) {
					t.Errorf("%q is not watched", rel)
				}
			}
			if want == 2 {
				b.sweep(CauseSweep)
			}
			b.n.failWith(unix.ENOSPC)
			b.sweep(CauseOverflow) // which puts on each again
			b.wantWarnings(want)
		}
	})
}

// TestNoInstance: without inotify the watcher works from sweeps and timers, logs
// that once, and tries again at each sweep.
func TestNoInstance(t *testing.T) {
	for _, err := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		inBubble(t, func(b *bubble) {
			b.openErr, b.unwatched = err, true
			b.write(log0, 0)
			b.write("pod/quiet/0.log", 0)
			b.sweep(CauseStartup)
			b.advance(10 * time.Second)
			b.wantState("cold")
			b.write(log0, 1)
			b.sweep(CauseSweep)
			b.wantState("hot")
			b.write(log0, limit)
			b.advance(maxCheck)
			b.wantDue(1)
			b.write("new/c/0.log", limit)
			b.w.Check("new/c")
			b.wantDue(1)
			b.write("late/c/0.log", limit)
			b.sweep(CauseSweep)
			b.wait()
			b.reports = nil
			b.advance(time.Minute)
			before := b.w.Stats()
			b.advance(time.Hour)
			if after := b.w.Stats(); after != before {
				t.Errorf("quiet for an hour: %+v became %+v", before, after)
			}
			b.sweep(CauseSweep)
			b.wantDue(3)
			b.wantWarnings(1)

			b.openErr = nil
			b.sweep(CauseSweep)
			b.unwatched = false
			b.wait() // all of them are watched
			b.reports = nil
			b.write("pod/quiet/0.log", limit)
			b.wantDue(1)
			b.wantWarnings(1)
		})
	}
}

// TestInstanceIsClosed: the next one is opened soon, and what was lost is found.
func TestInstanceIsClosed(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		for range 3 {
			b.wait()
			b.check(b.n.Close())
			b.unwatched = true
			b.check(os.Truncate(b.path(log0), limit)) // with no event
			b.advance(reopenPause / 2)
			b.wantDue(0)
			b.advance(reopenPause / 2)
			b.unwatched = false
			if due := b.wantDue(1); due.Cause != CauseOverflow {
				t.Errorf("cause %q", due.Cause)
			}
			b.check(os.Truncate(b.path(log0), 0))
			b.advance(time.Minute)
			b.wantState("cold")
			b.write(log0, limit) // by its event
			b.wantDue(1)
			b.check(os.Truncate(b.path(log0), 0))
			b.advance(time.Minute)
		}
		b.wantWarnings(1)
	})
}

// TestInstancesThatEndAtOnceDoNotSpin: nor does one that cannot be opened again.
func TestInstancesThatEndAtOnceDoNotSpin(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.unwatched = true
		open := b.w.open
		b.wait()
		b.w.open = func() (notifier, error) {
			n, err := open()
			_ = n.Close()
			return n, err
		}
		b.check(b.n.Close())
		before := b.w.Stats()
		b.advance(10 * time.Second)
		if got := b.w.Stats().Sweeps - before.Sweeps; got > 10 {
			t.Errorf("%d sweeps in 10 s", got)
		}
		b.wait()
		b.w.open = open
		b.openErr = unix.EMFILE
		b.advance(time.Minute)
		b.check(os.Truncate(b.path(log0), limit))
		b.sweep(CauseSweep)
		b.wantDue(1)
		b.wantWarnings(2)
	})
}

// fail has the listing of a directory end in an error.
func (b *bubble) fail(rel string, err error) {
	b.Helper()
	b.wait()
	b.l.scanned(result{request: request{rel: rel, cause: CauseWrite}, err: err})
	b.wait()
}

func TestUnreadableDirectoryIsLoggedOnce(t *testing.T) {
	// Root may read everything: the errors are the test's.
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write("other/c/0.log", 0)
		b.wait()
		for range 3 {
			b.fail("pod/c", unix.EACCES)
		}
		b.wantWarnings(1)
		for range 3 {
			b.fail("pod", unix.EIO)
			b.fail("pod/c", unix.EACCES)
			b.sweep(CauseSweep)
		}
		b.wantWarnings(2)
		for range 3 {
			b.fail("", unix.EMFILE)
		}
		if b.l.dirs["pod/c"] == nil || b.l.dirs["other/c"] == nil {
			t.Fatal("an error made a directory forgotten")
		}
		b.write("other/c/0.log", limit)
		b.write(log0, limit)
		b.wantDue(2)
		// Solved, it is logged again when it comes back.
		b.wantWarnings(3)
		b.sweep(CauseSweep)
		b.sweep(CauseSweep)
		b.fail("pod/c", unix.EACCES)
		b.wantWarnings(4)
	})
}

// TestUnwatchableDirectoryIsLoggedOnce: one directory's error hides no other's.
func TestUnwatchableDirectoryIsLoggedOnce(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.unwatched = true
		b.n.failWith(unix.EACCES)
		for range 3 {
			b.sweep(CauseOverflow)
		}
		b.wantWarnings(3) // podLogsDir, pod, pod/c
		b.n.failWith(unix.ENOSPC)
		for range 3 {
			b.sweep(CauseOverflow)
		}
		b.wantWarnings(4)
	})
}

func TestSweepKeepsWhatItCannotList(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.check(os.Truncate(b.path(log0), limit))
		b.wait()
		b.l.sweep = sweepState{number: b.l.sweep.number + 1, running: true, causes: sweepCauses(0).with(CauseSweep), left: 1}
		b.l.scanned(result{request: request{cause: CauseSweep}, err: unix.EIO})
		if want := []request{{rel: "pod", cause: CauseSweep}}; !slices.Equal(b.l.queue, want) {
			t.Fatalf("to be listed: %+v, want %+v", b.l.queue, want)
		}
		b.l.queue = nil // and the scanner has the next error
		b.l.scanned(result{request: request{rel: "pod", cause: CauseSweep}, err: unix.EIO})
		if due := b.wantDue(1); due.Cause != CauseSweep {
			t.Errorf("cause %q", due.Cause)
		}
		if b.l.sweep.running || b.l.dirs["pod/c"] == nil || b.l.pods["pod"] == nil {
			t.Errorf("running %t, known: %v", b.l.sweep.running, b.l.dirs)
		}
		b.wantWarnings(2)
	})
}

// TestStaleListing: a listing that began before its directory was removed and
// created again says nothing of the new one.
func TestStaleListing(t *testing.T) {
	for _, rel := range []string{"pod/c", "pod"} {
		withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
			stale := result{request: request{rel: rel, cause: CauseWrite}, err: unix.ENOENT}
			b.remove(rel)
			b.write(log0, 0)
			b.wait()
			b.l.scanner.results <- stale
			b.wait()
			if !b.n.watching(b.path("pod/c")) {
				t.Errorf("%s: the new directory is not watched", rel)
			}
			b.write(log0, limit)
			b.wantDue(1)
		})
	}
}

// TestEventOlderThanTheDirectory: the event of a removal may be read when the
// directory is there again, and a sweep has found it.
func TestEventOlderThanTheDirectory(t *testing.T) {
	for _, rel := range []string{"pod/c", "pod"} {
		for _, op := range []fsnotify.Op{fsnotify.Remove, fsnotify.Rename} {
			withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
				b.n.events <- fsnotify.Event{Name: b.path(rel), Op: op}
				b.wait()
				b.write(log0, limit)
				b.wantDue(1)
			})
		}
	}
}

// TestStrongestCauseWins: sweeps that meet are one, which does what each asks for.
func TestStrongestCauseWins(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.advance(time.Second)
		b.sweep(CauseSweep)
		for _, test := range []struct {
			asked []Cause
			want  Cause
		}{
			{[]Cause{CauseSweep, CauseReload}, CauseReload},
			{[]Cause{CauseReload, CauseSweep}, CauseReload},
			{[]Cause{CauseSweep, CauseReload, CauseOverflow, CauseSweep}, CauseOverflow},
			{[]Cause{CauseReload, CauseOverflow, CauseStartup}, CauseStartup},
		} {
			// What is asked for during a sweep makes one more.
			b.wait()
			b.l.sweep.running = true
			b.changed, b.swept = nil, nil
			for _, c := range test.asked {
				b.w.Sweep(c)
			}
			b.wait()
			if len(b.swept) != 0 {
				t.Errorf("%q: swept %q during a sweep", test.asked, b.swept)
			}
			b.l.sweep.running = false
			b.w.requests.wakeUp()
			b.wait()
			if want := []Cause{test.want}; !slices.Equal(b.swept, want) {
				t.Errorf("%q: swept %q", test.asked, b.swept)
			}
			// The reload's housekeeping is done, whatever the sweep is called.
			if len(b.changed) != 1 {
				t.Errorf("%q: Changed %q", test.asked, b.changed)
			}
		}
	})
}

func TestTooManyDirectories(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.wait()
		for i := range maxDirs {
			b.l.dirs[fmt.Sprintf("x/%d", i)] = newLogDir("x/1", b.path("x/1"))
		}
		b.l.foundPod("pod", CauseWrite)
		for range 3 {
			b.l.foundDir(b.l.pods["pod"], "pod/c", CauseWrite)
		}
		for i := range maxEntries + 10 {
			b.l.foundPod(fmt.Sprint("pod", i), CauseWrite)
		}
		if len(b.l.dirs) > maxDirs || len(b.l.pods) > maxEntries+1 {
			t.Errorf("%d containers and %d pods are followed", len(b.l.dirs), len(b.l.pods))
		}
		clear(b.l.dirs)
		b.l.queue = nil
		b.wantWarnings(1)
	})
}

func TestMemoryDoesNotGrowWithWhatCameAndWent(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.sweep(CauseStartup)
		for i := range 300 {
			pod := fmt.Sprint("pod", i)
			b.write(pod+"/c/0.log", 1)
			b.wait()
			b.l.problem("list", pod, unix.EIO)
			b.l.problem("list", pod+"/c", unix.EIO)
			b.turn()
			b.remove(pod)
			b.advance(10 * time.Millisecond)
		}
		b.sweep(CauseSweep)
		b.sweep(CauseSweep)
		if len(b.l.dirs) != 0 || len(b.l.pods) != 1 || len(b.l.queue) != 0 || len(b.l.warned) != 0 || len(b.l.hot) != 0 {
			t.Errorf("left: %d dirs, %d pods, %d in queue, %d warned, %d hot",
				len(b.l.dirs), len(b.l.pods), len(b.l.queue), len(b.l.warned), len(b.l.hot))
		}
	})
}
