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

func (s *service) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	return &runtimeapi.ListContainersResponse{Containers: s.list()}, nil
}

func (s *service) StreamContainers(_ *runtimeapi.StreamContainersRequest, stream grpc.ServerStreamingServer[runtimeapi.StreamContainersResponse]) error {
	if s.r.opts.NoStream {
		return status.Error(codes.Unimplemented, "method StreamContainers not implemented")
	}
	// Small, so that answers have several messages.
	const each = 3
	for some := range slices.Chunk(s.list(), each) {
		if err := stream.Send(&runtimeapi.StreamContainersResponse{Containers: some}); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) list() (all []*runtimeapi.Container) {
	for _, c := range s.r.all() {
		state, _ := c.state()
		all = append(all, &runtimeapi.Container{
			Id: c.id, PodSandboxId: c.pod, Metadata: c.metadata(), Labels: c.labels(),
			Image: &runtimeapi.ImageSpec{Image: image}, ImageRef: image, State: state, CreatedAt: c.created.UnixNano(),
		})
	}
	return all
}

func (c *Container) metadata() *runtimeapi.ContainerMetadata {
	return &runtimeapi.ContainerMetadata{Name: c.spec.Name, Attempt: c.spec.Attempt}
}

func (c *Container) labels() map[string]string {
	labels := c.spec.podLabels()
	labels[labelContainer] = c.spec.Name
	return labels
}

func (s *service) ContainerStatus(_ context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	c := s.r.find(req.GetContainerId())
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "an error occurred when try to find container %q: not found", req.GetContainerId())
	}
	state, finished := c.state()
	out := &runtimeapi.ContainerStatus{
		Id: c.id, Metadata: c.metadata(), Labels: c.labels(), LogPath: c.path,
		Image: &runtimeapi.ImageSpec{Image: image}, ImageRef: image,
		State: state, CreatedAt: c.created.UnixNano(), StartedAt: c.created.UnixNano(), FinishedAt: finished,
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
func (s *service) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	byID := map[string]*runtimeapi.PodSandbox{}
	out := &runtimeapi.ListPodSandboxResponse{}
	for _, c := range s.r.all() {
		p := byID[c.pod]
		if p == nil {
			p = &runtimeapi.PodSandbox{
				Id:        c.pod,
				Metadata:  &runtimeapi.PodSandboxMetadata{Namespace: c.spec.Namespace, Name: c.spec.Pod, Uid: c.spec.UID},
				State:     runtimeapi.PodSandboxState_SANDBOX_NOTREADY,
				CreatedAt: c.created.UnixNano(), Labels: c.spec.podLabels(), Annotations: map[string]string{},
			}
			byID[c.pod] = p
			out.Items = append(out.Items, p)
		}
		maps.Copy(p.Labels, c.spec.Labels)
		maps.Copy(p.Annotations, c.spec.Annotations)
		if state, _ := c.state(); state == runtimeapi.ContainerState_CONTAINER_RUNNING {
			p.State = runtimeapi.PodSandboxState_SANDBOX_READY
		}
	}
	return out, nil
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
