package rotator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// bothRuntimes runs a test in a bubble of fake time, where waiting takes none,
// with a container that has written 20 lines.
func bothRuntimes(t *testing.T, test func(t *testing.T, r *Rotator, rt *fakeRuntime, root string)) {
	for _, name := range []string{"containerd", "conmon"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := t.TempDir()
				rt := newRuntime(t, root, name == "conmon")
				rt.write(20)
				test(t, newRotator(root, rt), rt, root)
			})
		})
	}
}

func TestRotate(t *testing.T) {
	bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		size := int64(20 * len(numberedLine(0)))
		for i := range 3 {
			done, err := r.Rotate(t.Context(), request(size))
			if err != nil {
				t.Fatal(err)
			}
			n, ok := podlogs.ParseName(done.To)
			if !ok || n.Kind != podlogs.Rotated || done.Size != size || done.Took < done.Renamed {
				t.Fatalf("rotation %d: %+v", i, done)
			}
			rt.live()
			rt.write(20)
			if !rt.conmon {
				rt.write(1) // one of them went to the rotated log
			}
		}
		rt.wantLines(r, 0)
		if got := ls(t, root); len(got) != 4 {
			t.Errorf("files: %q", got)
		}
	})
}

// TestRotateMoods is what Rotate makes of a runtime's answers.
func TestRotateMoods(t *testing.T) {
	answer := errors.New("answered: no")
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", ErrUnanswered, ctx.Err())
	}
	tests := map[string]struct {
		mood  func(rt *fakeRuntime) func(ctx context.Context, do func()) error
		err   error // nil: done
		asked int
		back  bool // the live log has its name back
	}{
		"the deadline passes after the runtime did it": {
			mood: func(*fakeRuntime) func(context.Context, func()) error {
				return func(ctx context.Context, do func()) error { do(); return hang(ctx) }
			},
			asked: 1,
		},
		"the deadline passes before the runtime did it": {
			mood: func(*fakeRuntime) func(context.Context, func()) error {
				return func(ctx context.Context, _ func()) error { return hang(ctx) }
			},
			err: ErrUnanswered, asked: 1,
		},
		"slow, but in time": {
			mood: func(*fakeRuntime) func(context.Context, func()) error {
				return func(_ context.Context, do func()) error { time.Sleep(999 * time.Millisecond); do(); return nil }
			},
			asked: 1,
		},
		"an answered error, though it was done": {
			mood: func(*fakeRuntime) func(context.Context, func()) error {
				return func(_ context.Context, do func()) error { do(); return answer }
			},
			asked: 1,
		},
		"not running, though it was done": {
			mood: func(*fakeRuntime) func(context.Context, func()) error {
				return func(_ context.Context, do func()) error { do(); return ErrNotRunning }
			},
			asked: 1,
		},
		"nil, though nothing happened": {
			mood: func(*fakeRuntime) func(context.Context, func()) error {
				return func(context.Context, func()) error { return nil }
			},
			err: ErrUnanswered, asked: 1,
		},
		"not running": {
			mood: func(*fakeRuntime) func(context.Context, func()) error {
				return func(context.Context, func()) error { return fmt.Errorf("%w: %w", ErrNotRunning, answer) }
			},
			err: ErrNotRunning, asked: 1, back: true,
		},
		"a hiccup": {
			mood: func(rt *fakeRuntime) func(context.Context, func()) error {
				return func(_ context.Context, do func()) error {
					if rt.asked < answeredTries {
						return answer
					}
					do()
					return nil
				}
			},
			asked: answeredTries,
		},
		"answered failures only": {
			mood: func(*fakeRuntime) func(context.Context, func()) error {
				return func(context.Context, func()) error { return answer }
			},
			err: ErrRefused, asked: answeredTries, back: true,
		},
		"answered, then not running": {
			mood: func(rt *fakeRuntime) func(context.Context, func()) error {
				return func(context.Context, func()) error {
					if rt.asked == 1 {
						return answer
					}
					return ErrNotRunning
				}
			},
			err: ErrNotRunning, asked: 2, back: true,
		},
		"answered, and done between two tries": {
			mood: func(rt *fakeRuntime) func(context.Context, func()) error {
				return func(_ context.Context, do func()) error {
					go func() { time.Sleep(answeredPause / 2); do() }()
					return answer
				}
			},
			asked: 1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
				before, err := os.Stat(rt.path)
				if err != nil {
					t.Fatal(err)
				}
				rt.mood = tt.mood(rt)
				done, err := r.Rotate(t.Context(), request(1))
				synctest.Wait()
				if !errors.Is(err, tt.err) || rt.asked != tt.asked {
					t.Fatalf("asked %d times (want %d), error %v (want %v)", rt.asked, tt.asked, err, tt.err)
				}
				after, statErr := os.Stat(rt.path)
				switch {
				case tt.back:
					if statErr != nil || !os.SameFile(before, after) || done.To != "" || len(ls(t, root)) != 1 {
						t.Fatalf("the live log does not have its name back: %v, %+v, %q", statErr, done, ls(t, root))
					}
				case tt.err == nil:
					rt.live()
				default:
					if !errors.Is(statErr, fs.ErrNotExist) || done.To == "" {
						t.Fatalf("unclear, so it is left as it is: %v, %+v", statErr, done)
					}
				}
				rt.write(5)
				// The runtime is well again: the next call mends what is to be
				// mended.
				rt.mood = nil
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

// TestRotateMissing: a crash came between rename and reopen.
func TestRotateMissing(t *testing.T) {
	bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		if err := os.Rename(rt.path, rt.path+".20260101-000000"); err != nil {
			t.Fatal(err)
		}
		rt.write(10)
		done, err := r.Rotate(t.Context(), request(1<<60))
		if err != nil || done.To != "" || rt.asked != 1 {
			t.Fatalf("%+v, asked %d times: %v", done, rt.asked, err)
		}
		rt.live()
		rt.write(10)
		rt.wantLines(r, 0)
		if got := ls(t, root); len(got) != 2 {
			t.Errorf("files: %q", got)
		}
	})
}

