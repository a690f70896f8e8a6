// Package subject starts what is compared: logwatch, kubelet's own rotation,
// logrotate, and nothing at all. Each gets the same policy.
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

// About says what stands behind each name.
var About = map[string]string{
	Logwatch:  "this tree's, its defaults",
	Strict:    "the same with minRotationInterval 0s",
	Kubelet:   "kubelet 1.36's ContainerLogManager as shipped: every 10 s, 1 worker",
	KubeletAt: "the same at what kubelet allows at most: every 3 s, 10 workers",
	Logrotate: "Debian's, size rule, copytruncate, run every second",
	Nothing:   "nobody rotates",
}

// MaySkipLines says which subject is known to lose lines by its design:
// copytruncate drops what is written between its copy and its truncation.
func MaySkipLines(name string) bool { return name == Logrotate }

// readyTimeout bounds a subject's start.
const readyTimeout = time.Minute

// Policy is what every subject is told, in its own words.
type Policy struct {
	MaxSize   int64 // bytes of a live log
	MaxFiles  int   // of a container, the live log counted
	TotalSize int64 // bytes of a container; only logwatch knows it; 0: its default
	NoGzip    bool  // only logwatch and logrotate can leave it out
}

// Tools are the programs, by path. Logrotate may be "", with WhyNot said.
type Tools struct {
	Logwatch, KubeletRotator, Logrotate string
	WhyNot                              string
}

// Running is a started subject.
type Running interface {
	// CPU used so far, its children's included.
	CPU() time.Duration
	PeakRSS() int64 // bytes
	RSS() int64     // bytes, now; 0: cannot be told
	Startup() time.Duration
	Stop() error
}

// ErrLeftOut says that a subject is not on this machine.
var ErrLeftOut = errors.New("left out")

// Start runs a subject against a CRI endpoint and waits until it is ready. dir
// is for its files.
func (t Tools) Start(ctx context.Context, name, dir, endpoint, podLogsDir string, p Policy) (Running, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	switch name {
	case Nothing:
		return nobody{}, nil
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
	// "sweep ended", which says that everything is watched, is logged at debug.
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

// nobody is the subject that does nothing.
type nobody struct{}

func (nobody) CPU() time.Duration     { return 0 }
func (nobody) PeakRSS() int64         { return 0 }
func (nobody) RSS() int64             { return 0 }
func (nobody) Startup() time.Duration { return 0 }
func (nobody) Stop() error            { return nil }

// FindLogrotate looks for logrotate, also where only root's PATH has it.
func FindLogrotate() (path, whyNot string) {
	for _, name := range []string{"logrotate", "/usr/sbin/logrotate"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, ""
		}
	}
	return "", "logrotate is neither in PATH nor in /usr/sbin (Debian: apt-get install --no-install-recommends logrotate)"
}
