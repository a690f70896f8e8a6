package top

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/testutil"
)

// tmux is a terminal with a screen: a tmux of its own, whose one window runs a
// command.
type tmux struct {
	t      testing.TB
	socket string
}

func newTmux(t testing.TB, width, height int, env []string, command ...string) *tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no tmux (Debian: apt-get install --no-install-recommends tmux)")
	}
	tm := &tmux{t, socketPath(t)}
	conf := filepath.Join(filepath.Dir(tm.socket), "tmux.conf")
	text := "set -g default-terminal tmux-256color\nset -g status off\nset -g escape-time 0\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", conf, "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height)}
	for _, e := range append([]string{"LC_ALL=C.UTF-8", "NO_COLOR="}, env...) {
		args = append(args, "-e", e)
	}
	tm.run(append(append(args, "--", "sh", "-c", `"$@"; echo "ended with $?"; exec sleep 1h`, "sh"), command...)...)
	t.Cleanup(func() { tm.run("kill-server") })
	return tm
}

func (tm *tmux) run(args ...string) string {
	tm.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-u", "-S", tm.socket}, args...)...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "TMUX") }), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		tm.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// keys presses some, by tmux's names.
func (tm *tmux) keys(keys ...string) {
	tm.t.Helper()
	tm.run(append([]string{"send-keys", "--"}, keys...)...)
}

// typed types a text.
func (tm *tmux) typed(text string) {
	tm.t.Helper()
	tm.run("send-keys", "-l", "--", text)
}

// lines are what is on the screen, without the blanks at their ends.
func (tm *tmux) lines() []string {
	tm.t.Helper()
	return strings.Split(strings.TrimSuffix(tm.run("capture-pane", "-p"), "\n"), "\n")
}

func (tm *tmux) screen() string { return strings.Join(tm.lines(), "\n") }

func (tm *tmux) resize(width, height int) {
	tm.t.Helper()
	tm.run("resize-window", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height))
}

// ask asks tmux for one of its formats.
func (tm *tmux) ask(format string) string {
	tm.t.Helper()
	return strings.TrimSpace(tm.run("display-message", "-p", "#{"+format+"}"))
}

// await waits for a picture.
func (tm *tmux) await(what string, is func(lines []string) bool) {
	tm.t.Helper()
	var lines []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if lines = tm.lines(); is(lines) {
			return
		}
	}
	tm.t.Fatalf("waited 20 s for %s; there is\n%s", what, strings.Join(lines, "\n"))
}

func (tm *tmux) awaitText(text string) {
	tm.t.Helper()
	tm.await(text, func(lines []string) bool { return strings.Contains(strings.Join(lines, "\n"), text) })
}

// ended waits for the command's end, and returns its code.
func (tm *tmux) ended() (code string) {
	tm.t.Helper()
	tm.await("the end", func(lines []string) bool {
		for _, l := range lines {
			if rest, ok := strings.CutPrefix(l, "ended with "); ok {
				code = rest
			}
		}
		return code != ""
	})
	return code
}

func topIn(t testing.TB, d *fakeDaemon, width, height int, args ...string) *tmux {
	t.Helper()
	socket := socketPath(t)
	serve(t, d, socket)
	return newTmux(t, width, height, nil, append([]string{binary(t), "top", "--control-socket", socket}, args...)...)
}

// whole reports whether the first line and the last are where they belong.
func whole(width, height int, last string) func([]string) bool {
	return func(lines []string) bool {
		if len(lines) != height || !strings.HasPrefix(lines[0], "logwatch v1.2.3") || !strings.HasPrefix(lines[height-1], last) {
			return false
		}
		for _, l := range lines {
			if ansi.StringWidth(l) > width {
				return false
			}
		}
		return true
	}
}

