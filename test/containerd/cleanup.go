package containerd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dirPrefix  = "logwatch-containerd-"
	lockName   = "owner.lock"
	socketName = "containerd.sock"
	// longestSocket is the longest name that containerd derives from the socket's.
	longestSocket = socketName + ".ttrpc"
	// forceTimeout bounds the wait for the end of killed processes.
	forceTimeout = 10 * time.Second
)

// makeDir creates the private directory and its lock. The lock proves that the owner
// is alive: the kernel releases it with the process, however that ends.
func makeDir(base string) (dir string, unlock func(), err error) {
	base, err = baseDir(base)
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(base, dirPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("create a directory for containerd: %w", err)
	}
	// Locked before it has its name: RemoveStale of another process must not find
	// a lock that is not held yet.
	unnamed := filepath.Join(dir, lockName+".new")
	lock, err := os.OpenFile(unnamed, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("create the owner's lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock %s: %w", unnamed, err), lock.Close())
	}
	if err := os.Rename(unnamed, filepath.Join(dir, lockName)); err != nil {
		return "", nil, errors.Join(fmt.Errorf("rename the owner's lock: %w", err), lock.Close())
	}
	return dir, func() { _ = lock.Close() }, nil
}

// baseDir resolves links, since /proc/mounts and command lines are compared
// with paths below it.
func baseDir(base string) (string, error) {
	const random = 10 // digits that MkdirTemp adds, at most
	fits := func(dir string) bool {
		return len(dir)+len("/")+len(dirPrefix)+random+len("/")+len(longestSocket) <= maxSocketPath
	}
	given := base != ""
	if !given {
		if base = os.TempDir(); !fits(base) {
			base = "/tmp"
		}
	}
	abs, err := filepath.Abs(base)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", fmt.Errorf("find a directory for containerd: %w", err)
	}
	if !fits(abs) {
		return "", fmt.Errorf("create a directory for containerd in %s: a socket's path would exceed %d bytes; set BaseDir or TMPDIR to a shorter one", abs, maxSocketPath)
	}
	return abs, nil
}

// RemoveStale removes what dead test processes left in base (empty: as for
// Options.BaseDir): containers, shims, mounts, cgroups, the directory. What belongs to
// a running process is not touched. log, if not nil, is called with what is removed.
func RemoveStale(base string, log func(string)) error {
	base, err := baseDir(base)
	if err != nil {
		return err
	}
	locks, err := filepath.Glob(filepath.Join(base, dirPrefix+"*", lockName))
	if err != nil {
		return fmt.Errorf("find remains of dead tests in %s: %w", base, err)
	}
	for _, path := range locks {
		if err := removeIfStale(path, log); err != nil {
			return err
		}
	}
	return nil
}

func removeIfStale(lockPath string, log func(string)) error {
	lock, err := os.OpenFile(lockPath, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed by its owner
	}
	if err != nil {
		return fmt.Errorf("open the lock of a dead test: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil // its owner is alive
	}
	dir := filepath.Dir(lockPath)
	if log != nil {
		log("removing remains of a dead test in " + dir)
	}
	return destroy(dir)
}

// destroy removes by force the processes and mounts of dir, then dir. It removes no
// file while anything is mounted below: that could be any file system.
func destroy(dir string) error {
	if !strings.HasPrefix(filepath.Base(dir), dirPrefix) {
		return fmt.Errorf("remove %s: not a directory that Start created", dir)
	}
	deadline := time.Now().Add(forceTimeout)
	for {
		// Containers first: a dead shim cannot reap them. Repeated, since a dying shim
		// may still start its cleanup.
		pids := append(cgroupProcesses(dir), processesOf(dir)...)
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d of %s: %w", pid, dir, err)
			}
		}
		if len(pids) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove %s: processes %v do not end; kill them, then remove it", dir, pids)
		}
		time.Sleep(poll)
	}
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w; unmount it, then remove %s", mount, err, dir)
		}
	}
	if mounts, err = mountsBelow(dir); err != nil || len(mounts) > 0 {
		return errors.Join(err, fmt.Errorf("remove %s: still mounted below it: %v; unmount that", dir, mounts))
	}
	for _, group := range cgroups(dir) {
		if err := removeCgroup(group); err != nil {
			return err
		}
	}
	return errors.Join(removeShimSockets(dir), os.RemoveAll(dir))
}

// shimSocket matches a shim's socket in containerd's files.
var shimSocket = regexp.MustCompile(`unix://(/run/containerd/s/[0-9a-f]+)`)

