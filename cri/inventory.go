package cri

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Container is what the inventory knows of a container.
type Container struct {
	ID        string
	Namespace string
	Pod       string
	PodUID    string
	Name      string
	// LogPath is the live log's absolute, clean path; "" if the runtime names
	// none.
	LogPath string
	// Running is as of the last Refresh.
	Running bool
	// PodLabels and PodAnnotations are the sandbox's, as they were when it was
	// made. Both nil unless Inventory.ReadPods was called. Not to be written to.
	PodLabels, PodAnnotations map[string]string

	sandbox string // its ID
	located bool   // locate was done
}

// Labels that kubelet puts on every container.
const (
	labelNamespace = "io.kubernetes.pod.namespace"
	labelPod       = "io.kubernetes.pod.name"
	labelUID       = "io.kubernetes.pod.uid"
	labelContainer = "io.kubernetes.container.name"
)

// statusesAtOnce bounds the ContainerStatus calls of one Refresh: a node that
// starts with thousands of containers should not flood its runtime.
const statusesAtOnce = 8

// hangsAtMost is how many calls of one Refresh may end at their deadline.
const hangsAtMost = statusesAtOnce

// Inventory knows a runtime's containers by their log paths. Its methods may be
// called from any goroutine.
type Inventory struct {
	client *Client
	flight singleflight.Group
	// progress is when a call of a Refresh or HasPod last ended, in Unix ns.
	progress atomic.Int64

	mu     sync.Mutex
	ids    map[string]bool // all that the runtime listed
	byID   map[string]*Container
	byPath map[string]*Container // a running container before one that is not
	byDir  map[string]*Container // the same by its log's directory
	// readPods: sandboxes are asked for their labels and annotations.
	readPods bool
	pods     map[string]*runtime.PodSandboxStatus // by sandbox ID
}

// NewInventory makes an empty inventory; Refresh fills it.
func NewInventory(c *Client) *Inventory {
	return &Inventory{client: c, byID: map[string]*Container{}, byPath: map[string]*Container{}, pods: map[string]*runtime.PodSandboxStatus{}}
}

// ReadPods has the labels and annotations of new containers' pods read from now
// on: one more RPC a sandbox, once. What is known already is asked for by the
// next Refresh.
func (v *Inventory) ReadPods() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.readPods = true
}

// Refresh makes the inventory anew from what the runtime says: one RPC, and one
// more for each running container that was not known. Calls that overlap share
// one. On an error the inventory stays as it was; a container whose status
// cannot be had is left out until the next Refresh, and its error comes back
// with the others'.
func (v *Inventory) Refresh(ctx context.Context) error {
	_, err, _ := v.flight.Do("", func() (any, error) { return nil, v.refresh(ctx) })
	return err
}

func (v *Inventory) refresh(ctx context.Context) error {
	list, err := v.client.list(ctx)
	v.progressed()
	if err != nil {
		return err
	}
	byID, ids := make(map[string]*Container, len(list)), make(map[string]bool, len(list))
	var unknown []*Container
	v.mu.Lock()
	for _, c := range list {
		now := describe(c)
		ids[c.Id] = true
		old := v.byID[c.Id]
		if old != nil {
			now.LogPath, now.PodLabels, now.PodAnnotations = old.LogPath, old.PodLabels, old.PodAnnotations
		}
		if old != nil && (!now.Running || !v.readPods || now.PodLabels != nil) {
			byID[c.Id] = now
		} else if now.Running {
			unknown = append(unknown, now)
		}
	}
	v.mu.Unlock()

	err = v.locateAll(ctx, unknown)
	for _, c := range unknown {
		if c.located {
			byID[c.ID] = c
		}
	}
	byPath, byDir := make(map[string]*Container, len(byID)), make(map[string]*Container, len(byID))
	sandboxes := make(map[string]bool, len(byID))
	for _, c := range byID {
		sandboxes[c.sandbox] = true
		if c.LogPath == "" {
			continue
		}
		if byPath[c.LogPath] == nil || c.Running {
			byPath[c.LogPath] = c
		}
		if dir := path.Dir(c.LogPath); byDir[dir] == nil || c.Running {
			byDir[dir] = c
		}
	}
	v.mu.Lock()
	v.ids, v.byID, v.byPath, v.byDir = ids, byID, byPath, byDir
	maps.DeleteFunc(v.pods, func(id string, _ *runtime.PodSandboxStatus) bool { return !sandboxes[id] })
	v.mu.Unlock()
	return err
}

