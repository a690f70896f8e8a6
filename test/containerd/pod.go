package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The labels and the annotation that kubelet gives to sandboxes and containers.
const (
	labelPodNamespace      = "io.kubernetes.pod.namespace"
	labelPodName           = "io.kubernetes.pod.name"
	labelPodUID            = "io.kubernetes.pod.uid"
	labelContainerName     = "io.kubernetes.container.name"
	annotationRestartCount = "io.kubernetes.container.restartCount"
)

// restartGrace is how long RestartContainer waits for a running container after
// SIGTERM. The logwriter needs it only if its output is not read.
const restartGrace = 5 * time.Second

// PodSpec describes a pod for RunPod. Empty identity fields have defaults.
type PodSpec struct {
	Namespace   string // empty: default
	Name        string // empty: a name that no other pod has
	UID         string // empty: a random one
	Labels      map[string]string
	Annotations map[string]string
	Containers  []ContainerSpec
}

// ContainerSpec is one container of a pod.
type ContainerSpec struct {
	Name   string   // empty: c0, c1, … by order
	Args   []string // of the logwriter; none: it writes as fast as it can
	Mounts []Mount
	// Image, if not empty, is an imported image to run instead of the logwriter's; Args
	// are then arguments of its entrypoint.
	Image string
	// Edit, if not nil, modifies the CRI request.
	Edit func(*runtimeapi.ContainerConfig)
}

// Mount mounts a file or directory of the host into a container.
type Mount struct {
	HostPath      string
	ContainerPath string
	ReadOnly      bool
}

// Pod is a pod that was run. Its exported fields never change.
type Pod struct {
	ID     string // of the sandbox
	Spec   PodSpec
	LogDir string // <PodLogsDir>/<namespace>_<name>_<uid>

	owner   *Containerd
	sandbox *runtimeapi.PodSandboxConfig

	mu         sync.Mutex
	containers []*Container // the newest attempt of each, by order of start
	previous   map[string]*Container
}

// Container is one attempt of a container. Its fields never change.
type Container struct {
	ID      string
	Attempt uint32
	Spec    ContainerSpec
	LogPath string // <Dir>/<attempt>.log
	Dir     string // <pod's LogDir>/<container's name>
}

// RunPod makes a sandbox on the host's network and starts the containers in it.
// When it fails nothing of the pod is left but its log directory.
func (c *Containerd) RunPod(ctx context.Context, spec PodSpec) (*Pod, error) {
	spec = spec.withDefaults()
	p := &Pod{
		Spec:     spec,
		LogDir:   filepath.Join(c.podLogsDir, spec.Namespace+"_"+spec.Name+"_"+spec.UID),
		owner:    c,
		previous: map[string]*Container{},
	}
	p.sandbox = p.sandboxConfig()
	if err := os.MkdirAll(c.seen(p.LogDir), 0o755); err != nil {
		return nil, fmt.Errorf("make the log directory of pod %s: %w", spec.Name, err)
	}
	answer, err := c.runtime.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: p.sandbox})
	if err != nil {
		return nil, fmt.Errorf("run pod %s/%s: %w", spec.Namespace, spec.Name, err)
	}
	p.ID = answer.GetPodSandboxId()
	for _, container := range spec.Containers {
		if _, err := p.StartContainer(ctx, container); err != nil {
			return nil, errors.Join(err, p.Remove(context.WithoutCancel(ctx)))
		}
	}
	return p, nil
}

func (s PodSpec) withDefaults() PodSpec {
	if s.Namespace == "" {
		s.Namespace = "default"
	}
	if s.UID == "" {
		s.UID = newUID()
	}
	if s.Name == "" {
		s.Name = "pod-" + newUID()[:8]
	}
	s.Containers = slices.Clone(s.Containers)
	for i := range s.Containers {
		if s.Containers[i].Name == "" {
			s.Containers[i].Name = containerName(i)
		}
	}
	return s
}

func containerName(i int) string { return "c" + strconv.Itoa(i) }

// newUID returns a random UUID, as the API server gives to pods.
func newUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (p *Pod) sandboxConfig() *runtimeapi.PodSandboxConfig {
	labels := maps.Clone(p.Spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, p.identity())
	return &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Namespace: p.Spec.Namespace, Name: p.Spec.Name, Uid: p.Spec.UID},
		Labels:       labels,
		Annotations:  p.Spec.Annotations,
		LogDirectory: p.LogDir,
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent:    cgroupParent(p.owner.dir),
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{NamespaceOptions: namespaces()},
		},
	}
}

func (p *Pod) identity() map[string]string {
	return map[string]string{
		labelPodNamespace: p.Spec.Namespace, labelPodName: p.Spec.Name, labelPodUID: p.Spec.UID,
	}
}

// namespaces returns kubelet's namespaces for a pod with hostNetwork: true.
func namespaces() *runtimeapi.NamespaceOption {
	return &runtimeapi.NamespaceOption{
		Network: runtimeapi.NamespaceMode_NODE,
		Pid:     runtimeapi.NamespaceMode_CONTAINER,
		Ipc:     runtimeapi.NamespaceMode_POD,
	}
}

// Containers returns the newest attempts, in order of their first start.
func (p *Pod) Containers() []*Container {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.containers)
}

