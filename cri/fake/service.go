package fake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// service answers the calls. The interceptors count them and inject failures.
type service struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	r *Runtime
}

const image = "example.com/numbered-lines:1"

func (s *service) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	v := &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeApiVersion: "v1"}
	if s.r.opts.Style == CRIO {
		v.RuntimeName, v.RuntimeVersion = "cri-o", "1.37.0"
	} else {
		v.RuntimeName, v.RuntimeVersion = "containerd", "v2.4.2"
	}
	return v, nil
}

func (s *service) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true},
		{Type: runtimeapi.NetworkReady, Status: true},
	}}}, nil
}

func (s *service) ListContainers(_ context.Context, req *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	return &runtimeapi.ListContainersResponse{Containers: s.list(req.GetFilter())}, nil
}

func (s *service) StreamContainers(req *runtimeapi.StreamContainersRequest, stream grpc.ServerStreamingServer[runtimeapi.StreamContainersResponse]) error {
	if s.r.opts.NoStream {
		return status.Error(codes.Unimplemented, "method StreamContainers not implemented")
	}
	// Small, so that answers have several messages.
	const each = 3
	for some := range slices.Chunk(s.list(req.GetFilter()), each) {
		if err := stream.Send(&runtimeapi.StreamContainersResponse{Containers: some}); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) list(f *runtimeapi.ContainerFilter) []*runtimeapi.Container {
	var out []*runtimeapi.Container
	for _, c := range s.r.all() {
		state, _ := c.state()
		item := &runtimeapi.Container{
			Id:           c.id,
			PodSandboxId: c.pod,
			Metadata:     c.metadata(),
			Image:        &runtimeapi.ImageSpec{Image: image},
			ImageRef:     image,
			State:        state,
			CreatedAt:    c.created.UnixNano(),
			Labels:       c.labels(),
		}
		if (f.GetId() == "" || f.GetId() == item.Id) &&
			(f.GetPodSandboxId() == "" || f.GetPodSandboxId() == item.PodSandboxId) &&
			(f.GetState() == nil || f.GetState().GetState() == item.State) &&
			contains(item.Labels, f.GetLabelSelector()) {
			out = append(out, item)
		}
	}
	return out
}

func (c *Container) metadata() *runtimeapi.ContainerMetadata {
	return &runtimeapi.ContainerMetadata{Name: c.spec.Name, Attempt: c.spec.Attempt}
}

func (c *Container) labels() map[string]string {
	labels := c.spec.podLabels()
	labels[labelContainer] = c.spec.Name
	return labels
}

func contains(labels, want map[string]string) bool {
	for k, v := range want {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func (s *service) ContainerStatus(_ context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	c := s.r.find(req.GetContainerId())
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "an error occurred when try to find container %q: not found", req.GetContainerId())
	}
	state, finished := c.state()
	out := &runtimeapi.ContainerStatus{
		Id:         c.id,
		Metadata:   c.metadata(),
		State:      state,
		CreatedAt:  c.created.UnixNano(),
		StartedAt:  c.created.UnixNano(),
		FinishedAt: finished,
		Image:      &runtimeapi.ImageSpec{Image: image},
		ImageRef:   image,
		Labels:     c.labels(),
		LogPath:    c.path,
	}
	if state == runtimeapi.ContainerState_CONTAINER_EXITED {
		out.Reason = "Completed"
	}
	return &runtimeapi.ContainerStatusResponse{Status: out}, nil
}

// podID returns the same ID for all containers of a pod.
func podID(s ContainerSpec) string {
	id := sha256.Sum256([]byte(s.Namespace + "/" + s.Pod + "/" + s.UID))
	return hex.EncodeToString(id[:])
}

// ListPodSandbox returns the sandboxes of the pods that have containers, with the
// labels and annotations of all their specs. One is ready while a container runs.
func (s *service) ListPodSandbox(_ context.Context, req *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	byID := map[string]*runtimeapi.PodSandbox{}
	var all []*runtimeapi.PodSandbox
	for _, c := range s.r.all() {
		p := byID[c.pod]
		if p == nil {
			p = &runtimeapi.PodSandbox{
				Id:          c.pod,
				Metadata:    &runtimeapi.PodSandboxMetadata{Namespace: c.spec.Namespace, Name: c.spec.Pod, Uid: c.spec.UID},
				State:       runtimeapi.PodSandboxState_SANDBOX_NOTREADY,
				CreatedAt:   c.created.UnixNano(),
				Labels:      c.spec.podLabels(),
				Annotations: map[string]string{},
			}
			byID[c.pod] = p
			all = append(all, p)
		}
		maps.Copy(p.Labels, c.spec.Labels)
		maps.Copy(p.Annotations, c.spec.Annotations)
		if state, _ := c.state(); state == runtimeapi.ContainerState_CONTAINER_RUNNING {
			p.State = runtimeapi.PodSandboxState_SANDBOX_READY
		}
	}
	f := req.GetFilter()
	return &runtimeapi.ListPodSandboxResponse{Items: slices.DeleteFunc(all, func(p *runtimeapi.PodSandbox) bool {
		return f.GetId() != "" && f.GetId() != p.Id ||
			f.GetState() != nil && f.GetState().GetState() != p.State ||
			!contains(p.Labels, f.GetLabelSelector())
	})}, nil
}

func (s *service) ReopenContainerLog(_ context.Context, req *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	c := s.r.find(req.GetContainerId())
	if c == nil {
		if s.r.opts.Style == CRIO {
			return nil, fmt.Errorf("could not find container %s: not found", req.GetContainerId())
		}
		return nil, status.Errorf(codes.NotFound, "an error occurred when try to find container %q: not found", req.GetContainerId())
	}
	if err := c.reopen(); err != nil {
		return nil, err
	}
	return &runtimeapi.ReopenContainerLogResponse{}, nil
}
