package fake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/internal/testutil"
)

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

func TestNoLineIsLostByRotation(t *testing.T) {
	for name, b := range map[string]Style{"containerd": Containerd, "crio": CRIO} {
		for kind, pattern := range map[string]Pattern{
			"fast":   {StderrEvery: 7, LongEvery: 100},
			"steady": {BytesPerSecond: 8e6, StderrEvery: 2, LineBytes: 80},
			"bursts": {BytesPerSecond: 8e6, On: 2 * time.Millisecond, Off: time.Millisecond, LongEvery: 11},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r, client := start(t, Options{Style: b})
				c := run(t, r, ContainerSpec{Writer: &pattern})
				for n := range 50 {
					testutil.Eventually(t, "the log grows", func() bool { return size(c.LogPath()) > 20_000 })
					rotate(t, client, c, n)
				}
				c.Exit()
				checkWhole(t, c)
				if got := len(files(t, c)); got != 51 {
					t.Errorf("%d files; want 51", got)
				}
				if r.Calls("ReopenContainerLog") != 50 {
					t.Errorf("%d calls", r.Calls("ReopenContainerLog"))
				}
			})
		}
	}
}

func TestContainerdTail(t *testing.T) {
	r, client := start(t, Options{TailDelay: time.Hour})
	c := run(t, r, ContainerSpec{Writer: &Pattern{BytesPerSecond: 1e6, StderrEvery: 2}})
	testutil.Eventually(t, "the container writes", func() bool { return c.BytesWritten() > 10_000 })
	rotated := rotate(t, client, c, 1)
	before := size(rotated)
	testutil.Eventually(t, "the new log grows", func() bool { return size(c.LogPath()) > 10_000 })
	if got := size(rotated); got != before {
		t.Errorf("the rotated log grew from %d to %d before its time", before, got)
	}
	f, err := os.Open(rotated)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lease := func() error {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		return err
	}
	if err := lease(); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a lease on the old file: %v; want EAGAIN while the runtime has it open", err)
	}
	c.Exit()
	if grown := size(rotated) - before; grown <= 0 || grown > 3*maxInFlight {
		t.Errorf("the tail has %d bytes", grown)
	}
	if err := lease(); err != nil {
		t.Errorf("a lease after the tail: %v", err)
	}
	old, live := records(t, rotated), records(t, c.LogPath())
	cut := old[len(old)-1]
	if !cut.Partial {
		t.Errorf("the old file ends in a whole line: %q", cut.Content)
	}
	for _, l := range live {
		if l.Stream == cut.Stream {
			if l.Partial || strings.HasPrefix(string(l.Content), "std") {
				t.Errorf("the new file begins with %q; want the rest of %q", l.Content, cut.Content)
			}
			break
		}
	}
	checkWhole(t, c)
}

func TestContainerdTailComesByItself(t *testing.T) {
	for _, delay := range []time.Duration{-1, time.Microsecond, 0} {
		r, client := start(t, Options{TailDelay: delay})
		c := run(t, r, ContainerSpec{Writer: &Pattern{BytesPerSecond: 1e6}})
		testutil.Eventually(t, "the container writes", func() bool { return c.BytesWritten() > 10_000 })
		rotated := rotate(t, client, c, 1)
		cut := func() bool {
			lines := records(t, rotated)
			return lines[len(lines)-1].Partial
		}
		if delay < 0 && !cut() {
			t.Error("the tail is not there when Reopen returns")
		}
		testutil.Eventually(t, "the tail is written", cut)
		c.Exit()
		checkWhole(t, c)
	}
}

func TestQuietContainerHasNoTail(t *testing.T) {
	r, client := start(t, Options{TailDelay: -1})
	c := run(t, r, ContainerSpec{Writer: &Pattern{Lines: 10}})
	testutil.Eventually(t, "all lines are written", func() bool { return c.Written()["stdout"] == 10 })
	before := size(c.LogPath())
	rotated := rotate(t, client, c, 1)
	if size(rotated) != before || size(c.LogPath()) != 0 {
		t.Errorf("%d and %d bytes; want %d and 0", size(rotated), size(c.LogPath()), before)
	}
	if err := c.WriteNumbered("stdout", 5, 100); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, c)
}

