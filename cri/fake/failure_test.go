package fake

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/internal/testutil"
)

// patience is for calls that must not answer.
const patience = 20 * time.Millisecond

// unanswered makes a call and gives up when it has arrived, acted says so, and
// there was time for an answer. A plain deadline could pass before the call arrives.
func unanswered(t *testing.T, r *Runtime, method string, acted func() bool, call func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := r.Calls(method)
	answer := make(chan error, 1)
	go func() { answer <- call(ctx) }()
	testutil.Eventually(t, "the call arrives", func() bool { return r.Calls(method) > before && acted() })
	defer time.AfterFunc(patience, cancel).Stop()
	return <-answer
}

func TestReopenFailures(t *testing.T) {
	for name, c := range map[string]struct {
		failure Failure
		code    codes.Code
		acts    bool // by the time of the answer
		later   bool // acts afterwards
	}{
		"none":                  {Failure{Method: "Version"}, codes.OK, true, false},
		"hang":                  {Failure{Mode: Hang}, codes.Canceled, false, false},
		"deadline after acting": {Failure{Mode: DeadlineAfterActing}, codes.Canceled, true, false},
		"deadline then acts":    {Failure{Mode: DeadlineThenActs, Delay: patience}, codes.Canceled, false, true},
		"not running":           {Failure{Mode: NotRunning}, codes.Unknown, false, false},
		"gone":                  {Failure{Mode: ContainerGone}, codes.NotFound, false, false},
		"nil":                   {Failure{Mode: NilWithoutActing}, codes.OK, false, false},
		"error":                 {Failure{Mode: ErrorWithoutActing}, codes.Unknown, false, false},
		"unimplemented":         {Failure{Mode: Unimplemented}, codes.Unimplemented, false, false},
		"unavailable":           {Failure{Mode: Unavailable}, codes.Unavailable, false, false},
		"slow":                  {Failure{Mode: Slow, Delay: time.Millisecond}, codes.OK, true, false},
		"too slow":              {Failure{Mode: Slow, Delay: time.Hour}, codes.Canceled, false, false},
	} {
		for _, b := range []Style{Containerd, CRIO} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r, client := start(t, Options{Style: b})
				cont := run(t, r, ContainerSpec{Writer: &Pattern{BytesPerSecond: 1e6}})
				if b == Containerd {
					r.Fail(c.failure)
				} else {
					cont.Fail(c.failure)
				}
				if err := os.Rename(cont.LogPath(), cont.LogPath()+".1"); err != nil {
					t.Fatal(err)
				}
				call := func(ctx context.Context) error { return reopen(ctx, client, cont) }
				if c.code == codes.Canceled {
					acted := func() bool { return !c.acts || exists(cont.LogPath()) }
					wantCode(t, unanswered(t, r, "ReopenContainerLog", acted, call), c.code)
				} else {
					wantCode(t, call(t.Context()), c.code)
				}
				switch {
				case c.later:
					testutil.Eventually(t, "the log is reopened", func() bool { return exists(cont.LogPath()) })
				case exists(cont.LogPath()) != c.acts:
					t.Errorf("the log is there: %v; want %v", !c.acts, c.acts)
				}
				cont.Exit()
				if c.acts || c.later {
					checkWhole(t, cont)
				}
			})
		}
	}
}

func TestFailuresQueue(t *testing.T) {
	r, client := start(t, Options{})
	c, other := run(t, r, ContainerSpec{}), run(t, r, ContainerSpec{Pod: "other"})
	c.Fail(Failure{Mode: ContainerGone, Times: 2})
	c.Fail(Failure{Mode: Unavailable, Times: 1})
	r.Fail(Failure{Mode: Unimplemented})
	for i, want := range []codes.Code{codes.NotFound, codes.NotFound, codes.Unavailable, codes.Unimplemented, codes.Unimplemented} {
		if i == 1 {
			wantCode(t, reopen(t.Context(), client, other), codes.Unimplemented)
		}
		wantCode(t, reopen(t.Context(), client, c), want)
	}
	r.ClearFailures()
	wantCode(t, reopen(t.Context(), client, c), codes.OK)
	c.Fail(Failure{})
	c.ClearFailures()
	wantCode(t, reopen(t.Context(), client, c), codes.OK)
	if got := r.Calls("ReopenContainerLog"); got != 8 {
		t.Errorf("%d calls; want 8", got)
	}
}

