package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

var accessChecks = []check{
	{"privileges", checkPrivileges, []need{needConfig}},
	{"pod-logs-dir", checkPodLogsDir, []need{needConfig}},
	{"rename", checkRename, []need{needConfig, needDisk}},
	{"leases", checkLeases, []need{needConfig, needTree}},
}

// capabilities are those that a daemon needs that does not run as root, see
// docs/PRIVILEGES.md.
var capabilities = []struct {
	bit    uint
	name   string // and what for
	status Status // without it
}{
	{unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE, to rename and remove root's logs", Fail},
	{unix.CAP_CHOWN, "CAP_CHOWN, to give a compressed log its source's owner", Warn},
	{unix.CAP_FOWNER, "CAP_FOWNER, to give a compressed log its source's mode", Warn},
	{unix.CAP_LEASE, "CAP_LEASE, to prove that a rotated log is not open for writing", Warn},
}

// checkPrivileges checks the running daemon, or this process if there is none.
func checkPrivileges(_ context.Context, n *node) Check {
	self, d := "this process", n.daemon()
	p, err := n.proc.Self()
	if d.pid != 0 {
		self = fmt.Sprintf("the daemon (process %d)", d.pid)
		p, err = n.proc.Proc(d.pid)
	}
	var st procfs.ProcStatus
	if err == nil {
		st, err = p.NewStatus()
	}
	if err != nil {
		return skipUnreadable("the status of "+self, err)
	}
	uid := st.UIDs[1]
	var dir unix.Stat_t
	switch err := unix.Stat(n.path(n.settings().PodLogsDir), &dir); {
	case uid == 0:
		return found(OK, "%s is root, and needs no capabilities", self)
	case err == nil && uint64(dir.Uid) == uid:
		return found(OK, "%s is user %d, the owner of podLogsDir", self, uid)
	}
	c := found(Warn, "%s is user %d and lacks capabilities", self, uid)
	for _, needed := range capabilities {
		if st.CapEff&(1<<needed.bit) == 0 {
			c = c.detail("%s.", needed.name)
			if needed.status == Fail {
				c.Status = Fail
			}
		}
	}
	switch {
	case c.Detail == "":
		return found(OK, "%s is user %d, and has every capability that it needs", self, uid)
	case d.pid == 0:
		return found(Warn, "this is user %d, without the daemon's privileges", uid).
			detail("The daemon runs as root. Checks that this user cannot do are skipped.").run(n.asRoot())
	}
	return c.fix("systemctl edit logwatch # [Service] User=root; or AmbientCapabilities= with those above. In a pod: securityContext.runAsUser: 0")
}

// writable is what podLogsDir must be for the daemon.
const writable = unix.R_OK | unix.W_OK | unix.X_OK

// checkPodLogsDir checks the directory for the node and for the daemon: a service
// may have it read-only while the node has not.
func checkPodLogsDir(_ context.Context, n *node) Check {
	dir, d, k := n.settings().PodLogsDir, n.daemon(), n.kubelet()
	elsewhere := k.found && filepath.Clean(k.PodLogsDir) != filepath.Clean(dir)
	st, err := os.Stat(n.path(dir))
	if err == nil {
		err = n.sys.access(n.path(dir), writable)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c := found(Fail, "podLogsDir %s does not exist", dir).detail("logwatch waits for it. kubelet creates it for its first pod.")
		if elsewhere {
			return c.detail("kubelet's logs are in %s.", k.PodLogsDir).run(n.set("podLogsDir: " + k.PodLogsDir))
		}
		return c.fix("mkdir -p -m 0750 %s", dir)
	case errors.Is(err, unix.EROFS):
		return found(Fail, "podLogsDir %s is read-only", dir).
			detail("Nothing can be renamed. The kernel makes a disk with errors read-only: see dmesg first.").
			fix(`mount -o remount,rw "$(findmnt --noheadings --output TARGET --target %s)"`, dir)
	case err != nil:
		return found(Fail, "podLogsDir %s cannot be read and written", dir).cause(err).fix("ls -ld %s; findmnt --target %[1]s", dir)
	case !st.IsDir():
		return found(Fail, "podLogsDir %s is not a directory", dir).run(n.set("podLogsDir: /var/log/pods"))
	}
	if d.pid != 0 {
		switch err := n.sys.access(n.seenBy(d.pid, dir), writable); {
		case errors.Is(err, unix.EROFS):
			return found(Fail, "podLogsDir %s is read-only for the daemon (process %d)", dir, d.pid).
				detail("See ReadWritePaths= of its unit, or readOnly of the pod's volume.").
				fix(`mkdir -p %s && printf '%%s\n' '[Service]' %s > %[1]s/pods.conf && systemctl daemon-reload && systemctl restart logwatch`,
					"/etc/systemd/system/logwatch.service.d", "ReadWritePaths="+dir)
		case errors.Is(err, fs.ErrNotExist):
			return found(Fail, "podLogsDir %s does not exist for the daemon (process %d)", dir, d.pid).
				detail("It is in a container without that volume.").
				fix("kubectl get daemonsets --all-namespaces | grep logwatch # mount the hostPath %s at the same path", dir)
		}
	}
	if elsewhere {
		return found(Fail, "podLogsDir is %s, and kubelet's is %s", dir, k.PodLogsDir).
			detail("kubelet's is set %s. Logs in another directory are not rotated.", k.origin(dirKey)).
			run(n.set("podLogsDir: " + k.PodLogsDir))
	}
	return found(OK, "podLogsDir %s can be read and written", dir)
}

// fileSystems are those that nodes have; renaming have both flags of renameat2(2)
// that logwatch uses.
var (
	fileSystems = map[uint32]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
		unix.F2FS_SUPER_MAGIC: "f2fs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "nfs", unix.CIFS_SUPER_MAGIC: "cifs",
		unix.SMB2_SUPER_MAGIC: "smb", unix.FUSE_SUPER_MAGIC: "fuse", 0x2fc12fc1: "zfs", unix.MSDOS_SUPER_MAGIC: "vfat",
	}
	renaming = []string{"ext4", "xfs", "btrfs", "tmpfs", "f2fs", "overlayfs"}
)

