package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// needed are the capabilities of a daemon that is not root: docs/PRIVILEGES.md.
var needed = []struct {
	bit       uint
	name, use string
	vital     bool
}{
	{unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "rename and remove root's logs", true},
	{unix.CAP_CHOWN, "CAP_CHOWN", "give a compressed log its source's owner", false},
	{unix.CAP_FOWNER, "CAP_FOWNER", "give a compressed log its source's mode", false},
	{unix.CAP_LEASE, "CAP_LEASE", "prove that nobody writes a rotated log", false},
}

// checkPrivileges looks at the daemon that runs, or at this process.
func checkPrivileges(_ context.Context, n *node) Check {
	pid, who := "self", "this process"
	if w := n.worker(); w.pid != 0 {
		pid, who = fmt.Sprint(w.pid), fmt.Sprintf("the daemon (process %d)", w.pid)
	}
	st, err := n.statusOf(pid)
	if err != nil {
		return skip("the rights of %s cannot be seen", who).because("%v", err)
	}
	if st.uid == 0 {
		return okay("%s is root, and needs no capability", who)
	}
	var dir unix.Stat_t
	if unix.Stat(n.path(n.settings().PodLogsDir), &dir) == nil && int(dir.Uid) == st.uid {
		return okay("%s is user %d, who owns podLogsDir", who, st.uid)
	}
	var missing []string
	vital := false
	for _, c := range needed {
		if st.capabilities&(1<<c.bit) == 0 {
			missing = append(missing, fmt.Sprintf("%s, to %s", c.name, c.use))
			vital = vital || c.vital
		}
	}
	switch {
	case len(missing) == 0:
		return okay("%s is user %d, and has every capability that it needs", who, st.uid)
	case pid == "self":
		return warn("this is user %d, without the rights of the daemon", st.uid).
			because("The daemon runs as root. What cannot be seen without is skipped.").do(n.again())
	}
	c := warn("%s is user %d and lacks %s", who, st.uid, plural(len(missing), "capability", "capabilities"))
	if vital {
		c.Status = Fail
	}
	for _, m := range missing {
		c = c.because("%s.", m)
	}
	return c.mend("systemctl edit logwatch # [Service] User=root; or AmbientCapabilities= with those above. In a pod: securityContext.runAsUser: 0")
}

type rights struct {
	uid          int
	capabilities uint64
}

func (n *node) statusOf(pid string) (r rights, err error) {
	data, err := read(n.path("proc", pid, "status"))
	if err != nil {
		return r, err
	}
	found := 0
	for l := range strings.Lines(string(data)) {
		var ignored int
		if _, err := fmt.Sscanf(l, "Uid: %d %d", &ignored, &r.uid); err == nil {
			found++
		} else if _, err := fmt.Sscanf(l, "CapEff: %x", &r.capabilities); err == nil {
			found++
		}
	}
	if found != 2 {
		return r, fmt.Errorf("read /proc/%s/status: no Uid and CapEff in it", pid)
	}
	return r, nil
}

