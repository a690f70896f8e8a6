package fake

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Style is the container runtime that a Runtime imitates.
type Style int

const (
	Containerd Style = iota
	CRIO             // CRI-O with conmon
)

// DefaultTailDelay is about what containerd takes to close the old log.
const DefaultTailDelay = 5 * time.Millisecond

// Options configures a Runtime. Only Dir is required.
type Options struct {
	Dir      string // of cri.sock and the pod logs directory; created if absent
	Style    Style  // default Containerd
	NoStream bool   // StreamContainers answers Unimplemented, as runtimes before containerd 2.4 do

	// TailDelay is Containerd's time from a reopen's answer to the last write to the
	// old file and its close. 0: DefaultTailDelay; negative: before the answer.
	TailDelay time.Duration
}

// Runtime is a running CRI server with its containers, created by Start. Its failures
// are those of all calls.
type Runtime struct {
	failures
	opts    Options
	socket  string
	logsDir string

	serverMu sync.Mutex // serializes Stop, Restart and Close
	server   *server    // nil: stopped

	mu         sync.Mutex
	closed     bool
	containers []*Container // in the order of their creation
	calls      map[string]int
}

// server is a gRPC server, from Start or Restart to Stop.
type server struct {
	grpc    *grpc.Server
	served  chan error    // Serve's result
	stopped chan struct{} // closed by Stop: pending actions are dropped
	late    sync.WaitGroup
}

// Start creates the directories and serves until Close.
func Start(opts Options) (*Runtime, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("fake runtime: %w", err)
	}
	opts.Dir = dir
	if opts.TailDelay == 0 {
		opts.TailDelay = DefaultTailDelay
	}
	r := &Runtime{
		opts:    opts,
		socket:  filepath.Join(dir, "cri.sock"),
		logsDir: filepath.Join(dir, "pods"),
		calls:   map[string]int{},
	}
	if err := os.MkdirAll(r.logsDir, 0o755); err != nil {
		return nil, fmt.Errorf("fake runtime: create pod logs directory: %w", err)
	}
	if err := r.serve(); err != nil {
		return nil, fmt.Errorf("fake runtime: %w", err)
	}
	return r, nil
}

// Endpoint returns the address to dial, such as unix:///run/cri.sock. It is a URL: a #
// in the path, as in the directories of tests with equal names, becomes %23.
func (r *Runtime) Endpoint() string { return (&url.URL{Scheme: "unix", Path: r.socket}).String() }

// PodLogsDir returns the directory of the pods' directories.
func (r *Runtime) PodLogsDir() string { return r.logsDir }

// Calls returns how many calls of a method (such as "ReopenContainerLog") have arrived.
func (r *Runtime) Calls(method string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[method]
}

func (r *Runtime) serve() error {
	const maxPath = 107 // bytes; sun_path in unix(7)
	if len(r.socket) > maxPath {
		return fmt.Errorf("socket path %s is longer than %d bytes: set TMPDIR to a shorter directory, such as /tmp", r.socket, maxPath)
	}
	// Listen fails if there is a socket of a process that was killed.
	if err := os.Remove(r.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := net.Listen("unix", r.socket)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", r.socket, err)
	}
	s := &server{served: make(chan error, 1), stopped: make(chan struct{})}
	s.grpc = grpc.NewServer(
		grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(r.unary(s)),
		grpc.StreamInterceptor(r.stream),
	)
	runtimeapi.RegisterRuntimeServiceServer(s.grpc, &service{r: r})
	go func() { s.served <- s.grpc.Serve(listener) }()
	r.server = s
	return nil
}

// Stop removes the socket and cancels the calls being served. The containers write on.
func (r *Runtime) Stop() error {
	r.serverMu.Lock()
	defer r.serverMu.Unlock()
	return r.stopLocked()
}

func (r *Runtime) stopLocked() error {
	s := r.server
	if s == nil {
		return nil
	}
	r.server = nil
	close(s.stopped)
	s.grpc.Stop()
	s.late.Wait()
	if err := <-s.served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve %s: %w", r.socket, err)
	}
	return nil
}

// Restart serves again on the same socket, after a Stop if it still runs. Containerd
// opens the log path of each running container again, as it does when it takes its
// containers over; CRIO's loggers are processes of their own.
func (r *Runtime) Restart() error {
	r.serverMu.Lock()
	defer r.serverMu.Unlock()
	err := r.stopLocked()
	if r.isClosed() {
		return errors.Join(err, errors.New("restart: the runtime is closed"))
	}
	if r.opts.Style == Containerd {
		for _, c := range r.all() {
			err = errors.Join(err, c.takeOver())
		}
	}
	return errors.Join(err, r.serve())
}

func (r *Runtime) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// Close ends the server and all containers and waits for them. The logs stay.
func (r *Runtime) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	err := r.Stop()
	for _, c := range r.all() {
		c.Exit()
	}
	return err
}

// RunContainer starts a container and its writer.
func (r *Runtime) RunContainer(spec ContainerSpec) (*Container, error) {
	if err := spec.complete(); err != nil {
		return nil, fmt.Errorf("run container: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errors.New("run container: the runtime is closed")
	}
	c := newContainer(r, spec)
	if err := c.openFirst(); err != nil {
		return nil, fmt.Errorf("run container %s: %w", spec.Name, err)
	}
	r.containers = append(r.containers, c)
	if spec.Writer != nil {
		c.work.Go(c.runPattern)
	}
	return c, nil
}

func (r *Runtime) all() []*Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.containers)
}

// find returns nil when there is no such container.
func (r *Runtime) find(id string) *Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.containers, func(c *Container) bool { return c.id == id }); i >= 0 {
		return r.containers[i]
	}
	return nil
}

// newID returns an ID like those of real runtimes.
func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
