package systemd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/testutil"
)

const (
	prefix = "logwatch-systemd-"
	// stopAtMost is for the machine to shut down by itself.
	stopAtMost = 20 * time.Second
	poll       = 20 * time.Millisecond
)

// machine is a booted systemd.
type machine struct {
	t      *testing.T
	dir    string // empty, for the machine's mounts; locked while we live
	lock   *os.File
	cmd    *exec.Cmd // systemd-nspawn
	exited chan struct{}
	init   int // the machine's process 1
}

// boot runs in a separate mount namespace, so that nothing stays mounted. It removes the
// units that are enabled on this machine, and sets a time zone other than UTC.
const boot = `
set -e
for group in $3; do echo $$ >"$group/cgroup.procs"; done
mount -t tmpfs -o mode=755 logwatch "$2"
mkdir "$2/upper" "$2/work" "$2/root" "$2/run"
mount -t overlay logwatch -o "lowerdir=$4,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/fstab
rm -rf etc/systemd/system/logwatch.service* etc/systemd/system/containerd.service* etc/logwatch var/log/pods
ln -sf /usr/share/zoneinfo/Asia/Kolkata etc/localtime
mkdir -p /run/systemd/nspawn
mount -t tmpfs logwatch /run/systemd/nspawn
exec systemd-nspawn --quiet --directory="$2/root" --machine="$1" --register=no --keep-unit --private-network \
	--console=pipe --link-journal=no --resolv-conf=off --timezone=off --kill-signal=SIGRTMIN+3 \
	--system-call-filter='@keyring bpf' \
	$5 /bin/sh -c '
		# systemd-nspawn lets nobody make cgroups without a user namespace. These are
		# the machine'"'"'s own.
		for c in /sys/fs/cgroup /sys/fs/cgroup/*; do
			! mountpoint -q "$c" || mount -o remount,bind,rw "$c"
		done
		mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers /var/lib/dpkg/parts
		touch /var/lib/dpkg/status /var/lib/dpkg/available
		exec /lib/systemd/systemd'
`

// ownPackages hides this machine's package databases from a machine with its root.
const ownPackages = "--tmpfs=/var/lib/dpkg:mode=755 --tmpfs=/etc/dpkg/dpkg.cfg.d:mode=755 --tmpfs=/var/lib/rpm:mode=755"

// newMachine boots a machine with an overlay of root as its root, until the test ends.
func newMachine(t *testing.T, root string) *machine {
	t.Helper()
	hide := ""
	if root == "/" {
		hide = ownPackages
	}
	removeStale(t)
	m := &machine{t: t, exited: make(chan struct{})}
	var err error
	if m.dir, err = os.MkdirTemp("", prefix); err != nil {
		t.Fatal(err)
	}
	if m.lock, err = lockDir(m.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.stop)
	groups, err := makeCgroups(m.name())
	if err != nil {
		t.Fatal(err)
	}
	console, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text, _ := os.ReadFile(console.Name()); t.Failed() {
			t.Logf("the machine's console:\n%s", text[max(0, len(text)-4000):])
		}
		_ = console.Close() // written by others
	})
	m.cmd = exec.Command("unshare", "--mount", "--propagation=private", "sh", "-c", boot, "sh", m.name(), m.dir, strings.Join(groups, " "), root, hide)
	m.cmd.Stdout, m.cmd.Stderr = console, console
	m.cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel kills with the thread that has started it, so this one stays.
		runtime.LockOSThread()
		defer close(m.exited)
		err := m.cmd.Start()
		started <- err
		if err == nil {
			_ = m.cmd.Wait() // it is stopped by a signal
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the machine to boot", func() bool {
		if m.ended() {
			t.Fatal("the machine has ended before it was up")
		}
		if m.init == 0 {
			m.init = childInit(m.cmd.Process.Pid)
			return false
		}
		state, _ := m.try("systemctl", "is-system-running") // not yet
		return state == "running" || state == "degraded"
	})
	return m
}

func (m *machine) name() string { return filepath.Base(m.dir) }

func (m *machine) ended() bool {
	select {
	case <-m.exited:
		return true
	default:
		return false
	}
}

// path returns where a file of the machine is visible to this process. Absolute links
// would be followed in this process's root.
func (m *machine) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(m.init), "root", name)
}

