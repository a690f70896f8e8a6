package watcher

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

func TestIdleNodeWakesOnlyForTheSweep(t *testing.T) {
	inBubble(t, func(b *bubble) {
		for i := range 50 {
			b.write(fmt.Sprintf("pod%d/c/0.log", i), limit/2)
		}
		b.advance(time.Second)
		b.sweep(CauseStartup)
		b.sweep(CauseSweep)
		before, listings := b.w.Stats(), b.listings
		if before.Tracked != 50 || before.Hot != 0 {
			t.Fatalf("tracked %d, hot %d", before.Tracked, before.Hot)
		}
		b.turn()
		if b.l.timer.Reset(time.Hour) {
			t.Error("a timer is armed")
		}
		b.l.timer.Stop()
		b.advance(time.Hour)
		after := b.w.Stats()
		if before != after || b.listings != listings {
			t.Errorf("within an hour %+v became %+v, and %d listings %d", before, after, listings, b.listings)
		}
		b.sweep(CauseSweep)
		if got := b.w.Stats().Checks - before.Checks; got != 50 {
			t.Errorf("%d checks in a sweep of 50", got)
		}
	})
}

func TestDueFromSweepHasItsCause(t *testing.T) {
	for _, c := range []Cause{CauseStartup, CauseSweep, CauseOverflow} {
		inBubble(t, func(b *bubble) {
			b.write(log0, limit)
			b.sweep(c)
			if due := b.wantDue(1); due.Cause != c {
				t.Errorf("cause %q, want %q", due.Cause, c)
			}
		})
	}
}

func TestDueAfterStartupIsPutDownToTheWrite(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		if due := b.wantDue(1); due.Cause != CauseWrite {
			t.Errorf("cause %q", due.Cause)
		}
	})
}

func TestChanged(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		// A restart's log is reported at once, and by the sweep again if the change
		// is too recent for the directory's time to show it.
		want := func(atLeast, atMost int) {
			t.Helper()
			b.advance(time.Second)
			b.sweep(CauseSweep)
			if got := len(b.changed); got < atLeast || got > atMost {
				t.Errorf("Changed was called %d times, want %d to %d", got, atLeast, atMost)
			}
			b.changed = nil
		}
		want(1, 2) // new
		want(0, 0)
		b.write("pod/c/0.log.20260101-000000", 1)
		want(1, 1)
		want(0, 0)
		b.write("pod/c/1.log", 1)
		want(1, 2)
		want(0, 0)
		b.checkDir()
		want(0, 0)
		b.write("pod/c/0.log.20260101-000000", 1)
		b.checkDir()
		want(1, 1)
		b.check(os.Rename(b.path("pod/c/0.log.20260101-000000"), b.path("pod/c/0.log.20260102-000000"))) // with no event
		b.named("pod/c")
		b.advance(time.Second)
		b.checkDir()
		want(1, 1)
		want(0, 0)
	})
}

func TestNextRestartsLogIsFoundWhileHot(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat()
		b.check(os.Truncate(b.path(log0), limit/2))
		b.write("pod/c/1.log", limit) // no watch, so no event
		b.advance(2 * time.Second * limit / minBurst)
		if due := b.wantDue(1); due.Log != "1.log" {
			t.Errorf("reported %q", due.Log)
		}
	})
}

func TestNextRestartsLogInPlaceOfTheLast(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat()
		b.check(os.Remove(b.path(log0)))
		b.write("pod/c/1.log", limit)
		b.advance(missingPause / 2)
		if due := b.wantDue(1); due.Log != "1.log" {
			t.Errorf("reported %q", due.Log)
		}
	})
}

func TestWritesBeforeTheFirstListing(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.sweep(CauseStartup)
		b.write(log0, 0)
		for range 10 * coldEvents {
			b.write(log0, 1)
		}
		b.wait() // which finds the state "none of them", if it is
		b.write(log0, limit)
		b.advance(maxCheck)
		b.wantDue(1)
	})
}

// TestLogMadeDuringAListing has the log made when the listing has read the
// directory already and its result is on its way.
func TestLogMadeDuringAListing(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.mkdir("pod/c")
		b.sweep(CauseStartup)
		b.l.list(b.dir(), CauseWrite)
		b.l.queue = nil // taken by a scanner that is slow
		b.check(os.WriteFile(b.path(log0), make([]byte, limit), 0o600))
		b.event(log0, fsnotify.Create)
		b.event(log0, fsnotify.Write)
		b.wait()
		b.wantDue(0)
		b.l.scanned(result{request: request{rel: "pod/c", cause: CauseWrite}})
		b.wantDue(1)
	})
}

