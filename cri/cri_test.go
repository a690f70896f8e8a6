package cri_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/cri/fake"
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
		must(t, inv.Refresh(t.Context()))
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
		must(t, inv.Refresh(t.Context()))
		if lists() != before+1 || rt.Calls("ContainerStatus") != 20 {
			t.Errorf("a second Refresh was %d lists and %d statuses", lists()-before, rt.Calls("ContainerStatus")-20)
		}
		if noStream && rt.Calls("StreamContainers") != 1 {
			t.Errorf("asked %d times for a stream that the runtime lacks", rt.Calls("StreamContainers"))
		}
		if got := len(inv.Running()); got != 18 {
			t.Errorf("%d are running, want 18", got)
		}
		if c, ok := inv.ByLogPath(conts[3].LogPath()); !ok || c.Running {
			t.Errorf("the exited one: %+v %v", c, ok)
		}
		if _, ok := inv.ByLogPath(conts[4].LogPath()); ok {
			t.Error("the removed one is still there")
		}
	}
}

func TestRefreshKeepsWhatItHasOnError(t *testing.T) {
	rt, client := dial(t, fake.Options{}, 200*time.Millisecond)
	c, err := rt.RunContainer(fake.ContainerSpec{})
	must(t, err)
	inv := cri.NewInventory(client)
	must(t, inv.Refresh(t.Context()))
	must(t, rt.Stop())
	if err := inv.Refresh(t.Context()); err == nil {
		t.Error("no error without a runtime")
	}
	if got, ok := inv.ByLogPath(c.LogPath()); !ok || got.ID != c.ID() {
		t.Errorf("forgotten: %+v %v", got, ok)
	}
	must(t, rt.Restart())
	for deadline := time.Now().Add(20 * time.Second); inv.Refresh(t.Context()) != nil; {
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
	if err := inv.Refresh(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, ok := inv.ByLogPath(good.LogPath()); !ok {
		t.Error("the good one is missing")
	}
	must(t, inv.Refresh(t.Context()))
	if _, ok := inv.ByLogPath(bad.LogPath()); !ok {
		t.Error("the other one is missing after the next Refresh")
	}
}

// TestReadPods reads each pod once, when it is asked to.
func TestReadPods(t *testing.T) {
	rt, client := dial(t, fake.Options{}, time.Second)
	var paths []string
	for i := range 3 {
		c, err := rt.RunContainer(fake.ContainerSpec{
			Pod: "p", UID: "u", Name: fmt.Sprintf("c%d", i),
			Labels: map[string]string{"app": "x"}, Annotations: map[string]string{"logwatch/max-size": "1Mi"},
		})
		must(t, err)
		paths = append(paths, c.LogPath())
	}
	inv := cri.NewInventory(client)
	must(t, inv.Refresh(t.Context()))
	if c, _ := inv.ByLogPath(paths[0]); c.PodLabels != nil || rt.Calls("PodSandboxStatus") != 0 {
		t.Error("read without being asked to")
	}
	inv.ReadPods()
	for range 3 {
		must(t, inv.Refresh(t.Context()))
	}
	for _, p := range paths {
		if c, _ := inv.ByLogPath(p); c.PodLabels["app"] != "x" || c.PodAnnotations["logwatch/max-size"] != "1Mi" {
			t.Errorf("%s: %v %v", p, c.PodLabels, c.PodAnnotations)
		}
	}
	// All three may be asked for at once, but none again.
	if got := rt.Calls("PodSandboxStatus"); got < 1 || got > 3 {
		t.Errorf("%d PodSandboxStatus calls for one pod", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRefreshGivesUpOnHangs: a runtime that lists its containers and hangs when it
// is asked about each holds a Refresh up for a deadline or two, not for one a
// container; and those that hang do not keep the others unknown.
func TestRefreshGivesUpOnHangs(t *testing.T) {
	const containers, hanging = 60, 20
	timeout := 50 * time.Millisecond
	rt, client := dial(t, fake.Options{}, timeout)
	for i := range containers {
		c, err := rt.RunContainer(fake.ContainerSpec{Pod: fmt.Sprintf("p%d", i)})
		must(t, err)
		if i < hanging {
			c.Fail(fake.Failure{Method: "ContainerStatus", Mode: fake.Hang})
		}
	}
	inv := cri.NewInventory(client)
	if !inv.Progress().IsZero() {
		t.Error("progress before the first call")
	}
	for n := 0; len(inv.Running()) < containers-hanging; n++ {
		before, calls := time.Now(), rt.Calls("ContainerStatus")
		if err := inv.Refresh(t.Context()); err == nil {
			t.Fatal("no error")
		}
		if inv.Progress().Before(before) {
			t.Error("a Refresh without progress")
		}
		// All that hang are asked at most when none of the others is left.
		if asked := rt.Calls("ContainerStatus") - calls; asked == containers && n > 0 || n > 100 {
			t.Fatalf("%d calls in Refresh %d, %d known", asked, n, len(inv.Running()))
		}
	}
	calls := rt.Calls("ContainerStatus")
	if err := inv.Refresh(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if asked := rt.Calls("ContainerStatus") - calls; asked < 8 || asked >= hanging {
		t.Errorf("%d calls to %d that hang", asked, hanging)
	}
}
