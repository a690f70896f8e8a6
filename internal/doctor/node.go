package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/agent"
)

// node is what the checks look at. What several need is found once, by the first
// that asks; the others wait for it.
type node struct {
	root string // of the files that are read
	sys  system
	file string // the configuration that was named; "": none

	processes func() []process
	settings  func() settings
	worker    func() worker
	tree      func() tree
	kubelet   func() kubelet
	inotify   func() inUse
	runtime   func() runtimeAnswers
}

// system is what else the checks ask the kernel for. Tests have their own.
type system struct {
	euid     int
	now      func() time.Time
	statfs   func(path string, st *unix.Statfs_t) error
	access   func(path string, mode uint32) error
	adjtimex func(*unix.Timex) (state int, err error)
	// holder is the process that holds the lock of a podLogsDir.
	holder func(podLogsDir string) (pid int, err error)
	// noReplace and lease try what the rotator does, see tryRename and tryLease.
	noReplace func(dir string, known bool) error
	lease     func(dir string, rotated []string) error
}

func realSystem() system {
	return system{
		euid: os.Geteuid(), now: time.Now, statfs: unix.Statfs, adjtimex: unix.Adjtimex,
		access: func(path string, mode uint32) error {
			return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
		},
		holder:    agent.Find,
		noReplace: tryRename, lease: tryLease,
	}
}

func newNode(ctx context.Context, o Options) *node {
	n := &node{root: cmp.Or(o.root, "/"), file: o.ConfigFile, sys: realSystem()}
	if o.system != nil {
		n.sys = *o.system
	}
	n.processes = sync.OnceValue(n.listProcesses)
	n.settings = sync.OnceValue(n.findSettings)
	n.worker = sync.OnceValue(n.findWorker)
	n.tree = sync.OnceValue(n.walk)
	n.kubelet = sync.OnceValue(n.findKubelet)
	n.inotify = sync.OnceValue(n.countInotify)
	n.runtime = sync.OnceValue(func() runtimeAnswers { return n.askRuntime(ctx) })
	return n
}

// path is where a path of the node is.
func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.root}, parts...)...)
}

// seenBy is where a path of a process is: it may have another root, as in a
// container, and its own working directory.
func (n *node) seenBy(pid int, path string) string {
	proc := n.path("proc", strconv.Itoa(pid))
	if !filepath.IsAbs(path) {
		if cwd, err := os.Readlink(proc + "/cwd"); err == nil {
			path = filepath.Join(cwd, path)
		}
	}
	if _, err := os.Stat(proc + "/root/"); err != nil {
		return n.path(path) // another user's process: all there is to go by
	}
	return filepath.Join(proc, "root", path)
}

// mostRead bounds what is read of a file: no configuration is as large.
const mostRead = 4 << 20

// read reads a file, which must be one: what is a pipe would block, and a device
// may have no end.
func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: it is no regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, mostRead+1))
	if err == nil && len(data) > mostRead {
		err = fmt.Errorf("read %s: it is larger than %d MiB", path, mostRead>>20)
	}
	return data, err
}

// number reads a file that has one, such as those of sysctl.
func (n *node) number(path string) (int64, error) {
	data, err := read(n.path(path))
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return v, nil
}

func (n *node) exists(path string) bool {
	_, err := os.Lstat(n.path(path))
	return err == nil
}

// blind reports whether err is for want of rights, which root has: what was not
// seen says nothing about the node.
func (n *node) blind(err error) bool {
	return n.sys.euid != 0 && errors.Is(err, fs.ErrPermission)
}

// unseen is the outcome of a check that needs root.
func (n *node) unseen(what string, err error) Check {
	return skip("%s cannot be seen as user %d", what, n.sys.euid).because("%v", err).do(n.again())
}

// again is this command as root.
func (n *node) again() command {
	if n.file == "" {
		return "sudo logwatch doctor"
	}
	return command("sudo logwatch doctor --config " + quote(n.file))
}

// process is one that runs.
type process struct {
	procfs.Proc
	comm string   // at most 15 bytes, and whatever it calls itself
	args []string // none for the kernel's own
}

// listProcesses are all that can be seen, in the order of their IDs.
func (n *node) listProcesses() []process {
	procs, err := procfs.NewFS(n.path("proc"))
	if err != nil {
		return nil
	}
	all, err := procs.AllProcs()
	if err != nil {
		return nil
	}
	list := make([]process, 0, len(all))
	for _, p := range all {
		comm, err := p.Comm()
		if err != nil {
			continue // it has ended
		}
		args, _ := p.CmdLine() // what has ended has none
		list = append(list, process{p, comm, args})
	}
	sortByPID(list)
	return list
}

// program is the name of what a process runs: of its first argument, for comm is
// cut, and is a thread's.
func (p process) program() string {
	if len(p.args) == 0 {
		return p.comm
	}
	return filepath.Base(p.args[0])
}

// inPod reports whether a process is a container's of a pod. Its cgroup tells, or,
// seen from within the pod, where that is the top one, what kubelet sets.
func (p process) inPod() bool {
	environment, _ := p.Environ() // another user's cannot be seen
	for _, v := range environment {
		if strings.HasPrefix(v, "KUBERNETES_SERVICE_HOST=") {
			return true
		}
	}
	groups, err := p.Cgroups()
	if err != nil {
		return false
	}
	for _, g := range groups {
		if strings.Contains(g.Path, "kubepods") {
			return true
		}
	}
	return false
}

// uid is a process's effective user; -1 if it cannot be told.
func (p process) uid() int {
	st, err := p.NewStatus()
	if err != nil {
		return -1
	}
	return int(st.UIDs[1])
}

// isolated reports whether only a container's own processes can be seen: the
// number is that of the kernel's first PID namespace, in each of its builds.
func (n *node) isolated() bool {
	ns, err := os.Readlink(n.path("proc/self/ns/pid"))
	return err == nil && ns != "pid:[4026531836]"
}

// onlyOwn is what to add when a process was not found.
func (n *node) onlyOwn(c Check) Check {
	if !n.isolated() {
		return c
	}
	return c.because("Only the processes of this PID namespace can be seen: run doctor on the node itself, or in a pod with hostPID.")
}