func TestOnlyForeignFiles(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.write("pod/c/app.log", 0)
		b.sweep(CauseStartup)
		for range 100 {
			b.write("pod/c/app.log", limit)
			b.advance(10 * time.Millisecond)
		}
		b.advance(time.Minute)
		b.wantDue(0)
		b.wantState("cold")
		b.write(log0, limit)
		b.wantDue(1)
	})
}

func TestDirectoryRemoved(t *testing.T) {
	for _, state := range []string{"cold", "hot", "due"} {
		for _, rel := range []string{"pod/c", "pod"} {
			for _, lost := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s while %s, event lost %t", rel, state, lost), func(t *testing.T) {
					withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
						switch state {
						case "hot":
							b.heat()
						case "due":
							b.write(log0, limit)
							b.wantDue(1)
						}
						if lost {
							b.check(os.RemoveAll(b.path(rel)))
							b.sweep(CauseSweep)
						} else {
							b.remove(rel)
						}
						b.wait()
						for path := range b.n.watched() {
							if path != b.root && path != b.path("pod") {
								t.Errorf("%s is watched", path)
							}
						}
						if len(b.l.dirs) != 0 || len(b.l.hot) != 0 || b.l.pods["pod"] != nil && len(b.l.pods["pod"].dirs) != 0 {
							t.Errorf("known: %v", b.l.dirs)
						}
						// The same name again is a new directory.
						b.turn()
						b.reports = nil
						b.write(log0, limit)
						b.advance(time.Second)
						if lost {
							b.wait()
							b.reports = nil
							b.sweep(CauseSweep)
						}
						b.wantDue(1)
					})
				})
			}
		}
	}
}

func TestNewPodWithContainersInIt(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.sweep(CauseStartup)
		// All of it is there before the one event is read.
		b.check(os.MkdirAll(b.path("new/a"), 0o755))
		b.check(os.MkdirAll(b.path("new/b"), 0o755))
		b.check(os.WriteFile(b.path("new/a/0.log"), make([]byte, limit), 0o600))
		b.event("new", fsnotify.Create)
		if due := b.wantDue(1); due.Dir != "new/a" || due.Cause != CauseWrite {
			t.Errorf("reported %+v", due.Due)
		}
		b.write("new/b/0.log", limit)
		b.wantDue(1)
	})
}

func TestPodListedForAnEventDuringASweep(t *testing.T) {
	inBubble(t, func(b *bubble) {
		for i := range 20 {
			b.write(fmt.Sprintf("pod%d/c/0.log", i), 1)
		}
		b.sweep(CauseStartup)
		for range 50 {
			b.w.Sweep(CauseSweep)
			for i := range 20 { // listings, and things to forget, in the middle of it
				b.event(fmt.Sprintf("pod%d", i), fsnotify.Create)
				if i%2 == 0 {
					b.event(fmt.Sprintf("pod%d/c", i), fsnotify.Remove)
					b.event(fmt.Sprintf("pod%d", i), fsnotify.Remove)
				}
				b.w.Sweep(CauseSweep) // which has to wait for the one under way
			}
			b.wait()
			if b.l.sweep.running {
				t.Fatalf("the sweep does not end: %d listings left", b.l.sweep.left)
			}
		}
		b.sweep(CauseSweep)
		if got := b.w.Stats().Tracked; got != 20 {
			t.Errorf("tracked %d of 20", got)
		}
		if got := len(b.swept); got < 102 {
			t.Errorf("%d sweeps ended", got)
		}
	})
}

func TestSweepOfNoKnownCause(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.w.Sweep(CauseWrite) // cannot be distinguished from events
		b.wait()
		b.sweep(CauseSweep)
	})
}

func TestPodLogsDirComesLater(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.check(os.RemoveAll(b.root))
		b.sweep(CauseStartup)
		b.sweep(CauseSweep)
		b.wantWarnings(1)
		b.write(log0, limit)
		b.sweep(CauseSweep)
		b.wantDue(1)
		b.wantWarnings(1)
	})
}