// shimSockets returns the sockets of the shims in dir, the only files outside of it.
func shimSockets(dir string) []string {
	// One directory per shim, by CRI's namespace and the sandbox's ID; containerd 1
	// records the socket in "address", containerd 2 in "bootstrap.json".
	notes, _ := filepath.Glob(filepath.Join(dir, "state", "*", "k8s.io", "*", "[ab]*")) // the pattern is valid
	var sockets []string
	for _, note := range notes {
		content, err := os.ReadFile(note)
		if err != nil {
			continue // a directory, or removed in the meantime
		}
		if found := shimSocket.FindSubmatch(content); found != nil {
			sockets = append(sockets, string(found[1]))
		}
	}
	return sockets
}

// removeShimSockets removes the sockets of killed shims; others remove their own.
func removeShimSockets(dir string) error {
	var errs []error
	for _, socket := range shimSockets(dir) {
		if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove a dead shim's socket: %w", err))
		}
	}
	return errors.Join(errs...)
}

// leftovers returns the processes and mounts of dir.
func leftovers(dir string) []string {
	var left []string
	for _, pid := range processesOf(dir) {
		left = append(left, fmt.Sprintf("process %d", pid))
	}
	for _, pid := range cgroupProcesses(dir) {
		left = append(left, fmt.Sprintf("container process %d", pid))
	}
	mounts, err := mountsBelow(dir)
	if err != nil {
		left = append(left, err.Error())
	}
	for _, mount := range mounts {
		left = append(left, "mount "+mount)
	}
	return left
}

// programs are the programs of containerd. A process of another name with a path in
// the directory, such as the program under test, must not be killed.
var programs = []string{"containerd", shimName, "runc"}

const shimName = "containerd-shim-runc-v2"

// processesOf returns the daemon, the shims and the runc calls of the containerd in
// dir. Each has a path in it as an argument: configuration, socket or state.
func processesOf(dir string) []int { return findProcesses(dir, programs...) }

// shims returns the shim processes of the containerd in dir.
func shims(dir string) []int { return findProcesses(dir, shimName) }

// findProcesses returns those that run one of names and have an argument in dir.
func findProcesses(dir string, names ...string) []int {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is valid
	var pids []int
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil || len(line) == 0 {
			continue // ended in the meantime, a zombie or a kernel thread
		}
		args := strings.Split(string(line), "\x00")
		inDir := func(arg string) bool { return strings.HasPrefix(arg, dir+"/") }
		if !slices.Contains(names, filepath.Base(args[0])) || !slices.ContainsFunc(args[1:], inDir) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// mountsBelow returns the mount points below dir, the deepest first.
func mountsBelow(dir string) ([]string, error) {
	table, err := mountTable()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, m := range table {
		if strings.HasPrefix(m.point, dir+"/") {
			found = append(found, m.point)
		}
	}
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return found, nil
}

type mountEntry struct{ point, fsType string }

// mountTable reads /proc/self/mounts, where white space is escaped.
func mountTable() ([]mountEntry, error) {
	content, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var table []mountEntry
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) >= 3 {
			table = append(table, mountEntry{point: unescape.Replace(fields[1]), fsType: fields[2]})
		}
	}
	return table, nil
}

// cgroupParent returns the cgroup of all pods of the containerd in dir.
func cgroupParent(dir string) string { return "/" + filepath.Base(dir) }

// cgroups returns the directories of cgroupParent: one with cgroup v2, one per
// hierarchy with v1.
func cgroups(dir string) []string {
	table, err := mountTable()
	if err != nil {
		return nil
	}
	var found []string
	for _, m := range table {
		if m.fsType == "cgroup" || m.fsType == "cgroup2" {
			path := filepath.Join(m.point, cgroupParent(dir))
			if _, err := os.Stat(path); err == nil {
				found = append(found, path)
			}
		}
	}
	return found
}

// cgroupProcesses returns the processes of all containers, sandboxes included.
func cgroupProcesses(dir string) []int {
	var pids []int
	for _, root := range cgroups(dir) {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return nil // a cgroup that was removed in the meantime
			}
			content, _ := os.ReadFile(path)
			for field := range strings.FieldsSeq(string(content)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// removeCgroup removes a cgroup from the innermost directory outwards: only
// directories can be removed, not the kernel's files in them.
func removeCgroup(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, dir := range slices.Backward(dirs) {
		if rmErr := os.Remove(dir); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("remove cgroup: %w", rmErr))
		}
	}
	return err
}
