package fake

import (
	"context"
	"errors"
	"path"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Mode is a way in which a call goes wrong.
type Mode int

const (
	Hang                Mode = iota // never answers and does nothing
	DeadlineAfterActing             // does it and never answers
	DeadlineThenActs                // never answers, and does it after Failure.Delay, whether or not the client has gone
	NotRunning                      // an error without a gRPC code, as runtimes give it for a container that has exited
	ContainerGone                   // NotFound
	NilWithoutActing                // an empty answer and no error: a list has no items, a status is nil
	ErrorWithoutActing              // an error without a gRPC code
	Unimplemented                   // as a runtime without the method
	Unavailable                     // as a runtime that is starting
	Slow                            // right, after Failure.Delay
)

// Failure makes calls of one method go wrong. Failures queue: one is used when
// those before it are used up.
type Failure struct {
	Method string // as "ListContainers"; default "ReopenContainerLog"
	Mode   Mode
	Times  int           // calls; 0: until cleared
	Delay  time.Duration // for DeadlineThenActs and Slow
}

// failures is a queue of them.
type failures struct {
	mu    sync.Mutex
	queue []Failure
}

func (q *failures) add(f Failure) {
	setDefault(&f.Method, "ReopenContainerLog")
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, f)
}

func (q *failures) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = nil
}

// take returns the failure for a call that has arrived.
func (q *failures) take(method string) (Failure, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.queue, func(f Failure) bool { return f.Method == method })
	if i < 0 {
		return Failure{}, false
	}
	f := q.queue[i]
	switch f.Times {
	case 0:
	case 1:
		q.queue = slices.Delete(q.queue, i, i+1)
	default:
		q.queue[i].Times--
	}
	return f, true
}

// calls counts the calls by method.
type calls struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *calls) add(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[method]++
}

func (c *calls) get(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[method]
}

// arrive counts a call and says how it is to fail. req may be nil.
func (r *Runtime) arrive(fullMethod string, req any) (method string, f Failure, fails bool) {
	method = path.Base(fullMethod)
	r.calls.add(method)
	if named, ok := req.(interface{ GetContainerId() string }); ok {
		if c := r.find(named.GetContainerId()); c != nil {
			if f, fails = c.failures.take(method); fails {
				return method, f, true
			}
		}
	}
	f, fails = r.failures.take(method)
	return method, f, fails
}

// unary wraps every call but streams.
func (r *Runtime) unary(s *server) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		method, f, fails := r.arrive(info.FullMethod, req)
		if !fails {
			return handler(ctx, req)
		}
		switch f.Mode {
		case DeadlineAfterActing:
			_, _ = handler(ctx, req)
			return nil, hang(ctx)
		case DeadlineThenActs:
			late := context.WithoutCancel(ctx)
			s.late.Go(func() {
				if s.pause(f.Delay) {
					_, _ = handler(late, req)
				}
			})
			return nil, hang(ctx)
		case NilWithoutActing:
			return empty(method)
		}
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
}

// stream wraps the streams. They act on nothing, so to act and never to answer is
// to hang.
func (r *Runtime) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	_, f, fails := r.arrive(info.FullMethod, nil)
	if fails {
		switch f.Mode {
		case DeadlineAfterActing, DeadlineThenActs:
			return hang(stream.Context())
		case NilWithoutActing:
			return nil
		}
		if err := f.wait(stream.Context()); err != nil {
			return err
		}
	}
	return handler(srv, stream)
}

// wait does what the modes that do not act have in common; nil: act now.
func (f Failure) wait(ctx context.Context) error {
	switch f.Mode {
	case NotRunning:
		return errNotRunning
	case ContainerGone:
		return status.Error(codes.NotFound, "an error occurred when try to find container: not found")
	case ErrorWithoutActing:
		return errors.New("the runtime failed")
	case Unimplemented:
		return status.Error(codes.Unimplemented, "unknown method for service runtime.v1.RuntimeService")
	case Unavailable:
		return status.Error(codes.Unavailable, "server is not initialized yet")
	case Slow:
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
		}
	}
	return hang(ctx)
}

// hang answers only when nobody listens any more: the client has given up, or the
// server is stopping.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

// pause waits for d and says whether the server is still there.
func (s *server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.gone:
		return false
	}
}

func empty(method string) (any, error) {
	switch method {
	case "Version":
		return &runtimeapi.VersionResponse{}, nil
	case "Status":
		return &runtimeapi.StatusResponse{}, nil
	case "ListContainers":
		return &runtimeapi.ListContainersResponse{}, nil
	case "ContainerStatus":
		return &runtimeapi.ContainerStatusResponse{}, nil
	case "ListPodSandbox":
		return &runtimeapi.ListPodSandboxResponse{}, nil
	case "PodSandboxStatus":
		return &runtimeapi.PodSandboxStatusResponse{}, nil
	case "ReopenContainerLog":
		return &runtimeapi.ReopenContainerLogResponse{}, nil
	}
	return nil, status.Errorf(codes.Unimplemented, "no empty answer for method %s", method)
}
