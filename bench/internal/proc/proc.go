// Package proc runs the programs that are measured, and measures their CPU and memory.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopTimeout is how long a program has between SIGTERM and SIGKILL.
const stopTimeout = 10 * time.Second

// Process is a running program. Its output is written to a file and
// searched for the word that means that it is ready.
type Process struct {
	Started time.Time
	cmd     *exec.Cmd
	log     *os.File
	done    chan struct{}
	err     error
	usage   *syscall.Rusage // after done
	stop    sync.Once
	stopErr error

	mu      sync.Mutex
	word    []byte
	tail    []byte // the end of the output so far, in which word may begin
	ready   chan struct{}
	readyAt time.Time
}

// Start runs a program. word is in its output once it is ready.
func Start(logFile, word, binary string, args ...string) (*Process, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	p := &Process{log: log, word: []byte(word), ready: make(chan struct{}), done: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	// A process group of its own: Ctrl-C is for the benchmark, which then stops
	// everything in order. It ends with a benchmark that is killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", binary, err), log.Close())
	}
	return p, nil
}

// run keeps its thread for as long as the process lives: the signal for the
// parent's death is for that of the thread that started it.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.Started = time.Now()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	if u, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.usage = u
	}
	close(p.done)
}

// Write receives the program's output.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readyAt.IsZero() {
		p.tail = append(p.tail, b...)
		if bytes.Contains(p.tail, p.word) {
			p.readyAt = time.Now()
			close(p.ready)
			p.tail = nil
		} else if keep := len(p.word); len(p.tail) > keep {
			p.tail = p.tail[len(p.tail)-keep:]
		}
	}
	return p.log.Write(b)
}

// Ready waits for the word and returns the time since the start.
func (p *Process) Ready(ctx context.Context) (time.Duration, error) {
	select {
	case <-p.ready:
		return p.readyAt.Sub(p.Started), nil
	case <-p.done:
		return 0, fmt.Errorf("it has ended (%w) before it was ready:\n%s", errOrNil(p.err), p.LogTail())
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %q: %w\n%s", p.word, ctx.Err(), p.LogTail())
	}
}

func errOrNil(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}

// Pid returns the process ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Alive reports whether it still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// CPU returns what the process has used so far, in all its threads, ended ones
// included, to the nanosecond. Children are not counted: none of the programs
// that are started this way has any.
func (p *Process) CPU() time.Duration {
	if !p.Alive() {
		if p.usage == nil {
			return 0
		}
		return time.Duration(p.usage.Utime.Nano() + p.usage.Stime.Nano())
	}
	return clock(p.Pid())
}

// clock reads a process's CPU clock: clock_getcpuclockid(3) makes its number of
// the complemented pid, shifted by three, and CPUCLOCK_SCHED (2).
func clock(pid int) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// PeakRSS returns the maximum resident memory, in bytes.
func (p *Process) PeakRSS() int64 {
	if !p.Alive() {
		if p.usage == nil {
			return 0
		}
		return p.usage.Maxrss << 10
	}
	return status(p.Pid(), "VmHWM:")
}

// RSS returns the resident memory, in bytes.
func (p *Process) RSS() int64 { return status(p.Pid(), "VmRSS:") }

func status(pid int, key string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// Kill sends SIGKILL.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return p.log.Close()
}

// Stop sends SIGTERM, then SIGKILL. An exit code other than 0 is an error. It may be
// called again.
func (p *Process) Stop() error {
	p.stop.Do(func() { p.stopErr = p.terminate() })
	return p.stopErr
}

func (p *Process) terminate() error {
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("did not stop within %v of SIGTERM", stopTimeout), p.Kill())
	}
	if p.err != nil {
		return errors.Join(fmt.Errorf("%w:\n%s", p.err, p.LogTail()), p.log.Close())
	}
	return p.log.Close()
}

// LogTail returns the end of the program's output.
func (p *Process) LogTail() string {
	const tail = 2000 // bytes
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-tail):])
}
