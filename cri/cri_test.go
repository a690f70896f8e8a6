package cri_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t *testing.T, opts fake.Options, timeout time.Duration) (*fake.Runtime, *cri.Client) {
	t.Helper()
	opts.Dir = t.TempDir()
	rt, err := fake.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	client, err := cri.Dial(rt.Endpoint(), timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), rt.Close()); err != nil {
			t.Error(err)
		}
	})
	return rt, client
}

func TestReopenErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		mode fake.Mode
		want []error // errors.Is
		not  []error
	}{
		{"hangs", fake.Hang, []error{cri.ErrUnanswered, context.DeadlineExceeded}, []error{cri.ErrNotRunning}},
		{"acted and hangs", fake.DeadlineAfterActing, []error{cri.ErrUnanswered, context.DeadlineExceeded}, nil},
		{"away", fake.Unavailable, []error{cri.ErrUnanswered}, []error{context.DeadlineExceeded, cri.ErrNotRunning}},
		// The words say "not running", but the container runs: words do not count.
		{"says not running", fake.NotRunning, nil, []error{cri.ErrNotRunning, cri.ErrUnanswered}},
		{"fails", fake.ErrorWithoutActing, nil, []error{cri.ErrNotRunning, cri.ErrUnanswered}},
		{"lacks it", fake.Unimplemented, nil, []error{cri.ErrNotRunning, cri.ErrUnanswered}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt, client := dial(t, fake.Options{}, 300*time.Millisecond)
			cont, err := rt.RunContainer(fake.ContainerSpec{})
			if err != nil {
				t.Fatal(err)
			}
			cont.Fail(fake.Failure{Mode: c.mode})
			err = client.ReopenContainerLog(t.Context(), cont.ID())
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
			for _, not := range c.not {
				if errors.Is(err, not) {
					t.Errorf("%v is %v", err, not)
				}
			}
		})
	}
}

func TestReopenOfWhatDoesNotRun(t *testing.T) {
	for _, b := range []fake.Style{fake.Containerd, fake.CRIO} {
		rt, client := dial(t, fake.Options{Style: b}, time.Second)
		cont, err := rt.RunContainer(fake.ContainerSpec{})
		if err != nil {
			t.Fatal(err)
		}
		cont.Exit()
		for _, id := range []string{cont.ID(), "nobody"} {
			if err := client.ReopenContainerLog(t.Context(), id); !errors.Is(err, cri.ErrNotRunning) {
				t.Errorf("style %v, %s: %v", b, id, err)
			}
		}
	}
}

// TestRefreshIsOneCall, with and without the stream, and finds what came and
// went.
func TestRefreshIsOneCall(t *testing.T) {
	for _, noStream := range []bool{false, true} {
		rt, client := dial(t, fake.Options{NoStream: noStream}, 5*time.Second)
		var conts []*fake.Container
		for i := range 20 {
			c, err := rt.RunContainer(fake.ContainerSpec{Pod: fmt.Sprintf("p%d", i)})
			if err != nil {
				t.Fatal(err)
			}
			conts = append(conts, c)
		}
		inv := cri.NewInventory(client)
		must(t, inv.RefreshAll(t.Context()))
		if got := rt.Calls("ContainerStatus"); got != 20 {
			t.Errorf("%d ContainerStatus calls for 20 new containers", got)
		}
		lists, before := func() int { return rt.Calls("ListContainers") }, 0
		if !noStream {
			lists = func() int { return rt.Calls("StreamContainers") }
		}
		before = lists()
		conts[3].Exit()
		conts[4].Exit()
		conts[4].Remove()
		must(t, inv.RefreshAll(t.Context()))
		if lists() != before+1 || rt.Calls("ContainerStatus") != 20 {
			t.Errorf("a second Refresh was %d lists and %d statuses", lists()-before, rt.Calls("ContainerStatus")-20)
		}
		if noStream && rt.Calls("StreamContainers") != 1 {
			t.Errorf("asked %d times for a stream that the runtime lacks", rt.Calls("StreamContainers"))
		}
		if got := running(inv); got != 18 {
			t.Errorf("%d are running, want 18", got)
		}
		if c, ok := inv.ByDir(conts[3].Dir()); !ok || c.Running {
			t.Errorf("the exited one: %+v %v", c, ok)
		}
		if _, ok := inv.ByDir(conts[4].Dir()); ok {
			t.Error("the removed one is still there")
		}
	}
}

// TestResolveCostsOneContainer: however many there are, so that the start on a full node
// is not quadratic.
func TestResolveCostsOneContainer(t *testing.T) {
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	each := func(count uint64) uint64 {
		rt, client := dial(t, fake.Options{}, time.Minute)
		for i := range count {
			_, err := rt.RunContainer(fake.ContainerSpec{Pod: fmt.Sprintf("p%d", i)})
			must(t, err)
		}
		inv := cri.NewInventory(client)
		must(t, inv.Refresh(t.Context()))
		before := allocated()
		for _, id := range inv.Unresolved() {
			_, err := inv.Resolve(t.Context(), id)
			must(t, err)
		}
		return (allocated() - before) / count
	}
	if few, many := each(100), each(2000); many > 2*few {
		t.Errorf("%d bytes for each of 2000 containers, %d for each of 100", many, few)
	}
}

