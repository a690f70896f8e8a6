package image

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

// zone is the node's time zone: no other is close, and it has no daylight saving time.
const zone = "Asia/Kathmandu"

// cluster is a node with containerd, on which logwatch runs as the DaemonSet's pod.
type cluster struct {
	*containerd.Containerd
	t       *testing.T
	spec    corev1.PodSpec
	host    host
	config  *configMap
	data    map[string]string
	pod     *containerd.Pod
	started time.Time
}

// TestDaemonSet: the image, run as the DaemonSet's pod with exactly its privileges,
// rotates the logs of other pods. It reloads a changed ConfigMap, and keeps running when
// the runtime restarts.
func TestDaemonSet(t *testing.T) {
	notShort(t)
	needRoot(t)
	needBuildah(t)
	n := newCluster(t)
	a, b, short := n.neighbor("a"), n.neighbor("b"), n.neighbor("short")
	n.start()
	n.wait("rotations", func() bool { return n.rotations(a) > 1 && n.rotations(b) > 1 })
	n.checkProcess()
	n.checkZone(a)

	// Its mounts hold copies of the other containers' file systems, which must not
	// keep them from going.
	if err := short.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	n.aSecondWaits()

	n.configure(`containerLogMaxSize: 256Ki`, `containerLogMaxSize: 96Ki`)
	n.wait("the ConfigMap's new limit", func() bool { return n.status(a).Limit == 96<<10 })
	before := n.rotations(a)
	n.wait("rotations at the new limit", func() bool { return n.rotations(a) > before+1 })
	// It is due before its limit, by what it grows until the rotation is done.
	if last := n.status(a).LastRotation; last.Size-last.Overshoot > 96<<10 {
		t.Errorf("rotated at %d bytes, %d over the limit, which is 96 Ki now", last.Size, last.Overshoot)
	}

	// containerd loses what it has read and not written yet when it ends, with and
	// without logwatch: the pods whose lines are counted are stopped before.
	n.end(a)
	n.end(b)
	c := n.neighbor("c")
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	before = n.rotations(c)
	n.wait("rotations after the runtime's restart", func() bool { return n.rotations(c) > before+1 })
	n.wait("readiness after it", func() bool { return n.probe(n.spec.Containers[0].ReadinessProbe) == nil })

	n.asked()
	n.stop()
	n.lines(a)
	n.lines(b)
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	m := render(t, base)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tools, err := containerd.Build(ctx, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	seccomp := useSeccomp(t, &tools)
	c, err := containerd.Start(ctx, tools, containerd.Options{Log: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	n := &cluster{Containerd: c, t: t, spec: m.daemonSet.Spec.Template.Spec, data: m.configMap.Data}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.LogTail())
			if n.pod != nil {
				log, _ := os.ReadFile(n.pod.Containers()[0].LogPath)
				t.Logf("logwatch's log:\n%s", log[max(0, len(log)-6000):])
			}
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Import(ctx, archive(t), imageName); err != nil {
		t.Fatal(err)
	}
	if !seccomp {
		n.spec.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeUnconfined
	}
	n.settle()
	return n
}

// settle adapts the manifests to the podLogsDir of the test. Another process has the
// port of the metrics, which harms neither the rotations nor the probes.
func (n *cluster) settle() {
	n.t.Helper()
	l, err := new(net.ListenConfig).Listen(n.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	address := l.Addr().String()
	n.t.Cleanup(func() {
		if err := l.Close(); err != nil {
			n.t.Error(err)
		}
	})
	n.change("containerLogMaxSize: 10Mi", "containerLogMaxSize: 256Ki")
	n.change("containerLogMaxFiles: 5", "containerLogMaxFiles: 10000")
	n.data["logwatch.yaml"] += fmt.Sprintf("\npodLogsDir: %q\nmetrics: {listenAddress: %q}\nminRotationInterval: 0s\ncontainerLogMonitorInterval: 1s\n",
		n.PodLogsDir(), address)
	n.config = newConfigMap(n.t, n.data)
	n.host = host{
		paths: map[string]string{
			"/var/log/pods":   n.PodLogsDir(),
			"/run/containerd": n.Dir(), // with the state of all containers in it, as the real one
			"/etc/localtime":  localtime(n.t),
			// Below a name that does not exist: kubelet creates it.
			"/run/logwatch/lock": filepath.Join(n.t.TempDir(), "run", "lock"),
		},
		configMaps: map[string]string{"logwatch": n.config.dir},
	}
}

// change changes a line of the ConfigMap.
func (n *cluster) change(from, to string) {
	n.t.Helper()
	old := n.data["logwatch.yaml"]
	if strings.Count(old, from) != 1 {
		n.t.Fatalf("the ConfigMap has not one %q:\n%s", from, old)
	}
	n.data["logwatch.yaml"] = strings.Replace(old, from, to, 1)
}

// configure changes the ConfigMap as kubelet does after `kubectl apply`.
func (n *cluster) configure(from, to string) {
	n.t.Helper()
	n.change(from, to)
	n.config.write(n.data)
}

// useSeccomp uses a runc with seccomp: the one that tests build lacks it.
func useSeccomp(t *testing.T, tools *containerd.Tools) bool {
	t.Helper()
	for _, name := range []string{"runc", "/usr/sbin/runc"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if out, err := exec.Command(path, "--version").Output(); err == nil && strings.Contains(string(out), "libseccomp") {
			tools.Runc = path
			return true
		}
	}
	const why = "there is no runc with seccomp: apt-get install --no-install-recommends runc"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Log("without the manifest's seccomp profile, since " + why)
	return false
}

// localtime is /etc/localtime as on nodes: a link, to the test's zone.
func localtime(t *testing.T) string {
	t.Helper()
	zones, err := zip.OpenReader(filepath.Join(goRoot(t), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer zones.Close() //nolint:errcheck // opened for reading
	f, err := zones.Open(zone)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "zone"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "localtime")
	if err := os.Symlink("zone", link); err != nil {
		t.Fatal(err)
	}
	return link
}

func goRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// neighbor runs a pod that writes numbered lines until it is stopped.
func (n *cluster) neighbor(name string) *containerd.Pod {
	n.t.Helper()
	pod, err := n.RunPod(n.t.Context(), containerd.PodSpec{Name: name, Containers: []containerd.ContainerSpec{{
		Name: "app", Args: []string{"-line=150", "-rate=500000"},
	}}})
	if err != nil {
		n.t.Fatal(err)
	}
	return pod
}

// run runs a pod of the DaemonSet.
func (n *cluster) run(name string) *containerd.Pod {
	n.t.Helper()
	n.host.scratch = n.t.TempDir()                              // each pod has its own
	moved := map[string]string{"/var/log/pods": n.PodLogsDir()} // the runtime calls it so
	pod, err := n.RunPod(n.t.Context(), containerd.PodSpec{
		Namespace: "logwatch-system", Name: name,
		Containers: []containerd.ContainerSpec{n.host.container(n.t, n.spec, moved)},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return pod
}

// start starts logwatch and waits until its probes succeed.
func (n *cluster) start() {
	n.t.Helper()
	n.started = time.Now()
	n.pod = n.run("logwatch-x7x2p")
	c := n.spec.Containers[0]
	n.wait("readiness", func() bool { return n.probe(c.ReadinessProbe) == nil })
	if err := n.probe(c.LivenessProbe); err != nil {
		n.t.Error(err)
	}
}

// probe runs a probe as kubelet does.
func (n *cluster) probe(p *corev1.Probe) error {
	out, err := n.Runtime().ExecSync(n.t.Context(), &runtimeapi.ExecSyncRequest{
		ContainerId: n.pod.Containers()[0].ID, Cmd: p.Exec.Command, Timeout: int64(p.TimeoutSeconds),
	})
	if err == nil && out.GetExitCode() != 0 {
		err = fmt.Errorf("exit code %d: %s%s", out.GetExitCode(), out.GetStdout(), out.GetStderr())
	}
	return err
}

// wait polls, and fails the test immediately if logwatch has ended.
func (n *cluster) wait(what string, done func() bool) {
	n.t.Helper()
	id := n.pod.Containers()[0].ID
	testutil.Eventually(n.t, what, func() bool {
		if st, err := n.state(id); err == nil && st.GetState() == runtimeapi.ContainerState_CONTAINER_EXITED {
			n.t.Fatalf("logwatch has ended with %d", st.GetExitCode())
		}
		return done()
	})
}

func (n *cluster) state(id string) (*runtimeapi.ContainerStatus, error) {
	st, err := n.Runtime().ContainerStatus(n.t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
	return st.GetStatus(), err
}

// exec does `kubectl exec`: the command is the image's only program.
func (n *cluster) exec(args ...string) string {
	n.t.Helper()
	out, err := n.Runtime().ExecSync(n.t.Context(), &runtimeapi.ExecSyncRequest{
		ContainerId: n.pod.Containers()[0].ID, Cmd: append([]string{"/logwatch"}, args...), Timeout: 30,
	})
	if err != nil || out.GetExitCode() != 0 {
		n.t.Fatalf("logwatch %v: %v, exit code %d: %s%s", args, err, out.GetExitCode(), out.GetStdout(), out.GetStderr())
	}
	return string(out.GetStdout())
}

// status returns the status of a neighbor.
func (n *cluster) status(pod *containerd.Pod) api.Container {
	n.t.Helper()
	var st api.Status
	out := n.exec("status", "-o", "json", "default/"+pod.Spec.Name)
	if err := json.Unmarshal([]byte(out), &st); err != nil || len(st.Containers) != 1 {
		n.t.Fatalf("status: %v\n%s", err, out)
	}
	return st.Containers[0]
}

func (n *cluster) dir(pod *containerd.Pod) string {
	return filepath.Join(filepath.Base(pod.LogDir), "app")
}

// names returns the rotated logs of a neighbor.
func (n *cluster) names(pod *containerd.Pod) (names []podlogs.Name) {
	n.t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.PodLogsDir(), n.dir(pod)))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		if name, ok := podlogs.ParseName(e.Name()); ok && !name.Stamp.IsZero() && name.Kind != podlogs.Temp {
			names = append(names, name)
		}
	}
	return names
}

func (n *cluster) rotations(pod *containerd.Pod) int {
	n.t.Helper()
	return len(n.names(pod))
}

// checkProcess checks the privileges that the kernel reports for logwatch.
func (n *cluster) checkProcess() {
	n.t.Helper()
	st, err := n.Runtime().ContainerStatus(n.t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: n.pod.Containers()[0].ID, Verbose: true})
	if err != nil {
		n.t.Fatal(err)
	}
	var info struct {
		Pid int `json:"pid"`
	}
	if err := json.Unmarshal([]byte(st.GetInfo()["info"]), &info); err != nil || info.Pid == 0 {
		n.t.Fatalf("no process ID: %v", err)
	}
	proc := filepath.Join("/proc", strconv.Itoa(info.Pid))
	status := string(readFile(n.t, filepath.Join(proc, "status")))
	want := []string{`CapEff:\s0+$`, `CapPrm:\s0+$`, `CapBnd:\s0+$`, `CapAmb:\s0+$`, `NoNewPrivs:\s1$`, `Uid:\s0\s`}
	if n.spec.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault {
		want = append(want, `Seccomp:\s2$`)
	}
	for _, line := range want {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(status) {
			n.t.Errorf("/proc/self/status has no %s:\n%s", line, status)
		}
	}
	// What is mounted read-write and is a file system's, not the kernel's.
	var writable []string
	for line := range strings.Lines(string(readFile(n.t, filepath.Join(proc, "mountinfo")))) {
		fields := strings.Fields(line)
		if path := fields[4]; strings.HasPrefix(fields[5], "rw") && !regexp.MustCompile(`^(/proc|/sys|/dev)(/|$)`).MatchString(path) {
			// Below the runtime's directory are copies of other containers' mounts.
			if !strings.HasPrefix(path, "/run/containerd/") {
				writable = append(writable, path)
			}
		}
	}
	paths := []string{"/run/logwatch", "/run/logwatch/lock", n.PodLogsDir()}
	slices.Sort(writable)
	slices.Sort(paths)
	if !slices.Equal(writable, paths) {
		n.t.Errorf("writable: %v, want %v", writable, paths)
	}
	if peak := regexp.MustCompile(`VmHWM:\s+(\d+ kB)`).FindStringSubmatch(status); peak != nil {
		n.t.Logf("it took up to %s of memory so far", peak[1])
	}
}

// checkZone: names of rotated logs have the node's time, like kubelet's.
func (n *cluster) checkZone(pod *containerd.Pod) {
	n.t.Helper()
	at, err := time.LoadLocation(zone)
	if err != nil {
		n.t.Fatal(err)
	}
	stamp := n.names(pod)[0].Stamp
	local := time.Date(stamp.Year(), stamp.Month(), stamp.Day(), stamp.Hour(), stamp.Minute(), stamp.Second(), 0, at)
	if off := local.Sub(n.started).Abs(); off > 10*time.Minute {
		n.t.Errorf("stamp %s is %v off %s", stamp.Format(time.DateTime), off, n.started.In(at).Format(time.DateTime))
	}
}

// aSecondWaits: a second instance, in another pod, waits for the first and says so.
func (n *cluster) aSecondWaits() {
	n.t.Helper()
	pod := n.run("logwatch-second")
	c := pod.Containers()[0]
	const message = "another logwatch instance holds the lock on podLogsDir"
	n.wait("the second logwatch's message", func() bool { return strings.Contains(string(readFile(n.t, c.LogPath)), message) })
	first := n.pod
	n.pod = pod
	spec := n.spec.Containers[0]
	if err := n.probe(spec.ReadinessProbe); err == nil || !strings.Contains(err.Error(), "another logwatch instance") {
		n.t.Errorf("the second logwatch is ready: %v", err)
	}
	if err := n.probe(spec.LivenessProbe); err != nil {
		n.t.Errorf("the second logwatch is restarted: %v", err)
	}
	n.pod = first
	if err := pod.Remove(n.t.Context()); err != nil {
		n.t.Error(err)
	}
}

// asked: the commands work in the pod, and its own log is rotated.
func (n *cluster) asked() {
	n.t.Helper()
	if out := n.exec("status"); !strings.Contains(out, version) || !strings.Contains(out, "logwatch-x7x2p") {
		n.t.Errorf("status:\n%s", out)
	}
	if out := n.exec("rotate", "logwatch-system/logwatch-x7x2p"); !strings.Contains(out, "0.log.2") {
		n.t.Errorf("rotate:\n%s", out)
	}
	if out := n.exec("reload"); !strings.Contains(out, "reloaded its configuration") {
		n.t.Errorf("reload:\n%s", out)
	}
	log := n.pod.Containers()[0].LogPath
	n.wait("the reload, in the rotated log", func() bool {
		return strings.Contains(string(readFile(n.t, log)), "configuration reloaded")
	})
}

func (n *cluster) end(neighbor *containerd.Pod) {
	n.t.Helper()
	if err := neighbor.StopContainer(n.t.Context(), neighbor.Containers()[0], 10*time.Second); err != nil {
		n.t.Fatal(err)
	}
}

// stop stops the pod as kubelet does: logwatch ends within the grace period.
func (n *cluster) stop() {
	n.t.Helper()
	c := n.pod.Containers()[0]
	grace := time.Duration(*n.spec.TerminationGracePeriodSeconds) * time.Second
	if err := n.pod.StopContainer(n.t.Context(), c, grace); err != nil {
		n.t.Fatal(err)
	}
	if st, err := n.state(c.ID); err != nil || st.GetExitCode() != 0 || st.GetReason() != "Completed" {
		n.t.Errorf("after SIGTERM: exit code %d, %s (%v)", st.GetExitCode(), st.GetReason(), err)
	}
}

// lines: each line of the neighbor is there once, in order. (How many were written
// after the last rotation is unknown.)
func (n *cluster) lines(pod *containerd.Pod) {
	n.t.Helper()
	res, err := linecheck.Container(n.PodLogsDir(), n.dir(pod))
	if err == nil {
		err = res.OK(nil)
	}
	if err != nil || res.Pruned() > 0 || len(res.Logs) < 5 {
		n.t.Errorf("%s: %v, %d missing at the front, %d files", pod.Spec.Name, err, res.Pruned(), len(res.Logs))
	}
	n.t.Logf("%s: %d lines in %d files", pod.Spec.Name, res.Streams[crilog.Stdout].Lines, len(res.Logs))
}