// StartContainer adds a container to the pod and starts its attempt 0.
func (p *Pod) StartContainer(ctx context.Context, spec ContainerSpec) (*Container, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if spec.Name == "" {
		spec.Name = containerName(len(p.containers))
	}
	if slices.ContainsFunc(p.containers, func(c *Container) bool { return c.Spec.Name == spec.Name }) {
		return nil, fmt.Errorf("start container %s of pod %s: the name is taken; use RestartContainer", spec.Name, p.Spec.Name)
	}
	c, err := p.startAttempt(ctx, spec, 0)
	if err == nil {
		p.containers = append(p.containers, c)
	}
	return c, err
}

// RestartContainer stops the newest attempt of the named container, if it is running,
// and starts the next. The previous attempt is kept as an exited container, the one
// before it is removed, as by kubelet. Logs are kept.
func (p *Pod) RestartContainer(ctx context.Context, name string) (*Container, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.containers, func(c *Container) bool { return c.Spec.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("restart container %s: pod %s has no such container; use StartContainer", name, p.Spec.Name)
	}
	old := p.containers[i]
	if err := p.StopContainer(ctx, old, restartGrace); err != nil {
		return nil, err
	}
	if dead := p.previous[name]; dead != nil {
		if err := p.removeContainer(ctx, dead.ID); err != nil {
			return nil, err
		}
		delete(p.previous, name)
	}
	next, err := p.startAttempt(ctx, old.Spec, old.Attempt+1)
	if err != nil {
		return nil, err
	}
	p.containers[i], p.previous[name] = next, old
	return next, nil
}

// StopContainer sends SIGTERM and, after timeout, SIGKILL. It is not an error if the
// container has already ended.
func (p *Pod) StopContainer(ctx context.Context, c *Container, timeout time.Duration) error {
	seconds := int64((timeout + time.Second - 1) / time.Second) // CRI has whole seconds
	_, err := p.owner.runtime.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: c.ID, Timeout: seconds})
	if err != nil {
		return fmt.Errorf("stop container %s of pod %s: %w", c.Spec.Name, p.Spec.Name, err)
	}
	return nil
}

// Remove stops and removes the pod and its containers. The logs are kept, as on a node
// until kubelet removes them.
func (p *Pod) Remove(ctx context.Context) error {
	if err := p.owner.removeSandbox(ctx, p.ID); err != nil {
		return fmt.Errorf("remove pod %s/%s: %w", p.Spec.Namespace, p.Spec.Name, err)
	}
	return nil
}

// startAttempt creates and starts one attempt. On an error only its directory is left.
func (p *Pod) startAttempt(ctx context.Context, spec ContainerSpec, attempt uint32) (*Container, error) {
	fail := func(op string, err error) error {
		return fmt.Errorf("%s container %s, attempt %d, of pod %s: %w", op, spec.Name, attempt, p.Spec.Name, err)
	}
	dir := filepath.Join(p.LogDir, spec.Name)
	if err := os.MkdirAll(p.owner.seen(dir), 0o755); err != nil {
		return nil, fail("create the log directory of", err)
	}
	logName := strconv.FormatUint(uint64(attempt), 10) + ".log"
	created, err := p.owner.runtime.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId:  p.ID,
		SandboxConfig: p.sandbox,
		Config:        p.containerConfig(spec, attempt, filepath.Join(spec.Name, logName)),
	})
	if err != nil {
		return nil, fail("create", err)
	}
	id := created.GetContainerId()
	if _, err := p.owner.runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		return nil, errors.Join(fail("start", err), p.removeContainer(context.WithoutCancel(ctx), id))
	}
	return &Container{ID: id, Attempt: attempt, Spec: spec, LogPath: filepath.Join(dir, logName), Dir: dir}, nil
}

func (p *Pod) containerConfig(spec ContainerSpec, attempt uint32, logPath string) *runtimeapi.ContainerConfig {
	labels := p.identity()
	labels[labelContainerName] = spec.Name
	mounts := make([]*runtimeapi.Mount, 0, len(spec.Mounts))
	for _, m := range spec.Mounts {
		mounts = append(mounts, &runtimeapi.Mount{HostPath: m.HostPath, ContainerPath: m.ContainerPath, Readonly: m.ReadOnly})
	}
	config := &runtimeapi.ContainerConfig{
		Metadata:    &runtimeapi.ContainerMetadata{Name: spec.Name, Attempt: attempt},
		Image:       &runtimeapi.ImageSpec{Image: Image},
		Command:     []string{entrypoint},
		Args:        spec.Args,
		Mounts:      mounts,
		Labels:      labels,
		Annotations: map[string]string{annotationRestartCount: strconv.FormatUint(uint64(attempt), 10)},
		LogPath:     logPath,
		Linux: &runtimeapi.LinuxContainerConfig{
			SecurityContext: &runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: namespaces()},
		},
	}
	if spec.Image != "" {
		config.Image.Image, config.Command = spec.Image, nil
	}
	if spec.Edit != nil {
		spec.Edit(config)
	}
	return config
}

func (p *Pod) removeContainer(ctx context.Context, id string) error {
	if _, err := p.owner.runtime.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id}); err != nil {
		return fmt.Errorf("remove container %s of pod %s: %w", id, p.Spec.Name, err)
	}
	return nil
}
