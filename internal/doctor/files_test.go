package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

func access(err error) func(*fakeNode) {
	return func(f *fakeNode) { f.sys.access = func(string, uint32) error { return err } }
}

func statfs(change func(*unix.Statfs_t)) func(*fakeNode) {
	return func(f *fakeNode) {
		before := f.sys.statfs
		f.sys.statfs = func(path string, st *unix.Statfs_t) error {
			err := before(path, st)
			change(st)
			return err
		}
	}
}

// write has a log open for writing until the test ends.
func (f *fakeNode) write(name string) {
	f.t.Helper()
	w, err := os.OpenFile(f.root+name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = w.Close() }) // nothing was written
}

// noLeases is a file system without file leases.
func noLeases(err error) func(string) podlogs.FS {
	return func(dir string) podlogs.FS { return leaseless{podlogs.At(dir), err} }
}

type leaseless struct {
	podlogs.FS
	err error
}

func (l leaseless) OpenDir(rel string) (podlogs.Dir, error) {
	d, err := l.FS.OpenDir(rel)
	return leaselessDir{d, l.err}, err
}

type leaselessDir struct {
	podlogs.Dir
	err error
}

func (l leaselessDir) Open(name string) (podlogs.Handle, error) {
	h, err := l.Dir.Open(name)
	return leaselessHandle{h, l.err}, err
}

type leaselessHandle struct {
	podlogs.Handle
	err error
}

func (l leaselessHandle) OpenForWrite() (bool, error) {
	return false, fmt.Errorf("%w: %w", podlogs.ErrLeaseUnsupported, l.err)
}

func TestConfig(t *testing.T) {
	const file = "/etc/logwatch/logwatch.yaml"
	run(t, []scenario{
		{"none", "config", nil, wants{OK, "the defaults are used", "", ""}, false},
		{"installed", "config", func(f *fakeNode) { f.file(file, "containerLogMaxSize: 5Mi\n") }, wants{OK, file + " (installed) is valid", "", ""}, false},
		{"bad", "config", func(f *fakeNode) { f.file(file, "\ncontainerLogMaxSize: big\nlogging: {level: loud}\n") }, wants{
			Fail, file + " (installed) is invalid", file + ":2: containerLogMaxSize: ",
			"${EDITOR:-vi} +2 " + file + " && logwatch check-config " + file,
		}, false},
		{"hostile", "config", func(f *fakeNode) { f.file(file, "\u202ex: y\n") }, wants{Fail, "", `\u202e`, ""}, false},
		{"a pipe", "config", func(f *fakeNode) {
			f.config = f.root + "/pipe"
			if err := unix.Mkfifo(f.config, 0o600); err != nil {
				f.t.Fatal(err)
			}
		}, wants{Fail, "pipe", "not a regular file", ""}, false},
		{"named, and not there", "config", func(f *fakeNode) { f.config = "/nowhere/a.yaml" }, wants{Fail, "/nowhere/a.yaml", "no such file", ""}, false},
		{"of the daemon", "config", func(f *fakeNode) {
			f.file("/opt/a b.yaml", "podLogsDir: /var/log/pods\n")
			f.daemon("--config", "/opt/a b.yaml", "--container-log-max-files", "3")
		}, wants{OK, "/opt/a b.yaml (of process 101) is valid", "", ""}, false},
		{"of the daemon, relative", "config", func(f *fakeNode) {
			f.file("/opt/a.yaml", "")
			pid := f.daemon("--config=a.yaml")
			f.link("/proc/"+itoa(pid)+"/cwd", "/opt")
		}, wants{OK, "/opt/a.yaml (of process", "", ""}, false},
		{"of the daemon, gone", "config", func(f *fakeNode) { f.daemon("--config", "/opt/gone.yaml") }, wants{Fail, "/opt/gone.yaml", "no such file", ""}, false},
		{"flags of the daemon", "config", func(f *fakeNode) { f.daemon("--container-log-max-files", "1") }, wants{Fail, "the daemon's flags are invalid", "--container-log-max-files", ""}, false},
	})
}

