package shippers

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/testutil"
)

// stopTimeout is how long a process has between SIGTERM and SIGKILL.
const stopTimeout = 30 * time.Second

// process is a program that can be started, stopped and started again. Its output goes
// to one file.
type process struct {
	t      testing.TB
	args   []string
	log    *os.File
	cmd    *exec.Cmd // nil: it does not run
	exited chan error
	pid    atomic.Int64 // 0: it does not run
}

func newProcess(t testing.TB, logFile string, args ...string) *process {
	t.Helper()
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, args: args, log: log}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			text := p.text()
			t.Logf("the output of %s ends with:\n%s", args[0], text[max(0, len(text)-4000):])
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// start runs the program and waits until it has printed a text; "" does not wait.
func (p *process) start(ready string) {
	p.t.Helper()
	before := len(p.text())
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	started, exited := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig is for the end of this thread
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.exited = cmd, exited
	p.pid.Store(int64(cmd.Process.Pid))
	p.eventually("print "+ready, func() bool { return strings.Contains(p.text()[before:], ready) })
}

// eventually waits for a condition, and fails the test if the program ends before.
func (p *process) eventually(what string, done func() bool) {
	p.t.Helper()
	testutil.Eventually(p.t, p.args[0]+" to "+what, func() bool {
		select {
		case err := <-p.exited:
			p.exited <- err
			p.t.Fatalf("%s ended: %v", p.args[0], err)
		default:
		}
		return done()
	})
}

func (p *process) signal(s unix.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}

// stop sends SIGTERM, and SIGKILL when that takes too long.
func (p *process) stop() {
	p.t.Helper()
	p.signal(unix.SIGTERM)
	select {
	case err := <-p.exited:
		p.exited <- err
	case <-time.After(stopTimeout):
		p.t.Errorf("%s did not end after SIGTERM", p.args[0])
	}
	p.kill()
}

// kill sends SIGKILL and waits for the end.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.signal(unix.SIGKILL)
	<-p.exited //nolint:errcheck // killed, or checked by stop
	p.cmd = nil
	p.pid.Store(0)
}

// text returns the output of all runs.
func (p *process) text() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		p.t.Error(err)
	}
	return string(text)
}
