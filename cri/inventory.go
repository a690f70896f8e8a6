package cri

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Container is what the inventory knows of a container.
type Container struct {
	ID        string
	Namespace string
	Pod       string
	PodUID    string
	Name      string
	SandboxID string
	// Running and Exited are as of the last Refresh; neither is set for a container
	// that was created and not started, or whose state the runtime does not know.
	Running, Exited bool
	// Resolved is set once the runtime has reported the log path.
	Resolved bool
	// LogPath is the live log's absolute, clean path; "" if the runtime reports
	// none, or has not been asked yet.
	LogPath string
	// Err is why the last Resolve failed, after Failures in a row; nil if it did
	// not, or was not called.
	Err      error
	Failures int

	attempt uint64 // of the log path; the higher one is the later container
}

// Pod is what the runtime knows of a pod: the labels and annotations that its
// sandbox was created with. They are shared: do not modify them.
type Pod struct {
	Labels, Annotations map[string]string
}

// Labels that kubelet puts on every container and sandbox.
const (
	labelNamespace = "io.kubernetes.pod.namespace"
	labelPod       = "io.kubernetes.pod.name"
	labelUID       = "io.kubernetes.pod.uid"
	labelContainer = "io.kubernetes.container.name"
)

// Inventory knows a runtime's containers by their log directories. Its methods may
// be called from any goroutine.
type Inventory struct {
	client *Client
	flight singleflight.Group
	// progress is when a call last ended, in Unix nanoseconds.
	progress atomic.Int64

	mu        sync.Mutex
	listed    time.Time // when the last successful list began
	byID      map[string]*Container
	byDir     map[string]*Container // by the log's directory; see later
	byPath    map[string]*Container // by the log path; see later
	readPods  bool
	podMissed bool              // PodOf did not find a pod since the last ListPods
	pods      map[string]Pod    // by sandbox ID
	podDirs   map[string]string // sandbox ID by "<namespace>_<pod>_<uid>"
	podsErr   error
}

// NewInventory returns an empty inventory; Refresh fills it.
func NewInventory(c *Client) *Inventory {
	return &Inventory{
		client: c, byID: map[string]*Container{}, byPath: map[string]*Container{}, byDir: map[string]*Container{},
		pods: map[string]Pod{}, podDirs: map[string]string{},
	}
}

// ReadPods makes Refresh read the labels and annotations of pods from now on: one
// more RPC whenever there is a sandbox that it does not know.
func (v *Inventory) ReadPods() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.readPods = true
}

// Refresh lists the runtime's containers: one RPC. Calls that overlap share it; it
// continues when the context of one of them ends. Containers that were not known
// before are Unresolved. An error means that the list failed; the inventory is
// unchanged then.
func (v *Inventory) Refresh(ctx context.Context) error {
	begin := time.Now()
	for {
		shared := v.flight.DoChan("", func() (any, error) { return nil, v.refresh(context.WithoutCancel(ctx)) })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case res := <-shared:
			// A list that was in flight already may lack what the caller asks for.
			if res.Err != nil || !v.Listed().Before(begin) {
				return res.Err
			}
		}
	}
}

func (v *Inventory) refresh(ctx context.Context) error {
	begin := time.Now()
	list, err := v.client.list(ctx)
	v.progressed()
	if err != nil {
		return err
	}
	v.mu.Lock()
	byID := make(map[string]*Container, len(list))
	newPods := v.podMissed
	for _, c := range list {
		now := describe(c)
		if old := v.byID[c.Id]; old != nil { // a log path never changes
			now.Resolved, now.LogPath, now.attempt, now.Err, now.Failures = old.Resolved, old.LogPath, old.attempt, old.Err, old.Failures
		}
		byID[c.Id] = now
		if _, known := v.pods[now.SandboxID]; !known {
			newPods = true
		}
	}
	v.listed, v.byID = begin, byID
	v.byPath, v.byDir = make(map[string]*Container, len(byID)), make(map[string]*Container, len(byID))
	for _, c := range byID {
		v.indexLocked(c)
	}
	readPods := v.readPods && newPods
	v.mu.Unlock()
	if readPods {
		_ = v.ListPods(ctx) // what is known of pods stays; PodsErr reports it
	}
	return nil
}

// indexLocked adds a container to byPath and byDir. The caller holds mu.
func (v *Inventory) indexLocked(c *Container) {
	if c.LogPath == "" {
		return
	}
	add := func(to map[string]*Container, name string) {
		if old := to[name]; old == nil || old.ID == c.ID || c.later(old) {
			to[name] = c
		}
	}
	add(v.byPath, c.LogPath)
	add(v.byDir, path.Dir(c.LogPath))
}

// later reports whether c rather than o is the container of their directory: one
// that runs before one that does not, then the one with the higher restart count.
func (c *Container) later(o *Container) bool {
	if c.Running != o.Running {
		return c.Running
	}
	return c.attempt > o.attempt || c.attempt == o.attempt && c.ID > o.ID
}

