package shippers

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

// node is a real containerd with the directories of a node's logs.
type node struct {
	*containerd.Containerd
	// containersDir has a link to each live log, as kubelet's /var/log/containers.
	containersDir string
	t             *testing.T
}

func newNode(t *testing.T) *node {
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
	n := &node{Containerd: c, containersDir: filepath.Join(c.Dir(), "containers"), t: t}
	if err := os.Mkdir(n.containersDir, 0o755); err != nil {
		t.Fatal(err)
	}
	return n
}

// writer is a container that writes numbered lines.
type writer struct {
	pod   *containerd.Pod
	name  string // of the pod
	lines uint64
}

// run starts a container, in a pod of its own, that writes lines of so many bytes, their
// newlines included, and then exits.
func (n *node) run(name string, lines uint64, width, rate int) writer {
	n.t.Helper()
	args := []string{
		"-linger=false", "-line=" + strconv.Itoa(width-1), "-lines=" + strconv.FormatUint(lines, 10), "-rate=" + strconv.Itoa(rate),
	}
	pod, err := n.RunPod(n.t.Context(), containerd.PodSpec{
		Name: name, Containers: []containerd.ContainerSpec{{Name: "app", Args: args}},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	c := pod.Containers()[0]
	link := name + "_" + pod.Spec.Namespace + "_app-" + c.ID + ".log"
	if err := os.Symlink(c.LogPath, filepath.Join(n.containersDir, link)); err != nil {
		n.t.Fatal(err)
	}
	return writer{pod, name, lines}
}

// dir is the container's log directory relative to podLogsDir.
func (w writer) dir() string { return filepath.Join(filepath.Base(w.pod.LogDir), "app") }

// exited reports whether all lines are in the log.
func (n *node) exited(w writer) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	st, err := n.Runtime().ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: w.pod.Containers()[0].ID})
	return err == nil && st.GetStatus().GetState() == runtimeapi.ContainerState_CONTAINER_EXITED
}

// wait blocks until all lines are in the log.
func (n *node) wait(w writer) {
	n.t.Helper()
	testutil.Eventually(n.t, w.name+" to exit", func() bool { return n.exited(w) })
}

// remove removes a container, its log and the link.
func (n *node) remove(w writer) {
	n.t.Helper()
	links, err := filepath.Glob(filepath.Join(n.containersDir, w.name+"_*"))
	for _, link := range links {
		err = errors.Join(err, os.Remove(link))
	}
	if err := errors.Join(err, w.pod.Remove(n.t.Context()), os.RemoveAll(w.pod.LogDir)); err != nil {
		n.t.Error(err)
	}
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
	_ = filepath.WalkDir(n.PodLogsDir(), func(path string, e fs.DirEntry, err error) error {
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
		if err != nil || !strings.HasPrefix(target, n.PodLogsDir()) || !strings.HasSuffix(target, " (deleted)") {
			continue
		}
		if info, err := os.Stat(fd); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