func TestPodLogsDirIsReplaced(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.remove("pod")
		b.check(os.RemoveAll(b.root))
		b.check(b.n.Remove(b.root))
		b.n.events <- fsnotify.Event{Name: b.root, Op: fsnotify.Remove}
		b.wait()
		if got := b.w.Stats(); got.Tracked != 0 {
			t.Errorf("tracked %d", got.Tracked)
		}
		b.mkdir("")
		b.sweep(CauseSweep)
		b.write(log0, limit) // by its events, from podLogsDir down
		b.wantDue(1)
	})
}

func TestPodLogsDirIsAFile(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.check(os.Remove(b.root))
		b.check(os.WriteFile(b.root, nil, 0o600))
		b.sweep(CauseStartup)
		b.sweep(CauseSweep)
		b.wantWarnings(1)
		b.check(os.Remove(b.root))
		b.write(log0, limit)
		b.wait()
		b.reports = nil
		b.sweep(CauseSweep)
		b.wantDue(1)
	})
}

// TestReplacedUnseen has a directory replaced with no event to tell: its watch
// is on what was there before, until the sweep.
func TestReplacedUnseen(t *testing.T) {
	for _, gone := range []string{"pod/c", "pod", ""} {
		withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
			b.unseen = true
			b.check(os.RemoveAll(b.path(gone)))
			for path := range b.n.watched() {
				if strings.HasPrefix(path+"/", b.path(gone)+"/") {
					b.check(b.n.Remove(path))
				}
			}
			b.check(os.MkdirAll(b.path("pod/c"), 0o755))
			b.check(os.WriteFile(b.path(log0), nil, 0o600))
			b.named("pod/c")
			b.advance(time.Second)
			b.sweep(CauseSweep)
			b.unseen = false
			for _, rel := range []string{"", "pod", "pod/c"} {
				if !b.n.watching(b.path(rel)) {
					t.Errorf("%q replaced: %q is not watched", gone, rel)
				}
			}
			b.write(log0, limit)
			b.wantDue(1)
		})
	}
}

// TestDirectoryThatReturnsBeforeItsListing has no watch when it is found, for it
// is gone again, and is there when it is listed; the event of that is lost.
func TestDirectoryThatReturnsBeforeItsListing(t *testing.T) {
	for _, between := range []bool{false, true} {
		withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
			b.n.failOnce = true
			b.n.failWith(unix.ENOENT)
			if between { // the listing and the watch
				b.n.added = func(string) {
					b.n.added = nil
					if err := os.WriteFile(b.path("pod/d/0.log"), make([]byte, limit), 0o600); err != nil {
						t.Error(err)
					}
				}
			}
			b.mkdir("pod/d")
			b.wait()
			if !between {
				b.write("pod/d/0.log", limit)
			}
			b.wantDue(1)
		})
	}
}

// TestNothingOfTheLastDirectoryHoldsForTheNext: its interval, for one.
func TestNothingOfTheLastDirectoryHoldsForTheNext(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(log0, limit-1)
		b.advance(time.Second)
		b.unseen = true
		b.check(os.Rename(b.path("pod/c"), t.TempDir()+"/away"))
		b.check(os.Mkdir(b.path("pod/c"), 0o755))
		b.check(os.WriteFile(b.path(log0), make([]byte, limit), 0o600))
		b.named("pod/c")
		b.sweep(CauseSweep)
		b.wantDue(1)
	})
}

func TestLinkInPlaceOfADirectory(t *testing.T) {
	for _, rel := range []string{"pod/c", "pod"} {
		withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
			outside := t.TempDir()
			b.check(os.MkdirAll(outside+"/c", 0o755))
			b.check(os.WriteFile(outside+"/0.log", make([]byte, limit), 0o600))
			b.check(os.WriteFile(outside+"/c/0.log", make([]byte, limit), 0o600))
			b.check(os.RemoveAll(b.path(rel)))
			b.check(os.Symlink(outside, b.path(rel)))
			if rel == "pod/c" {
				// Seen by its own watch first.
				b.l.setCold(b.dir())
				b.wait()
			} else {
				b.sweep(CauseSweep)
			}
			b.wait()
			b.n.added = func(path string) { t.Errorf("%s was watched for its event", path) }
			b.event(rel, fsnotify.Create)
			b.wait()
			if b.l.dirs["pod/c"] != nil {
				t.Errorf("%s: followed", rel)
			}
			if watches := b.n.watched(); watches[b.path("pod/c")] || rel == "pod" && watches[b.path("pod")] {
				t.Errorf("%s: watches %v", rel, watches)
			}
		})
	}
}