func TestAccess(t *testing.T) {
	user := func(uid int, capabilities string) func(*fakeNode) {
		return func(f *fakeNode) {
			f.sys.euid = uid
			f.file("/proc/100/status", "Name:\tx\nUid:\t7\t"+itoa(uid)+"\t7\t7\nCapEff:\t"+capabilities+"\n")
		}
	}
	daemonOf := func(capabilities string) func(*fakeNode) {
		return func(f *fakeNode) {
			pid := f.daemon()
			f.file("/proc/"+itoa(pid)+"/status", "Name:\tx\nUid:\t7\t7\t7\t7\nCapEff:\t"+capabilities+"\n")
			f.file("/proc/"+itoa(pid)+"/cgroup", "0::/system.slice/logwatch.service\n")
		}
	}
	run(t, []scenario{
		{"root", "privileges", nil, wants{OK, "this process is root", "", ""}, false},
		{"a user", "privileges", user(1000001, "0000000000000000"), wants{Warn, "this is user 1000001", "runs as root", "sudo logwatch doctor"}, false},
		{"a user with all", "privileges", user(1000001, "000001ffffffffff"), wants{OK, "every capability", "", ""}, false},
		{"the daemon is root", "privileges", func(f *fakeNode) { f.daemon() }, wants{OK, "the daemon (process 101) is root", "", ""}, false},
		{"the daemon lacks leases", "privileges", daemonOf("000000000000000b"), wants{Warn, "is user 7 and lacks capabilities", "CAP_LEASE, to prove", "User=root"}, false},
		{"the daemon lacks all", "privileges", daemonOf("0000000000000000"), wants{Fail, "lacks capabilities", "CAP_DAC_OVERRIDE, to rename", ""}, false},

		{"good", "pod-logs-dir", nil, wants{OK, "can be read and written", "", ""}, false},
		{"missing", "pod-logs-dir", func(f *fakeNode) { f.remove("/var/log/pods") }, wants{Fail, "/var/log/pods does not exist", "waits", "mkdir -p -m 0750 /var/log/pods"}, false},
		{"missing, kubelet's elsewhere", "pod-logs-dir", func(f *fakeNode) {
			f.remove("/var/log/pods")
			f.file("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\npodLogsDir: /data/pods\n")
			f.file("/data/pods/.keep", "")
		}, wants{Fail, "does not exist", "kubelet's logs are in /data/pods", "podLogsDir: /data/pods"}, true},
		{"kubelet's elsewhere", "pod-logs-dir", func(f *fakeNode) {
			f.file("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\npodLogsDir: /data/pods\n")
			f.file("/etc/logwatch/logwatch.yaml", "podLogsDir: /var/log/pods\ncontainerLogMaxFiles: 3")
			f.file("/data/pods/.keep", "")
		}, wants{Fail, "podLogsDir is /var/log/pods, and kubelet's is /data/pods", "/var/lib/kubelet/config.yaml", "sed -i"}, true},
		{"kubelet's elsewhere, and a daemon", "pod-logs-dir", func(f *fakeNode) {
			f.file("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\npodLogsDir: /data/pods\n")
			f.file("/etc/logwatch/logwatch.yaml", "")
			f.daemon("--config", "/etc/logwatch/logwatch.yaml")
		}, wants{Fail, "kubelet's is /data/pods", "", " && systemctl restart logwatch"}, false},
		{"a file", "pod-logs-dir", func(f *fakeNode) { f.remove("/var/log/pods"); f.file("/var/log/pods", "") }, wants{Fail, "is not a directory", "", "podLogsDir"}, false},
		{"read-only", "pod-logs-dir", access(unix.EROFS), wants{Fail, "is read-only", "dmesg", "remount,rw"}, false},
		{"not root's", "pod-logs-dir", access(unix.EACCES), wants{Fail, "cannot be read and written", "permission denied", "ls -ld /var/log/pods"}, false},
		{"not to be seen", "pod-logs-dir", func(f *fakeNode) { f.sys.euid = 9; access(unix.EACCES)(f) }, wants{Skip, "as user 9", "", "sudo logwatch doctor"}, false},
		{"read-only for the daemon", "pod-logs-dir", func(f *fakeNode) {
			pid := f.daemon()
			f.sys.access = func(path string, _ uint32) error {
				if path == f.root+"/proc/"+itoa(pid)+"/root/var/log/pods" {
					return unix.EROFS
				}
				return nil
			}
		}, wants{Fail, "podLogsDir /var/log/pods is read-only for the daemon (process 101)", "ReadWritePaths", "ReadWritePaths=/var/log/pods"}, false},

		{"ext4", "rename", nil, wants{OK, "ext4 has RENAME_NOREPLACE and RENAME_EXCHANGE", "", ""}, false},
		{"zfs", "rename", statfs(func(st *unix.Statfs_t) { st.Type = 0x2fc12fc1 }), wants{OK, "zfs has RENAME_NOREPLACE and RENAME_EXCHANGE, as tested next to", "", ""}, false},
		{"nfs", "rename", func(f *fakeNode) {
			statfs(func(st *unix.Statfs_t) { st.Type = unix.NFS_SUPER_MAGIC })(f)
			f.sys.rename = func(string, bool, uint) error { return &fs.PathError{Op: "renameat2", Err: unix.EINVAL} }
		}, wants{Fail, "RENAME_NOREPLACE does not work on nfs", "ext4, xfs", "findmnt --target /var/log/pods"}, false},
		{"no exchange", "rename", func(f *fakeNode) {
			f.sys.rename = func(_ string, _ bool, flag uint) error {
				if flag == unix.RENAME_EXCHANGE {
					return unix.EINVAL
				}
				return nil
			}
		}, wants{Warn, "RENAME_EXCHANGE does not work on ext4", "path is absent", "findmnt"}, false},
		{"untried", "rename", func(f *fakeNode) {
			statfs(func(st *unix.Statfs_t) { st.Type = 0x1234 })(f)
			f.sys.rename = func(string, bool, uint) error { return errUntried }
		}, wants{Warn, "whether RENAME_NOREPLACE works on a file system of type 0x1234", "without changing podLogsDir", "findmnt"}, false},
		{"forbidden", "rename", func(f *fakeNode) { f.sys.rename = func(string, bool, uint) error { return unix.EPERM } }, wants{Fail, "RENAME_NOREPLACE does not work", "seccomp", "grep Seccomp"}, false},
		{"read-only", "rename", func(f *fakeNode) { f.sys.rename = func(string, bool, uint) error { return unix.EROFS } }, wants{Skip, "read-only", "", ""}, false},

		{"granted", "leases", nil, wants{OK, "detects logs that are open for writing", "", ""}, false},
		{"held", "leases", func(f *fakeNode) { f.write("/var/log/pods/shop_db-0_u2/postgres/1.log") }, wants{OK, "detects", "", ""}, false},
		{"off", "leases", func(f *fakeNode) { f.file("/proc/sys/fs/leases-enable", "0\n") }, wants{Warn, "leases are disabled", "age", "fs.leases-enable = 1"}, true},
		{"refused", "leases", func(f *fakeNode) { f.sys.podLogs = noLeases(unix.EINVAL) }, wants{Warn, "do not work in podLogsDir", "invalid argument", "findmnt --target /var/log/pods"}, false},
		{"not root's", "leases", func(f *fakeNode) { f.sys.euid = 9; f.sys.podLogs = noLeases(unix.EACCES) }, wants{Skip, "as user 9", "permission denied", "sudo logwatch doctor"}, false},
		{"no logs", "leases", func(f *fakeNode) { f.remove("/var/log/pods/shop_web-0_u1"); f.remove("/var/log/pods/shop_db-0_u2") }, wants{Skip, "no logs to test", "", ""}, false},
	})
}

