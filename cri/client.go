package cri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var (
	// ErrNotRunning: the runtime reports that the container does not exist, or is
	// in another state than running.
	ErrNotRunning = errors.New("the container is not running")
	// ErrUnanswered: whether the runtime carried the request out, or will, is
	// unknown. With a context.DeadlineExceeded as well: the runtime received the
	// request and hangs.
	ErrUnanswered = errors.New("the runtime did not answer")
	// ErrNotSent: there is no connection to the runtime, so the request was not
	// sent.
	ErrNotSent = errors.New("the runtime cannot be reached")
)

// maxMessage is the largest response that is accepted, in bytes: kubelet's client
// has the same limit.
const maxMessage = 16 << 20

// statusAfterReopen bounds the ContainerStatus call after a failed reopen. It is
// short: a runtime that hangs has just cost a whole timeout.
const statusAfterReopen = time.Second

// Client is a connection to one runtime. Its methods may be called from any
// goroutine.
type Client struct {
	conn     *grpc.ClientConn
	api      runtime.RuntimeServiceClient
	endpoint string
	timeout  time.Duration
	noStream atomic.Bool // the runtime lacks StreamContainers
}

// Dial returns a Client for an endpoint like "unix:///run/containerd/containerd.sock".
// It does not wait for the runtime to be there. Each call gets at most timeout.
func Dial(endpoint string, timeout time.Duration) (*Client, error) {
	retry := backoff.DefaultConfig
	retry.BaseDelay, retry.MaxDelay = 100*time.Millisecond, 5*time.Second
	conn, err := grpc.NewClient(endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"), // a socket's path is not a host name
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: time.Second}),
		grpc.WithIdleTimeout(0), // the sweep would reconnect each time
	)
	if err != nil {
		return nil, fmt.Errorf("runtime endpoint %s: %w", endpoint, err)
	}
	return &Client{conn: conn, api: runtime.NewRuntimeServiceClient(conn), endpoint: endpoint, timeout: timeout}, nil
}

// Close ends the connection and every call that uses it.
func (c *Client) Close() error { return c.conn.Close() }

// Version returns the runtime's name and version, "containerd 2.4.2".
func (c *Client) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	v, err := c.api.Version(ctx, &runtime.VersionRequest{})
	if err != nil {
		return "", c.err("Version", err)
	}
	return v.RuntimeName + " " + v.RuntimeVersion, nil
}

// ReopenContainerLog makes the runtime reopen the container's log path. The error
// is ErrNotRunning, ErrUnanswered, ErrNotSent, or another one if the runtime answered that it
// did not reopen the log.
func (c *Client) ReopenContainerLog(ctx context.Context, id string) error {
	rctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var to peer.Peer
	_, err := c.api.ReopenContainerLog(rctx, &runtime.ReopenContainerLogRequest{ContainerId: id}, grpc.Peer(&to))
	if err == nil {
		return nil
	}
	err = c.err("ReopenContainerLog", err)
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusAfterReopen) // ctx may have ended with the reopen
	defer cancel()
	if running, serr := c.running(sctx, id); serr == nil && !running {
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	switch code := status.Code(err); {
	case code == codes.Unavailable && to.Addr == nil: // there was no connection
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	case code == codes.DeadlineExceeded:
		return fmt.Errorf("%w: %w: %w", ErrUnanswered, context.DeadlineExceeded, err)
	case code == codes.Canceled, code == codes.Unavailable, code == codes.Aborted, code == codes.Internal:
		return fmt.Errorf("%w: %w", ErrUnanswered, err)
	default:
		return err
	}
}

// running asks whether a container runs; that it is unknown is an answer.
func (c *Client) running(ctx context.Context, id string) (bool, error) {
	st, err := c.status(ctx, id)
	if errors.Is(err, ErrNotRunning) {
		return false, nil
	}
	return err == nil && st.State == runtime.ContainerState_CONTAINER_RUNNING, err
}

// status returns a container's status; ErrNotRunning if it is gone.
func (c *Client) status(ctx context.Context, id string) (*runtime.ContainerStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.api.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id})
	switch {
	case status.Code(err) == codes.NotFound:
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, c.err("ContainerStatus", err))
	case err != nil:
		return nil, c.err("ContainerStatus", err)
	case res.GetStatus() == nil:
		return nil, c.err("ContainerStatus", errors.New("the answer has no status"))
	}
	return res.Status, nil
}

// listSandboxes returns all pod sandboxes, ready or not.
func (c *Client) listSandboxes(ctx context.Context) ([]*runtime.PodSandbox, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.api.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return nil, c.err("ListPodSandbox", err)
	}
	return res.Items, nil
}

// list returns all containers, through StreamContainers where the runtime has it:
// a stream has no size limit.
func (c *Client) list(ctx context.Context) ([]*runtime.Container, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if !c.noStream.Load() {
		all, err := c.stream(ctx)
		if status.Code(err) != codes.Unimplemented {
			return all, err
		}
		c.noStream.Store(true)
	}
	res, err := c.api.ListContainers(ctx, &runtime.ListContainersRequest{})
	if err != nil {
		return nil, c.err("ListContainers", err)
	}
	return res.Containers, nil
}

func (c *Client) stream(ctx context.Context) ([]*runtime.Container, error) {
	s, err := c.api.StreamContainers(ctx, &runtime.StreamContainersRequest{})
	if err != nil {
		return nil, c.err("StreamContainers", err)
	}
	var all []*runtime.Container
	for {
		res, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, c.err("StreamContainers", err)
		}
		all = append(all, res.Containers...)
	}
}

func (c *Client) err(call string, err error) error {
	return fmt.Errorf("%s at %s: %w", call, c.endpoint, err)
}