// checkPodLogsDir looks at the directory as the daemon sees it: a service may
// have it read-only while the node has not.
func checkPodLogsDir(_ context.Context, n *node) Check {
	dir, w := n.settings().PodLogsDir, n.worker()
	path := n.path(dir)
	st, err := os.Stat(path)
	switch {
	case n.blind(err):
		return n.unseen(dir, err)
	case errors.Is(err, fs.ErrNotExist):
		c := fail("podLogsDir %s does not exist", dir).because("logwatch waits for it. kubelet makes it when its first pod starts.")
		if k := n.kubelet(); k.found && k.PodLogsDir != dir {
			return c.because("kubelet has its logs in %s.", k.PodLogsDir).do(n.set("podLogsDir", quote(k.PodLogsDir)))
		}
		if k := n.kubelet(); k.found {
			return c.do(n.ctl("status", "kubelet"))
		}
		return c.mend("mkdir -p -m 0750 %s", dir)
	case err != nil:
		return fail("podLogsDir %s cannot be looked at", dir).because("%v", err).mend("findmnt --target %s", dir)
	case !st.IsDir():
		return fail("podLogsDir %s is not a directory", dir).do(n.set("podLogsDir", "/var/log/pods"))
	}
	switch err := n.sys.access(path, writable); {
	case n.blind(err):
		return n.unseen(dir, err)
	case errors.Is(err, unix.EROFS):
		return fail("podLogsDir %s is read-only", dir).
			because("Nothing can be renamed. A disk that had errors is made read-only by the kernel: look at dmesg first.").
			mend("mount -o remount,rw \"$(findmnt --noheadings --output TARGET --target %s)\"", dir)
	case err != nil:
		return fail("podLogsDir %s cannot be read and written", dir).because("%v", err).mend("ls -ld %s", dir)
	}
	if w.pid != 0 {
		if err := n.sys.access(n.seenBy(w.pid, dir), writable); errors.Is(err, unix.EROFS) {
			return fail("the daemon (process %d) has podLogsDir %s read-only", w.pid, dir).
				because("Its service or its pod gives it no more: ReadWritePaths of the unit, or readOnly of the volume.").
				do(command("mkdir -p /etc/systemd/system/logwatch.service.d && printf '[Service]\\nReadWritePaths=%s\\n' " + quote(dir) +
					" > /etc/systemd/system/logwatch.service.d/pods.conf && systemctl daemon-reload && systemctl restart logwatch"))
		} else if errors.Is(err, fs.ErrNotExist) {
			return fail("the daemon (process %d) does not see podLogsDir %s", w.pid, dir).
				because("It is in a container without that volume.").
				mend("kubectl get daemonsets --all-namespaces | grep logwatch # mount the hostPath %s at the same path", dir)
		}
	}
	if k := n.kubelet(); k.found && filepath.Clean(k.PodLogsDir) != filepath.Clean(dir) {
		return fail("podLogsDir is %s, and kubelet's is %s", dir, k.PodLogsDir).
			because("kubelet's is so %s. Logs elsewhere are not rotated.", k.origin("podLogsDir")).
			do(n.set("podLogsDir", quote(k.PodLogsDir)))
	}
	return okay("podLogsDir %s can be read and written", dir)
}

// errUntried: nothing was found to try it on.
var errUntried = errors.New("there is nothing to try it on without disturbing anybody")

// knownFS are the file systems whose renameat2(2) has RENAME_NOREPLACE.
var knownFS = map[uint32]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.TMPFS_MAGIC: "tmpfs", unix.F2FS_SUPER_MAGIC: "f2fs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
}

// otherFS are others that nodes have.
var otherFS = map[uint32]string{
	unix.NFS_SUPER_MAGIC: "nfs", unix.CIFS_SUPER_MAGIC: "cifs", unix.SMB2_SUPER_MAGIC: "smb",
	unix.FUSE_SUPER_MAGIC: "fuse", 0x2fc12fc1: "zfs", unix.MSDOS_SUPER_MAGIC: "vfat",
}

func checkRename(_ context.Context, n *node) Check {
	dir := n.settings().PodLogsDir
	var st unix.Statfs_t
	if err := n.sys.statfs(n.path(dir), &st); err != nil {
		return skip("podLogsDir cannot be looked at: see pod-logs-dir")
	}
	magic := uint32(st.Type) // its type differs between architectures
	name, known := knownFS[magic]
	if !known {
		if name = otherFS[magic]; name == "" {
			name = fmt.Sprintf("a file system of type %#x", magic)
		}
	}
	move := func(c Check) Check {
		return c.because("logwatch renames a log without ever replacing another, and must not do it otherwise. ext4, xfs, btrfs, f2fs and tmpfs have it.").
			mend("findmnt --target %s # put one of those there", dir)
	}
	switch err := n.sys.noReplace(n.path(dir), known); {
	case err == nil && known:
		return okay("%s has RENAME_NOREPLACE", name)
	case err == nil:
		return okay("%s has RENAME_NOREPLACE: a rename was tried beside podLogsDir", name)
	case errors.Is(err, errUntried):
		return move(warn("%s is not known to have RENAME_NOREPLACE", name).because("%v.", err))
	case errors.Is(err, unix.EROFS):
		return skip("podLogsDir is read-only: see pod-logs-dir")
	case n.blind(err):
		return n.unseen("whether logs can be renamed", err)
	case errors.Is(err, unix.EINVAL):
		return move(fail("%s lacks RENAME_NOREPLACE", name).because("%v", err))
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		return fail("the system call renameat2 is not allowed here").because("%v: a seccomp filter, or a kernel before 3.15.", err).
			mend("uname -r; grep Seccomp /proc/self/status")
	default:
		return fail("a log could not be renamed").because("%v", err).mend("findmnt --target %s", dir)
	}
}