// TestTmux drives it on a real terminal: keys, sizes, pages.
func TestTmux(t *testing.T) {
	tm := topIn(t, running(), 80, 24)
	tm.await("the list", whole(80, 24, "? help  q quit"))
	tm.awaitText("RATE▾")
	tm.awaitText("shop/payments-0/db")
	tm.keys("n")
	tm.await("names in order", func(lines []string) bool {
		return strings.Contains(lines[4], "NAME▴") && strings.Contains(lines[5], "batch/impo")
	})
	tm.keys("Down", "Down", "r")
	tm.await("the cursor at its container", func(lines []string) bool {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "▸") })
		return i >= 0 && strings.Contains(lines[i], "coredns") && strings.Contains(lines[4], "RATE▾")
	})
	for _, size := range [][2]int{{20, 10}, {200, 50}, {80, 24}} {
		tm.resize(size[0], size[1])
		tm.await(fmt.Sprint("the list at ", size), whole(size[0], size[1], "? help  q quit"))
	}
	tm.keys("/")
	tm.typed("payments")
	tm.await("the filter", func(lines []string) bool {
		return strings.HasPrefix(lines[23], "/payments") && strings.HasPrefix(lines[5], "▸●! shop/payments-0/db") && lines[6] == ""
	})
	for _, size := range [][2]int{{20, 10}, {120, 30}, {80, 24}} {
		tm.resize(size[0], size[1])
		tm.await(fmt.Sprint("the filter at ", size), whole(size[0], size[1], "/payments"))
	}
	tm.keys("Enter")
	tm.awaitText("filter payments (Esc clears)")
	tm.keys("Enter")
	tm.awaitText("override 2 (namespace shop)")
	for _, size := range [][2]int{{20, 10}, {120, 30}, {80, 24}} {
		tm.resize(size[0], size[1])
		tm.await(fmt.Sprint("the details at ", size), whole(size[0], size[1], "Esc back"))
	}
	tm.keys("?")
	tm.awaitText("the row above")
	tm.keys("Escape")
	tm.awaitText("override 2 (namespace shop)")
	tm.keys("Escape")
	tm.awaitText("filter payments (Esc clears)")
	if tm.ask("alternate_on") != "1" || tm.ask("cursor_flag") != "0" {
		t.Error("it does not have the screen to itself")
	}
	tm.keys("q")
	if code := tm.ended(); code != "0" {
		t.Errorf("it ended with %s", code)
	}
	if tm.ask("alternate_on") != "0" || tm.ask("cursor_flag") != "1" {
		t.Error("the screen is not as before")
	}
}

// TestTmuxHolds: wide and combining characters do not shift what is right of them,
// as a real terminal draws them, however often numbers change.
func TestTmuxHolds(t *testing.T) {
	d := running()
	next := d.answer
	d.answer = func() api.Status {
		s := next()
		for i := range s.Containers {
			s.Containers[i].Namespace = []string{"日本語の名前", "e\u0301e\u0301", hostile, "plain"}[i%4]
		}
		return s
	}
	tm := topIn(t, d, 200, 24, "--interval", "100ms")
	tm.awaitText("日本語")
	asked := len(d.questions())
	testutil.Eventually(t, "some answers", func() bool { return len(d.questions()) > asked+15 })
	ends := map[int]int{}
	for _, l := range tm.lines()[4:12] {
		before, _, _ := strings.Cut(l, "/s ")
		ends[ansi.StringWidth(before)]++
	}
	if len(ends) != 1 {
		t.Errorf("the columns do not hold, rates end at %v:\n%s", ends, tm.screen())
	}
}

// TestDaemonAway: the last picture stays, and it goes on when the daemon is back.
func TestDaemonAway(t *testing.T) {
	socket, d := socketPath(t), running()
	stop := serve(t, d, socket)
	tm := newTmux(t, 100, 24, nil, binary(t), "top", "--control-socket", socket, "--interval", "200ms")
	tm.awaitText("payments-0")
	stop()
	tm.await("what it says of it", func(lines []string) bool {
		return strings.HasPrefix(lines[3], "last response ") && strings.Contains(lines[3], "retrying: no daemon answers at")
	})
	if !strings.Contains(tm.screen(), "payments-0") {
		t.Errorf("the picture is gone:\n%s", tm.screen())
	}
	tm.keys("Down", "s") // it is alive
	tm.awaitText("SIZE▾")
	serve(t, d, socket)
	tm.await("the daemon's return", func(lines []string) bool { return strings.HasPrefix(lines[3], "errors: 2 of 8 containers") })
}

// TestDaemonSlow: questions do not pile up, nor come sooner than an interval.
func TestDaemonSlow(t *testing.T) {
	d := running()
	const interval = 100 * time.Millisecond
	tm := topIn(t, d, 80, 24, "--interval", interval.String())
	tm.awaitText("payments-0")
	d.mu.Lock()
	d.hold = make(chan struct{})
	before := len(d.asked)
	d.mu.Unlock()
	tm.await("what it says of it", func(lines []string) bool { return strings.HasPrefix(lines[3], "last response ") })
	tm.keys("Down", "Enter", "BSpace", "s")
	tm.awaitText("SIZE▾")
	if n := len(d.questions()) - before; n > 1 {
		t.Errorf("%d questions are under way", n)
	}
	d.mu.Lock()
	close(d.hold)
	d.hold = nil
	d.mu.Unlock()
	tm.await("the answer", func(lines []string) bool { return strings.HasPrefix(lines[3], "errors: 2 of 8 containers") })
	// What is measured is when questions arrive, so the first of them may be late.
	const late = time.Second
	testutil.Eventually(t, "more answers", func() bool { return len(d.questions()) > before+30 })
	q := d.questions()[before+1:]
	if took, least := q[len(q)-1].at.Sub(q[0].at), time.Duration(len(q)-1)*interval; took < least-late {
		t.Errorf("%d questions within %v", len(q), took)
	}
}