// try runs a command in the machine; output has both streams.
func (m *machine) try(args ...string) (output string, err error) {
	enter := []string{
		"--target", strconv.Itoa(m.init), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root",
		"env", "--ignore-environment", "--chdir=/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root", "DEBIAN_FRONTEND=noninteractive",
	}
	out, err := exec.Command("nsenter", append(enter, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run runs a command in the machine, and fails the test if it fails.
func (m *machine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.try(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// show returns a property of a unit.
func (m *machine) show(t *testing.T, unit, property string) string {
	t.Helper()
	return m.run(t, "systemctl", "show", "--value", "--property="+property, unit)
}

// write replaces a file atomically, as editors and configuration management do.
func (m *machine) write(t *testing.T, name, text string) {
	t.Helper()
	path := m.path(name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) exists(name string) bool {
	_, err := os.Lstat(m.path(name))
	return err == nil
}

// stop shuts down the machine and removes what is left.
func (m *machine) stop() {
	if m.cmd != nil && m.cmd.Process != nil && !m.ended() {
		_ = m.cmd.Process.Signal(unix.SIGTERM) // systemd-nspawn passes on --kill-signal
		select {
		case <-m.exited:
		case <-time.After(stopAtMost):
			m.t.Errorf("the machine does not shut down in %v", stopAtMost)
			_ = m.cmd.Process.Kill() // its children die with it
			<-m.exited
		}
	}
	if err := remove(m.dir); err != nil {
		m.t.Error(err)
	}
	if m.lock != nil {
		_ = m.lock.Close() // a directory, opened to be locked
	}
}

// childInit finds the child of pid that is process 1 in its namespace.
func childInit(pid int) int {
	files, _ := filepath.Glob("/proc/[0-9]*/status") // the pattern is good
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // ended in the meantime
		}
		field := func(name string) []string {
			_, rest, _ := strings.Cut(string(text), "\n"+name+":")
			line, _, _ := strings.Cut(rest, "\n")
			return strings.Fields(line)
		}
		if ns := field("NSpid"); len(ns) > 1 && ns[len(ns)-1] == "1" && slices.Equal(field("PPid"), []string{strconv.Itoa(pid)}) {
			found, _ := strconv.Atoi(ns[0]) // the kernel's
			return found
		}
	}
	return 0
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// removeStale removes what killed tests left, whose locks are free.
func removeStale(t *testing.T) {
	t.Helper()
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*")) // the pattern is good
	for _, dir := range dirs {
		f, err := lockDir(dir)
		if err != nil {
			continue // its owner lives
		}
		t.Logf("removing what a killed test has left in %s", dir)
		if err := errors.Join(remove(dir), f.Close()); err != nil {
			t.Error(err)
		}
	}
}

// remove kills the processes in a machine's cgroups, and removes the cgroups and dir.
func remove(dir string) error {
	deadline := time.Now().Add(stopAtMost)
	for {
		var errs []error
		for _, root := range cgroupRoots() {
			errs = append(errs, removeCgroup(filepath.Join(root, filepath.Base(dir))))
		}
		err := errors.Join(errs...)
		if err == nil {
			return os.Remove(dir) // its mounts went with their namespace
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(poll)
	}
}

func removeCgroup(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			dirs = append(dirs, path)
		case entry.Name() == "cgroup.procs":
			pids, _ := os.ReadFile(path) // removed in the meantime, or threaded
			for pid := range bytes.FieldsSeq(pids) {
				if n, err := strconv.Atoi(string(pid)); err == nil && n > 0 {
					_ = unix.Kill(n, unix.SIGKILL) // it may have ended
				}
			}
		}
		return nil
	})
	for _, dir := range slices.Backward(dirs) {
		if e := os.Remove(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// cgroupRoots returns the hierarchies: one with cgroup v2, one per controller with v1.
func cgroupRoots() []string {
	text, _ := os.ReadFile("/proc/self/mounts") // without /proc nothing works here
	var roots []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && (f[2] == "cgroup" || f[2] == "cgroup2") {
			roots = append(roots, f[1])
		}
	}
	return roots
}

// makeCgroups creates a cgroup in each hierarchy, as the machine's root.
func makeCgroups(name string) (dirs []string, err error) {
	for _, root := range cgroupRoots() {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
		// A cpuset of cgroup v1 takes no process before it has these.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if !strings.HasSuffix(root, "cpuset") {
				continue
			}
			value, err := os.ReadFile(filepath.Join(root, file))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, file), value, 0)
			}
			if err != nil {
				return nil, fmt.Errorf("set up a cpuset: %w", err)
			}
		}
	}
	return dirs, nil
}