// TestRotateBackIsTaken: the live log's path is there again when its old name is
// to be given back. Both stay.
func TestRotateBackIsTaken(t *testing.T) {
	bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
			if op == "rename" && name != "0.log" { // the rename back
				rt.do()
				rt.write(5)
			}
			return nil
		}}
		rt.mood = func(context.Context, func()) error { return ErrNotRunning }
		if _, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, ErrNotRunning) {
			t.Fatal(err)
		}
		rt.live()
		rt.wantLines(r, 0)
		if got := ls(t, root); len(got) != 2 {
			t.Errorf("files: %q", got)
		}
	})
}

// TestRotateNameTaken: the name was free when it was chosen, and is not any
// more. Nothing is replaced.
func TestRotateNameTaken(t *testing.T) {
	bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		taken := ""
		r.fs = hookFS{FS: r.fs, hook: func(op, _ string) error {
			if op == "rename" {
				taken = rt.path + "." + time.Now().Format(podlogs.StampLayout)
				if err := os.WriteFile(taken, []byte("somebody's"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return nil
		}}
		if _, err := r.Rotate(t.Context(), request(1)); !errors.Is(err, fs.ErrExist) || rt.asked != 0 {
			t.Fatalf("asked %d times: %v", rt.asked, err)
		}
		if b, err := os.ReadFile(taken); err != nil || string(b) != "somebody's" {
			t.Errorf("%s holds %q (%v)", taken, b, err)
		}
		rt.live()
	})
}

func TestRotateNotDue(t *testing.T) {
	bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		size := int64(20 * len(numberedLine(0)))
		if _, err := r.Rotate(t.Context(), request(size+1)); !errors.Is(err, ErrNotDue) || rt.asked != 0 {
			t.Fatalf("asked %d times: %v", rt.asked, err)
		}
		if got := ls(t, root); len(got) != 1 {
			t.Errorf("files: %q", got)
		}
		rt.live()
	})
}