// TestStopAndContinue: ^Z leaves the shell its terminal, fg brings the picture back.
func TestStopAndContinue(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	socket := socketPath(t)
	serve(t, running(), socket)
	tm := newTmux(t, 80, 24, []string{"PS1=shell>", "HISTFILE="}, "bash", "--norc", "--noprofile", "-i")
	tm.awaitText("shell>")
	tm.typed("stty -g >" + socket + ".before; " + binary(t) + " top --control-socket " + socket + "; stty -g >" + socket + ".stopped\n")
	for range 2 {
		tm.await("the list", whole(80, 24, "? help  q quit"))
		tm.keys("Down", "C-z")
		tm.awaitText("Stopped")
		if tm.ask("alternate_on") != "0" || tm.ask("cursor_flag") != "1" {
			t.Error("the shell does not have its screen")
		}
		testutil.Eventually(t, "the shell", written(socket+".stopped"))
		tm.resize(100, 30) // while it is stopped
		tm.typed("clear; fg; echo code $?; stty -g >" + socket + ".after\n")
		tm.await("the list at another size", whole(100, 30, "? help  q quit"))
		tm.resize(80, 24)
	}
	tm.await("the list", whole(80, 24, "? help  q quit"))
	tm.keys("q")
	tm.awaitText("code 0")
	testutil.Eventually(t, "the shell", written(socket+".after"))
	before, _ := os.ReadFile(socket + ".before")
	for _, name := range []string{".stopped", ".after"} {
		if got, err := os.ReadFile(socket + name); err != nil || len(got) == 0 || string(got) != string(before) {
			t.Errorf("%s: %q, before %q, %v", name, got, before, err)
		}
	}
}

// written reports whether a file has something in it.
func written(path string) func() bool {
	return func() bool {
		st, err := os.Stat(path)
		return err == nil && st.Size() > 0
	}
}

// TestMany: 5000 containers.
func TestMany(t *testing.T) {
	d := &fakeDaemon{answer: func() api.Status { return many(5000, 20) }}
	tm := topIn(t, d, 120, 40)
	tm.awaitText("5000 containers")
	tm.keys("End")
	tm.await("the last one", func(lines []string) bool {
		return strings.HasPrefix(lines[37], "▸") && strings.Contains(lines[38], "kube-proxy-9k2lt-04993/kube-proxy")
	})
	tm.keys("/")
	tm.typed("00042")
	tm.awaitText("1 of 5000 containers")
}

// TestRealDaemon: what the daemon itself says, of containers that log.
func TestRealDaemon(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	rt, err := fake.Start(fake.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close() //nolint:errcheck // its directory is removed
	for pod, rate := range map[string]float64{"loud": 2e6, "quiet": 100} {
		if _, err := rt.RunContainer(fake.ContainerSpec{Namespace: "shop", Pod: pod, Name: "app", Writer: &fake.Pattern{BytesPerSecond: rate}}); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "a.yaml")
	text := fmt.Sprintf(`containerRuntimeEndpoint: %q
podLogsDir: %q
controlSocket: %q
containerLogMaxSize: 1Mi
containerLogMonitorInterval: 1s
metrics: {listenAddress: ""}
`, rt.Endpoint(), rt.PodLogsDir(), filepath.Join(dir, "s.sock"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(binary(t), "run", "--config", conf)
	var log strings.Builder
	daemon.Stdout, daemon.Stderr = &log, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(daemon.Process.Signal(unix.SIGTERM), daemon.Wait()); err != nil {
			t.Errorf("the daemon: %v: %s", err, &log)
		}
	}()
	testutil.Eventually(t, "the socket", func() bool {
		c, err := net.Dial("unix", filepath.Join(dir, "s.sock"))
		return err == nil && c.Close() == nil
	})
	tm := newTmux(t, 120, 30, nil, binary(t), "top", "--config", conf, "shop")
	rotated := regexp.MustCompile(`(?m)^▸● +shop/loud/app +\S+ .* 1Mi +1\.[5-9]Mi/s.* [1-9]\d* +[01]s +\S+$`)
	tm.await("rotations of the loud one, first", func(lines []string) bool {
		return strings.Contains(lines[0], "runtime ready") && rotated.MatchString(strings.Join(lines, "\n"))
	})
	tm.keys("Enter")
	tm.await("its policy", func(lines []string) bool {
		all := strings.Join(lines, "\n")
		return strings.Contains(all, "maxSize") && strings.Contains(all, "cause write") && strings.Contains(all, "polled: its size is checked on a timer")
	})
	tm.keys("q")
	if code := tm.ended(); code != "0" {
		t.Errorf("it ended with %s", code)
	}
}
