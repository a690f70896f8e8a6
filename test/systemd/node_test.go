package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

const (
	podLogsDir = "/var/log/pods"
	unit       = "logwatch.service"
	configFile = "/etc/logwatch/logwatch.yaml"
	runtimeDir = "/run/containerd"
	rate       = 500_000 // bytes/s of a container
	width      = 120     // bytes of a line, its newline included
)

// edited is an operator's configuration: nothing is pruned, and a small limit gives many
// rotations in a few seconds of writing.
func edited(t *testing.T, sample, maxSize string) string {
	t.Helper()
	for from, to := range map[string]string{
		"containerLogMaxSize: 10Mi":        "containerLogMaxSize: " + maxSize + " # edited",
		"containerLogMaxFiles: 5":          "containerLogMaxFiles: 100000",
		`minRotationInterval: ""`:          "minRotationInterval: 0s",
		"containerLogMonitorInterval: 10s": "containerLogMonitorInterval: 1s",
		"containerLogMaxTotalSize: \"":     "containerLogMaxTotalSize: \"10Gi",
	} {
		if strings.Count(sample, "\n"+from) != 1 {
			t.Fatalf("the sample configuration has no line %q", from)
		}
		sample = strings.Replace(sample, "\n"+from, "\n"+to, 1)
	}
	return sample
}

// node is a machine with a containerd.
type node struct {
	*machine
	tools  containerd.Tools
	rt     *containerd.Containerd // once it runs
	sample string                 // the configuration of the package
}

// newNode boots a machine with containerd as a unit, which has never had a pod; see
// newMachine for root.
func newNode(t *testing.T, root string) *node {
	t.Helper()
	tools, err := containerd.Build(t.Context(), func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile("../../configs/logwatch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{machine: newMachine(t, root), tools: tools, sample: string(sample)}
	t.Cleanup(func() {
		if t.Failed() {
			for _, u := range []string{unit, "containerd.service"} {
				journal, err := n.try("journalctl", "--no-pager", "--lines=40", "--unit="+u)
				t.Logf("the journal of %s (%v):\n%s", u, err, journal)
			}
		}
	})
	const dir = "/var/lib/containerd-test"
	// Copies, for where they were built may be a disk that the machine has not.
	for _, tool := range []string{tools.Containerd, tools.Shim, tools.Runc} {
		n.copy(t, tool, "/usr/local/bin/"+filepath.Base(tool))
	}
	tools.Runc = "/usr/local/bin/" + filepath.Base(tools.Runc)
	config, err := tools.Config(t.Context(), dir, runtimeDir+"/containerd.sock")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(n.path(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	n.write(t, dir+"/config.toml", string(config))
	// As containerd's own unit, but that it takes its time.
	n.write(t, "/etc/systemd/system/containerd.service", `
[Service]
Type=notify
ExecStartPre=/bin/sleep 1
ExecStart=/usr/local/bin/containerd --config `+dir+`/config.toml --log-level=warn
Delegate=yes
KillMode=process
Restart=always
[Install]
WantedBy=multi-user.target
`)
	n.run(t, "systemctl", "daemon-reload")
	n.run(t, "systemctl", "enable", "containerd")
	return n
}

// attach connects to the machine's containerd.
func (n *node) attach(t *testing.T) {
	t.Helper()
	var err error
	if n.rt, err = containerd.Attach(t.Context(), n.tools, n.path("/"), runtimeDir, podLogsDir); err != nil {
		t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if err := n.rt.Stop(); err != nil {
			n.t.Error(err)
		}
	})
}

// copy copies a file into the machine.
func (n *node) copy(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(n.path(to), content, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// configure writes the configuration as an operator would.
func (n *node) configure(t *testing.T, limit string) {
	t.Helper()
	n.write(t, configFile, edited(t, n.sample, limit))
}

// config returns the current configuration.
func (n *node) config(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(n.path(configFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// status returns the output of `logwatch status`.
func (n *node) status(t *testing.T) api.Status {
	t.Helper()
	var s api.Status
	out := n.run(t, "logwatch", "status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return s
}

// pid returns logwatch's process ID in the machine.
func (n *node) pid(t *testing.T) string {
	t.Helper()
	return n.show(t, unit, "MainPID")
}

// load is a container that writes numbered lines.
type load struct {
	n     *node
	id    string
	dir   string // relative to podLogsDir
	lines uint64
}

// load starts a container that writes for a time.
func (n *node) load(t *testing.T, name string, duration time.Duration) *load {
	t.Helper()
	return n.writer(t, name, uint64(duration.Seconds()*rate/width), false)
}

// idle starts a container that writes a line, and keeps running.
func (n *node) idle(t *testing.T, name string) {
	t.Helper()
	n.writer(t, name, 1, true)
}

func (n *node) writer(t *testing.T, name string, lines uint64, linger bool) *load {
	t.Helper()
	l := &load{n: n, lines: lines}
	pod, err := n.rt.RunPod(t.Context(), containerd.PodSpec{Name: name, Containers: []containerd.ContainerSpec{{
		Name: "app",
		Args: []string{fmt.Sprint("-linger=", linger), fmt.Sprint("-line=", width-1), fmt.Sprint("-lines=", l.lines), fmt.Sprint("-rate=", rate)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	c := pod.Containers()[0]
	l.id, l.dir = c.ID, strings.TrimPrefix(c.Dir, podLogsDir+"/")
	return l
}

// exited reports whether the container has exited; false while the runtime is unreachable.
func (l *load) exited() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st, err := l.n.rt.Runtime().ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: l.id})
	return err == nil && st.GetStatus().GetState() == runtimeapi.ContainerState_CONTAINER_EXITED
}

// files returns the names in the container's directory.
func (l *load) files(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(l.n.path(podLogsDir), l.dir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// rotated waits for another rotated log.
func (l *load) rotated(t *testing.T) {
	t.Helper()
	had := len(l.files(t))
	testutil.Eventually(t, "rotations", func() bool { return len(l.files(t)) > had+1 })
}

// complete waits until the container has exited and compression is complete, and checks
// that each line is there once and in order.
func (l *load) complete(t *testing.T) (files int) {
	t.Helper()
	testutil.Eventually(t, "the container to exit", l.exited)
	testutil.Eventually(t, "housekeeping to end", func() bool {
		plain := 0
		for _, name := range l.files(t) {
			switch filepath.Ext(name) {
			case ".tmp":
				return false
			case ".gz", ".log":
			default:
				plain++
			}
		}
		return plain <= 1
	})
	res, err := linecheck.Container(l.n.path(podLogsDir), l.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.OK(map[string]uint64{crilog.Stdout: l.lines}); err != nil {
		t.Errorf("%s: %v", l.dir, err)
	}
	if res.Pruned() > 0 {
		t.Errorf("%s: %d lines are missing at the front", l.dir, res.Pruned())
	}
	t.Logf("%s: %d lines in %d files", l.dir, l.lines, len(res.Logs))
	return len(res.Logs)
}