func TestRotateCancelled(t *testing.T) {
	bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Rotate(ctx, request(1)); !errors.Is(err, context.Canceled) || len(ls(t, root)) != 1 {
			t.Fatalf("cancelled before the rename: %v, %q", err, ls(t, root))
		}
		ctx, cancel = context.WithCancel(t.Context())
		r.fs = hookFS{FS: r.fs, hook: func(op, _ string) error {
			if op == "rename" {
				cancel()
			}
			return nil
		}}
		rt.mood = func(ctx context.Context, do func()) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			do()
			return nil
		}
		if _, err := r.Rotate(ctx, request(1)); err != nil {
			t.Fatalf("cancelled after the rename: %v", err)
		}
		rt.live()
		if err := os.Rename(rt.path, rt.path+".29990101-000000"); err != nil {
			t.Fatal(err)
		}
		asked := rt.asked
		if _, err := r.Rotate(ctx, request(1)); !errors.Is(err, context.Canceled) || rt.asked != asked {
			t.Fatalf("cancelled before a missing log is reopened: %v", err)
		}
	})
}

// TestRotateNotALog: something else is in the live log's place.
func TestRotateNotALog(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	makes := map[string]func(path string) error{
		"link":          func(path string) error { return os.Symlink(outside, path) },
		"dangling link": func(path string) error { return os.Symlink("nowhere", path) },
		"FIFO":          func(path string) error { return unix.Mkfifo(path, 0o600) },
		"directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"device": func(path string) error {
			return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) // /dev/zero
		},
	}
	for name, makeIt := range makes {
		t.Run(name, func(t *testing.T) {
			if name == "device" {
				needRoot(t, "mknod(2)")
			}
			bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
				if err := errors.Join(os.Remove(rt.path), makeIt(rt.path)); err != nil {
					t.Fatal(err)
				}
				if _, err := r.Rotate(t.Context(), request(0)); !errors.Is(err, podlogs.ErrNotRegular) || rt.asked != 0 {
					t.Fatalf("asked %d times: %v", rt.asked, err)
				}
				// It comes only between the rename and the reopen.
				if err := errors.Join(os.RemoveAll(rt.path), os.WriteFile(rt.path, []byte("x"), 0o600)); err != nil {
					t.Fatal(err)
				}
				r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
					if op == "stat" && name != "0.log" { // the renamed one's size
						if err := makeIt(rt.path); err != nil {
							t.Error(err)
						}
					}
					return nil
				}}
				if _, err := r.Rotate(t.Context(), request(0)); !errors.Is(err, podlogs.ErrNotRegular) || rt.asked != 0 {
					t.Fatalf("asked %d times: %v", rt.asked, err)
				}
			})
		})
	}
}

func TestRotateNotALiveLogsName(t *testing.T) {
	bothRuntimes(t, func(t *testing.T, r *Rotator, rt *fakeRuntime, root string) {
		for _, name := range []string{"", ".", "..", "../app/0.log", "0.log.20260101-000000", "x.log", "0.log\x00"} {
			req := request(0)
			req.Log = name
			if _, err := r.Rotate(t.Context(), req); err == nil || rt.asked != 0 {
				t.Errorf("%q: %v", name, err)
			}
		}
		for _, dir := range []string{"", ".", "..", "/", "ns_pod_uid/..", "ns_pod_uid/../ns_pod_uid/app", container + "/", "nowhere/app"} {
			req := request(0)
			req.Dir = dir
			if _, err := r.Rotate(t.Context(), req); err == nil || rt.asked != 0 {
				t.Errorf("%q: %v", dir, err)
			}
		}
		if got := ls(t, root); len(got) != 1 {
			t.Errorf("files: %q", got)
		}
	})
}