func TestLogs(t *testing.T) {
	const live = "/var/log/pods/shop_web-0_u1/app/0.log"
	run(t, []scenario{
		{"good", "live-logs", nil, wants{OK, "3 live logs: regular files; 2 were read", "", ""}, false},
		{"none", "live-logs", func(f *fakeNode) { f.remove("/var/log/pods/shop_web-0_u1"); f.remove("/var/log/pods/shop_db-0_u2") }, wants{OK, "no live logs yet", "", ""}, false},
		{"docker's links", "live-logs", func(f *fakeNode) { f.link(live, "/var/lib/docker/containers/ab/ab-json.log") }, wants{
			Fail, "1 of 3 live logs are symbolic links", "/var/lib/docker/containers/ab/ab-json.log", "/etc/docker/daemon.json && systemctl restart docker",
		}, false},
		{"a link elsewhere", "live-logs", func(f *fakeNode) { f.link(live, "/etc/shadow\x1b") }, wants{Fail, "are symbolic links", `/etc/shadow\x1b`, "readlink -f " + live}, false},
		{"a pipe", "live-logs", func(f *fakeNode) {
			f.remove(live)
			if err := unix.Mkfifo(f.root+live, 0o600); err != nil {
				f.t.Fatal(err)
			}
		}, wants{Fail, "1 of 3 live logs are not regular files", "", "ls -l " + live}, false},
		{"two names", "live-logs", func(f *fakeNode) {
			if err := os.Link(f.root+live, f.root+"/etc/second"); err != nil {
				f.t.Fatal(err)
			}
		}, wants{Fail, "1 of 3 live logs are not regular files with one link", "", "ls -l " + live}, false},
		{"docker's format", "live-logs", func(f *fakeNode) { f.file(live, `{"log":"x\n","stream":"stdout"}`+"\n") }, wants{Fail, live + " is in the format of Docker", "log", "lsof " + live}, false},
		{"no format", "live-logs", func(f *fakeNode) { f.file(live, "\x1b[31mboo\n") }, wants{Warn, "is not in CRI's format", `\x1b[31mboo`, ""}, false},
		{"missing", "live-logs", func(f *fakeNode) { f.remove("/var/log/pods") }, wants{Skip, "see pod-logs-dir", "", ""}, false},

		{"good", "log-links", func(f *fakeNode) { f.link("/var/log/containers/old.log", "/var/log/pods/gone/app/0.log") }, wants{OK, "podLogsDir (1)", "1 more point to logs that were removed", ""}, false},
		{"none", "log-writers", func(f *fakeNode) { f.write(live); f.file(live+".20260304-100000", "x") }, wants{OK, "no container writes to a rotated log", "", ""}, false},
		{"a reopen pending", "log-writers", func(f *fakeNode) { // as between the two steps of a rotation
			f.write(live)
			f.write(live + ".20260304-100000")
		}, wants{OK, "no container writes", "", ""}, false},
		{"ended", "log-writers", func(f *fakeNode) { f.file(live, ""); f.file(live+".20260304-100000", "x") }, wants{OK, "no container writes", "", ""}, false},
		{"both in use", "log-writers", func(f *fakeNode) { f.write(live + ".20260304-100000") }, wants{OK, "no container writes", "", ""}, false},
		{"no reopen", "log-writers", func(f *fakeNode) {
			f.file(live, "")
			f.write(live + ".20260304-100000")
		}, wants{Warn, "open for writing: 1 container", live + ".20260304-100000", "logwatch run"}, false},
		{"no live log", "log-writers", func(f *fakeNode) {
			f.daemon()
			f.remove(live)
			f.write(live + ".20260304-090000")
			f.file(live+".20260304-100000", "")
		}, wants{Warn, "open for writing: 1 container", live + ".20260304-090000", "logwatch rotate shop/web-0/app"}, false},
		{"over in a moment", "log-writers", func(f *fakeNode) {
			f.file(live, "")
			f.write(live + ".20260304-100000")
			f.sys.pause = func(context.Context) { f.write(live) } // the reopen
		}, wants{OK, "no container writes", "", ""}, false},
		{"without leases", "log-writers", func(f *fakeNode) { f.sys.podLogs = noLeases(unix.EINVAL) }, wants{Skip, "which logs are open for writing cannot be read", "", ""}, false},

		{"none", "log-links", func(f *fakeNode) { f.remove("/var/log/containers") }, wants{Skip, "/var/log/containers does not exist", "", ""}, false},
		{"elsewhere", "log-links", func(f *fakeNode) { f.link("/var/log/containers/x.log", "/data/pods/a/b/0.log") }, wants{Fail, "links in /var/log/containers point outside podLogsDir (1)", "x.log → /data/pods/a/b/0.log", "ls -l"}, false},
		{"docker's", "log-links", func(f *fakeNode) { f.link(live, "/var/lib/docker/containers/ab/ab-json.log") }, wants{Fail, "point outside podLogsDir", "ab-json.log", ""}, false},

		{"none", "clock-stamps", nil, wants{OK, "no rotated logs yet", "", ""}, false},
		{"a little ahead", "clock-stamps", func(f *fakeNode) { f.file(live+".20260304-123000", "") }, wants{OK, "ahead of the clock", "", ""}, false},
		{"far ahead", "clock-stamps", func(f *fakeNode) { f.file(live+".20260304-170000.gz", "") }, wants{Warn, "is 5h ahead of the clock", live + ".20260304-170000.gz", "ls -l"}, false},
	})
}