// locateAll asks for each container's log path, and for its pod. A runtime that
// lists and then hangs would hold it up for a timeout a container: after
// hangsAtMost of them the rest is left to the next Refresh. Their order is random,
// so that the same few that hang do not always come first.
func (v *Inventory) locateAll(ctx context.Context, unknown []*Container) error {
	rand.Shuffle(len(unknown), func(i, j int) { unknown[i], unknown[j] = unknown[j], unknown[i] })
	errs := make([]error, len(unknown))
	var hangs atomic.Int64
	var g errgroup.Group
	g.SetLimit(statusesAtOnce)
	for i, c := range unknown {
		g.Go(func() error {
			if hangs.Load() >= hangsAtMost {
				return nil
			}
			errs[i] = v.locate(ctx, c)
			v.progressed()
			c.located = errs[i] == nil
			if status.Code(errs[i]) == codes.DeadlineExceeded {
				hangs.Add(1)
			}
			return nil
		})
	}
	_ = g.Wait() // each error stands in errs
	return errors.Join(errs...)
}

// Progress is when a call of a Refresh or HasPod last ended, whatever it ended
// with; zero: none has. While a Refresh is under way that is never long ago: each
// call has a deadline.
func (v *Inventory) Progress() time.Time {
	if ns := v.progress.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

func (v *Inventory) progressed() { v.progress.Store(time.Now().UnixNano()) }

// locate asks for a container's log path, and for its pod.
func (v *Inventory) locate(ctx context.Context, c *Container) error {
	if err := v.locatePod(ctx, c); err != nil {
		return err
	}
	st, err := v.client.status(ctx, c.ID)
	if errors.Is(err, ErrNotRunning) {
		c.Running = false // it went in between
		return nil
	}
	if err != nil {
		return fmt.Errorf("container %s/%s/%s: %w", c.Namespace, c.Pod, c.Name, err)
	}
	if st.LogPath != "" {
		c.LogPath = path.Clean(st.LogPath)
	}
	c.Running = st.State == runtime.ContainerState_CONTAINER_RUNNING
	return nil
}

// locatePod looks up a container's pod, and asks for it the first time.
func (v *Inventory) locatePod(ctx context.Context, c *Container) error {
	v.mu.Lock()
	wanted, known := v.readPods, v.pods[c.sandbox]
	v.mu.Unlock()
	if !wanted {
		return nil
	}
	if known == nil {
		var err error
		if known, err = v.client.sandbox(ctx, c.sandbox); err != nil {
			return fmt.Errorf("pod %s/%s: %w", c.Namespace, c.Pod, err)
		}
		v.mu.Lock()
		v.pods[c.sandbox] = known
		v.mu.Unlock()
	}
	c.PodLabels, c.PodAnnotations = orEmpty(known.Labels), orEmpty(known.Annotations)
	return nil
}

// orEmpty tells a pod without labels from one that was not read.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// ByLogPath returns the container that has this log path.
func (v *Inventory) ByLogPath(p string) (Container, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.byPath[p]; c != nil {
		return *c, true
	}
	return Container{}, false
}

// ByDir returns the container that logs into this directory, the running one if
// there are several.
func (v *Inventory) ByDir(dir string) (Container, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.byDir[dir]; c != nil {
		return *c, true
	}
	return Container{}, false
}

// Has reports whether the last Refresh found a container, running or not.
func (v *Inventory) Has(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ids[id]
}

// HasPod asks the runtime whether it has a container's pod.
func (v *Inventory) HasPod(ctx context.Context, c Container) (bool, error) {
	_, err := v.client.sandbox(ctx, c.sandbox)
	v.progressed()
	if errors.Is(err, ErrNotRunning) {
		return false, nil
	}
	return err == nil, err
}

// Running returns the running containers, in no order.
func (v *Inventory) Running() []Container {
	v.mu.Lock()
	defer v.mu.Unlock()
	running := make([]Container, 0, len(v.byID))
	for _, c := range v.byID {
		if c.Running {
			running = append(running, *c)
		}
	}
	return running
}

// Lookup asks the runtime itself about one container, running or not.
// ErrNotRunning: the runtime does not know it.
func (v *Inventory) Lookup(ctx context.Context, id string) (Container, error) {
	st, err := v.client.status(ctx, id)
	if err != nil {
		return Container{}, err
	}
	c := described(st.Id, st.Labels, st.GetMetadata().GetName(), st.State)
	if st.LogPath != "" {
		c.LogPath = path.Clean(st.LogPath)
	}
	return *c, nil
}

func describe(c *runtime.Container) *Container {
	d := described(c.Id, c.Labels, c.GetMetadata().GetName(), c.State)
	d.sandbox = c.PodSandboxId
	return d
}

func described(id string, labels map[string]string, name string, state runtime.ContainerState) *Container {
	if l := labels[labelContainer]; l != "" {
		name = l
	}
	return &Container{
		ID: id, Namespace: labels[labelNamespace], Pod: labels[labelPod], PodUID: labels[labelUID],
		Name: name, Running: state == runtime.ContainerState_CONTAINER_RUNNING,
	}
}
