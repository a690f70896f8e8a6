package fake

import (
	"cmp"
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

// Mode is a way in which a call fails.
type Mode int

const (
	Hang                Mode = iota // never answers and does nothing
	DeadlineAfterActing             // acts and never answers
	DeadlineThenActs                // never answers, and acts after Failure.Delay, for each call, whether or not its client has given up
	NotRunning                      // an error without a gRPC code, as runtimes give it for a container that has exited
	ContainerGone                   // NotFound
	NilWithoutActing                // an empty answer and no error: a list has no items, a status is nil
	ErrorWithoutActing              // an error without a gRPC code
	Unimplemented                   // as a runtime without the method
	Unavailable                     // as a runtime that is starting
	Slow                            // acts and answers, after Failure.Delay
)

// Failure makes calls of one method fail. Failures queue: one is used when those
// before it are used up.
type Failure struct {
	Method string // such as "ListContainers"; default "ReopenContainerLog"
	Mode   Mode
	Times  int           // calls; 0: until cleared
	Delay  time.Duration // for DeadlineThenActs and Slow
}

// failures is a queue of failures.
type failures struct {
	failuresMu sync.Mutex
	queue      []Failure
}

// Fail adds a failure. A container's are used before the runtime's.
func (q *failures) Fail(f Failure) {
	f.Method = cmp.Or(f.Method, "ReopenContainerLog")
	q.failuresMu.Lock()
	defer q.failuresMu.Unlock()
	q.queue = append(q.queue, f)
}

// ClearFailures removes all failures. Calls that hang continue to hang.
func (q *failures) ClearFailures() {
	q.failuresMu.Lock()
	defer q.failuresMu.Unlock()
	q.queue = nil
}

// pop returns the failure for a call that has arrived.
func (q *failures) pop(method string) (Failure, bool) {
	q.failuresMu.Lock()
	defer q.failuresMu.Unlock()
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

// arrive counts a call and returns how it fails. req may be nil.
func (r *Runtime) arrive(fullMethod string, req any) (method string, f Failure, fails bool) {
	method = path.Base(fullMethod)
	r.mu.Lock()
	r.calls[method]++
	r.mu.Unlock()
	if named, ok := req.(interface{ GetContainerId() string }); ok {
		if c := r.find(named.GetContainerId()); c != nil {
			if f, fails = c.pop(method); fails {
				return method, f, true
			}
		}
	}
	f, fails = r.pop(method)
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
			return empty[method], nil
		}
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
}

// stream wraps streams. They do not act: to act and never to answer is to hang.
func (r *Runtime) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	_, f, fails := r.arrive(info.FullMethod, nil)
	if !fails {
		return handler(srv, stream)
	}
	if f.Mode == NilWithoutActing {
		return nil
	}
	if err := f.wait(stream.Context()); err != nil {
		return err
	}
	return handler(srv, stream)
}

// wait returns the error of a mode that does not act, or nil when the call may act.
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

// hang answers when the client has given up or the server stops.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

// pause waits for d and reports whether the server still runs.
func (s *server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stopped:
		return false
	}
}

// empty are the answers of NilWithoutActing.
var empty = map[string]any{
	"Version":            &runtimeapi.VersionResponse{},
	"ListContainers":     &runtimeapi.ListContainersResponse{},
	"ContainerStatus":    &runtimeapi.ContainerStatusResponse{},
	"ListPodSandbox":     &runtimeapi.ListPodSandboxResponse{},
	"ReopenContainerLog": &runtimeapi.ReopenContainerLogResponse{},
}