// Unresolved returns the IDs of the containers whose log paths are not known, and for
// which Resolve has not failed yet.
func (v *Inventory) Unresolved() (ids []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, c := range v.byID {
		if !c.Resolved && c.Failures == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Resolve asks the runtime for a listed container's log path: one RPC, unless it is
// known already. An error concerns this container only, which stays unresolved.
func (v *Inventory) Resolve(ctx context.Context, id string) (Container, error) {
	v.mu.Lock()
	known := v.byID[id]
	v.mu.Unlock()
	if known != nil && known.Resolved {
		return *known, nil
	}
	st, err := v.client.status(ctx, id)
	v.progressed()
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.byID[id]
	if c == nil { // removed in the meantime
		return Container{}, errors.Join(ErrNotRunning, err)
	}
	now := *c // a new value: the old one may have been handed out
	switch {
	case err != nil:
		now.Err = err
		now.Failures++
		err = fmt.Errorf("container %s/%s/%s: %w", c.Namespace, c.Pod, c.Name, err)
	default:
		now.setState(st.State)
		now.Resolved, now.Err, now.Failures = true, nil, 0
		now.setPath(st.LogPath)
	}
	v.byID[id] = &now
	v.indexLocked(&now)
	return now, err
}

// maxConcurrent bounds the calls of one RefreshAll.
const maxConcurrent = 8

// RefreshAll lists the containers and resolves all of them, for commands that need
// a complete picture once. The error joins those of single containers.
func (v *Inventory) RefreshAll(ctx context.Context) error {
	if err := v.Refresh(ctx); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(maxConcurrent)
	var ids []string
	for _, c := range v.All() {
		if !c.Resolved {
			ids = append(ids, c.ID)
		}
	}
	errs := make([]error, len(ids))
	for i, id := range ids {
		g.Go(func() error {
			_, errs[i] = v.Resolve(ctx, id)
			return nil
		})
	}
	_ = g.Wait() // each error is in errs
	return errors.Join(errs...)
}

// ListPods reads all pods' labels and annotations: one RPC. On an error what was
// known stays.
func (v *Inventory) ListPods(ctx context.Context) error {
	list, err := v.client.listSandboxes(ctx)
	v.progressed()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.podsErr, v.podMissed = err, false
	if err != nil {
		return err
	}
	v.pods, v.podDirs = make(map[string]Pod, len(list)), make(map[string]string, len(list))
	for _, s := range list {
		v.pods[s.Id] = Pod{Labels: s.Labels, Annotations: s.Annotations}
		m := s.GetMetadata()
		v.podDirs[m.GetNamespace()+"_"+m.GetName()+"_"+m.GetUid()] = s.Id
	}
	return nil
}

// PodOf returns the pod of a container's directory, named relative to podLogsDir,
// as of the last ListPods: that of c, or if c is not known that which the
// directory's name says.
func (v *Inventory) PodOf(dir string, c Container) (Pod, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := c.SandboxID
	if id == "" {
		pod, _, _ := strings.Cut(dir, "/")
		id = v.podDirs[pod]
	}
	p, ok := v.pods[id]
	v.podMissed = v.podMissed || !ok
	return p, ok
}

// HasPod reports whether the last ListPods found a container's pod.
func (v *Inventory) HasPod(c Container) bool {
	_, ok := v.PodOf("", c)
	return ok
}

// PodsErr is the error of the last ListPods.
func (v *Inventory) PodsErr() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.podsErr
}

// Listed is when the last successful list began; zero: there was none.
func (v *Inventory) Listed() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.listed
}

// Progress is when a call last ended, whatever its result; zero: none has. During
// a Refresh it is never long ago: each call has a deadline.
func (v *Inventory) Progress() time.Time {
	if ns := v.progress.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

func (v *Inventory) progressed() { v.progress.Store(time.Now().UnixNano()) }

// ByLogPath returns the container that writes this log, an absolute path: the
// running one, or else the latest.
func (v *Inventory) ByLogPath(logPath string) (Container, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.byPath[logPath]; c != nil {
		return *c, true
	}
	return Container{}, false
}

// ByDir returns the container that logs into this directory, an absolute path: the
// running one, or else the latest.
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
	return v.byID[id] != nil
}

// All returns the containers of the last Refresh, in no order.
func (v *Inventory) All() []Container {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make([]Container, 0, len(v.byID))
	for _, c := range v.byID {
		all = append(all, *c)
	}
	return all
}

// Running returns those of All that run.
func (v *Inventory) Running() []Container {
	return slices.DeleteFunc(v.All(), func(c Container) bool { return !c.Running })
}

// Lookup asks the runtime itself about one container, running or not.
// ErrNotRunning: the runtime does not know it.
func (v *Inventory) Lookup(ctx context.Context, id string) (Container, error) {
	st, err := v.client.status(ctx, id)
	if err != nil {
		return Container{}, err
	}
	c := described(st.Id, st.Labels, st.GetMetadata().GetName(), st.State)
	c.Resolved = true
	c.setPath(st.LogPath)
	return *c, nil
}

func (c *Container) setPath(logPath string) {
	if logPath == "" {
		return
	}
	c.LogPath = path.Clean(logPath)
	attempt, _, _ := strings.Cut(path.Base(c.LogPath), ".")
	c.attempt, _ = strconv.ParseUint(attempt, 10, 64) // another layout has no restart count
}

func describe(c *runtime.Container) *Container {
	d := described(c.Id, c.Labels, c.GetMetadata().GetName(), c.State)
	d.SandboxID = c.PodSandboxId
	return d
}

func described(id string, labels map[string]string, name string, state runtime.ContainerState) *Container {
	if l := labels[labelContainer]; l != "" {
		name = l
	}
	c := &Container{
		ID: id, Namespace: labels[labelNamespace], Pod: labels[labelPod], PodUID: labels[labelUID], Name: name,
	}
	c.setState(state)
	return c
}

func (c *Container) setState(state runtime.ContainerState) {
	c.Running = state == runtime.ContainerState_CONTAINER_RUNNING
	c.Exited = state == runtime.ContainerState_CONTAINER_EXITED
}
