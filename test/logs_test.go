package test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
)

// TestLogsFollow: `logwatch logs -f` prints each line once while the log is rotated
// and compressed many times a second, also when it is stopped for most of the time.
func TestLogsFollow(t *testing.T) { onEachNode(t, logsFollow) }

func logsFollow(t *testing.T, n node) {
	t.Parallel()                                             // it mostly waits for rotations
	p := newProcess(t, n, everything+"unreadLogBudget: 0\n") // else a stopped process that has a log open delays rotations
	p.start()
	w := workload{name: "followed", lines: 60_000, rate: 4e6, stderrEvery: 3, longEvery: 100}
	c := n.run(t, w)
	live := filepath.Join(n.PodLogsDir(), c.dir(), "0.log")
	testutil.Eventually(t, "the log", func() bool { _, err := os.Stat(live); return err == nil })
	prompt, slow := p.logs(n, w.name), p.logs(n, w.name)
	files := len(names(t, n, c.dir()))
	for !c.exited() { // the slow one runs once every ten rotations
		slow.signal(unix.SIGSTOP)
		testutil.Eventually(t, "ten rotations", func() bool { return len(names(t, n, c.dir())) >= files+10 || c.exited() })
		before := slow.size()
		slow.signal(unix.SIGCONT)
		testutil.Eventually(t, "some of what it missed", func() bool { return slow.size() > before || c.exited() })
		files = len(names(t, n, c.dir()))
	}
	c.wait(t)
	if files := len(names(t, n, c.dir())); files < 30 {
		t.Errorf("%d files, so it was hardly rotated", files)
	}
	for _, l := range []*logsOf{prompt, slow} {
		var err error
		testutil.Eventually(t, "all lines", func() bool { err = l.check().OK(w.written()); return err == nil || l.settled() })
		if err != nil {
			t.Error(err)
		}
		l.stop()
	}
	p.stop()
	all(t, n, c.dir(), w.written())
}

// logsOf is `logwatch logs -f` as its own process, into a file.
type logsOf struct {
	*exec.Cmd
	t             *testing.T
	out, warnings string
	last          int64 // size of the output at the last call of settled
	same          int   // calls since then without growth
}

// logs starts to follow the container of a pod.
func (p *process) logs(n node, pod string) *logsOf {
	p.t.Helper()
	dir := p.t.TempDir()
	l := &logsOf{
		Cmd: p.command("logs", "-f", "default/"+pod+"/app", "--pod-logs-dir", n.PodLogsDir()),
		t:   p.t, out: filepath.Join(dir, "out"), warnings: filepath.Join(dir, "warnings"),
	}
	out, err := os.Create(l.out)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // the process has its own
	warnings, err := os.Create(l.warnings)
	if err != nil {
		p.t.Fatal(err)
	}
	defer warnings.Close() //nolint:errcheck // the process has its own
	l.Stdout, l.Stderr = out, warnings
	l.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := l.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if l.ProcessState == nil {
			_ = l.Process.Kill() // the test has failed
			_ = l.Wait()
		}
	})
	return l
}

func (l *logsOf) signal(s os.Signal) {
	l.t.Helper()
	if err := l.Process.Signal(s); err != nil {
		l.t.Fatal(err)
	}
}

func (l *logsOf) size() int64 {
	i, err := os.Stat(l.out)
	if err != nil {
		l.t.Fatal(err)
	}
	return i.Size()
}

// settled reports whether nothing more was printed for so long that nothing will be.
func (l *logsOf) settled() bool {
	const enough = 2000 // calls, 5 ms or more each
	if size := l.size(); size > l.last {
		l.last, l.same = size, 0
	}
	l.same++
	return l.same > enough
}

// check checks what was printed.
func (l *logsOf) check() linecheck.Report {
	l.t.Helper()
	f, err := os.Open(l.out)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	var checker linecheck.Checker
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		checker.Add(lines.Bytes())
	}
	if lines.Err() != nil {
		l.t.Fatal(lines.Err())
	}
	return checker.Report()
}

// stop is Ctrl-C, after which it exits with 0, without warnings.
func (l *logsOf) stop() {
	l.t.Helper()
	l.signal(unix.SIGINT)
	if err := l.Wait(); err != nil {
		l.t.Errorf("logwatch logs: %v", err)
	}
	if warnings, err := os.ReadFile(l.warnings); err != nil || len(warnings) > 0 {
		l.t.Errorf("%v: it warned\n%s", err, warnings)
	}
}