// tryRename first renames a name that does not exist, in dir: that says whether
// the kernel lets us, and touches nothing. Whether the file system has it shows in
// a real rename alone. It is tried beside dir, not in it.
func tryRename(dir string, known bool) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd) //nolint:errcheck // opened for reading
	nobody := fmt.Sprintf(".logwatch-doctor-%d-does-not-exist", os.Getpid())
	if err := unix.Renameat2(fd, nobody, fd, nobody+"-either", unix.RENAME_NOREPLACE); !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "renameat2", Path: dir, Err: err}
	}
	if known {
		return nil
	}
	beside := filepath.Dir(filepath.Clean(dir))
	var here, there unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &here), unix.Stat(beside, &there)); err != nil || here.Dev != there.Dev {
		return fmt.Errorf("%w: %s is the top of its file system", errUntried, dir)
	}
	tmp, err := os.MkdirTemp(beside, ".logwatch-doctor-")
	if err != nil {
		return fmt.Errorf("%w: %w", errUntried, err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // an empty folder of ours, at worst
	if err := os.WriteFile(tmp+"/a", nil, 0o600); err != nil {
		return fmt.Errorf("%w: %w", errUntried, err)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, tmp+"/a", unix.AT_FDCWD, tmp+"/b", unix.RENAME_NOREPLACE); err != nil {
		return &fs.PathError{Op: "renameat2", Path: tmp, Err: err}
	}
	return nil
}

func checkLeases(_ context.Context, n *node) Check {
	const why = "Without a lease, age and a size that does not change decide when nobody writes a rotated log any more: it is compressed and removed later."
	if on, err := n.number("proc/sys/fs/leases-enable"); err == nil && on == 0 {
		return warn("file leases are off on this node").because(why).do(sysctl("fs.leases-enable", 1))
	}
	dir := n.settings().PodLogsDir
	switch err := n.sys.lease(n.path(dir), n.tree().rotated); {
	case err == nil:
		return okay("a lease on a file proves that nobody writes it")
	case errors.Is(err, errUntried):
		return skip("whether file leases work was not tried").because("%v", err)
	case errors.Is(err, fs.ErrNotExist):
		return skip("podLogsDir cannot be looked at: see pod-logs-dir")
	case n.blind(err):
		return n.unseen("whether file leases work", err)
	default:
		return warn("file leases do not work in %s", dir).because("%v", err).because(why).
			mend("findmnt --target %s # a local file system such as ext4 or xfs has them", dir)
	}
}

// tryLease takes the lease that the rotator takes, on a file without a name: no
// other can see it, and it is gone when it is closed. Where there are no such
// files it takes it on a rotated log, as housekeeping does all the time.
func tryLease(dir string, rotated []string) error {
	f, err := unnamed(dir)
	borrowed := false
	switch {
	case err == nil:
	case !slices.ContainsFunc([]error{unix.EOPNOTSUPP, unix.EISDIR, unix.EROFS, unix.ENOSPC, unix.EDQUOT}, func(e error) bool { return errors.Is(err, e) }):
		return err
	case len(rotated) == 0:
		return fmt.Errorf("%w: %w", errUntried, err)
	default:
		borrowed = true
		if f, err = os.OpenFile(rotated[0], os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0); err != nil {
			return fmt.Errorf("%w: %w", errUntried, err)
		}
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		if borrowed && errors.Is(err, unix.EAGAIN) {
			return nil // somebody writes it: that is an answer
		}
		return &fs.PathError{Op: "take a lease on", Path: f.Name(), Err: err}
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return err
}

// unnamed opens a new file that is in no directory, for reading alone.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &fs.PathError{Op: "make a file without a name in", Path: dir, Err: err}
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	return f, errors.Join(err, unix.Close(fd))
}
