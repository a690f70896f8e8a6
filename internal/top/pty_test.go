package top

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/api"
)

// panics has the test binary run a view that panics, where it says.
const panics = "LOGWATCH_TOP_PANICS"

func TestMain(m *testing.M) {
	if where := os.Getenv(panics); where != "" {
		fmt.Fprintln(os.Stderr, "ended:", Run(context.Background(), panicking(where)))
		os.Exit(3)
	}
	code := 0
	goleak.VerifyTestMain(m, goleak.Cleanup(func(leaks int) {
		code = leaks
		if built.dir != "" {
			_ = os.RemoveAll(built.dir)
		}
	}))
	os.Exit(code)
}

// panicking are options that show a picture, and panic then.
func panicking(where string) Options {
	asked := 0
	o := Options{Interval: MinInterval, Source: &scripted{answer: func(api.Names, bool) (api.Status, error) {
		if asked++; asked > 3 && where == "ask" {
			panic("the question")
		}
		return sample(asked), nil
	}}}
	begun := time.Now()
	o.now = func() time.Time {
		if where == "update" && time.Since(begun) > time.Second {
			panic("the update")
		}
		return time.Now()
	}
	return o
}

// built is the logwatch binary.
var built struct {
	sync.Once
	dir, path string
	err       error
}

func binary(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "logwatch"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "logwatch")
		out, err := exec.Command("go", "build", "-o", built.path, "../../cmd/logwatch").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// term is a process on a pseudo-terminal, without a shell, and all that it wrote.
type term struct {
	t           *testing.T
	master, tty *os.File
	cmd         *exec.Cmd
	before      unix.Termios
	read        chan struct{} // closed when the master has ended
	ended       chan struct{} // closed when the process has

	mu   sync.Mutex
	text bytes.Buffer
}

func onTerminal(t *testing.T, env []string, name string, args ...string) *term {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	tm := &term{t: t, master: master, tty: tty, read: make(chan struct{}), ended: make(chan struct{})}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	tm.before = tm.modes()
	tm.cmd = exec.Command(name, args...)
	tm.cmd.Env = append(os.Environ(), append([]string{"TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR="}, env...)...)
	tm.cmd.Stdin, tm.cmd.Stdout, tm.cmd.Stderr = tty, tty, tty
	tm.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := tm.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(tm.read)
		_, _ = io.Copy(tm, master)
	}()
	go func() {
		defer close(tm.ended)
		_ = tm.cmd.Wait() // its state says what it ended with
	}()
	t.Cleanup(func() {
		_ = tm.cmd.Process.Kill()
		<-tm.ended
		_ = tty.Close()
		_ = master.Close()
		<-tm.read
	})
	return tm
}

func (tm *term) Write(p []byte) (int, error) {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.text.Write(p)
}

func (tm *term) written() string {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.text.String()
}

// modes are the terminal's.
func (tm *term) modes() unix.Termios {
	tm.t.Helper()
	m, err := unix.IoctlGetTermios(int(tm.tty.Fd()), unix.TCGETS)
	if err != nil {
		tm.t.Fatal(err)
	}
	return *m
}

func (tm *term) await(text string) {
	tm.t.Helper()
	tm.awaitAfter(0, text)
}

// awaitAfter waits for a text behind what was written before.
func (tm *term) awaitAfter(offset int, text string) {
	tm.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(tm.written()[offset:], text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tm.t.Fatalf("waited 20 s for %q in %q", text, tm.written()[offset:])
		}
	}
}

func (tm *term) send(keys string) {
	tm.t.Helper()
	if _, err := tm.master.WriteString(keys); err != nil {
		tm.t.Fatal(err)
	}
}

// end waits for the process and checks that it restored the terminal.
func (tm *term) end(code int) {
	tm.t.Helper()
	select {
	case <-tm.ended:
	case <-time.After(20 * time.Second):
		tm.t.Fatalf("it does not end; it wrote %q", tm.written())
	}
	if got := tm.cmd.ProcessState.ExitCode(); got != code {
		tm.t.Errorf("it ended with %d, want %d: %q", got, code, tm.written())
	}
	tm.restored()
}

// restored checks that every mode that was set is reset.
func (tm *term) restored() {
	tm.t.Helper()
	if after := tm.modes(); after != tm.before {
		tm.t.Errorf("modes before %+v\nand after %+v", tm.before, after)
	}
	const mark = "=end of output="
	if _, err := tm.tty.WriteString(mark); err != nil {
		tm.t.Fatal(err)
	}
	tm.await(mark)
	out := tm.written()
	for on, off := range map[string]string{
		"\x1b[?1049h": "\x1b[?1049l", // the alternate screen
		"\x1b[?25l":   "\x1b[?25h",   // the cursor
		"\x1b[?2004h": "\x1b[?2004l", // bracketed paste
		"\x1b[>4;2m":  "\x1b[>4m",    // keys
		"\x1b[>1u":    "\x1b[<1u",    // keys again
		"\x1b[?2026h": "\x1b[?2026l", // synchronized output
	} {
		if strings.LastIndex(out, on) > strings.LastIndex(out, off) {
			tm.t.Errorf("%q was not undone: %q", on, out)
		}
	}
	if up, down := strings.Count(out, "\x1b[>1u"), strings.Count(out, "\x1b[<1u"); up != down {
		tm.t.Errorf("key modes: %d pushed, %d popped", up, down)
	}
}