func TestDisk(t *testing.T) {
	const file = "/etc/logwatch/logwatch.yaml"
	space := func(bytes, free uint64) func(*fakeNode) {
		return statfs(func(st *unix.Statfs_t) { st.Frsize, st.Blocks, st.Bavail = 1, bytes, free })
	}
	run(t, []scenario{
		{"much", "disk-space", nil, wants{OK, "46Gi (48%)", "may hold 150Mi", ""}, false},
		{"full", "disk-space", space(100<<30, 512<<20), wants{Fail, "512Mi (0%)", "lost", "du --one-file-system"}, false},
		{"little", "disk-space", space(100<<30, 5<<30), wants{Warn, "5Gi (5%)", "evicts", "du "}, false},
		{"threshold", "disk-space", func(f *fakeNode) {
			f.file(file, "diskPressure: {highThresholdPercent: 80, lowThresholdPercent: 70}\n")
			space(100<<30, 15<<30)(f)
		}, wants{Warn, "15Gi (15%)", "More than diskPressure.highThresholdPercent (80)", ""}, false},
		{"more promised than there is", "disk-space", func(f *fakeNode) {
			f.file(file, "containerLogMaxSize: 10Gi\n")
			space(100<<30, 50<<30)(f)
		}, wants{Warn, "logs may take 150Gi more", "may hold 150Gi", "nodeLogBudget: 40Gi"}, true},
		{"a budget", "disk-space", func(f *fakeNode) {
			f.file(file, "containerLogMaxSize: 10Gi\nnodeLogBudget: 40Gi\n")
			space(100<<30, 50<<30)(f)
		}, wants{OK, "50Gi", "nodeLogBudget is 40Gi", ""}, false},
		{"no limit", "disk-space", func(f *fakeNode) { f.file(file, "containerLogMaxSize: -1\n") }, wants{OK, "", "3 of them have no limit", ""}, false},
		{"an override", "disk-space", func(f *fakeNode) {
			f.file(file, "overrides:\n- match: {namespaces: [shop], pods: [\"db-*\"]}\n  maxSize: 1Gi\n")
		}, wants{OK, "", "may hold 5.1Gi", ""}, false},
		{"unknown", "disk-space", func(f *fakeNode) { f.sys.statfs = func(string, *unix.Statfs_t) error { return unix.EIO } }, wants{Skip, "see pod-logs-dir", "", ""}, false},

		{"many", "disk-inodes", nil, wants{OK, "500000 inodes (50%)", "", ""}, false},
		{"btrfs", "disk-inodes", statfs(func(st *unix.Statfs_t) { st.Files, st.Ffree = 0, 0 }), wants{OK, "no fixed number", "", ""}, false},
		{"few", "disk-inodes", statfs(func(st *unix.Statfs_t) { st.Ffree = 30_000 }), wants{Warn, "(3%)", "evicts", "find "}, false},
		{"none", "disk-inodes", statfs(func(st *unix.Statfs_t) { st.Ffree = 3 }), wants{Fail, "3 inodes (0%)", "no log can be created", "find "}, false},
		{"threshold", "disk-inodes", func(f *fakeNode) {
			f.file(file, "diskPressure: {inodesHighThresholdPercent: 40, inodesLowThresholdPercent: 30}\n")
		}, wants{Warn, "50%", "inodesHighThresholdPercent (40)", "find "}, false},

		{"kept right", "clock", nil, wants{OK, "synchronized", "", ""}, false},
		{"free", "clock", func(f *fakeNode) { f.sys.adjtimex = func(*unix.Timex) (int, error) { return timeError, nil } }, wants{Warn, "not synchronized", "", "timedatectl set-ntp true"}, false},
		{"chrony", "clock", func(f *fakeNode) {
			f.file("/usr/lib/systemd/system/chrony.service", "")
			f.sys.adjtimex = func(tx *unix.Timex) (int, error) { tx.Status = unix.STA_UNSYNC; return 0, nil }
		}, wants{Warn, "not synchronized", "", "systemctl enable --now chrony"}, false},
		{"unknown", "clock", func(f *fakeNode) { f.sys.adjtimex = func(*unix.Timex) (int, error) { return 0, errors.New("no") } }, wants{Skip, "", "no", ""}, false},
	})
}