// lists are the calls that read, each with the number of things it found.
func lists(client runtimeapi.RuntimeServiceClient, c *Container) map[string]func(context.Context) (items int, err error) {
	return map[string]func(context.Context) (int, error){
		"ListContainers": func(ctx context.Context) (int, error) {
			out, err := client.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
			return len(out.GetContainers()), err
		},
		"StreamContainers": func(ctx context.Context) (int, error) {
			stream, err := client.StreamContainers(ctx, &runtimeapi.StreamContainersRequest{})
			if err != nil {
				return 0, err
			}
			out, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return len(out.GetContainers()), err
		},
		"ContainerStatus": func(ctx context.Context) (int, error) {
			out, err := client.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: c.ID()})
			return len(out.GetStatus().GetId()) / 64, err
		},
		"ListPodSandbox": func(ctx context.Context) (int, error) {
			out, err := client.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
			return len(out.GetItems()), err
		},
	}
}

func TestListFailures(t *testing.T) {
	r, client := start(t, Options{})
	c := run(t, r, ContainerSpec{})
	for method, call := range lists(client, c) {
		for _, f := range []struct {
			mode  Mode
			code  codes.Code
			items int
		}{
			{Unavailable, codes.Unavailable, 0},
			{ErrorWithoutActing, codes.Unknown, 0},
			{Hang, codes.Canceled, 0},
			{DeadlineAfterActing, codes.Canceled, 0},
			{DeadlineThenActs, codes.Canceled, 0},
			{NilWithoutActing, codes.OK, 0},
			{Slow, codes.OK, 1},
		} {
			r.Fail(Failure{Method: method, Mode: f.mode, Times: 1})
			items := 0
			once := func(ctx context.Context) (err error) {
				items, err = call(ctx)
				return err
			}
			var err error
			if f.code == codes.Canceled {
				err = unanswered(t, r, method, func() bool { return true }, once)
			} else {
				err = once(t.Context())
			}
			if wantCode(t, err, f.code); items != f.items {
				t.Errorf("%s with mode %d: %d items; want %d", method, f.mode, items, f.items)
			}
			if items, err := call(t.Context()); err != nil || items != 1 {
				t.Errorf("%s after mode %d: %d items, %v", method, f.mode, items, err)
			}
		}
		if r.Calls(method) != 14 {
			t.Errorf("%s: %d calls; want 14", method, r.Calls(method))
		}
	}
}

func TestStopEndsHangingCalls(t *testing.T) {
	r, client := start(t, Options{})
	c := run(t, r, ContainerSpec{})
	r.Fail(Failure{Mode: Hang, Times: 1})
	r.Fail(Failure{Mode: DeadlineThenActs, Delay: time.Hour})
	answers := make(chan error, 2)
	for range cap(answers) {
		go func() { answers <- reopen(context.Background(), client, c) }()
	}
	testutil.Eventually(t, "the calls hang", func() bool { return r.Calls("ReopenContainerLog") == 2 })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(answers) {
		if err := <-answers; err == nil {
			t.Error("a call was answered")
		}
	}
	if err := r.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if r.Restart() == nil {
		t.Error("a closed runtime restarts")
	}
	if _, err := r.RunContainer(ContainerSpec{}); err == nil {
		t.Error("a closed runtime runs a container")
	}
}

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	for len(dir) < 108 {
		dir += "/a-long-name"
	}
	if _, err := Start(Options{Dir: dir}); err == nil {
		t.Error("a socket with a long path was made")
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Options{Dir: file}); err == nil {
		t.Error("a runtime started in a file")
	}
}
