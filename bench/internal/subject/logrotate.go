package subject

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// logrotateEvery is the interval of its runs: the shortest that is of use.
const logrotateEvery = time.Second

// logrotate is logrotate run again and again, as from a timer.
type logrotate struct {
	stop, done chan struct{}

	mu   sync.Mutex
	cpu  time.Duration
	peak int64
	err  error
}

// startLogrotate writes the usual configuration. The dates in the names have kubelet's
// format instead of logrotate's default, a number, so that the same code reads the files
// of all subjects.
func (t Tools) startLogrotate(dir, podLogsDir string, p Policy) (Running, error) {
	if t.Logrotate == "" {
		return nil, NotInstalled("logrotate", "logrotate")
	}
	compress := "compress\n\tdelaycompress"
	if p.NoGzip {
		compress = "nocompress"
	}
	conf := fmt.Sprintf(`%s/*/*/*.log {
	size %d
	rotate %d
	copytruncate
	%s
	dateext
	dateformat .%%Y%%m%%d-%%H%%M%%S
	missingok
}
`, podLogsDir, p.MaxSize, p.MaxFiles-1, compress)
	file := filepath.Join(dir, "logrotate.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	l := &logrotate{stop: make(chan struct{}), done: make(chan struct{})}
	go l.loop(t.Logrotate, filepath.Join(dir, "logrotate.state"), file)
	return l, nil
}

func (l *logrotate) loop(binary, state, conf string) {
	defer close(l.done)
	tick := time.NewTicker(logrotateEvery)
	defer tick.Stop()
	for {
		l.once(binary, state, conf)
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
	}
}

func (l *logrotate) once(binary, state, conf string) {
	cmd := exec.Command(binary, "-s", state, conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.CombinedOutput()
	l.mu.Lock()
	defer l.mu.Unlock()
	// "error: … No such file" is expected before the first log; anything else is an error.
	if err != nil && l.err == nil && !bytes.Contains(out, []byte("No such file")) {
		l.err = fmt.Errorf("logrotate: %w: %s", err, bytes.TrimSpace(out))
	}
	if cmd.ProcessState == nil {
		return
	}
	// wait4's usage is the process's with the children that it has waited for:
	// its gzips.
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		l.cpu += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		l.peak = max(l.peak, u.Maxrss<<10)
	}
}

func (l *logrotate) CPU() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cpu
}

func (l *logrotate) PeakRSS() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peak
}

func (l *logrotate) RSS() int64             { return 0 }
func (l *logrotate) Startup() time.Duration { return 0 }

// Stop waits for a run in progress: an interrupted one would lose lines.
func (l *logrotate) Stop() error {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.err)
}
