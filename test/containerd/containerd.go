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
	// orphanTimeout bounds the wait for shims that a killed daemon may not know.
	orphanTimeout = 5 * time.Second
	// poll is the pause between two checks of a state.
	poll = 20 * time.Millisecond
	// maxMessage is kubelet's limit for a CRI response: 16 MiB.
	maxMessage = 16 << 20
	// maxSocketPath is the size of sockaddr_un's path without the terminating zero.
	maxSocketPath = 107
	// removeWorkers is the number of pods that Stop removes concurrently.
	removeWorkers = 4
)

// Options are options of Start. The zero value works for most tests.
type Options struct {
	// PodLogsDir is the directory of the pods' logs, like kubelet's podLogsDir. Empty:
	// one in the temporary directory, removed by Stop. One given here is created if it
	// does not exist, and never removed.
	PodLogsDir string
	// BaseDir is where the temporary directory is created. Empty: os.TempDir, or /tmp
	// if a socket's path would be too long there.
	BaseDir string
	// LogLevel of containerd. Empty: info.
	LogLevel string
	// Log, if not nil, is called with what was removed of dead tests.
	Log func(string)
}

// Containerd is a private, running containerd; see Start.
type Containerd struct {
	tools      Tools
	level      string
	dir        string // private directory
	config     string // path of config.toml
	podLogsDir string
	root       string // where the file system of an attached one is visible; "": not attached
	unlock     func() // releases the ownership of dir
	conn       *grpc.ClientConn
	runtime    runtimeapi.RuntimeServiceClient
	images     runtimeapi.ImageServiceClient
	version    string

	mu      sync.Mutex
	daemon  *daemon // the last one started; it may have ended
	stopped bool
	killed  bool // by Kill
}

// Start starts a containerd with the built-in image, and returns when it is ready.
// Errors include the end of containerd's log. ctx bounds only the start.
func Start(ctx context.Context, tools Tools, opts Options) (*Containerd, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("start containerd: root is required; run the test with sudo")
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
	// The runtime would resolve a relative path from its own working directory.
	if c.podLogsDir, err = filepath.Abs(c.podLogsDir); err != nil {
		return fmt.Errorf("resolve the pod logs directory: %w", err)
	}
	if err := os.MkdirAll(c.podLogsDir, 0o755); err != nil {
		return fmt.Errorf("create the pod logs directory: %w", err)
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
		return fmt.Errorf("get the version of containerd: %w", err)
	}
	c.version = version.GetRuntimeVersion()
	return nil
}

// dial creates the client, with a backoff shorter than gRPC's default, which would
// delay tests that restart the daemon.
func (c *Containerd) dial() error {
	var err error
	c.conn, err = grpc.NewClient(c.Endpoint(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: poll, Multiplier: 1.5, MaxDelay: 10 * poll},
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return fmt.Errorf("create a client for %s: %w", c.Endpoint(), err)
	}
	c.runtime = runtimeapi.NewRuntimeServiceClient(c.conn)
	c.images = runtimeapi.NewImageServiceClient(c.conn)
	return nil
}

// startLocked starts the daemon and waits until CRI is ready. The network is never
// ready: there is no CNI.
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

// Import imports an image from an archive, as "ctr images import" does, and returns
// when CRI lists it under the name image, which must be its name in the archive.
func (c *Containerd) Import(ctx context.Context, archive, image string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.importLocked(ctx, archive, image)
}

// importLocked imports an image. CRI receives it through an event, a moment later.
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

// waitLocked polls until ready returns true, the daemon ends or the time is over.
func (c *Containerd) waitLocked(ctx context.Context, what string, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var ended chan struct{} // nil if it is not a child process
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
			return fmt.Errorf("wait for %s at %s: %w; last error: %w", what, c.Endpoint(), ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (c *Containerd) socket() string  { return filepath.Join(c.dir, socketName) }
func (c *Containerd) logPath() string { return filepath.Join(c.dir, "containerd.log") }

// Endpoint returns the CRI endpoint, as "unix:///…".
func (c *Containerd) Endpoint() string { return "unix://" + c.socket() }

// Version returns the version that the runtime reports, such as "v2.4.2".
func (c *Containerd) Version() string { return c.version }

// PodLogsDir returns the directory of the pods' logs.
func (c *Containerd) PodLogsDir() string { return c.podLogsDir }

// Dir returns the private directory, which Stop removes.
func (c *Containerd) Dir() string { return c.dir }

// LogTail returns the end of containerd's own log, for failed tests.
func (c *Containerd) LogTail() string { return logTail(c.logPath()) }

// Runtime returns a CRI client that stays valid over Kill and Restart.
func (c *Containerd) Runtime() runtimeapi.RuntimeServiceClient { return c.runtime }

// Kill sends SIGKILL only to the daemon and waits for its end. Containers and
// their shims keep running; their output stays in pipes until Restart.
func (c *Containerd) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.daemon.alive() {
		return nil
	}
	c.killed = true
	return c.daemon.kill()
}

// Restart starts the daemon again on the same state and returns when CRI is ready. A
// running one is terminated first.
func (c *Containerd) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.root != "" {
		return errors.New("restart containerd: it was stopped, or is attached; use Start")
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

// Stop removes all pods, terminates the daemon (one that was killed is started again
// for that) and removes the private directory. An error means that something had to be
// removed by force, or could not be removed. Shims are excepted if the daemon was
// killed: it may have died before it recorded them. Calling Stop again has no effect.
// If attached, it only closes the client.
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

// abandon kills a containerd that failed to start: it has no pods yet, and may not
// handle SIGTERM.
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

// releaseLocked releases client, directory and lock.
func (c *Containerd) releaseLocked() error {
	var errs []error
	if c.conn != nil {
		errs = append(errs, c.conn.Close())
	}
	errs = append(errs, destroy(c.dir))
	c.unlock()
	return errors.Join(errs...)
}

// removePodsLocked removes every pod that the runtime lists, and waits for the
// shims, which end by themselves a moment after their pod.
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
		return nil // destroy kills what is left
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
