package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// daemon is one run of the containerd process. One goroutine starts it and waits for
// it, and ends with it.
type daemon struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	err  error         // of Wait; valid after done
}

// startDaemon runs containerd with the configuration at config and appends its
// output to logPath.
func startDaemon(tools Tools, dir, config, logPath, level string) (*daemon, error) {
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open containerd's log: %w", err)
	}
	defer func() { _ = out.Close() }() // the process has its own descriptor
	cmd := exec.Command(tools.Containerd, "--config", config, "--log-level", level)
	cmd.Dir = dir
	cmd.Env = daemonEnv(tools)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// Ctrl-C is for the test, which then stops containerd.
		Setpgid: true,
		// The daemon dies with the test; see also RemoveStale.
		Pdeathsig: syscall.SIGKILL,
	}
	d := &daemon{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the *thread* that started the process ends, so this
		// goroutine keeps its thread for as long as the process lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		d.err = cmd.Wait()
		close(d.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", tools.Containerd, err)
	}
	return d, nil
}

// daemonEnv returns an environment in which containerd finds its shim and runc first,
// and does not notify the service manager that runs the test.
func daemonEnv(tools Tools) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "PATH" || name == "NOTIFY_SOCKET"
	})
	path := []string{filepath.Dir(tools.Shim), filepath.Dir(tools.Runc), os.Getenv("PATH")}
	return append(env, "PATH="+strings.Join(path, string(os.PathListSeparator)))
}

func (d *daemon) alive() bool {
	if d == nil {
		return false
	}
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// kill sends SIGKILL only to the daemon: shims and containers keep running.
func (d *daemon) kill() error {
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill containerd, process %d: %w", d.cmd.Process.Pid, err)
	}
	<-d.done
	return nil
}

// terminate sends SIGTERM, and SIGKILL when ctx ends.
func (d *daemon) terminate(ctx context.Context) error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("terminate containerd, process %d: %w", d.cmd.Process.Pid, err)
	}
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("containerd did not end after SIGTERM: %w; killed it", ctx.Err()), d.kill())
	}
}

// logTail returns the end of containerd's log, for an error message.
func logTail(path string) string {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "(containerd has written no log)"
	}
	if err != nil {
		return fmt.Sprintf("(containerd's log cannot be read: %v)", err)
	}
	return "containerd's log ends with:\n" + lastLines(content, 20)
}