func TestReopenWithoutRename(t *testing.T) {
	for b, want := range map[Style]uint64{Containerd: 20, CRIO: 10} {
		r, client := start(t, Options{Style: b})
		c := run(t, r, ContainerSpec{})
		for range 2 {
			if err := c.WriteNumbered("stdout", 10, 100); err != nil {
				t.Fatal(err)
			}
			if b == CRIO && exists(c.LogPath()+".tmp") {
				t.Error("conmon's temporary file stays")
			}
			if c.Written()["stdout"] == 10 {
				if err := reopen(t.Context(), client, c); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := len(records(t, c.LogPath())); got != int(want) {
			t.Errorf("style %d: the log has %d lines; want %d", b, got, want)
		}
	}
}

// exchange puts an empty file in the place of the live log, which it names rotated.
func exchange(t *testing.T, c *Container, rotated string) {
	t.Helper()
	if err := os.WriteFile(rotated, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, rotated, unix.AT_FDCWD, c.LogPath(), unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
}

// TestReopenOverEmptyLog: containerd appends to it, conmon replaces it.
func TestReopenOverEmptyLog(t *testing.T) {
	for style, mode := range map[Style]os.FileMode{Containerd: 0o644, CRIO: 0o600} {
		r, client := start(t, Options{Style: style})
		c := run(t, r, ContainerSpec{Writer: &Pattern{BytesPerSecond: 4e6, StderrEvery: 3}})
		for _, rotated := range []string{c.LogPath() + ".000001", c.LogPath() + ".000002"} {
			testutil.Eventually(t, "the log grows", func() bool { return size(c.LogPath()) > 20_000 })
			exchange(t, c, rotated)
			before := stat(t, c.LogPath())
			if err := reopen(t.Context(), client, c); err != nil {
				t.Fatal(err)
			}
			after := stat(t, c.LogPath())
			if os.SameFile(before, after) != (style == Containerd) || after.Mode().Perm() != mode {
				t.Errorf("style %d: same file %v, mode %v", style, os.SameFile(before, after), after.Mode())
			}
		}
		c.Exit()
		checkWhole(t, c)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestLateReopensAllAct: of two that are pending, the second one acts as well, and
// with conmon destroys what was written in between.
func TestLateReopensAllAct(t *testing.T) {
	for style, lost := range map[Style]uint64{Containerd: 0, CRIO: 10} {
		t.Run(fmt.Sprint(style), func(t *testing.T) {
			t.Parallel()
			r, client := start(t, Options{Style: style, TailDelay: -1})
			c := run(t, r, ContainerSpec{})
			write := func() {
				if err := c.WriteNumbered("stdout", 10, 100); err != nil {
					t.Fatal(err)
				}
			}
			file := func() *os.File {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.file
			}
			write()
			exchange(t, c, c.LogPath()+".000001")
			before := file()
			c.Fail(Failure{Mode: DeadlineThenActs, Times: 1, Delay: 100 * time.Millisecond})
			c.Fail(Failure{Mode: DeadlineThenActs, Times: 1, Delay: 2 * time.Second})
			ctx, cancel := context.WithCancel(t.Context())
			answers := make(chan error, 2)
			for range cap(answers) {
				go func() { answers <- reopen(ctx, client, c) }()
			}
			testutil.Eventually(t, "both calls", func() bool { return r.Calls("ReopenContainerLog") == 2 })
			cancel()
			for range cap(answers) {
				wantCode(t, <-answers, codes.Canceled)
			}
			testutil.Eventually(t, "the first reopen", func() bool { return file() != before })
			write()
			first := file()
			testutil.Eventually(t, "the second reopen", func() bool { return file() != first })
			write()
			c.Exit()
			if got := uint64(30 - len(records(t, files(t, c)...))); got != lost {
				t.Errorf("%d lines lost; want %d", got, lost)
			}
		})
	}
}

func TestModes(t *testing.T) {
	for b, want := range map[Style]os.FileMode{Containerd: 0o640, CRIO: 0o600} {
		r, client := start(t, Options{Style: b})
		c := run(t, r, ContainerSpec{})
		rotate(t, client, c, 1)
		info, err := os.Stat(c.LogPath())
		if err != nil || info.Mode().Perm()&^want != 0 || info.Mode().Perm()&0o600 != 0o600 {
			t.Errorf("style %d: %v, %v; want %v", b, info.Mode(), err, want)
		}
		// O_APPEND shows in what a truncation leaves: conmon writes on at its old offset.
		if err := c.WriteNumbered("stdout", 1, 100); err != nil {
			t.Fatal(err)
		}
		one := size(c.LogPath())
		if err := os.Truncate(c.LogPath(), 0); err != nil {
			t.Fatal(err)
		}
		if err := c.WriteNumbered("stdout", 1, 100); err != nil {
			t.Fatal(err)
		}
		if hole := size(c.LogPath()) > one+one/2; hole != (b == CRIO) {
			t.Errorf("style %d: %d bytes after a truncation, %d before", b, size(c.LogPath()), one)
		}
	}
}

func TestRestart(t *testing.T) {
	for b, name := range map[Style]string{Containerd: "containerd", CRIO: "crio"} {
		t.Run(name, func(t *testing.T) {
			r, client := start(t, Options{Style: b})
			c := run(t, r, ContainerSpec{Writer: &Pattern{BytesPerSecond: 4e6, StderrEvery: 5}})
			gone := run(t, r, ContainerSpec{Pod: "gone"})
			gone.Exit()
			testutil.Eventually(t, "the container writes", func() bool { return c.BytesWritten() > 10_000 })
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			_, err := client.Version(t.Context(), &runtimeapi.VersionRequest{})
			wantCode(t, err, codes.Unavailable)
			rotated := c.LogPath() + ".000001"
			if err := os.Rename(c.LogPath(), rotated); err != nil {
				t.Fatal(err)
			}
			before := size(rotated)
			testutil.Eventually(t, "the container writes on", func() bool { return size(rotated) > before+10_000 })
			if err := r.Restart(); err != nil {
				t.Fatal(err)
			}
			if got := exists(c.LogPath()); got != (b == Containerd) {
				t.Errorf("the log is there after the restart: %v", got)
			}
			testutil.Eventually(t, "the client is back", func() bool {
				_, err := client.Version(t.Context(), &runtimeapi.VersionRequest{})
				return err == nil
			})
			if b == CRIO {
				wantCode(t, reopen(t.Context(), client, c), codes.OK)
			}
			if err := r.Restart(); err != nil { // without a Stop
				t.Fatal(err)
			}
			c.Exit()
			checkWhole(t, c)
		})
	}
}

func TestPace(t *testing.T) {
	at := time.Now()
	p := pace{rate: 1e6, debt: catchUp, since: at}
	for _, c := range []struct {
		after time.Duration
		made  int64
		want  int
	}{
		{0, 0, 0},
		{10 * time.Millisecond, 0, 10_000},
		{10 * time.Millisecond, 9_000, 1_000},
		{20 * time.Millisecond, 30_000, -10_000},
		{10 * time.Second, 30_000, 100_000}, // a stall is not made up for as a whole
		{10*time.Second + 10*time.Millisecond, 130_000, 10_000},
	} {
		if got := p.due(at.Add(c.after), c.made); got < c.want-1 || got > c.want+1 {
			t.Errorf("after %v with %d made: %d due; want %d", c.after, c.made, got, c.want)
		}
	}
	short := pace{rate: 10e6, debt: 10 * time.Millisecond, since: at} // Pattern.CatchUp
	if got := short.due(at.Add(time.Second), 0); got != 100_000 {
		t.Errorf("%d due after a stall; want 100000", got)
	}
	if got := (&pace{}).due(at, 1e9); got != maxBatch {
		t.Errorf("%d due without a limit", got)
	}
	b := Pattern{On: 3 * time.Second, Off: time.Second}
	for after, want := range map[time.Duration]time.Duration{
		0: 0, 2999 * time.Millisecond: 0, 3 * time.Second: time.Second,
		3900 * time.Millisecond: 100 * time.Millisecond, 4 * time.Second: 0, 7 * time.Second: time.Second,
	} {
		if got := b.quiet(after); got != want {
			t.Errorf("after %v: quiet for %v; want %v", after, got, want)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	for name, p := range map[string]Pattern{"120B": {}, "mixed": {StderrEvery: 5, LongEvery: 100}} {
		b.Run(name, func(b *testing.B) {
			r, client := start(b, Options{})
			const each = 64 << 20
			b.SetBytes(each)
			n := 0
			c := run(b, r, ContainerSpec{Writer: &p})
			for b.Loop() {
				from := c.BytesWritten()
				testutil.Eventually(b, "the log grows", func() bool { return c.BytesWritten() > from+each })
				n++
				if err := os.Remove(rotate(b, client, c, n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
