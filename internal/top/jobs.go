package top

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"
)

// jobs are the commands that wait or send requests. Bubble Tea runs each in a goroutine that
// it does not wait for.
type jobs struct {
	ctx context.Context // of all of them: Bubble Tea hands none over

	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup
}

// do returns a command that runs f, which must return soon after its context ended.
func (j *jobs) do(f func(context.Context) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		j.mu.Lock()
		if j.stopped {
			j.mu.Unlock()
			return nil
		}
		j.running.Add(1)
		j.mu.Unlock()
		defer j.running.Done()
		return caught(j.ctx, f)
	}
}

// broken is what a command panicked with, and where.
type broken struct {
	value any
	stack []byte
}

// caught passes a panic to the model, which panics again: only there is the terminal
// restored before the process ends.
func caught(ctx context.Context, f func(context.Context) tea.Msg) (msg tea.Msg) {
	defer func() {
		if v := recover(); v != nil {
			msg = broken{v, debug.Stack()}
		}
	}()
	return f(ctx)
}

// after returns a command that sends msg after a time.
func (j *jobs) after(d time.Duration, msg tea.Msg) tea.Cmd {
	return j.do(func(ctx context.Context) tea.Msg {
		t := time.NewTimer(max(0, d))
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			return msg
		}
	})
}

// stop waits for the running jobs, and prevents new ones. The context has ended.
func (j *jobs) stop() {
	j.mu.Lock()
	j.stopped = true
	j.mu.Unlock()
	j.running.Wait()
}

// suspend stops the process, as ^Z does where a terminal is not read key by key.
// tea.Suspend is not used: it waits forever where no shell could
// continue the process, as in `ssh -t node logwatch top`. There the kernel does not
// stop it at all.
func suspend() tea.Cmd {
	return tea.Exec(stopper{}, func(error) tea.Msg { return nil })
}

// stopper stops the process while the terminal is in its original state.
type stopper struct{}

// stopWait is for the kernel to stop the process, and for SIGCONT once it continues.
const stopWait = 200 * time.Millisecond

func (stopper) Run() error {
	cont := make(chan os.Signal, 1)
	signal.Notify(cont, unix.SIGCONT)
	defer signal.Stop(cont)
	if err := unix.Kill(0, unix.SIGTSTP); err != nil { // the whole job, as the terminal would
		return err
	}
	select {
	case <-cont:
	case <-time.After(stopWait):
	}
	return nil
}

func (stopper) SetStdin(io.Reader)  {}
func (stopper) SetStdout(io.Writer) {}
func (stopper) SetStderr(io.Writer) {}
