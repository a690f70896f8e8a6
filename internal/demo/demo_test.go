package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is a bytes.Buffer that a test reads while the demo writes.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func options(out io.Writer) Options {
	return Options{Runtime: "containerd", MaxSize: 128 << 10, Out: out, Duration: time.Second}
}

// temp sets TMPDIR, short enough for a socket, and checks at the end that the demo
// left nothing in it.
func temp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "lwd")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := filepath.Glob(dir + "/*")
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// output is what a demo prints, with # for figures other than 0, and single blanks.
const output = `logwatch demo: # containers on an embedded runtime (RUNTIME), limit #
#s #/s # lines # rotations worst overshoot #
Stopping the containers, then checking every line

CONTAINER WRITTEN FILES LINES FOUND PRUNED LOST DOUBLED OUT OF ORDER DAMAGED
checkout # # # # 0 0 0 0 0
payments # # # # 0 0 0 0 0
search # # # # 0 0 0 0 0
batch-import # # # # 0 0 0 0 0
all # # # # 0 0 0 0 0

# rotations in #s; overshoot past the limit of #: # on average, # at worst
Proven: all # lines were found, each once and in order
`

var (
	figures = regexp.MustCompile(`-?\b([1-9][0-9,.]*|0\.[0-9]+)([KM]i)?`)
	blanks  = regexp.MustCompile(` +`)
)

func TestOutput(t *testing.T) {
	for _, runtime := range []string{"containerd", "crio"} {
		t.Run(runtime, func(t *testing.T) {
			temp(t)
			var out buffer
			o := options(&out)
			o.Runtime, o.Duration = runtime, 0
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, o) }()
			testutil.Eventually(t, "a line of progress", func() bool { return strings.Contains(out.String(), " rotations ") })
			cancel()
			if err := <-ended; err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			lines := strings.Split(blanks.ReplaceAllString(figures.ReplaceAllString(out.String(), "#"), " "), "\n")
			for i := range lines {
				lines[i] = strings.TrimSpace(lines[i])
			}
			lines = slices.Compact(lines) // a slow machine prints more than one line of progress
			if got, want := strings.Join(lines, "\n"), strings.ReplaceAll(output, "RUNTIME", runtime); got != want {
				t.Errorf("got\n%s\nwant\n%s\nfrom\n%s", got, want, &out)
			}
		})
	}
}

