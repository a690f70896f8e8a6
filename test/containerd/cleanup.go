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
	// longestSocket is the longest name that containerd makes of our socket's.
	longestSocket = socketName + ".ttrpc"
	// forceTimeout bounds the wait for killed processes to be gone.
	forceTimeout = 10 * time.Second
)

// makeDir makes the private directory and its lock. The lock says "the owner
// lives": the kernel drops it with the process, however that ends.
func makeDir(base string) (dir string, unlock func(), err error) {
	base, err = baseDir(base)
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(base, dirPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("make a directory for containerd: %w", err)
	}
	// Locked first, named afterwards: RemoveStale of another process must not
	// find a lock that is not held yet.
	unnamed := filepath.Join(dir, lockName+".new")
	lock, err := os.OpenFile(unnamed, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("make the owner's lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock %s: %w", unnamed, err), lock.Close())
	}
	if err := os.Rename(unnamed, filepath.Join(dir, lockName)); err != nil {
		return "", nil, errors.Join(fmt.Errorf("name the owner's lock: %w", err), lock.Close())
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
		return "", fmt.Errorf("make a directory for containerd in %s: a socket's path would be over %d bytes; set BaseDir or TMPDIR to a shorter one", abs, maxSocketPath)
	}
	return abs, nil
}

// RemoveStale removes what test processes that died have left in base (empty: as
// for Options.BaseDir): containers, shims, mounts, cgroups, the directory. What
// belongs to a live process is not touched. log, if not nil, hears what was removed.
func RemoveStale(base string, log func(string)) error {
	base, err := baseDir(base)
	if err != nil {
		return err
	}
	locks, err := filepath.Glob(filepath.Join(base, dirPrefix+"*", lockName))
	if err != nil {
		return fmt.Errorf("look for remains of dead tests in %s: %w", base, err)
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
		return nil // its owner was faster
	}
	if err != nil {
		return fmt.Errorf("look at the remains of a test: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil // its owner lives
	}
	dir := filepath.Dir(lockPath)
	if log != nil {
		log("removing what a dead test has left in " + dir)
	}
	return destroy(dir)
}

// destroy removes by force whatever hangs on dir, then dir. It removes nothing
// while something is mounted below: that could be anybody's files.
func destroy(dir string) error {
	if !strings.HasPrefix(filepath.Base(dir), dirPrefix) {
		return fmt.Errorf("remove %s: not a directory that Start has made", dir)
	}
	deadline := time.Now().Add(forceTimeout)
	for {
		// Containers first: a shim that is gone can no longer reap them. Again and
		// again, since a shim that is dying may still start its clean-up.
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
			return fmt.Errorf("remove %s: processes %v do not end; look at them, then remove it by hand", dir, pids)
		}
		time.Sleep(poll)
	}
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w; unmount it by hand, then remove %s", mount, err, dir)
		}
	}
	if mounts, err = mountsBelow(dir); err != nil || len(mounts) > 0 {
		return errors.Join(err, fmt.Errorf("remove %s: still mounted below it: %v; unmount that by hand", dir, mounts))
	}
	for _, group := range cgroups(dir) {
		if err := removeCgroup(group); err != nil {
			return err
		}
	}
	return errors.Join(removeShimSockets(dir), os.RemoveAll(dir))
}

// shimSocket finds a shim's socket in what containerd notes of the shim.
var shimSocket = regexp.MustCompile(`unix://(/run/containerd/s/[0-9a-f]+)`)

// shimSockets are the sockets of the shims in dir, the only files outside of it.
func shimSockets(dir string) []string {
	// One folder a shim, by CRI's namespace and the sandbox's ID; containerd 1
	// notes the socket in "address", containerd 2 in "bootstrap.json".
	notes, _ := filepath.Glob(filepath.Join(dir, "state", "*", "k8s.io", "*", "[ab]*")) // the pattern is good
	var sockets []string
	for _, note := range notes {
		content, err := os.ReadFile(note)
		if err != nil {
			continue // a folder, or gone meanwhile
		}
		if found := shimSocket.FindSubmatch(content); found != nil {
			sockets = append(sockets, string(found[1]))
		}
	}
	return sockets
}

// removeShimSockets is for shims that were killed; others remove their own.
func removeShimSockets(dir string) error {
	var errs []error
	for _, socket := range shimSockets(dir) {
		if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove a dead shim's socket: %w", err))
		}
	}
	return errors.Join(errs...)
}

// leftovers names the processes and mounts that hang on dir.
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

// programs are what containerd is made of. A process of another name that works
// with a path in the directory, such as the program under test, is not ours to end.
var programs = []string{"containerd", shimName, "runc"}

const shimName = "containerd-shim-runc-v2"

// processesOf are the daemon, the shims and the runc calls of the containerd in
// dir. Each of them is given a path in there: configuration, socket or state.
func processesOf(dir string) []int { return findProcesses(dir, programs...) }

// shims are the shim processes of the containerd in dir.
func shims(dir string) []int { return findProcesses(dir, shimName) }

// findProcesses finds those that run one of names and have an argument in dir.
func findProcesses(dir string, names ...string) []int {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is good
	var pids []int
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil || len(line) == 0 {
			continue // gone meanwhile, a zombie or a kernel thread
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

// mountsBelow are the mount points below dir, the deepest first.
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

// cgroupParent is the cgroup of all pods of the containerd in dir.
func cgroupParent(dir string) string { return "/" + filepath.Base(dir) }

// cgroups are the folders of cgroupParent: one with cgroup v2, one for each
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

// cgroupProcesses are the processes of all containers, sandboxes included.
func cgroupProcesses(dir string) []int {
	var pids []int
	for _, root := range cgroups(dir) {
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return nil // a cgroup that goes away while we look
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

// removeCgroup removes a cgroup from the innermost folder outwards: its files
// are the kernel's, only folders can be removed.
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
