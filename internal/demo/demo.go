package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
)

const (
	// minMaxSize keeps a stream's last lines within the files that stay: a file
	// must hold many lines, the longest (40 KiB) among them.
	minMaxSize = 64 << 10 // bytes

	// minTotal is the least containerLogMaxTotalSize when logs are rotated at once.
	// The usual, five small logs, is what batch-import writes in 0.2 s: should
	// this machine stall for as long, the policy would have even the newest rotated log
	// removed before anybody could read it.
	minTotal = 64 << 20 // bytes

	frameEvery = 200 * time.Millisecond // smooth to the eye, nothing to the CPU
	lineEvery  = time.Second            // for a CI log
)

// Options say what the demo runs and where it shows it.
type Options struct {
	// Runtime is whose behaviour is copied: "containerd" or "crio".
	Runtime string
	// MaxSize is the limit of a live log in bytes.
	MaxSize int64
	// MinRotationInterval is the daemon's; 0: rotate whenever a log is at its limit.
	MinRotationInterval time.Duration
	// Duration is how long it runs; 0: until the context ends.
	Duration time.Duration
	// Keep leaves the folder in place.
	Keep bool

	// Out is where it is shown.
	Out io.Writer
	// Size returns the terminal's width and height in cells, asked for at each
	// frame. nil: Out is no terminal and gets a line a second.
	Size  func() (width, height int)
	Style Style

	// For tests: the view's pure part, and what happens to the logs before the
	// lines are counted.
	render func(State, int, Style) []string
	doctor func(podLogsDir string)
}

// ErrUnproven is returned when a line is missing, doubled, out of order or
// damaged.
var ErrUnproven = errors.New("not every line was found once and in order")

// Run is the demo. The end of ctx is no error.
func Run(ctx context.Context, o Options) (err error) {
	behaviour, cfg, err := o.complete()
	if err != nil {
		return err
	}
	dir, err := makeFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.leave(dir)) }()
	rt, err := fake.Start(fake.Options{Dir: dir, Behaviour: behaviour})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	cfg.ContainerRuntimeEndpoint, cfg.PodLogsDir = rt.Endpoint(), rt.PodLogsDir()
	s := newSession(o, cfg, rt, dir)
	return s.run(ctx)
}

// complete checks the options and fills in what is missing.
func (o *Options) complete() (fake.Behaviour, config.Config, error) {
	cfg := config.Default()
	behaviour := fake.Containerd
	switch o.Runtime {
	case "", "containerd":
		o.Runtime = "containerd"
	case "crio":
		behaviour = fake.Conmon
	default:
		return 0, cfg, fmt.Errorf("runtime %q: choose containerd or crio", o.Runtime)
	}
	switch {
	case o.MaxSize < minMaxSize:
		return 0, cfg, fmt.Errorf("maximum size %s: must be at least %s, since a file must hold a few hundred lines", setting.FormatSize(o.MaxSize), setting.FormatSize(minMaxSize))
	case o.MinRotationInterval < 0:
		return 0, cfg, fmt.Errorf("minimum rotation interval %v: choose 0s or more", o.MinRotationInterval)
	case o.Duration < 0:
		return 0, cfg, fmt.Errorf("duration %v: choose 0s (until Ctrl-C) or more", o.Duration)
	}
	if o.render == nil {
		o.render = Render
	}
	cfg.Patch["maxSize"] = setting.FormatSize(o.MaxSize)
	cfg.Patch["minRotationInterval"] = o.MinRotationInterval.String()
	if o.MinRotationInterval == 0 && o.MaxSize*int64(policy.Default().MaxFiles) < minTotal {
		cfg.Patch["maxTotalSize"] = setting.FormatSize(minTotal)
	}
	return behaviour, cfg, nil
}

// makeFolder makes the folder for the socket and the logs.
func makeFolder() (string, error) {
	base, err := filepath.Abs(os.TempDir())
	if err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	dir, err := os.MkdirTemp(base, "logwatch-demo-")
	if err != nil {
		return "", fmt.Errorf("demo: make a folder: %w: set TMPDIR to a directory that you may write to", err)
	}
	const maxSocket = 107 // bytes; sun_path in unix(7)
	if n := len(filepath.Join(dir, "cri.sock")); n > maxSocket {
		return "", errors.Join(
			fmt.Errorf("demo: the socket's path below %s would have %d bytes, and the kernel takes %d: set TMPDIR to a shorter directory, such as TMPDIR=/tmp", base, n, maxSocket),
			os.Remove(dir))
	}
	return dir, nil
}

// leave removes the folder, or says where it is.
func (o *Options) leave(dir string) error {
	if o.Keep {
		_, err := fmt.Fprintln(o.Out, "kept in", dir)
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("demo: remove the folder: %w", err)
	}
	return nil
}
