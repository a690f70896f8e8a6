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

func TestNoisyPodDirectoryIsLeftToTheSweep(t *testing.T) {
	for _, rel := range []string{"", "pod"} {
		withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
			for range 3 {
				sent := 0
				for range 10 * podEvents {
					if b.n.watching(b.path(rel)) {
						sent++
					}
					b.event(join(rel, "noise"), fsnotify.Write)
				}
				b.wait()
				if b.n.watching(b.path(rel)) || sent > podEvents+10 {
					t.Fatalf("%q: %d events were taken", rel, sent)
				}
				b.write(join(rel, "new/0.log"), 0)
				b.advance(2 * time.Second)
				b.sweep(CauseSweep)
				if !b.n.watching(b.path(rel)) {
					t.Errorf("%q is not watched after a sweep", rel)
				}
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
		if due := b.wantDue(1); due.Cause != CauseOverflow {
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
		b.write(log0, 0)
		b.write("pod/d/0.log", 0)
		b.sweep(CauseStartup)
		b.wantWarnings(1)
		if got := b.w.Stats().WatchErrors; got != 4 {
			t.Errorf("%d watch errors counted, want 4", got)
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
		b.done(Outcome{Rotated: limit})
		b.advance(time.Minute)
		b.wantWarnings(1)

		// One watch in between is no relief: the next is missing again.
		b.n.failWith(nil)
		b.mkdir("pod/e")
		b.n.events <- fsnotify.Event{Name: b.path("pod/e"), Op: fsnotify.Create}
		b.wait()
		b.n.failWith(unix.ENOSPC)
		b.sweep(CauseSweep)
		b.wantWarnings(1)

		// A sweep that gets all of them is.
		b.n.failWith(nil)
		b.sweep(CauseSweep)
		for _, rel := range []string{"", "pod", "pod/c", "pod/d", "pod/e"} {
			if !b.n.watching(b.path(rel)) {
				t.Errorf("%q is not watched", rel)
			}
		}
		b.n.failWith(unix.ENOSPC)
		b.sweep(CauseSweep)
		b.wantWarnings(2)
	})
}

func TestUnreadableDirectoryIsToldOnce(t *testing.T) {
	// Root may read everything: the errors are the test's.
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write("other/c/0.log", 0)
		b.wait()
		fail := func(rel string, err error) {
			b.l.scanned(result{request: request{rel: rel, cause: CauseWrite}, err: err})
			b.wait()
		}
		for range 3 {
			fail("pod/c", unix.EACCES)
		}
		b.wantWarnings(1)
		for range 3 {
			fail("pod", unix.EIO)
			fail("pod/c", unix.EACCES)
		}
		b.wantWarnings(2)
		for range 3 {
			fail("", unix.EMFILE)
		}
		if b.l.dirs["pod/c"] == nil || b.l.dirs["other/c"] == nil {
			t.Fatal("an error made a directory forgotten")
		}
		b.write("other/c/0.log", limit)
		b.write(log0, limit)
		b.wantDue(2)
	})
}

func TestSweepKeepsWhatItCannotList(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.check(os.Truncate(b.path(log0), limit))
		b.wait()
		b.l.sweep = sweepState{number: b.l.sweep.number + 1, running: true, cause: CauseSweep, left: 1}
		fail := func(rel string) {
			b.l.scanned(result{request: request{rel: rel, cause: CauseSweep}, err: unix.EIO})
		}
		fail("")
		if want := []request{{rel: "pod", cause: CauseSweep}}; !slices.Equal(b.l.queue, want) {
			t.Fatalf("to be listed: %+v, want %+v", b.l.queue, want)
		}
		b.l.queue = nil // and the scanner has the next error
		fail("pod")
		if due := b.wantDue(1); due.Cause != CauseSweep {
			t.Errorf("cause %q", due.Cause)
		}
		if b.l.sweep.running || b.l.dirs["pod/c"] == nil || b.l.pods["pod"] == nil {
			t.Errorf("running %t, known: %v", b.l.sweep.running, b.l.dirs)
		}
		b.wantWarnings(2)
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
			b.l.problem(pod, unix.EIO)
			b.l.problem(pod+"/c", unix.EIO)
			b.l.once("noisy "+pod, func() {})
			b.turn()
			b.remove(pod)
			b.advance(10 * time.Millisecond)
		}
		if len(b.l.dirs) != 0 || len(b.l.pods) != 1 || len(b.l.queue) != 0 || len(b.l.told) != 0 || len(b.l.hot) != 0 {
			t.Errorf("left: %d dirs, %d pods, %d in queue, %d told, %d hot",
				len(b.l.dirs), len(b.l.pods), len(b.l.queue), len(b.l.told), len(b.l.hot))
		}
	})
}
