// Package subject starts what is compared: logwatch, kubelet's own rotation,
// logrotate, and none. Each has the same policy.
package subject

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/logwatch/logwatch/bench/internal/proc"
)

// Names of the subjects.
const (
	Logwatch  = "logwatch"
	Strict    = "logwatch strict"
	Kubelet   = "kubelet"
	KubeletAt = "kubelet at its minimum"
	Logrotate = "logrotate"
	Nothing   = "nothing"
)

// All are the subjects in the order of the tables.
var All = []string{Logwatch, Strict, Kubelet, KubeletAt, Logrotate, Nothing}

// About describes each subject.
var About = map[string]string{
	Logwatch:  "this tree, its defaults",
	Strict:    "the same with minRotationInterval 0s",
	Kubelet:   "kubelet 1.36's ContainerLogManager as shipped: every 10 s, 1 worker",
	KubeletAt: "the same with the shortest interval that kubelet allows: every 3 s, 10 workers",
	Logrotate: "Debian's, size rule, copytruncate, run every second",
	Nothing:   "no rotation",
}

// MaySkipLines reports whether a subject loses lines by design: copytruncate drops what
// is written between its copy and its truncation.
func MaySkipLines(name string) bool { return name == Logrotate }

// readyTimeout bounds a subject's start.
const readyTimeout = time.Minute

// Policy is the policy of every subject, in its own configuration.
type Policy struct {
	MaxSize   int64 // bytes of a live log
	MaxFiles  int   // of a container, the live log counted
	TotalSize int64 // bytes of a container; only logwatch has it; 0: its default
	NoGzip    bool  // for logwatch and logrotate only
}

// Tools are the programs, by path. Logrotate and S6Log may be "".
type Tools struct {
	Logwatch, KubeletRotator, Logrotate, S6Log string
}

// Running is a started subject.
type Running interface {
	// CPU used so far, its children's included.
	CPU() time.Duration
	PeakRSS() int64 // bytes
	RSS() int64     // bytes; 0: unknown
	Startup() time.Duration
	Stop() error
}

// ErrLeftOut means that a subject is not installed.
var ErrLeftOut = errors.New("left out")

// Start runs a subject against a CRI endpoint and waits until it is ready. dir
// is for its files.
func (t Tools) Start(ctx context.Context, name, dir, endpoint, podLogsDir string, p Policy) (Running, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	switch name {
	case Nothing:
		return none{}, nil
	case Logrotate:
		return t.startLogrotate(dir, podLogsDir, p)
	case Logwatch, Strict:
		return t.startLogwatch(ctx, name == Strict, dir, endpoint, podLogsDir, p)
	}
	args := []string{
		"-endpoint=" + endpoint, "-max-size=" + strconv.FormatInt(p.MaxSize, 10), "-max-files=" + strconv.Itoa(p.MaxFiles),
		"-workers=1", "-interval=10s",
	}
	if name == KubeletAt {
		args = append(args[:3], "-workers=10", "-interval=3s")
	}
	return started(ctx, filepath.Join(dir, "kubelet.out"), "rotating", t.KubeletRotator, args...)
}

func (t Tools) startLogwatch(ctx context.Context, strict bool, dir, endpoint, podLogsDir string, p Policy) (Running, error) {
	yaml := fmt.Sprintf("containerRuntimeEndpoint: %q\npodLogsDir: %q\ncontainerLogMaxSize: %d\ncontainerLogMaxFiles: %d\n",
		endpoint, podLogsDir, p.MaxSize, p.MaxFiles)
	// "sweep ended", after which everything is watched, is logged at debug.
	yaml += "logging: {level: debug, format: json}\n"
	if strict {
		yaml += "minRotationInterval: 0s\n"
	}
	if p.TotalSize > 0 {
		yaml += fmt.Sprintf("containerLogMaxTotalSize: %d\n", p.TotalSize)
	}
	if p.NoGzip {
		yaml += "compression: {codec: none}\n"
	}
	file := filepath.Join(dir, "logwatch.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		return nil, err
	}
	return started(ctx, filepath.Join(dir, "logwatch.out"), "sweep ended", t.Logwatch, "run", "--config", file)
}

// process is a subject that is one process.
type process struct {
	*proc.Process
	startup time.Duration
}

func started(ctx context.Context, log, word, binary string, args ...string) (Running, error) {
	p, err := proc.Start(log, word, binary, args...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	took, err := p.Ready(ctx)
	if err != nil {
		if p.Alive() {
			err = errors.Join(err, p.Kill())
		}
		return nil, fmt.Errorf("start %s: %w", filepath.Base(binary), err)
	}
	return process{p, took}, nil
}

func (p process) Startup() time.Duration { return p.startup }

// none is the subject that does nothing.
type none struct{}

func (none) CPU() time.Duration     { return 0 }
func (none) PeakRSS() int64         { return 0 }
func (none) RSS() int64             { return 0 }
func (none) Startup() time.Duration { return 0 }
func (none) Stop() error            { return nil }

// Find finds a program in PATH or in /usr/sbin, which only root's PATH has; "": it is in
// neither.
func Find(program string) string {
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// NotInstalled is the reason why there are no figures of a program.
func NotInstalled(program, debianPackage string) error {
	return fmt.Errorf("%w: %s is neither in PATH nor in /usr/sbin (Debian: apt-get install --no-install-recommends %s)",
		ErrLeftOut, program, debianPackage)
}
