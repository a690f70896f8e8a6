package demo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T, out *bytes.Buffer) Options {
	t.Helper()
	return Options{MaxSize: 256 << 10, Out: out, Duration: time.Second}
}

// temp makes a TMPDIR, short enough for a socket, and checks at the end that it
// is empty.
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

var figures = regexp.MustCompile(`lines written ([0-9,]+), found ([0-9,]+), pruned by policy ([0-9,]+), lost ([0-9,]+), doubled ([0-9,]+), out of order ([0-9,]+)`)

// totals reads the figures of a summary: written, found, pruned, lost, doubled,
// out of order.
func totals(t *testing.T, out string) (n [6]int) {
	t.Helper()
	m := figures.FindStringSubmatch(strings.Join(strings.Fields(out), " "))
	if m == nil {
		t.Fatalf("no figures in\n%s", out)
	}
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(strings.ReplaceAll(m[i+1], ",", "")); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestRun(t *testing.T) {
	for _, runtime := range []string{"containerd", "crio"} {
		t.Run(runtime, func(t *testing.T) {
			temp(t)
			var out bytes.Buffer
			o := options(t, &out)
			o.Runtime = runtime
			if err := Run(t.Context(), o); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			n := totals(t, out.String())
			if n[0] == 0 || n[0] != n[1]+n[2] || n[3]+n[4]+n[5] != 0 {
				t.Errorf("written, found, pruned, lost, doubled, out of order: %v", n)
			}
			for _, want := range []string{runtime, "limit 256Ki", "proven", "overshoot     p50", "batch-import"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, &out)
				}
			}
			if strings.Contains(out.String(), "\x1b") {
				t.Errorf("escapes, and no terminal:\n%q", &out)
			}
		})
	}
}

// dropLine takes a line out of the largest of a container's plain logs.
func dropLine(t *testing.T, podLogsDir string) {
	logs, err := filepath.Glob(podLogsDir + "/shop_payments_*/payments/*[0-9g]")
	if err != nil {
		t.Error(err)
	}
	var text []byte
	var from string
	for _, log := range logs {
		switch b, err := os.ReadFile(log); {
		case err != nil:
			t.Error(err)
		case len(b) > len(text):
			text, from = b, log
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i := 30; i < len(lines)-30; i++ {
		if len(lines[i-1]) > 200 || len(lines[i]) > 200 { // a part of a line that was cut
			continue
		}
		doctored := append(bytes.Join(lines[:i], nil), bytes.Join(lines[i+1:], nil)...)
		if err := os.WriteFile(from, doctored, 0o600); err != nil {
			t.Error(err)
		}
		return
	}
	t.Errorf("no line to drop in %q", logs)
}

func TestLostLineFails(t *testing.T) {
	temp(t)
	var out bytes.Buffer
	o := options(t, &out)
	o.doctor = func(podLogsDir string) { dropLine(t, podLogsDir) }
	err := Run(t.Context(), o)
	if !errors.Is(err, ErrUnproven) {
		t.Fatalf("%v\n%s", err, &out)
	}
	n := totals(t, out.String())
	if n[3] != 1 || n[0] != n[1]+n[2]+n[3] {
		t.Errorf("written, found, pruned, lost, doubled, out of order: %v\n%s", n, &out)
	}
	if !strings.Contains(out.String(), "NOT PROVEN") || !strings.Contains(out.String(), "PROBLEM       payments: ") {
		t.Errorf("the summary does not say it:\n%s", &out)
	}
}

func TestKeep(t *testing.T) {
	dir := temp(t)
	var out bytes.Buffer
	o := options(t, &out)
	o.Keep, o.Duration = true, 200*time.Millisecond
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	_, kept, _ := strings.Cut(strings.TrimSpace(out.String()), "kept in ")
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

func TestCancelEndsSoon(t *testing.T) {
	temp(t)
	var out bytes.Buffer
	o := options(t, &out)
	o.Duration = 0
	o.Size = func() (int, int) { return 80, 24 }
	ctx, cancel := context.WithCancel(t.Context())
	frames := 0
	var cancelled time.Time
	o.render = func(st State, width int, style Style) []string {
		if frames++; frames == 3 {
			cancelled = time.Now()
			cancel()
		}
		return Render(st, width, style)
	}
	if err := Run(ctx, o); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if took := time.Since(cancelled); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := totals(t, out.String()); n[0] == 0 || n[0] != n[1]+n[2] {
		t.Errorf("written, found, pruned, lost, doubled, out of order: %v", n)
	}
}

func TestPanicInTheViewRemovesTheFolder(t *testing.T) {
	temp(t)
	o := options(t, &bytes.Buffer{})
	o.Size = func() (int, int) { return 80, 24 }
	o.render = func(State, int, Style) []string { panic("in the view") }
	defer func() {
		if recover() == nil {
			t.Error("the panic was swallowed")
		}
	}()
	_ = Run(t.Context(), o)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, fs.ErrClosed }

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *Options)
		want   string
	}{
		"runtime":  {func(_ *testing.T, o *Options) { o.Runtime = "docker" }, "choose containerd or crio"},
		"size":     {func(_ *testing.T, o *Options) { o.MaxSize = 0 }, "must be at least 64Ki"},
		"interval": {func(_ *testing.T, o *Options) { o.MinRotationInterval = -1 }, "choose 0s or more"},
		"duration": {func(_ *testing.T, o *Options) { o.Duration = -1 }, "choose 0s (until Ctrl-C) or more"},
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
		"no TMPDIR": {func(t *testing.T, _ *Options) { t.Setenv("TMPDIR", "/nonexistent") }, "set TMPDIR to a directory that you may write to"},
	} {
		t.Run(name, func(t *testing.T) {
			temp(t)
			o := options(t, &bytes.Buffer{})
			o.Duration = 100 * time.Millisecond
			c.change(t, &o)
			if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
