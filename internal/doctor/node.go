package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// node is what the checks examine. What several checks need is found once, by the
// first that needs it.
type node struct {
	root string // of the files that are read
	sys  system
	file string // the configuration that was named; "": none
	proc procfs.FS

	processes func() []process
	settings  func() settings
	daemon    func() daemonProcess
	status    func() daemonStatus
	tree      func() tree
	kubelet   func() kubelet
	inotify   func() inotifyUse
	disk      func() disk
	runtime   func() runtimeAnswers
}

// system is the rest of the kernel's interface. Tests replace it.
type system struct {
	euid     int
	now      func() time.Time
	statfs   func(path string, st *unix.Statfs_t) error
	access   func(path string, mode uint32) error
	adjtimex func(*unix.Timex) (state int, err error)
	rename   func(dir string, known bool, flag uint) error // see tryRename
	podLogs  func(podLogsDir string) podlogs.FS
	pause    func(context.Context) // before what is normal for a moment is checked again

	// holder returns the process that holds the lock of a podLogsDir.
	holder func(podLogsDir string) (pid int, err error)
	// peer returns the process that listens on a control socket, and status what
	// it answers.
	peer   func(ctx context.Context, socket string) (unix.Ucred, error)
	status func(ctx context.Context, socket string) (api.Status, error)
}

func realSystem() system {
	return system{
		euid: os.Geteuid(), now: time.Now, statfs: unix.Statfs, adjtimex: unix.Adjtimex,
		access: func(path string, mode uint32) error {
			return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
		},
		rename: tryRename, podLogs: podlogs.At,
		holder: agent.Find, peer: peerOf,
		pause: func(ctx context.Context) {
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		},
		status: func(ctx context.Context, socket string) (api.Status, error) {
			return api.NewClient(socket).Status(ctx, api.Names{}, false)
		},
	}
}

func newNode(ctx context.Context, o Options) *node {
	n := &node{root: cmp.Or(o.root, "/"), file: o.ConfigFile, sys: realSystem()}
	if o.system != nil {
		n.sys = *o.system
	}
	n.proc, _ = procfs.NewFS(n.path("proc")) // without it no process is found
	n.processes = sync.OnceValue(n.listProcesses)
	n.settings = sync.OnceValue(n.findSettings)
	n.daemon = sync.OnceValue(func() daemonProcess { return n.findDaemon(ctx) })
	n.status = sync.OnceValue(func() daemonStatus { return n.askDaemon(ctx) })
	n.tree = sync.OnceValue(n.listTree)
	n.kubelet = sync.OnceValue(n.findKubelet)
	n.inotify = sync.OnceValue(n.countInotify)
	n.disk = sync.OnceValue(n.readDisk)
	n.runtime = sync.OnceValue(func() runtimeAnswers { return n.askRuntime(ctx) })
	return n
}

// path returns where a path of the node is.
func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.root}, parts...)...)
}

// shown is the reverse of path.
func (n *node) shown(path string) string {
	if rel, err := filepath.Rel(n.root, path); err == nil {
		return "/" + rel
	}
	return path
}

// seenBy returns where a path of a process is: the process may have another root,
// as in a container, and its own working directory.
func (n *node) seenBy(pid int, path string) string {
	proc := n.path("proc", strconv.Itoa(pid))
	if !filepath.IsAbs(path) {
		if cwd, err := os.Readlink(proc + "/cwd"); err == nil {
			path = filepath.Join(cwd, path)
		}
	}
	if _, err := os.Stat(proc + "/root/"); err != nil {
		return n.path(path) // another user's process: the node's path is the best guess
	}
	return filepath.Join(proc, "root", path)
}

// maxFileBytes bounds what is read of a file: no configuration is as large.
const maxFileBytes = 4 << 20

// read reads a regular file: a FIFO would block, and a device may have no end.
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
		return nil, fmt.Errorf("read %s: not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("read %s: larger than %d MiB", path, maxFileBytes>>20)
	}
	return data, err
}

