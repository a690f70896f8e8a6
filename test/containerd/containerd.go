package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// readyTimeout bounds a start: it takes a second or two on a busy 2-core machine.
	readyTimeout = time.Minute
	// stopTimeout bounds the removal of all pods, and again the end of the daemon.
	stopTimeout = time.Minute
	// orphanTimeout is what shims get that the daemon may not know, as it was killed.
	orphanTimeout = 5 * time.Second
	// poll is how often a state that nobody announces is looked at.
	poll = 20 * time.Millisecond
	// maxMessage is the cap that kubelet puts on a CRI answer: 16 MiB.
	maxMessage = 16 << 20
	// maxSocketPath is what sockaddr_un holds, without the closing zero.
	maxSocketPath = 107
	// removeWorkers is how many pods Stop removes at a time.
	removeWorkers = 4
)

// Options of Start. The zero value is good for most tests.
type Options struct {
	// PodLogsDir holds the pods' logs, as kubelet's podLogsDir. Empty: a folder in
	// the temporary directory, removed by Stop. A folder given here is made if need
	// be and never removed.
	PodLogsDir string
	// BaseDir is where the temporary directory is made. Empty: os.TempDir, or /tmp
	// if a socket's path would be too long there.
	BaseDir string
	// LogLevel of containerd. Empty: info.
	LogLevel string
	// Log, if not nil, hears of what was cleaned up after others.
	Log func(string)
}

// Containerd is a running containerd of one's own. Make it with Start.
type Containerd struct {
	tools      Tools
	level      string
	dir        string // all that is private
	config     string // path of config.toml
	podLogsDir string
	root       string // where an attached one's file system is seen; "": it is ours
	unlock     func() // gives up the ownership of dir
	conn       *grpc.ClientConn
	runtime    runtimeapi.RuntimeServiceClient
	images     runtimeapi.ImageServiceClient
	version    string

	mu      sync.Mutex
	daemon  *daemon // the last that was started; may have ended
	stopped bool
	killed  bool // by Kill, once or more
}

// Start starts a containerd with the one image, and returns once it answers.
// Its errors carry the end of containerd's log. ctx bounds the start only.
func Start(ctx context.Context, tools Tools, opts Options) (*Containerd, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("start containerd: it needs root; run the test with sudo")
	}
	if err := RemoveStale(opts.BaseDir, opts.Log); err != nil {
		return nil, err
	}
	dir, unlock, err := makeDir(opts.BaseDir)
	if err != nil {
		return nil, err
	}
	c := &Containerd{
		tools: tools, dir: dir, unlock: unlock,
		level:      opts.LogLevel,
		podLogsDir: opts.PodLogsDir,
	}
	if c.level == "" {
		c.level = "info"
	}
	if c.podLogsDir == "" {
		c.podLogsDir = filepath.Join(dir, "pods")
	}
	if err := c.start(ctx); err != nil {
		err = fmt.Errorf("%w\n%s", err, logTail(c.logPath()))
		return nil, errors.Join(err, c.abandon())
	}
	return c, nil
}

func (c *Containerd) start(ctx context.Context) error {
	var err error
	// The runtime would take a relative path from its own working directory.
	if c.podLogsDir, err = filepath.Abs(c.podLogsDir); err != nil {
		return fmt.Errorf("resolve the pod logs directory: %w", err)
	}
	if err := os.MkdirAll(c.podLogsDir, 0o755); err != nil {
		return fmt.Errorf("make the pod logs directory: %w", err)
	}
	c.config, err = writeConfig(ctx, c.tools.Containerd, configData{
		Dir: c.dir, Socket: c.socket(), Image: Image, Runc: c.tools.Runc,
	})
	if err != nil {
		return err
	}
	if err := c.dial(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.startLocked(ctx); err != nil {
		return err
	}
	if err := c.importLocked(ctx, c.tools.Image, Image); err != nil {
		return err
	}
	version, err := c.runtime.Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return fmt.Errorf("ask containerd's version: %w", err)
	}
	c.version = version.GetRuntimeVersion()
	return nil
}

// dial makes the client; a test that has restarted the daemon is not to wait for
// gRPC's usual backoff.
func (c *Containerd) dial() error {
	var err error
	c.conn, err = grpc.NewClient(c.Endpoint(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: poll, Multiplier: 1.5, MaxDelay: 10 * poll},
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return fmt.Errorf("make a client for %s: %w", c.Endpoint(), err)
	}
	c.runtime = runtimeapi.NewRuntimeServiceClient(c.conn)
	c.images = runtimeapi.NewImageServiceClient(c.conn)
	return nil
}

// startLocked starts the daemon and waits until CRI answers. A network that is
// not ready is normal: there is no CNI.
func (c *Containerd) startLocked(ctx context.Context) error {
	d, err := startDaemon(c.tools, c.dir, c.config, c.logPath(), c.level)
	if err != nil {
		return err
	}
	c.daemon = d
	return c.readyLocked(ctx)
}

func (c *Containerd) readyLocked(ctx context.Context) error {
	return c.waitLocked(ctx, "CRI", func(ctx context.Context) (bool, error) {
		answer, err := c.runtime.Status(ctx, &runtimeapi.StatusRequest{})
		for _, condition := range answer.GetStatus().GetConditions() {
			if condition.GetType() == runtimeapi.RuntimeReady && condition.GetStatus() {
				return true, nil
			}
		}
		return false, err
	})
}

// Import puts another image in, from an archive as "ctr images import" reads it,
// and returns once CRI knows it by the name image, which the archive must give it.
func (c *Containerd) Import(ctx context.Context, archive, image string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.importLocked(ctx, archive, image)
}

