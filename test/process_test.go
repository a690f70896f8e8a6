package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/testutil"
)

// process is logwatch in a separate process, as an operator runs it.
type process struct {
	t      *testing.T
	binary string
	args   []string
	log    *os.File
	cmd    *exec.Cmd
	exited chan error
}

// newProcess builds logwatch and writes its config; start runs it.
func newProcess(t *testing.T, n node, yaml string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{t: t, binary: filepath.Join(dir, "logwatch")}
	if out, err := exec.Command("go", "build", "-o", p.binary, "../cmd/logwatch").CombinedOutput(); err != nil {
		t.Fatalf("build logwatch: %v\n%s", err, out)
	}
	file := filepath.Join(dir, "logwatch.yaml")
	yaml += fmt.Sprintf("\ncontainerRuntimeEndpoint: %q\npodLogsDir: %q\n", n.Endpoint(), n.PodLogsDir())
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = []string{"run", "--config", file}
	var err error
	if p.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if t.Failed() {
			text := p.text()
			t.Logf("logwatch's log ends with:\n%s", text[max(0, len(text)-4000):])
		}
		if err := p.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.binary, p.args...)
	p.cmd.Stderr = p.log
	p.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, make(chan error, 1)
	p.exited = exited
	go func() { exited <- cmd.Wait() }()
}

// command returns another command of the binary.
func (p *process) command(args ...string) *exec.Cmd { return exec.Command(p.binary, args...) }

// sweep starts logwatch and waits for the end of its first sweep.
func (p *process) sweep() {
	p.t.Helper()
	before := len(p.text())
	p.start()
	testutil.Eventually(p.t, "the first sweep", func() bool { return strings.Contains(p.text()[before:], "sweep ended") })
}

func (p *process) signal(s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}

// kill sends SIGKILL.
func (p *process) kill() {
	p.signal(unix.SIGKILL)
	if err := <-p.exited; err == nil {
		p.t.Error("logwatch ended by itself before it was killed")
	}
	p.cmd = nil
}

// stop sends SIGTERM: it must end within 5 s with exit code 0.
func (p *process) stop() {
	p.t.Helper()
	begin := time.Now()
	p.signal(unix.SIGTERM)
	if err := <-p.exited; err != nil {
		p.t.Errorf("logwatch after SIGTERM: %v", err)
	}
	p.cmd = nil
	if took := time.Since(begin); took > 5*time.Second {
		p.t.Errorf("logwatch took %v to stop", took)
	}
}

// text returns the log of all runs.
func (p *process) text() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		p.t.Error(err)
	}
	return string(text)
}

// settled waits until housekeeping has nothing left to do.
func (p *process) settled(n node, cs []container) {
	p.t.Helper()
	testutil.Eventually(p.t, "housekeeping to end", func() bool {
		for _, c := range cs {
			plain := 0
			for _, name := range names(p.t, n, c.dir()) {
				switch {
				case strings.HasSuffix(name, ".tmp"):
					return false
				case !strings.HasSuffix(name, ".gz") && !strings.HasSuffix(name, ".log"):
					plain++
				}
			}
			if plain > 1 {
				return false
			}
		}
		return true
	})
}
