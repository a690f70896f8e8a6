package containerd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/internal/linecheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds one test, including a first build.
const testTimeout = 8 * time.Minute

// needRoot skips the test without root; in CI it fails. It also skips with -short: unit
// tests need neither root nor a network.
func needRoot(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a real containerd is not for -short")
	}
	if os.Geteuid() == 0 {
		return
	}
	const why = "a real containerd needs root to mount and to make cgroups: sudo env \"PATH=$PATH\" go test ./test/containerd"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func TestBuiltContainerd(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	tools, err := Build(ctx, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	lifecycle(ctx, t, tools, "")
}

// TestInstalledContainerd runs the same with a distribution's containerd, which is
// usually older: Debian's 1.6 has another configuration format.
func TestInstalledContainerd(t *testing.T) {
	needRoot(t)
	const dir = "/usr/bin"
	if _, err := os.Stat(dir + "/containerd"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("no containerd is installed in " + dir + ": apt-get install --no-install-recommends containerd runc")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	tools, err := ToolsFromPath(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(t.TempDir(), "pods")
	t.Cleanup(func() {
		if _, err := os.Stat(logs); err != nil {
			t.Errorf("a pod logs directory given to Start must stay: %v", err)
		}
	})
	lifecycle(ctx, t, tools, logs)
}

// lifecycle does what tests do with a containerd, from start to stop.
func lifecycle(ctx context.Context, t *testing.T, tools Tools, podLogsDir string) {
	began := time.Now()
	c, err := Start(ctx, tools, Options{PodLogsDir: podLogsDir, Log: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.LogTail())
		}
		stopAndCheck(t, c)
	})
	t.Logf("containerd %s, started in %s", c.Version(), time.Since(began).Round(time.Millisecond))

	const lines = 1000
	mounted := t.TempDir()
	pod, err := c.RunPod(ctx, PodSpec{
		Annotations: map[string]string{"logwatch.test/x": "y"},
		Containers: []ContainerSpec{{
			Name:   "app",
			Args:   []string{"-lines=1000", "-stderr-every=10", "-long-every=100"},
			Mounts: []Mount{{HostPath: mounted, ContainerPath: "/mounted"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := pod.Containers()[0]
	waitForLines(ctx, t, first, map[string]uint64{"stdout": lines - lines/10, "stderr": lines / 10})
	checkAnnotation(ctx, t, c, pod)
	checkMounted(t, c, "/mounted")

	second, err := pod.RestartContainer(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(second.LogPath, "/app/1.log") {
		t.Errorf("LogPath after a restart = %s, want …/app/1.log", second.LogPath)
	}
	waitForLines(ctx, t, second, map[string]uint64{"stdout": lines - lines/10, "stderr": lines / 10})

	killAndRestart(ctx, t, c, pod)
	if err := pod.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first.LogPath); err != nil {
		t.Errorf("Remove must leave the logs: %v", err)
	}
	// One pod is left for Stop to remove, with the daemon dead.
	if _, err := c.RunPod(ctx, PodSpec{Containers: []ContainerSpec{{Args: []string{"-rate=1000"}}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
}

func checkAnnotation(ctx context.Context, t *testing.T, c *Containerd, pod *Pod) {
	t.Helper()
	list, err := c.Runtime().ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{
		Filter: &runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{labelPodUID: pod.Spec.UID}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.GetItems()) != 1 || list.GetItems()[0].GetAnnotations()["logwatch.test/x"] != "y" {
		t.Errorf("sandboxes with the pod's UID = %v, want one with its annotation", list.GetItems())
	}
}

// checkMounted finds a mount point in the containers' mount namespaces.
func checkMounted(t *testing.T, c *Containerd, point string) {
	t.Helper()
	for _, pid := range cgroupProcesses(c.Dir()) {
		mounts, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/mounts")
		if err == nil && bytes.Contains(mounts, []byte(" "+point+" ")) {
			return
		}
	}
	t.Errorf("no container has %s mounted", point)
}

// killAndRestart kills the daemon while a container writes. Its log must grow again
// afterwards: the container never stopped.
func killAndRestart(ctx context.Context, t *testing.T, c *Containerd, pod *Pod) {
	t.Helper()
	busy, err := pod.StartContainer(ctx, ContainerSpec{Name: "busy", Args: []string{"-rate=100000"}})
	if err != nil {
		t.Fatal(err)
	}
	waitForSize(ctx, t, busy.LogPath, 1)
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Runtime().Version(ctx, &runtimeapi.VersionRequest{}); err == nil {
		t.Error("CRI answers after Kill")
	}
	if len(shims(c.Dir())) == 0 {
		t.Error("no shim has outlived Kill")
	}
	size := waitForSize(ctx, t, busy.LogPath, 0)
	if err := c.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	waitForSize(ctx, t, busy.LogPath, size+1)
	status, err := c.Runtime().ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: busy.ID})
	if err != nil {
		t.Fatal(err)
	}
	if state := status.GetStatus().GetState(); state != runtimeapi.ContainerState_CONTAINER_RUNNING {
		t.Errorf("state after Kill and Restart = %s, want running", state)
	}
	if err := pod.StopContainer(ctx, busy, time.Second); err != nil {
		t.Fatal(err)
	}
}

// waitForLines waits until the container's log has exactly the lines wanted.
func waitForLines(ctx context.Context, t *testing.T, c *Container, want map[string]uint64) {
	t.Helper()
	for {
		content, err := os.ReadFile(c.LogPath)
		if err == nil {
			var checker linecheck.Checker
			addLines(&checker, content)
			if err = checker.Report().OK(want); err == nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("wait for the lines of %s: %v", c.LogPath, err)
		case <-time.After(poll):
		}
	}
}

// addLines parses the CRI log format: time, stream, P or F, content.
func addLines(checker *linecheck.Checker, log []byte) {
	partial := map[string][]byte{}
	for line := range bytes.Lines(log) {
		fields := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(" "), 4)
		if len(fields) != 4 {
			continue
		}
		stream := string(fields[1])
		partial[stream] = append(partial[stream], fields[3]...)
		if string(fields[2]) == "F" {
			checker.Add(partial[stream])
			partial[stream] = nil
		}
	}
}

func waitForSize(ctx context.Context, t *testing.T, path string, size int64) int64 {
	t.Helper()
	for {
		info, err := os.Stat(path)
		if err == nil && info.Size() >= size {
			return info.Size()
		}
		select {
		case <-ctx.Done():
			t.Fatalf("wait for %d bytes in %s: %v, last error: %v", size, path, ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}

// stopAndCheck stops twice and checks that nothing is left.
func stopAndCheck(t *testing.T, c *Containerd) {
	t.Helper()
	for _, call := range []string{"first", "second"} {
		if err := c.Stop(); err != nil {
			t.Errorf("Stop, %s call: %v", call, err)
		}
	}
	if left := leftovers(c.Dir()); len(left) > 0 {
		t.Errorf("left after Stop: %v", left)
	}
	if left := cgroups(c.Dir()); len(left) > 0 {
		t.Errorf("cgroups left after Stop: %v", left)
	}
	if _, err := os.Stat(c.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("directory after Stop: %v, want none", err)
	}
}

// TestStartFails: the error of a failed start has the end of containerd's log, and
// nothing is left.
func TestStartFails(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	fake := filepath.Join(base, "containerd")
	script := "#!/bin/sh\n[ \"$1\" = --version ] && { echo containerd x v2.0.0; exit; }\necho no such device; exit 3\n"
	if err := os.WriteFile(fake, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Tools{Containerd: fake}, Options{BaseDir: "/tmp", PodLogsDir: filepath.Join(base, "pods")})
	if err == nil {
		t.Fatal("Start succeeded")
	}
	for _, want := range []string{"containerd has ended", "exit status 3", "no such device"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want one with %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "remove") {
		t.Errorf("cleaning up failed: %v", err)
	}
}

// TestLongBaseDir: a socket path that is too long for the kernel is an error.
func TestLongBaseDir(t *testing.T) {
	base := filepath.Join(t.TempDir(), strings.Repeat("x", maxSocketPath))
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := makeDir(base); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("error = %v, want advice to take a shorter path", err)
	}
}

// childEnv turns this test binary into TestDeadOwner's child process. Its value is the
// base directory.
const childEnv = "LOGWATCH_TEST_DEAD_OWNER"

// TestDeadOwner kills a test process that has a pod: the daemon dies with it, and
// RemoveStale removes the rest, but not while the owner is alive.
func TestDeadOwner(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	tools, err := Build(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if base := os.Getenv(childEnv); base != "" {
		ownPod(ctx, t, tools, base)
	}
	base, err := os.MkdirTemp("", "lw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(base); err != nil {
			t.Error(err)
		}
	})
	child, dir, daemon := startOwner(ctx, t, base)
	if err := RemoveStale(base, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("RemoveStale touched what a live process owns: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed, as asked
	waitForEnd(ctx, t, daemon)
	if len(leftovers(dir)) == 0 {
		t.Error("nothing was left by the dead owner: this test tests nothing")
	}
	sockets := shimSockets(dir)
	if len(sockets) == 0 {
		t.Error("the dead owner's shim has no socket that is known")
	}
	if err := RemoveStale(base, func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
	for _, socket := range sockets {
		if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("shim socket %s after RemoveStale: %v, want none", socket, err)
		}
	}
	if left := append(leftovers(dir), cgroups(dir)...); len(left) > 0 {
		t.Errorf("left after RemoveStale: %v", left)
	}
}

// startOwner starts the child and reads the directory of its containerd.
func startOwner(ctx context.Context, t *testing.T, base string) (child *exec.Cmd, dir string, daemon int) {
	t.Helper()
	child = exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDeadOwner$")
	child.Env = append(os.Environ(), childEnv+"="+base)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	dir, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
	daemon, atoiErr := strconv.Atoi(pid)
	if err != nil || atoiErr != nil {
		t.Fatalf("the child said %q (%v), want a directory and a process", line, err)
	}
	return child, dir, daemon
}

// ownPod is the child: it starts a containerd with a pod, reports it, and waits to be killed.
func ownPod(ctx context.Context, t *testing.T, tools Tools, base string) {
	c, err := Start(ctx, tools, Options{BaseDir: base})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RunPod(ctx, PodSpec{Containers: []ContainerSpec{{Args: []string{"-rate=1000"}}}}); err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString(c.Dir() + " " + strconv.Itoa(c.daemon.cmd.Process.Pid) + "\n")
	<-ctx.Done()
}

func waitForEnd(ctx context.Context, t *testing.T, pid int) {
	t.Helper()
	for {
		// Orphans stay zombies if process 1 does not reap them.
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil || bytes.Contains(status, []byte("State:\tZ")) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("process %d outlives its owner", pid)
		case <-time.After(poll):
		}
	}
}
