package fake

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// NoLog as ContainerSpec.LogPath is for a container without a log.
const NoLog = "-"

// ContainerSpec describes a container. Empty names get defaults.
type ContainerSpec struct {
	Namespace, Pod, UID, Name string            // defaults: default, the name, a new UID, app
	Attempt                   uint32            // number of restarts; names the log
	Labels, Annotations       map[string]string // the pod's: on its sandbox, as with kubelet

	// LogPath replaces the usual path. It is opened only if it is in Options.Dir, its
	// directory exists and it is not a link or a device; otherwise the container runs
	// and its lines are lost. NoLog: the container has no log.
	LogPath string

	// Created is for how long the container is reported as created and not yet running,
	// though it writes, as in a list from just before its start.
	Created time.Duration

	Writer *Pattern // nil: only Container.Write and WriteNumbered write
}

// The labels that kubelet sets on containers and sandboxes.
const (
	labelNamespace = "io.kubernetes.pod.namespace"
	labelPod       = "io.kubernetes.pod.name"
	labelUID       = "io.kubernetes.pod.uid"
	labelContainer = "io.kubernetes.container.name"
)

func (s *ContainerSpec) complete() error {
	s.Namespace, s.Name = cmp.Or(s.Namespace, "default"), cmp.Or(s.Name, "app")
	s.Pod = cmp.Or(s.Pod, s.Name)
	if s.UID == "" {
		id := newID()
		s.UID = strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:32]}, "-")
	}
	for _, name := range []string{s.Namespace, s.Pod, s.UID, s.Name} {
		if strings.ContainsAny(name, "/\x00") || name == ".." || name == "." {
			return fmt.Errorf("%q cannot be part of a path", name)
		}
	}
	if s.Writer != nil {
		p := *s.Writer // the caller's may change
		s.Writer = &p
	}
	return nil
}

func (s *ContainerSpec) podLabels() map[string]string {
	return map[string]string{labelNamespace: s.Namespace, labelPod: s.Pod, labelUID: s.UID}
}

// Container is one container of a Runtime, created by Runtime.RunContainer. Its
// failures are those of calls with its ID.
type Container struct {
	failures
	r       *Runtime
	spec    ContainerSpec
	id      string
	pod     string // ID of its sandbox
	path    string // of the log; "": none
	created time.Time
	stop    chan struct{}  // closed by Exit
	work    sync.WaitGroup // the pattern's writer, and old files waiting for their tails

	mu       sync.Mutex
	exited   bool
	finished time.Time
	file     *os.File // nil: lines are lost, as with a path that could not be opened
	lines    lineWriter
	flowing  bool // the pattern writes: lines are in flight
	random   *rand.Rand
	buf      []byte
	bytes    int64 // written to files
	err      error // the first failed write
}

func newContainer(r *Runtime, spec ContainerSpec) *Container {
	c := &Container{
		r:       r,
		spec:    spec,
		id:      newID(),
		pod:     podID(spec),
		created: time.Now(),
		stop:    make(chan struct{}),
		random:  rand.New(rand.NewPCG(1, 2)), // the same each time, so that tests repeat
		lines:   newLineWriter(r.opts.Style, spec.Writer),
	}
	switch spec.LogPath {
	case "":
		pod := spec.Namespace + "_" + spec.Pod + "_" + spec.UID
		c.path = filepath.Join(r.logsDir, pod, spec.Name, strconv.FormatUint(uint64(spec.Attempt), 10)+".log")
	case NoLog:
	default:
		c.path = spec.LogPath
	}
	return c
}

// ID returns the container's ID.
func (c *Container) ID() string { return c.id }

// LogPath returns the path of the live log, as in ContainerStatus.
func (c *Container) LogPath() string { return c.path }

// Dir returns the directory of the live log.
func (c *Container) Dir() string { return filepath.Dir(c.path) }

// Written returns the number of numbered lines that the container wrote, by stream.
// The last ones may be in flight until Exit has returned.
func (c *Container) Written() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines.written()
}

// BytesWritten returns the number of bytes that have reached the log's files.
func (c *Container) BytesWritten() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// Err returns the first error of a write to the log. Lines that could not be written
// are lost and the container continues, as with real runtimes on a full disk; Written
// counts them.
func (c *Container) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Write writes content to a stream as one line, cut into parts if it is longer
// than 16 KiB. It is in the log's file when Write returns.
func (c *Container) Write(stream string, content []byte) error {
	return c.write(func(buf []byte) ([]byte, error) { return c.lines.raw(buf, stream, content) })
}

// WriteNumbered writes the stream's next n numbered lines, width bytes each. The
// pattern's lines count as well.
func (c *Container) WriteNumbered(stream string, n, width int) error {
	return c.write(func(buf []byte) ([]byte, error) { return c.lines.numbered(buf, stream, n, width) })
}

func (c *Container) write(lines func([]byte) ([]byte, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return fmt.Errorf("write to container %s: it has exited", c.spec.Name)
	}
	c.lines.stampNow()
	buf, err := lines(c.buf[:0])
	if err == nil {
		c.buf = buf
		err = c.putLocked(c.file, buf)
	}
	if err != nil {
		return fmt.Errorf("write to container %s: %w", c.spec.Name, err)
	}
	return nil
}

// putLocked writes whole lines to f.
func (c *Container) putLocked(f *os.File, lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	n, err := 0, errNoLog
	if f != nil {
		n, err = f.Write(lines)
	}
	c.bytes += int64(n)
	if err != nil && c.err == nil {
		c.err = err
	}
	return err
}

var errNoLog = errors.New("the log is not open")

// Exit ends the container: its last lines are written, its files closed.
func (c *Container) Exit() {
	c.mu.Lock()
	if !c.exited {
		c.exited, c.finished, c.flowing = true, time.Now(), false
		close(c.stop)
	}
	c.mu.Unlock()
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return
	}
	if err := c.file.Close(); err != nil && c.err == nil {
		c.err = err
	}
	c.file = nil
}

// Remove ends the container and removes it from the runtime, and its pod's sandbox
// with the last one. The files stay.
func (c *Container) Remove() {
	c.Exit()
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.containers = slices.DeleteFunc(c.r.containers, func(o *Container) bool { return o == c })
}

func (c *Container) state() (state runtimeapi.ContainerState, finished int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exited {
		return runtimeapi.ContainerState_CONTAINER_EXITED, c.finished.UnixNano()
	}
	if time.Since(c.created) < c.spec.Created {
		return runtimeapi.ContainerState_CONTAINER_CREATED, 0
	}
	return runtimeapi.ContainerState_CONTAINER_RUNNING, 0
}