func TestRefreshKeepsWhatItHasOnError(t *testing.T) {
	rt, client := dial(t, fake.Options{}, 200*time.Millisecond)
	c, err := rt.RunContainer(fake.ContainerSpec{})
	must(t, err)
	inv := cri.NewInventory(client)
	must(t, inv.RefreshAll(t.Context()))
	must(t, rt.Stop())
	if err := inv.RefreshAll(t.Context()); err == nil {
		t.Error("no error without a runtime")
	}
	if got, ok := inv.ByDir(c.Dir()); !ok || got.ID != c.ID() {
		t.Errorf("forgotten: %+v %v", got, ok)
	}
	must(t, rt.Restart())
	for deadline := time.Now().Add(20 * time.Second); inv.RefreshAll(t.Context()) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the connection did not come back in 20 s")
		}
	}
}

// TestOneStatusThatFails leaves that container out, and no other.
func TestOneStatusThatFails(t *testing.T) {
	rt, client := dial(t, fake.Options{}, 200*time.Millisecond)
	good, err := rt.RunContainer(fake.ContainerSpec{Pod: "good"})
	must(t, err)
	bad, err := rt.RunContainer(fake.ContainerSpec{Pod: "bad"})
	must(t, err)
	bad.Fail(fake.Failure{Method: "ContainerStatus", Mode: fake.Hang, Times: 1})
	inv := cri.NewInventory(client)
	if err := inv.RefreshAll(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, ok := inv.ByDir(good.Dir()); !ok {
		t.Error("the good one is missing")
	}
	must(t, inv.RefreshAll(t.Context()))
	if _, ok := inv.ByDir(bad.Dir()); !ok {
		t.Error("the other one is missing after the next Refresh")
	}
}

// TestReadPods: one list of sandboxes for new pods, and none for known ones.
func TestReadPods(t *testing.T) {
	rt, client := dial(t, fake.Options{}, time.Second)
	var dirs []string
	run := func(n int) {
		t.Helper()
		c, err := rt.RunContainer(fake.ContainerSpec{
			Pod: fmt.Sprintf("p%d", n), UID: "u", Name: "c",
			Labels: map[string]string{"app": "x"}, Annotations: map[string]string{"logwatch/max-size": "1Mi"},
		})
		must(t, err)
		dirs = append(dirs, c.Dir())
	}
	run(0)
	run(1)
	inv := cri.NewInventory(client)
	must(t, inv.RefreshAll(t.Context()))
	if rt.Calls("ListPodSandbox") != 0 {
		t.Error("pods were read without ReadPods")
	}
	inv.ReadPods()
	pods := func() (read int) {
		for _, dir := range dirs {
			c, _ := inv.ByDir(dir)
			p, ok := inv.PodOf("", c)
			if ok && p.Labels["app"] == "x" && p.Annotations["logwatch/max-size"] == "1Mi" {
				read++
			}
		}
		return read
	}
	for range 3 {
		must(t, inv.RefreshAll(t.Context()))
	}
	if pods() != 2 || rt.Calls("ListPodSandbox") != 1 {
		t.Errorf("%d of 2 pods read with %d calls", pods(), rt.Calls("ListPodSandbox"))
	}
	// The directory's name is enough: the container may have been removed.
	if p, ok := inv.PodOf("default_p0_u/c", cri.Container{}); !ok || p.Labels["app"] != "x" {
		t.Errorf("by name: %v %v", p, ok)
	}
	rt.Fail(fake.Failure{Method: "ListPodSandbox", Mode: fake.ErrorWithoutActing})
	run(2)
	must(t, inv.RefreshAll(t.Context())) // the runtime is reachable all the same
	if pods() != 2 || inv.PodsErr() == nil {
		t.Errorf("%d of 2 pods are known after an error (%v)", pods(), inv.PodsErr())
	}
}

// TestRefreshOutlivesItsCaller: a caller that hangs up does not cancel the list
// that others share.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	rt, client := dial(t, fake.Options{NoStream: true}, 5*time.Second)
	_, err := rt.RunContainer(fake.ContainerSpec{})
	must(t, err)
	inv := cri.NewInventory(client)
	must(t, inv.Refresh(t.Context())) // the missing stream is known now
	rt.Fail(fake.Failure{Method: "ListContainers", Mode: fake.Slow, Delay: 500 * time.Millisecond, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- inv.Refresh(ctx) }()
	testutil.Eventually(t, "the list", func() bool { return rt.Calls("ListContainers") == 2 })
	second := make(chan error, 1)
	go func() { second <- inv.Refresh(t.Context()) }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that hung up: %v", err)
	}
	if err := <-second; err != nil {
		t.Errorf("the other one: %v", err)
	}
}

func running(inv *cri.Inventory) (n int) {
	for _, c := range inv.All() {
		if c.Running && c.Resolved {
			n++
		}
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