func (n *node) exists(path string) bool {
	_, err := os.Lstat(n.path(path))
	return err == nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return filepath.Clean(a) == filepath.Clean(b)
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// sysctl reads a number of the kernel's.
func (n *node) sysctl(key string) (int, error) {
	values, err := n.proc.SysctlInts(key)
	if err != nil || len(values) == 0 {
		return 0, cmp.Or(err, errors.New("empty"))
	}
	return values[0], nil
}

// peerOf connects to a Unix socket, and returns the process that listens there.
func peerOf(ctx context.Context, socket string) (unix.Ucred, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return unix.Ucred{}, err
	}
	defer conn.Close()                    //nolint:errcheck // nothing was sent
	f, err := conn.(*net.UnixConn).File() // which the network "unix" always has
	if err != nil {
		return unix.Ucred{}, err
	}
	defer f.Close() //nolint:errcheck // as above
	cred, err := unix.GetsockoptUcred(int(f.Fd()), unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return unix.Ucred{}, fmt.Errorf("peer of %s: %w", socket, err)
	}
	return *cred, nil
}

// noPermission reports whether err is a missing permission that root has: then it is
// not a problem of the node.
func (n *node) noPermission(err error) bool {
	return n.sys.euid != 0 && errors.Is(err, fs.ErrPermission)
}

// skipUnreadable is the Check without what it needs to read.
func skipUnreadable(what string, err error) Check {
	return found(Skip, "%s cannot be read", what).cause(err)
}

// orNoPermission skips a Check whose cause is that this user is not root.
func (n *node) orNoPermission(c Check) Check {
	if !n.noPermission(c.err) {
		return c
	}
	return found(Skip, "it cannot be checked as user %d", n.sys.euid).detail("%v", c.err).run(n.asRoot())
}

// asRoot is this command as root.
func (n *node) asRoot() command {
	if n.file == "" {
		return "sudo logwatch doctor"
	}
	return command("sudo logwatch doctor --config " + quote(n.file))
}

// process is a running process with a command line.
type process struct {
	procfs.Proc
	args []string
}

// listProcesses returns all visible processes, in the order of their IDs.
func (n *node) listProcesses() (list []process) {
	all, _ := n.proc.AllProcs() // none can be seen
	sort.Sort(all)
	for _, p := range all {
		if args, err := p.CmdLine(); err == nil && len(args) > 0 { // else it has ended, or is the kernel's
			list = append(list, process{p, args})
		}
	}
	return list
}

// program is the name under which a process was started, which may be any.
func (p process) program() string { return filepath.Base(p.args[0]) }

// inPod reports whether a process is a pod's: its cgroup shows it, or, from within
// the pod, where that is the root, a variable that kubelet sets.
func (p process) inPod() bool {
	environment, _ := p.Environ() // another user's cannot be read
	return p.inCgroup(strings.Contains, "kubepods") ||
		slices.ContainsFunc(environment, func(v string) bool { return strings.HasPrefix(v, "KUBERNETES_SERVICE_HOST=") })
}

// inCgroup reports whether the path of a process's cgroup matches.
func (p process) inCgroup(match func(path, part string) bool, part string) bool {
	groups, _ := p.Cgroups()
	return slices.ContainsFunc(groups, func(g procfs.Cgroup) bool { return match(g.Path, part) })
}

// uid is a process's effective user; -1: unknown.
func (p process) uid() int {
	st, err := p.NewStatus()
	if err != nil {
		return -1
	}
	return int(st.UIDs[1])
}

// trusted reports whether a user is root or this one: processes of others may
// have any name.
func (n *node) trusted(uid int) bool { return uid == 0 || uid == n.sys.euid }

// isolated reports whether only the processes of a container are visible: the
// number is that of the kernel's first PID namespace, in each of its builds.
func (n *node) isolated() bool {
	self, err := n.proc.Self()
	if err != nil {
		return false
	}
	ns, err := self.Namespaces()
	return err == nil && ns["pid"].Inode != 4026531836
}

// orHidden adds to a check that found no process why that may be.
func (n *node) orHidden(c Check) Check {
	if !n.isolated() {
		return c
	}
	return c.detail("Only the processes of this PID namespace are visible: run doctor on the node itself, or in a pod with hostPID.")
}
