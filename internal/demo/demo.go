package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/setting"
	"github.com/logwatch/logwatch/internal/top"
)

const (
	// Limits of MaxSize: a log must hold the last lines of both streams, and fit the
	// total several times.
	minMaxSize, maxMaxSize = 64 << 10, 64 << 20 // bytes

	// The policy keeps what ten seconds write, so that every line can be checked, and
	// bounds what a demo that runs for hours takes.
	maxFiles     = 1000
	maxTotalSize = 256 << 20 // bytes a container

	viewInterval = 500 * time.Millisecond
	startTimeout = 10 * time.Second // the daemon takes milliseconds
)

// ErrUnproven means that a line is missing, doubled, out of order or damaged.
var ErrUnproven = errors.New("not every line was found once and in order")

// Options are what the demo runs and where it shows it.
type Options struct {
	Runtime             string        // imitated runtime: containerd or crio
	MaxSize             int64         // limit of a live log, in bytes
	MinRotationInterval time.Duration // 0: logs are rotated at their limit
	Duration            time.Duration // 0: until the context ends
	Keep                bool          // keep the directory

	Out      io.Writer
	In       io.Reader // keys of the view; nil: standard input
	Terminal bool      // Out is a terminal, for the view; false: print a line a second
	Unicode  bool      // the terminal can show more than ASCII
}

// Run runs the demo. The end of ctx is not an error.
func Run(ctx context.Context, o Options) (err error) {
	style, cfg, err := o.config()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	base, err := filepath.Abs(os.TempDir())
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	dir, err := os.MkdirTemp(base, "logwatch-demo-")
	if err != nil {
		return fmt.Errorf("demo: create a directory: %w: set TMPDIR to a writable directory", err)
	}
	defer func() { err = errors.Join(err, o.leave(dir)) }()
	rt, err := fake.Start(fake.Options{Dir: dir, Style: style})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	cfg.ContainerRuntimeEndpoint, cfg.PodLogsDir = rt.Endpoint(), rt.PodLogsDir()
	cfg.ControlSocket = filepath.Join(dir, "ctl.sock")
	s := &session{options: o, cfg: cfg, runtime: rt}
	ctx, endView := context.WithCancel(ctx)
	defer endView()
	s.daemon.start(ctx, cfg, endView)
	defer s.daemon.stop() //nolint:errcheck // its error is returned by run; this is for a panic
	if err := s.run(ctx); err != nil {
		return err
	}
	return s.conclude()
}

// config checks the options and returns what follows from them.
func (o *Options) config() (fake.Style, config.Config, error) {
	cfg := config.Default()
	style, ok := map[string]fake.Style{"containerd": fake.Containerd, "crio": fake.CRIO}[o.Runtime]
	switch {
	case !ok:
		return 0, cfg, fmt.Errorf("unknown runtime %q; must be one of containerd, crio", o.Runtime)
	case o.MaxSize < minMaxSize || o.MaxSize > maxMaxSize:
		return 0, cfg, fmt.Errorf("invalid maximum size %s; must be at least %s and at most %s", setting.FormatSize(o.MaxSize), display.Bytes(minMaxSize), display.Bytes(maxMaxSize))
	case o.MinRotationInterval < 0:
		return 0, cfg, fmt.Errorf("invalid minimum rotation interval %v; must be at least 0s", o.MinRotationInterval)
	case o.Duration < 0:
		return 0, cfg, fmt.Errorf("invalid duration %v; must be at least 0s (until Ctrl-C)", o.Duration)
	}
	cfg.Patch["maxSize"], cfg.Patch["maxFiles"] = setting.FormatSize(o.MaxSize), strconv.Itoa(maxFiles)
	cfg.Patch["maxTotalSize"] = setting.FormatSize(maxTotalSize)
	cfg.Patch["minRotationInterval"] = o.MinRotationInterval.String()
	cfg.Metrics.ListenAddress = ""
	return style, cfg, cfg.Validate()
}