func topOn(t *testing.T, env ...string) *term {
	t.Helper()
	socket := socketPath(t)
	serve(t, running(), socket)
	return onTerminal(t, env, binary(t), "top", "--control-socket", socket)
}

// TestRestores: however it ends, the terminal is as before.
func TestRestores(t *testing.T) {
	for name, end := range map[string]func(tm *term){
		"q":       func(tm *term) { tm.send("q") },
		"ctrl-c":  func(tm *term) { tm.send("\x03") },
		"typing":  func(tm *term) { tm.send("/"); tm.await("Esc clears"); tm.send("q\x03") },
		"details": func(tm *term) { tm.send("\r"); tm.await("override 2"); tm.send("q") },
		"SIGTERM": func(tm *term) { _ = tm.cmd.Process.Signal(unix.SIGTERM) },
		"SIGINT":  func(tm *term) { _ = tm.cmd.Process.Signal(unix.SIGINT) },
		"SIGHUP":  func(tm *term) { _ = tm.cmd.Process.Signal(unix.SIGHUP) },
	} {
		t.Run(name, func(t *testing.T) {
			tm := topOn(t)
			tm.await("payments-0")
			if tm.modes() == tm.before || !strings.Contains(tm.written(), "\x1b[?1049h") {
				t.Error("nothing is there to be restored")
			}
			end(tm)
			tm.end(0)
		})
	}
}

// TestPanic: one in what the view does, or in what asks for it.
func TestPanic(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"ask": "the question", "update": "the update"} {
		t.Run(where, func(t *testing.T) {
			tm := onTerminal(t, []string{panics + "=" + where}, self)
			tm.await("payments-0")
			tm.end(3)
			for _, want := range []string{text, "ended: show the containers: program was killed: program experienced a panic"} {
				if !strings.Contains(tm.written(), want) {
					t.Errorf("no %q in %q", want, tm.written())
				}
			}
		})
	}
}

// TestStopNowhere: where no shell could continue it, ^Z does not hold it up.
func TestStopNowhere(t *testing.T) {
	tm := topOn(t)
	tm.await("payments-0")
	n := len(tm.written())
	tm.send("\x1a")
	tm.awaitAfter(n, "\x1b[?1049l")
	tm.awaitAfter(n, "payments-0") // and it is back
	tm.send("q")
	tm.end(0)
}

// TestFirstAnswer: a wrong socket is reported immediately, on a restored terminal.
func TestFirstAnswer(t *testing.T) {
	socket := socketPath(t)
	tm := onTerminal(t, nil, binary(t), "top", "--control-socket", socket)
	tm.end(1)
	if want := "logwatch: no daemon answers at " + socket + ": is it running?"; !strings.Contains(tm.written(), want) {
		t.Errorf("no %q in %q", want, tm.written())
	}
}

// TestRefusesTerminal: what cannot be drawn on is refused with what to do instead.
func TestRefusesTerminal(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		env        []string
		size       *pty.Winsize
	}{
		{"dumb", "use `logwatch status`", []string{"TERM=dumb"}, nil},
		{"no size", "stty rows 24 cols 80", nil, &pty.Winsize{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name, args := binary(t), []string{"top"}
			if tt.size != nil { // once it is its terminal
				name, args = "sh", []string{"-c", "stty rows 0 cols 0; exec " + binary(t) + " top"}
			}
			tm := onTerminal(t, tt.env, name, args...)
			tm.end(1)
			if !strings.Contains(tm.written(), tt.want) || strings.Contains(tm.written(), "\x1b") {
				t.Errorf("no %q in %q", tt.want, tm.written())
			}
		})
	}
	out, err := exec.Command(binary(t), "top").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "top needs a terminal: `logwatch status`") {
		t.Errorf("into a pipe: %v, %s", err, out)
	}
}

// TestNoColor: it keeps to no-color.org, and still tells all.
func TestNoColor(t *testing.T) {
	colour := regexp.MustCompile(`\x1b\[([0-9;]*;)?[349][0-9](;[0-9;]*)?m`)
	for _, env := range []string{"NO_COLOR=1", "NO_COLOR="} {
		tm := topOn(t, env)
		tm.await("payments-0")
		tm.send("q")
		tm.end(0)
		if got, want := colour.MatchString(tm.written()), env == "NO_COLOR="; got != want {
			t.Errorf("%s: colours: %v, in %q", env, got, tm.written())
		}
		// The terminal's own sixteen alone suit its background.
		if fixed := regexp.MustCompile(`\x1b\[([0-9;]*;)?[34]8[;:]`); fixed.MatchString(tm.written()) {
			t.Errorf("%s: colours that are not the terminal's own: %q", env, tm.written())
		}
	}
}

// TestRun leaves no goroutine, and gives up a question that is under way.
func TestRun(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close() //nolint:errcheck // nothing is lost
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	source := asking(func(ctx context.Context) {
		close(asked)
		<-ctx.Done()
	})
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, Options{Source: source, Interval: time.Second, In: tty, Out: tty}) }()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, master)
	}()
	<-asked
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := tty.Close(); err != nil {
		t.Error(err)
	}
	<-drained
}

// asking is a Source that a test waits in.
type asking func(ctx context.Context)

func (a asking) Status(ctx context.Context, _ api.Names, _ bool) (api.Status, error) {
	a(ctx)
	return api.Status{}, ctx.Err()
}
