package node

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/test/containerd"
)

// real is a containerd of the benchmark.
type real struct {
	*containerd.Containerd
	containers map[string]*containerd.Container // by Container.Dir
	lines      map[string]uint64
}

// StartReal starts a containerd; it needs root, and builds it the first time.
func StartReal(ctx context.Context, log func(string)) (Node, error) {
	tools, err := containerd.Build(ctx, log)
	if err != nil {
		return nil, err
	}
	c, err := containerd.Start(ctx, tools, containerd.Options{Log: log})
	if err != nil {
		return nil, err
	}
	return &real{c, map[string]*containerd.Container{}, map[string]uint64{}}, nil
}

func (r *real) Kind() string                   { return "containerd" }
func (r *real) Close() error                   { return r.Stop() }
func (r *real) Calls() (map[string]int, error) { return nil, nil }

func (r *real) Run(ctx context.Context, l Load) (Container, error) {
	args := []string{"-pause"}
	if l.Lines > 0 {
		// The writer's rate counts what it writes, not what the runtime adds.
		rate := l.Rate * (ContentBytes + 1) / RecordBytes
		args = []string{
			"-linger=false", "-line=" + strconv.Itoa(ContentBytes), "-lines=" + strconv.FormatUint(l.Lines, 10),
			"-rate=" + strconv.FormatFloat(rate, 'f', 0, 64),
		}
		if l.Off > 0 {
			args = append(args, "-on="+l.On.String(), "-off="+l.Off.String())
		}
	}
	pod, err := r.RunPod(ctx, containerd.PodSpec{Name: l.Name, Containers: []containerd.ContainerSpec{{Name: "app", Args: args}}})
	if err != nil {
		return Container{}, err
	}
	c := pod.Containers()[0]
	dir, err := filepath.Rel(r.PodLogsDir(), c.Dir)
	if err != nil {
		return Container{}, err
	}
	r.containers[dir], r.lines[dir] = c, l.Lines
	return Container{ID: c.ID, Dir: dir}, nil
}

// Done uses one call: a call for every container would add load to what is measured.
func (r *real) Done(ctx context.Context) (bool, error) {
	list, err := r.Runtime().ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return false, err
	}
	ended := map[string]bool{}
	for _, c := range list.GetContainers() {
		ended[c.GetId()] = c.GetState() == runtimeapi.ContainerState_CONTAINER_EXITED
	}
	for dir, c := range r.containers {
		if r.lines[dir] > 0 && !ended[c.ID] {
			return false, nil
		}
	}
	return true, nil
}

func (r *real) Finish(ctx context.Context) (map[string]uint64, error) {
	if done, err := r.Done(ctx); err != nil || !done {
		return nil, fmt.Errorf("containers still write: %w", err)
	}
	return r.lines, nil
}