// importLocked puts an image in. CRI learns of it through an event, a moment later.
func (c *Containerd) importLocked(ctx context.Context, archive, image string) error {
	cmd := exec.CommandContext(ctx, c.tools.Ctr, "--address", c.socket(), "--namespace", "k8s.io",
		"images", "import", "--no-unpack", archive)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s: %w\n%s", archive, err, lastLines(out, 10))
	}
	return c.waitLocked(ctx, "the image "+image, func(ctx context.Context) (bool, error) {
		answer, err := c.images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: image}})
		return answer.GetImage() != nil, err
	})
}

// waitLocked polls until ready says so, the daemon ends or time is up.
func (c *Containerd) waitLocked(ctx context.Context, what string, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var ended chan struct{} // never, if it is not our child
	if c.daemon != nil {
		ended = c.daemon.done
	}
	for {
		ok, err := ready(ctx)
		if ok {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("wait for %s: containerd has ended: %w", what, c.daemon.err)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s at %s: %w, the last answer was: %w", what, c.Endpoint(), ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (c *Containerd) socket() string  { return filepath.Join(c.dir, socketName) }
func (c *Containerd) logPath() string { return filepath.Join(c.dir, "containerd.log") }

// Endpoint is the CRI endpoint, as "unix:///…".
func (c *Containerd) Endpoint() string { return "unix://" + c.socket() }

// Version is what the runtime says it is, such as "v2.4.2".
func (c *Containerd) Version() string { return c.version }

// PodLogsDir is where the pods' log directories are.
func (c *Containerd) PodLogsDir() string { return c.podLogsDir }

// Dir is the private directory, which Stop removes.
func (c *Containerd) Dir() string { return c.dir }

// LogTail is the end of containerd's own log, for a test that has failed.
func (c *Containerd) LogTail() string { return logTail(c.logPath()) }

// Runtime is a CRI client that stays good over Kill and Restart.
func (c *Containerd) Runtime() runtimeapi.RuntimeServiceClient { return c.runtime }

// Kill sends SIGKILL to the daemon alone and waits for its end. Containers and
// their shims go on; what they write waits in pipes until Restart.
func (c *Containerd) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.daemon.alive() {
		return nil
	}
	c.killed = true
	return c.daemon.kill()
}

// Restart starts the daemon again on the same state and returns once CRI
// answers. A running one is ended first, in order.
func (c *Containerd) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.root != "" {
		return errors.New("restart containerd: it was stopped for good, or is somebody else's; use Start")
	}
	if c.daemon.alive() {
		if err := c.terminateLocked(); err != nil {
			return err
		}
	}
	if err := c.startLocked(ctx); err != nil {
		return fmt.Errorf("restart containerd: %w\n%s", err, logTail(c.logPath()))
	}
	return nil
}

func (c *Containerd) terminateLocked() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return c.daemon.terminate(ctx)
}

// Stop removes all pods, ends the daemon (one that was killed is started again
// for that) and removes the private directory. An error means that something
// had to be removed by force, or could not be; but for shims of one that was killed:
// it may have died before it knew them itself. Calling it again is harmless. Of an
// attached one it gives up the client alone.
func (c *Containerd) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	if c.root != "" {
		return c.conn.Close()
	}
	errs := []error{c.removePodsLocked()}
	if c.daemon.alive() {
		errs = append(errs, c.terminateLocked())
	}
	if left := leftovers(c.dir); len(left) > 0 && !c.killed {
		errs = append(errs, fmt.Errorf("stop containerd: removed by force: %v\n%s", left, logTail(c.logPath())))
	}
	return errors.Join(append(errs, c.releaseLocked())...)
}

// abandon ends a containerd that never came up: it has no pods yet, and may not
// hear SIGTERM either.
func (c *Containerd) abandon() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	var errs []error
	if c.daemon.alive() {
		errs = append(errs, c.daemon.kill())
	}
	return errors.Join(append(errs, c.releaseLocked())...)
}

// releaseLocked gives back what is not a process: client, directory, lock.
func (c *Containerd) releaseLocked() error {
	var errs []error
	if c.conn != nil {
		errs = append(errs, c.conn.Close())
	}
	errs = append(errs, destroy(c.dir))
	c.unlock()
	return errors.Join(errs...)
}

// removePodsLocked removes every pod that the runtime knows, and waits for the
// shims, which end on their own a moment after their pod.
func (c *Containerd) removePodsLocked() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if !c.daemon.alive() {
		if err := c.startLocked(ctx); err != nil {
			return fmt.Errorf("start containerd again to remove its pods: %w", err)
		}
	}
	list, err := c.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("list the pods to remove: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(removeWorkers)
	for _, sandbox := range list.GetItems() {
		group.Go(func() error { return c.removeSandbox(ctx, sandbox.GetId()) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if c.killed {
		shortly, cancel := context.WithTimeout(ctx, orphanTimeout)
		defer cancel()
		ctx = shortly
	}
	err = c.waitLocked(ctx, "the end of the shims", func(context.Context) (bool, error) {
		return len(shims(c.dir)) == 0, nil
	})
	if c.killed {
		return nil // destroy ends what is left
	}
	return err
}

// removeSandbox stops and removes a pod with all its containers, as kubelet does.
func (c *Containerd) removeSandbox(ctx context.Context, id string) error {
	if _, err := c.runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("stop pod sandbox %s: %w", id, err)
	}
	if _, err := c.runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("remove pod sandbox %s: %w", id, err)
	}
	return nil
}