// leave removes the directory, or prints where it is.
func (o *Options) leave(dir string) error {
	if o.Keep {
		_, err := fmt.Fprintln(o.Out, "logs kept in", dir)
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("demo: remove the directory: %w", err)
	}
	return nil
}

// session is one run, from the daemon's start to the summary.
type session struct {
	options    Options
	cfg        config.Config
	runtime    *fake.Runtime
	daemon     daemon
	containers []container
	started    time.Time     // of the containers
	elapsed    time.Duration // of the containers
}

// container is a container and its name.
type container struct {
	*fake.Container
	name string
}

// run starts the containers, shows them until the demo is to end, and stops them and
// the daemon.
func (s *session) run(ctx context.Context) error {
	err := s.ready(ctx)
	if err == nil {
		err = s.startContainers()
	}
	if err == nil {
		err = s.show(ctx)
	}
	select {
	case <-s.daemon.ended:
		return errors.Join(errors.New("demo: the daemon ended by itself"), s.daemon.err)
	default:
	}
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if _, err := fmt.Fprintln(s.options.Out, "Stopping the containers, then checking every line"); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	for _, c := range s.containers {
		c.Exit()
	}
	s.elapsed = time.Since(s.started)
	return s.daemon.stop()
}

// ready waits until the daemon serves its control socket and has listed the
// containers. Before that no log is watched, and the first one would overshoot for
// that reason only.
func (s *session) ready(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 2*time.Millisecond, startTimeout, true, func(context.Context) (bool, error) {
		conn, err := net.Dial("unix", s.cfg.ControlSocket)
		if err != nil {
			return false, nil
		}
		lists := s.runtime.Calls("ListContainers") + s.runtime.Calls("StreamContainers")
		return lists > 0, conn.Close()
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the daemon did not start within %v: %w; %s", startTimeout, err, s.daemon.warnings.text())
	}
	return nil
}

func (s *session) startContainers() error {
	s.started = time.Now()
	for _, spec := range specs() {
		c, err := s.runtime.RunContainer(spec)
		if err != nil {
			return err
		}
		s.containers = append(s.containers, container{c, spec.Name})
	}
	return nil
}

// show shows the containers until the demo's duration or ctx ends, or the view is quit.
func (s *session) show(ctx context.Context) error {
	if s.options.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.options.Duration)
		defer cancel()
	}
	if !s.options.Terminal {
		return s.progress(ctx)
	}
	return top.Run(ctx, top.Options{
		Source: api.NewClient(s.cfg.ControlSocket), Interval: viewInterval,
		Unicode: s.options.Unicode, In: s.options.In, Out: s.options.Out,
	})
}

// specs returns the demo's containers. Together they write some 25 MB/s on average,
// batch-import alone 30 MB/s in its bursts. Now and then each writes a line that the
// runtime has to cut.
func specs() []fake.ContainerSpec {
	return []fake.ContainerSpec{
		// Short bursts, a second apart.
		{Namespace: "shop", Name: "checkout", Writer: &fake.Pattern{
			BytesPerSecond: 6e6, On: 400 * time.Millisecond, Off: 600 * time.Millisecond, StderrEvery: 10, LongEvery: 900,
		}},
		// Steady and slow: fills its log in a second or so.
		{Namespace: "shop", Name: "payments", Writer: &fake.Pattern{
			BytesPerSecond: 1e6, StderrEvery: 6, LongEvery: 700,
		}},
		// Long waves.
		{Namespace: "shop", Name: "search", Writer: &fake.Pattern{
			BytesPerSecond: 4e6, On: 1500 * time.Millisecond, Off: time.Second, StderrEvery: 20, LongEvery: 800,
		}},
		// The high-volume container: a log of 1 MiB is full in 35 ms.
		{Namespace: "batch", Name: "batch-import", Writer: &fake.Pattern{
			BytesPerSecond: 30e6, On: 2 * time.Second, Off: time.Second, StderrEvery: 20, LongEvery: 2000,
		}},
	}
}