// TestLostLogFails: a log that is missing at the front was not pruned, for so few
// lines the policy keeps all.
func TestLostLogFails(t *testing.T) {
	dir := temp(t)
	var out buffer
	o := options(&out)
	o.Duration = 0
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	testutil.Eventually(t, "a compressed log", func() bool {
		logs, err := filepath.Glob(dir + "/*/pods/shop_payments_*/payments/0.log.*.gz")
		if err != nil {
			t.Fatal(err)
		}
		return len(logs) > 0 && os.Remove(logs[0]) == nil
	})
	cancel()
	if err := <-ended; !errors.Is(err, ErrUnproven) {
		t.Errorf("%v\n%s", err, &out)
	}
	for _, want := range []string{"\npayments: ", " lines are missing at the front\n", "\nNOT PROVEN: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// newSession has a runtime and no daemon.
func newSession(t *testing.T, o Options) *session {
	t.Helper()
	rt, err := fake.Start(fake.Options{Dir: temp(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(rt.Close(), os.RemoveAll(rt.PodLogsDir())); err != nil {
			t.Error(err)
		}
	})
	_, cfg, err := o.config()
	if err != nil {
		t.Fatal(err)
	}
	cfg.ContainerRuntimeEndpoint, cfg.PodLogsDir = rt.Endpoint(), rt.PodLogsDir()
	return &session{options: o, cfg: cfg, runtime: rt}
}

// TestVerify: what is missing at the front may have been pruned only where the policy
// could prune.
func TestVerify(t *testing.T) {
	const lines, width, dropped = 17_000, 1000, 100 // 17 MB: a quarter of 1000 logs of 64 KiB, and some
	for limit, pruned := range map[int64]uint64{64 << 10: dropped, 1 << 20: 0} {
		o := options(io.Discard)
		o.MaxSize = limit
		s := newSession(t, o)
		c, err := s.runtime.RunContainer(fake.ContainerSpec{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.WriteNumbered("stdout", lines, width); err != nil {
			t.Fatal(err)
		}
		c.Exit()
		if p := s.verify(container{c, "app"}); p.err != nil || p.Found != lines || p.files != 1 {
			t.Errorf("all lines: %+v", p)
		}
		text, err := os.ReadFile(c.LogPath())
		if err != nil {
			t.Fatal(err)
		}
		kept := bytes.SplitAfterN(text, []byte("\n"), dropped+1)[dropped]
		if err := os.WriteFile(c.LogPath(), kept, 0o600); err != nil {
			t.Fatal(err)
		}
		p := s.verify(container{c, "app"})
		if p.Pruned != pruned || p.Lost != dropped-pruned || (p.err == nil) != (pruned > 0) {
			t.Errorf("limit %d: %+v", limit, p)
		}
		text, proven := s.summary([]proof{p})
		if proven != (pruned > 0) || proven != strings.Contains(string(text), "Proven: all 16,900 lines that the policy keeps") {
			t.Errorf("limit %d: proven %v\n%s", limit, proven, text)
		}
	}
}

// TestWriteErrorFails: a container that could not write is not proven, whatever is there.
func TestWriteErrorFails(t *testing.T) {
	s := newSession(t, options(io.Discard))
	c, err := s.runtime.RunContainer(fake.ContainerSpec{LogPath: filepath.Join(s.cfg.PodLogsDir, "gone", "0.log")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write("stdout", nil); err == nil {
		t.Fatal("a line was written")
	}
	if err := os.Mkdir(c.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	c.Exit()
	if p := s.verify(container{c, "app"}); p.err == nil {
		t.Errorf("%+v", p)
	}
}

func TestDaemonEndsByItself(t *testing.T) {
	s := newSession(t, options(io.Discard))
	pods := s.cfg.PodLogsDir
	s.cfg.PodLogsDir = "/dev/null" // not a directory
	s.cfg.ControlSocket = filepath.Join(filepath.Dir(pods), "ctl.sock")
	ctx, cancel := context.WithCancel(t.Context())
	s.daemon.start(ctx, s.cfg, cancel)
	if err := s.run(ctx); err == nil || !strings.Contains(err.Error(), "the daemon ended by itself\npodLogsDir ") {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(pods), "cri.sock")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestKeep(t *testing.T) {
	dir := temp(t)
	var out buffer
	o := options(&out)
	o.Keep, o.Duration = true, 200*time.Millisecond
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	_, kept, _ := strings.Cut(strings.TrimSpace(out.String()), "logs kept in ")
	if filepath.Dir(kept) != dir {
		t.Fatalf("kept in %q\n%s", kept, &out)
	}
	if logs, err := filepath.Glob(kept + "/pods/*/*/0.log"); err != nil || len(logs) != 4 {
		t.Errorf("%d live logs, %v", len(logs), err)
	}
	if err := os.RemoveAll(kept); err != nil {
		t.Fatal(err)
	}
}

// TestEnds: on a terminal the demo shows top and ends with its keys, its context and
// its duration; the lines are checked each time.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(master *os.File, cancel func()) error{
		"q":       func(master *os.File, _ func()) error { _, err := master.WriteString("q"); return err },
		"ctrl-c":  func(master *os.File, _ func()) error { _, err := master.WriteString("\x03"); return err },
		"context": func(_ *os.File, cancel func()) error { cancel(); return nil },
		"time":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			temp(t)
			master, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
				t.Fatal(err)
			}
			var out buffer
			var g sync.WaitGroup
			g.Go(func() { _, _ = io.Copy(&out, master) }) // ends with EIO
			o := options(tty)
			o.Terminal, o.In = true, tty
			if end != nil {
				o.Duration = 0
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, o) }()
			testutil.Eventually(t, "the view", func() bool { return strings.Contains(out.String(), "batch-import") })
			if end != nil {
				if err := end(master, cancel); err != nil {
					t.Error(err)
				}
			}
			if err := <-ended; err != nil {
				t.Errorf("%v\n%s", err, &out)
			}
			testutil.Eventually(t, "the summary", func() bool { return strings.Contains(out.String(), "Proven: all ") })
			if _, after, found := strings.Cut(out.String(), "\x1b[?1049l"); !found || strings.Contains(after, "\x1b[?1049h") {
				t.Errorf("the alternate screen stays: %q", &out)
			}
			if err := errors.Join(tty.Close(), master.Close()); err != nil {
				t.Error(err)
			}
			g.Wait()
		})
	}
}

type panics struct{}

func (panics) Write([]byte) (int, error) { panic("write") }

func TestPanicRemovesTheDirectory(t *testing.T) {
	temp(t)
	defer func() {
		if recover() == nil {
			t.Error("the panic was swallowed")
		}
	}()
	_ = Run(t.Context(), options(panics{}))
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, fs.ErrClosed }

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *Options)
		want   string
	}{
		"runtime":  {func(_ *testing.T, o *Options) { o.Runtime = "docker" }, "must be one of containerd, crio"},
		"no size":  {func(_ *testing.T, o *Options) { o.MaxSize = 0 }, "must be at least 64Ki and at most 64Mi"},
		"large":    {func(_ *testing.T, o *Options) { o.MaxSize = 65 << 20 }, "must be at least 64Ki and at most 64Mi"},
		"interval": {func(_ *testing.T, o *Options) { o.MinRotationInterval = -1 }, "must be at least 0s"},
		"duration": {func(_ *testing.T, o *Options) { o.Duration = -1 }, "must be at least 0s (until Ctrl-C)"},
		"output":   {func(_ *testing.T, o *Options) { o.Out = broken{} }, "file already closed"},
		"long TMPDIR": {func(t *testing.T, _ *Options) {
			long := os.Getenv("TMPDIR") + "/" + strings.Repeat("x", 90)
			if err := os.Mkdir(long, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("TMPDIR", long)
			t.Cleanup(func() {
				if err := os.Remove(long); err != nil {
					t.Error(err)
				}
			})
		}, "set TMPDIR to a shorter directory"},
		"no TMPDIR": {func(t *testing.T, _ *Options) { t.Setenv("TMPDIR", "/nonexistent") }, "set TMPDIR to a writable directory"},
	} {
		t.Run(name, func(t *testing.T) {
			temp(t)
			o := options(io.Discard)
			o.Duration = 100 * time.Millisecond
			c.change(t, &o)
			if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	var w warnings
	for range maxWarnings + 2 {
		for _, line := range []string{"WRN stuck \x1b[2J\n", "WRN rotation failed error=\"context canceled\"\n"} {
			if _, err := io.WriteString(&w, line); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := w.text()
	if n := strings.Count(text, "daemon: WRN stuck "); n != maxWarnings || !strings.HasSuffix(text, "\ndaemon: and 2 more") {
		t.Errorf("%d warnings in %q", n, text)
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "canceled") {
		t.Errorf("%q", text)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
