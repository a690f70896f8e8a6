package shippers

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

// node is a runtime with the directories of a node's logs.
type node struct {
	t                    *testing.T
	endpoint, podLogsDir string
	// containersDir has a link to each live log, as kubelet's /var/log/containers.
	containersDir string
	replaces      bool // a reopen replaces the empty live log, as conmon's does
	start         func(name string, lines uint64, width, rate int) (writer, error)
}

// writer is a container, in a pod of its own, that writes numbered lines.
type writer struct {
	name   string // of the pod
	id     string
	log    string // path of the live log
	lines  uint64 // that it writes; 0: until it is stopped
	exited func() bool
	stop   func() error // ends it
}

// newContainerd runs a real containerd.
func newContainerd(t *testing.T) *node {
	t.Helper()
	log := func(s string) { t.Log(s) }
	tools, err := containerd.Build(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	c, err := containerd.Start(t.Context(), tools, containerd.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.LogTail())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	n := &node{t: t, endpoint: c.Endpoint(), podLogsDir: c.PodLogsDir(), containersDir: t.TempDir()}
	n.start = func(name string, lines uint64, width, rate int) (writer, error) {
		args := []string{
			"-linger=false", "-line=" + strconv.Itoa(width-1), "-lines=" + strconv.FormatUint(lines, 10), "-rate=" + strconv.Itoa(rate),
		}
		pod, err := c.RunPod(t.Context(), containerd.PodSpec{
			Name: name, Containers: []containerd.ContainerSpec{{Name: "app", Args: args}},
		})
		if err != nil {
			return writer{}, err
		}
		app := pod.Containers()[0]
		return writer{
			name, app.ID, app.LogPath, lines,
			func() bool {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				st, err := c.Runtime().ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: app.ID})
				return err == nil && st.GetStatus().GetState() == runtimeapi.ContainerState_CONTAINER_EXITED
			},
			func() error { return pod.StopContainer(t.Context(), app, stopTimeout) },
		}, nil
	}
	return n
}

// newConmon runs the fake runtime, which reopens logs as CRI-O's conmon does.
func newConmon(t *testing.T) *node {
	t.Helper()
	rt, err := fake.Start(fake.Options{Dir: t.TempDir(), Style: fake.CRIO})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &node{t: t, endpoint: rt.Endpoint(), podLogsDir: rt.PodLogsDir(), containersDir: t.TempDir(), replaces: true}
	n.start = func(name string, lines uint64, width, rate int) (writer, error) {
		c, err := rt.RunContainer(fake.ContainerSpec{
			Pod: name, Name: "app",
			Writer: &fake.Pattern{Lines: lines, LineBytes: width - 1, BytesPerSecond: float64(rate)},
		})
		if err != nil {
			return writer{}, err
		}
		exit := func() error { c.Exit(); return c.Err() }
		done := func() bool { return c.Written()[crilog.Stdout] == lines && exit() == nil }
		return writer{name, c.ID(), c.LogPath(), lines, done, exit}, nil
	}
	return n
}

// run starts a container that writes lines of so many bytes, their newlines included,
// and then exits.
func (n *node) run(name string, lines uint64, width, rate int) writer {
	n.t.Helper()
	w, err := n.start(name, lines, width, rate)
	if err == nil {
		err = os.Symlink(w.log, filepath.Join(n.containersDir, name+"_default_app-"+w.id+".log"))
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return w
}

// wait blocks until all lines are in the log.
func (n *node) wait(w writer) {
	n.t.Helper()
	testutil.Eventually(n.t, w.name+" to exit", w.exited)
}

// disk is what logs took on disk.
type disk struct {
	most      int64 // bytes, of all logs together, those included that were removed but are held open
	rotations int   // rotated logs that were seen
}

// watchDisk samples the size of all logs until stop is called.
func (n *node) watchDisk(shipper *process) (stop func() disk) {
	end, result := make(chan struct{}), make(chan disk)
	go func() {
		var d disk
		seen := map[string]bool{}
		for held, i := int64(0), 0; ; i++ {
			if i%10 == 0 { // costs more
				held = n.heldBy(shipper.pid.Load())
			}
			d.most = max(d.most, held+n.size(seen))
			select {
			case <-end:
				d.rotations = len(seen)
				result <- d
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() disk { close(end); return <-result }
}

// size returns the size of all logs, and adds the rotated ones to seen.
func (n *node) size(seen map[string]bool) (sum int64) {
	// A name may be gone by the time at which it is reached.
	_ = filepath.WalkDir(n.podLogsDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
		if _, stamp, ok := strings.Cut(path, ".log."); ok {
			stamp, _, _ = strings.Cut(stamp, ".")
			seen[filepath.Dir(path)+stamp] = true
		}
		return nil
	})
	return sum
}

// heldBy returns the size of the removed logs that a process has open.
func (n *node) heldBy(pid int64) (sum int64) {
	fds, err := filepath.Glob("/proc/" + strconv.FormatInt(pid, 10) + "/fd/*")
	if err != nil || pid == 0 {
		return 0
	}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !strings.HasPrefix(target, n.podLogsDir) || !strings.HasSuffix(target, " (deleted)") {
			continue
		}
		if info, err := os.Stat(fd); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