// renameFlags are those that rotation uses, the first one always.
var renameFlags = []struct {
	flag   uint
	name   string
	status Status // without it
	why    string
}{
	{unix.RENAME_NOREPLACE, "RENAME_NOREPLACE", Fail, "Without it a rename could replace a log: nothing is rotated."},
	{unix.RENAME_EXCHANGE, "RENAME_EXCHANGE", Warn, "Without it a log's path is absent for some milliseconds in each rotation, and log shippers may miss a file."},
}

// errUntried: a test would change podLogsDir.
var errUntried = errors.New("it cannot be tried without changing podLogsDir")

func checkRename(_ context.Context, n *node) Check {
	dir, st := n.settings().PodLogsDir, n.disk()
	name := cmp.Or(fileSystems[uint32(st.Type)], fmt.Sprintf("a file system of type %#x", st.Type))
	known := slices.Contains(renaming, name)
	for _, f := range renameFlags {
		err := n.sys.rename(n.path(dir), known, f.flag)
		switch {
		case errors.Is(err, unix.EROFS):
			return found(Skip, "podLogsDir is read-only: see pod-logs-dir")
		case err != nil:
			c := found(f.status, "%s does not work on %s", f.name, name)
			if errors.Is(err, errUntried) {
				c = found(Warn, "it is unknown whether %s works on %s", f.name, name)
			}
			return c.cause(err).detail("%s", f.why).detail("%s have it, in kernels from 4.0 on; a seccomp filter may forbid it.", strings.Join(renaming, ", ")).
				fix("findmnt --target %s; uname -r; grep Seccomp /proc/self/status", dir)
		}
	}
	if known {
		return found(OK, "%s has RENAME_NOREPLACE and RENAME_EXCHANGE", name)
	}
	return found(OK, "%s has RENAME_NOREPLACE and RENAME_EXCHANGE, as tested next to podLogsDir", name)
}

// tryRename first renames a name that does not exist, in dir: its error shows whether
// the system call is allowed, and nothing changes. Only a real rename shows whether the
// file system has the flag. Unless that is known, it is tried in a temporary directory
// next to dir.
func tryRename(dir string, known bool, flag uint) error {
	missing := filepath.Join(dir, fmt.Sprintf(".logwatch-doctor-%d-missing", os.Getpid()))
	var here, there unix.Stat_t
	if err := unix.Stat(dir, &here); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	err := unix.Renameat2(unix.AT_FDCWD, missing, unix.AT_FDCWD, missing+"-too", flag)
	switch {
	case !errors.Is(err, unix.ENOENT):
		return &fs.PathError{Op: "renameat2", Path: dir, Err: err}
	case known:
		return nil
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := unix.Stat(parent, &there); err != nil || here.Dev != there.Dev {
		return fmt.Errorf("%w: %s is the root of its file system", errUntried, dir)
	}
	tmp, err := os.MkdirTemp(parent, ".logwatch-doctor-")
	if err != nil {
		return fmt.Errorf("%w: %w", errUntried, err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // at worst two empty files
	err = os.WriteFile(tmp+"/a", nil, 0o600)
	if flag == unix.RENAME_EXCHANGE {
		err = errors.Join(err, os.WriteFile(tmp+"/b", nil, 0o600))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUntried, err)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, tmp+"/a", unix.AT_FDCWD, tmp+"/b", flag); err != nil {
		return &fs.PathError{Op: "renameat2", Path: tmp, Err: err}
	}
	return nil
}

// checkLeases takes a lease on a log, as housekeeping does all the time, and
// releases it at once.
func checkLeases(_ context.Context, n *node) Check {
	const why = "Without leases, a rotated log counts as closed by its age and a constant size: it is compressed and removed later."
	if on, err := n.sysctl("fs.leases-enable"); err == nil && on == 0 {
		return found(Warn, "file leases are disabled on this node").detail(why).run(setSysctl("fs.leases-enable", 1))
	}
	for _, c := range n.tree().containers {
		for _, f := range c.files {
			switch _, err := n.openForWrite(c.dir, f.Name); {
			case err == nil:
				return found(OK, "file leases work: logwatch detects logs that are open for writing")
			case errors.Is(err, podlogs.ErrLeaseUnsupported):
				return found(Warn, "file leases do not work in podLogsDir").cause(err).detail(why).
					fix("findmnt --target %s # a local file system such as ext4 or xfs has them", n.settings().PodLogsDir)
			}
		}
	}
	return found(Skip, "there are no logs to test a file lease on")
}
