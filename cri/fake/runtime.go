package fake

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// DefaultTailDelay is about what containerd takes to notice that its old logger
// is done.
const DefaultTailDelay = 5 * time.Millisecond

// Options says how a runtime is. Dir alone must be set.
type Options struct {
	Dir      string // holds cri.sock and the pod logs directory; made if absent
	Style    Style  // default Containerd
	NoStream bool   // StreamContainers answers Unimplemented, as runtimes before containerd 2.4 do

	// TailDelay is Containerd's time from Reopen's return to the last write to the
	// old file and its close. 0: DefaultTailDelay; negative: before Reopen returns.
	TailDelay time.Duration
}

// Runtime is a running CRI server with its containers. Make one with Start.
type Runtime struct {
	opts     Options
	socket   string
	logsDir  string
	failures failures // for every container
	calls    calls
	closed   chan struct{}

	serverMu sync.Mutex // serializes Stop, Restart and Close
	server   *server    // nil: stopped

	mu         sync.Mutex
	isClosed   bool
	containers []*Container // in the order of their creation
	sandboxes  []*runtimeapi.PodSandbox
}

// server is one life of the gRPC server, from Start or Restart to Stop.
type server struct {
	grpc   *grpc.Server
	served chan error    // Serve's result
	gone   chan struct{} // closed by Stop: actions still to come are dropped
	late   sync.WaitGroup
}

// Start makes the directories and serves. The caller owes a Close.
func Start(opts Options) (*Runtime, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded runtime: %w", err)
	}
	opts.Dir = dir
	if opts.TailDelay == 0 {
		opts.TailDelay = DefaultTailDelay
	}
	r := &Runtime{
		opts:    opts,
		socket:  filepath.Join(dir, "cri.sock"),
		logsDir: filepath.Join(dir, "pods"),
		closed:  make(chan struct{}),
	}
	if err := os.MkdirAll(r.logsDir, 0o755); err != nil {
		return nil, fmt.Errorf("embedded runtime: make pod logs directory: %w", err)
	}
	if err := r.serve(); err != nil {
		return nil, fmt.Errorf("embedded runtime: %w", err)
	}
	return r, nil
}

// Endpoint returns the address to dial, as unix:///run/cri.sock. It is a URL: a # in
// the path, as in the directories of tests with equal names, comes out as %23.
func (r *Runtime) Endpoint() string { return (&url.URL{Scheme: "unix", Path: r.socket}).String() }

// PodLogsDir returns the directory that holds a directory for each pod.
func (r *Runtime) PodLogsDir() string { return r.logsDir }

// Calls returns how many calls of a method (as "ReopenContainerLog") have arrived.
func (r *Runtime) Calls(method string) int { return r.calls.get(method) }

// Fail makes calls of any container go wrong. Failures of a container come first.
func (r *Runtime) Fail(f Failure) { r.failures.add(f) }

// ClearFailures ends what Fail began. Calls that hang go on hanging.
func (r *Runtime) ClearFailures() { r.failures.clear() }

func (r *Runtime) serve() error {
	const maxPath = 107 // bytes; sun_path in unix(7)
	if len(r.socket) > maxPath {
		return fmt.Errorf("socket path %s is longer than %d bytes: set TMPDIR to a shorter directory, such as /tmp", r.socket, maxPath)
	}
	// A socket of a run that was killed would make Listen fail.
	if err := os.Remove(r.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := net.Listen("unix", r.socket)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", r.socket, err)
	}
	s := &server{served: make(chan error, 1), gone: make(chan struct{})}
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

// Stop takes the server away: its socket goes, its calls are cancelled. The
// containers write on.
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
	close(s.gone)
	s.grpc.Stop()
	s.late.Wait()
	if err := <-s.served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve %s: %w", r.socket, err)
	}
	return nil
}

// Restart brings the server back on the same socket, after a Stop if it still
// runs. Containerd opens the log path of each running container anew, as it does
// when it takes its containers over; CRIO's loggers never noticed.
func (r *Runtime) Restart() error {
	r.serverMu.Lock()
	defer r.serverMu.Unlock()
	err := r.stopLocked()
	select {
	case <-r.closed:
		return errors.Join(err, errors.New("restart: the runtime is closed"))
	default:
	}
	if r.opts.Style == Containerd {
		for _, c := range r.all() {
			err = errors.Join(err, c.takeOver())
		}
	}
	return errors.Join(err, r.serve())
}

// Close ends the server and all containers and waits for them. The logs stay.
func (r *Runtime) Close() error {
	r.mu.Lock()
	if !r.isClosed {
		r.isClosed = true
		close(r.closed)
	}
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
	if r.isClosed {
		return nil, errors.New("run container: the runtime is closed")
	}
	c := newContainer(r, spec)
	if err := c.openFirst(); err != nil {
		return nil, fmt.Errorf("run container %s: %w", spec.Name, err)
	}
	c.sandboxID = r.sandboxLocked(spec)
	r.containers = append(r.containers, c)
	if spec.Writer != nil {
		c.work.Go(c.runPattern)
	}
	return c, nil
}

// sandboxLocked finds or makes the pod's sandbox, and adds the pod's labels and
// annotations to it.
func (r *Runtime) sandboxLocked(spec ContainerSpec) string {
	i := slices.IndexFunc(r.sandboxes, func(s *runtimeapi.PodSandbox) bool {
		return s.Metadata.Namespace == spec.Namespace && s.Metadata.Name == spec.Pod && s.Metadata.Uid == spec.UID
	})
	s := &runtimeapi.PodSandbox{
		Id:        newID(),
		Metadata:  &runtimeapi.PodSandboxMetadata{Namespace: spec.Namespace, Name: spec.Pod, Uid: spec.UID},
		State:     runtimeapi.PodSandboxState_SANDBOX_READY,
		CreatedAt: time.Now().UnixNano(),
	}
	if i >= 0 {
		old := r.sandboxes[i]
		s.Id, s.CreatedAt, s.Labels, s.Annotations = old.Id, old.CreatedAt, maps.Clone(old.Labels), maps.Clone(old.Annotations)
	} else {
		s.Labels, s.Annotations = spec.podLabels(), map[string]string{}
		r.sandboxes = append(r.sandboxes, nil)
		i = len(r.sandboxes) - 1
	}
	maps.Copy(s.Labels, spec.Labels)
	maps.Copy(s.Annotations, spec.Annotations)
	// Answers being sent may hold the old one, so it is replaced and not changed.
	r.sandboxes[i] = s
	return s.Id
}

// forget takes a container off the lists, and its sandbox with the last one.
func (r *Runtime) forget(c *Container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers = slices.DeleteFunc(r.containers, func(o *Container) bool { return o == c })
	if !slices.ContainsFunc(r.containers, func(o *Container) bool { return o.sandboxID == c.sandboxID }) {
		r.sandboxes = slices.DeleteFunc(r.sandboxes, func(s *runtimeapi.PodSandbox) bool { return s.Id == c.sandboxID })
	}
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
	for _, c := range r.containers {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (r *Runtime) pods() []*runtimeapi.PodSandbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sandboxes)
}

// newID returns an ID as real runtimes make them.
func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// beneath says whether path lies in dir.
func beneath(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
