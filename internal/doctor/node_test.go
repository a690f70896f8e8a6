package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/api"
)

// inotifyOf gives a process descriptors with watches.
func (f *fakeNode) inotifyOf(pid, instances, watches int) {
	dir := "/proc/" + itoa(pid) + "/"
	for i := range instances {
		fd := itoa(10 + i)
		f.link(dir+"fd/"+fd, "anon_inode:inotify")
		f.file(dir+"fdinfo/"+fd, "pos:\t0\nflags:\t00\nmnt_id:\t15\nino:\t1\n"+
			strings.Repeat("inotify wd:1 ino:1 sdev:fe00001 mask:100 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:00\n", watches))
	}
}

// hide makes a process's descriptors unreadable, but for root.
func (f *fakeNode) hide(pid int) {
	f.t.Helper()
	if os.Geteuid() == 0 {
		f.t.Skip("root sees everything")
	}
	fds := f.root + "/proc/" + itoa(pid) + "/fd"
	if err := os.Chmod(fds, 0); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = os.Chmod(fds, 0o700) }) // so that it can be removed
}

func TestInotify(t *testing.T) {
	busy := func(instances, watches int) func(*fakeNode) {
		return func(f *fakeNode) { f.inotifyOf(f.process("/usr/bin/busy"), instances, watches) }
	}
	limit := func(name, value string) func(*fakeNode) {
		return func(f *fakeNode) { f.file("/proc/sys/fs/inotify/"+name, value+"\n") }
	}
	run(t, []scenario{
		{"enough", "inotify-watches", busy(1, 30), wants{OK, "65506 inotify watches are left of 65536, and 9 are needed", "", ""}, false},
		{"too few", "inotify-watches", limit("max_user_watches", "5"), wants{Fail, "5 inotify watches are left of 5, and 9 are needed", "2 pods, and up to two for each of its 3 containers", "fs.inotify.max_user_watches = 65536"}, true},
		{"others have them", "inotify-watches", func(f *fakeNode) { limit("max_user_watches", "100")(f); busy(1, 97)(f) }, wants{Fail, "3 inotify watches are left", "other processes of the same user hold 97", "65536"}, true},
		{"no headroom", "inotify-watches", limit("max_user_watches", "11"), wants{Warn, "11 inotify watches are left", "twice as many", "65536"}, true},
		{"its own do not count", "inotify-watches", func(f *fakeNode) { limit("max_user_watches", "18")(f); f.inotifyOf(f.daemon(), 1, 9) }, wants{OK, "18 inotify watches", "", ""}, false},
		{"another user's do not count", "inotify-watches", func(f *fakeNode) {
			limit("max_user_watches", "18")(f)
			f.inotifyOf(f.processOf(500, 1000, "/bin/other"), 1, 9)
		}, wants{OK, "18 inotify watches", "", ""}, false},
		{"not to be seen", "inotify-watches", func(f *fakeNode) {
			f.sys.euid = 9
			f.hide(f.process("/usr/bin/busy"))
		}, wants{OK, "there are 65536 inotify watches, and 9 are needed", "by other processes cannot be read", ""}, false},
		{"in a container", "inotify-watches", func(f *fakeNode) { f.link("/proc/self/ns/pid", "pid:[4026539999]") }, wants{OK, "there are 65536", "by other processes cannot be read", ""}, false},
		{"unknown", "inotify-watches", func(f *fakeNode) { f.remove("/proc/sys/fs/inotify") }, wants{Skip, "cannot be read", "", ""}, false},

		{"enough", "inotify-instances", busy(3, 1), wants{OK, "125 inotify instances are left of 128", "", ""}, false},
		{"none", "inotify-instances", func(f *fakeNode) { limit("max_user_instances", "4")(f); busy(3, 1)(f); busy(1, 1)(f) }, wants{Fail, "0 inotify instances are left of 4", "Most are held by busy", "fs.inotify.max_user_instances = 1024"}, true},
		{"not to be seen", "inotify-instances", func(f *fakeNode) {
			f.sys.euid = 9
			f.hide(f.process("/usr/bin/busy"))
		}, wants{OK, "there are 128 inotify instances", "by other processes cannot be read", ""}, false},
		{"few", "inotify-instances", busy(120, 0), wants{Warn, "8 inotify instances are left of 128", "kubectl logs -f", "1024"}, true},

		{"enough", "inotify-queue", nil, wants{OK, "16384 events", "", ""}, false},
		{"short", "inotify-queue", limit("max_queued_events", "100"), wants{Warn, "100 events", "overflows", "fs.inotify.max_queued_events = 16384"}, true},
	})
}

// answers is a daemon with this status.
func answers(s api.Status) func(*fakeNode) {
	return func(f *fakeNode) {
		f.daemon()
		f.sys.status = func(context.Context, string) (api.Status, error) { return s, nil }
	}
}

func TestDaemon(t *testing.T) {
	const file = "/etc/logwatch/logwatch.yaml"
	unit := func(f *fakeNode) {
		f.file("/usr/lib/systemd/system/logwatch.service", "")
	}
	taken := func(f *fakeNode, pid string, inode string) {
		// 127.0.0.1:9790
		f.file("/proc/"+pid+"/net/tcp", tcpHead+"   0: 0100007F:263E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "+inode+" 1 0 100 0 0 10 0\n")
	}
	run(t, []scenario{
		{"none", "daemon", nil, wants{Warn, "logwatch does not run", "Only kubelet", "logwatch run # or"}, false},
		{"none, with a service", "daemon", unit, wants{Warn, "logwatch does not run", "", "systemctl enable --now logwatch"}, false},
		{"none that can be seen", "daemon", func(f *fakeNode) { f.link("/proc/self/ns/pid", "pid:[4026539999]") }, wants{Warn, "logwatch does not run", "Only the processes of this PID namespace", ""}, false},
		{"runs", "daemon", func(f *fakeNode) { f.file(file, ""); f.daemon("--config", file) }, wants{OK, "logwatch runs (process 101) on /var/log/pods, with " + file, "", ""}, false},
		{"runs, without a lock that shows", "daemon", func(f *fakeNode) { f.process("logwatch", "run") }, wants{OK, "with its flags and the defaults", "", ""}, false},
		{"not another user's", "daemon", func(f *fakeNode) { f.processOf(300, 4711, "logwatch", "run") }, wants{Warn, "logwatch does not run", "", ""}, false},
		{"works elsewhere", "daemon", func(f *fakeNode) {
			f.file("/other.yaml", "podLogsDir: /data/pods\n")
			f.config = filepath.Join(f.root, "named.yaml")
			f.file("/named.yaml", "")
			f.process("logwatch", "run", "--config", "/other.yaml")
		}, wants{Warn, "logwatch does not run on /var/log/pods", "Process 101 uses /data/pods", "logwatch run --config"}, false},
		{"uses another file", "daemon", func(f *fakeNode) {
			f.file("/other.yaml", "")
			f.config = filepath.Join(f.root, "named.yaml")
			f.file("/named.yaml", "")
			f.daemon("--config", "/other.yaml")
		}, wants{Warn, "uses /other.yaml, not ", "", "logwatch doctor --config /other.yaml"}, false},
		{"another program's name", "daemon", func(f *fakeNode) {
			f.link("/proc/"+itoa(f.daemon())+"/exe", "/usr/bin/python3.13")
			f.sys.holder = func(string) (int, error) { return f.pid, nil }
		}, wants{Warn, "podLogsDir is locked by process 101 (python3.13)", "", "ps -p 101"}, false},
		{"another user's name and socket", "daemon", func(f *fakeNode) {
			pid := f.processOf(300, 4711, "/tmp/logwatch", "run")
			f.sys.peer = func(context.Context, string) (unix.Ucred, error) { return unix.Ucred{Pid: int32(pid), Uid: 4711}, nil }
		}, wants{Warn, "logwatch does not run", "", ""}, false},
		{"a user's, in a cgroup of its own", "daemon", func(f *fakeNode) {
			f.file("/proc/"+itoa(f.processOf(300, 4711, "logwatch", "run"))+"/cgroup", "0::/user.slice/user-4711.slice/system.slice/logwatch.service\n")
		}, wants{Warn, "logwatch does not run", "", ""}, false},
		{"upgraded", "daemon", func(f *fakeNode) { f.link("/proc/"+itoa(f.daemon())+"/exe", "/usr/bin/logwatch (deleted)") }, wants{OK, "process 101", "", ""}, false},
		{"two, and one answers", "daemon", func(f *fakeNode) {
			f.process("logwatch", "run", "--pod-logs-dir", "/data/pods")
			f.daemon()
		}, wants{OK, "logwatch runs (process 102) on /var/log/pods", "", ""}, false},
		{"another process has the lock", "daemon", func(f *fakeNode) {
			pid := f.process("/usr/bin/f\nlock")
			f.sys.holder = func(string) (int, error) { return pid, nil }
		}, wants{Warn, `podLogsDir is locked by process 101 (f\nlock)`, "lose lines", "ps -p 101"}, false},
		{"of a pod", "daemon", func(f *fakeNode) {
			f.file("/proc/"+itoa(f.process("logwatch", "run"))+"/environ", "KUBERNETES_SERVICE_HOST=10.0.0.1\x00")
		}, wants{Warn, "logwatch does not run", "", ""}, false},
		{"of this pod", "daemon", func(f *fakeNode) {
			f.link("/proc/self/ns/pid", "pid:[4026539999]")
			f.file("/proc/"+itoa(f.process("logwatch", "run"))+"/environ", "KUBERNETES_SERVICE_HOST=10.0.0.1\x00")
		}, wants{OK, "logwatch runs (process 101)", "", ""}, false},
		{"of a node within this one", "daemon", func(f *fakeNode) {
			f.file("/inner/var/log/pods/.keep", "")
			f.link("/proc/"+itoa(f.process("logwatch", "run"))+"/root", "../../inner")
		}, wants{Warn, "logwatch does not run", "", ""}, false},
		{"a second one", "daemon", func(f *fakeNode) {
			f.daemon()
			f.process("/opt/logwatch", "run", "--pod-logs-dir", "/var/log")
		}, wants{Fail, "a second logwatch (process 102) uses /var/log", "lose lines", "ps -p 102"}, false},
		{"another one elsewhere", "daemon", func(f *fakeNode) {
			f.daemon()
			f.process("/opt/logwatch", "run", "--pod-logs-dir", "/var/log/pods2")
		}, wants{OK, "process 101", "", ""}, false},

		{"off", "control-socket", func(f *fakeNode) { f.file(file, `controlSocket: ""`) }, wants{Skip, "is empty", "", ""}, false},
		{"no daemon", "control-socket", nil, wants{Skip, "logwatch does not run", "", ""}, false},
		{"in the way", "control-socket", func(f *fakeNode) { f.file("/run/logwatch/logwatch.sock", "") }, wants{Fail, "exists and is not a socket", "", "mv /run/logwatch/logwatch.sock"}, false},
		{"silent", "control-socket", func(f *fakeNode) {
			f.file(file, "controlSocket: /nowhere/x.sock\n")
			f.daemon("--config", file)
			f.sys.status = func(context.Context, string) (api.Status, error) { return api.Status{}, unix.ECONNRESET }
		}, wants{Warn, "does not answer at /nowhere/x.sock", "", "journalctl -u logwatch"}, false},

		{"not the daemon's", "control-socket", func(f *fakeNode) {
			f.daemon()
			peer := f.sys.peer
			calls := 0
			f.sys.peer = func(ctx context.Context, socket string) (unix.Ucred, error) {
				if calls++; calls == 1 {
					return peer(ctx, socket)
				}
				return unix.Ucred{Pid: 4711, Uid: 1000}, nil
			}
			f.sys.status = func(context.Context, string) (api.Status, error) { panic("asked") }
		}, wants{Fail, "another process listens on /run/logwatch/logwatch.sock", "process 4711 of user 1000", "ps -p 4711"}, false},
		{"answers", "control-socket", answers(api.Status{Node: api.Node{Rotations: 200, Failures: 1}}), wants{OK, "the daemon answers: 200 rotations, 1 failed", "", ""}, false},
		{"unhealthy", "control-socket", answers(api.Status{Node: api.Node{Unhealthy: "no\x1b sweep"}}), wants{Fail, "unhealthy", `no\x1b sweep`, "journalctl -u logwatch"}, false},
		{"a rejected file", "control-socket", answers(api.Status{Node: api.Node{Config: api.Config{Error: "f:1: x", File: "/f"}}}), wants{Fail, "rejected its last configuration", "still active", "logwatch reload --config /f"}, false},
		{"waits", "control-socket", answers(api.Status{Node: api.Node{Waiting: "for a runtime"}}), wants{Warn, "waiting", "for a runtime", "journalctl"}, false},
		{"failures", "control-socket", answers(api.Status{Node: api.Node{Rotations: 200, Failures: 3}}), wants{Warn, "3 of 203 rotations failed", "", "logwatch status"}, false},

		{"none", "skipped-logs", answers(api.Status{Containers: make([]api.Container, 2)}), wants{OK, "none of 2 running containers", "", ""}, false},
		{"some", "skipped-logs", answers(api.Status{Containers: []api.Container{
			{Names: api.Names{Namespace: "shop", Pod: "web-0", Container: "app\x1b"}, Skipped: "the log path is not below podLogsDir"}, {},
		}}), wants{Warn, "skips the logs of 1 of 2 running containers", `shop/web-0/app\x1b: the log path is not below podLogsDir.`, "logwatch status"}, false},
		{"no answer", "skipped-logs", func(f *fakeNode) { f.process("logwatch", "run") }, wants{Skip, "see control-socket", "", ""}, false},
		{"no daemon", "skipped-logs", nil, wants{Skip, "see control-socket", "", ""}, false},

		{"exchanged", "exchange", answers(api.Status{Containers: make([]api.Container, 2)}), wants{OK, "rotates by exchange", "", ""}, false},
		{"renamed", "exchange", answers(api.Status{Containers: []api.Container{{Fallback: "lease_unsupported"}, {}}}), wants{Warn, "by rename: lease_unsupported (1)", "absent", "sysctl -w fs.leases-enable=1"}, false},

		{"off", "metrics-port", func(f *fakeNode) { f.file(file, `metrics: {listenAddress: ""}`) }, wants{Skip, "is empty", "", ""}, false},
		{"free", "metrics-port", nil, wants{OK, "127.0.0.1:9790 is free", "", ""}, false},
		{"taken", "metrics-port", func(f *fakeNode) {
			pid := f.process("/usr/bin/other\x07")
			f.link("/proc/"+itoa(pid)+"/fd/3", "socket:[777]")
			taken(f, "100", "777")
		}, wants{Fail, `127.0.0.1:9790 is taken by other\a (process 101)`, "rotation continues", "'sport = :9790'"}, false},
		{"the daemon's", "metrics-port", func(f *fakeNode) {
			pid := f.daemon()
			f.link("/proc/"+itoa(pid)+"/fd/3", "socket:[777]")
			taken(f, itoa(pid), "777")
		}, wants{OK, "the daemon serves metrics", "", ""}, false},
		{"the daemon has none", "metrics-port", func(f *fakeNode) { f.daemon() }, wants{Warn, "does not listen on 127.0.0.1:9790", "", "journalctl"}, false},

		{"no systemd", "service", func(f *fakeNode) { f.remove("/run/systemd") }, wants{Skip, "systemd does not run", "", ""}, false},
		{"no unit", "service", nil, wants{Skip, "logwatch.service does not exist", "", ""}, false},
		{"by hand", "service", func(f *fakeNode) { f.daemon() }, wants{Warn, "logwatch.service does not exist", "does not start again", "./logwatch-kubernetes_*.deb"}, false},
		{"not enabled", "service", unit, wants{Warn, "is not enabled", "does not start with the node", "systemctl enable --now logwatch.service"}, false},
		{"enabled", "service", func(f *fakeNode) {
			unit(f)
			f.link("/etc/systemd/system/multi-user.target.wants/logwatch.service", "/usr/lib/systemd/system/logwatch.service")
		}, wants{OK, "is enabled", "", ""}, false},
		{"masked", "service", func(f *fakeNode) { unit(f); f.link("/etc/systemd/system/logwatch.service", "/dev/null") }, wants{Warn, "is masked", "", "systemctl unmask"}, false},
		{"a pod", "service", func(f *fakeNode) {
			f.file("/proc/"+itoa(f.daemon())+"/cgroup", "0::/kubepods.slice/kubepods-burstable.slice/x\n")
		}, wants{OK, "in a pod", "", ""}, false},
	})
}

func TestZone(t *testing.T) {
	berlin, err := os.ReadFile("/usr/share/zoneinfo/Europe/Berlin")
	if err != nil {
		t.Skip("no time zones are installed: apt-get install tzdata")
	}
	run(t, []scenario{
		{"alone", "time-zone", nil, wants{OK, "/etc/localtime", "", ""}, false},
		{"alone, without", "time-zone", func(f *fakeNode) { f.remove("/etc/localtime") }, wants{Warn, "names are in UTC", "", "ln -sf"}, false},
		{"the same", "time-zone", func(f *fakeNode) { f.daemon(); f.file("/etc/localtime", string(berlin)) }, wants{OK, "the node's time zone, UTC+01:00", "", ""}, false},
		{"a variable", "time-zone", func(f *fakeNode) {
			f.file("/etc/localtime", string(berlin))
			f.file("/proc/"+itoa(f.daemon())+"/environ", "A=b\x00TZ=Europe/Berlin\x00")
		}, wants{OK, "UTC+01:00", "", ""}, false},
		{"an image without", "time-zone", func(f *fakeNode) {
			f.file("/etc/localtime", string(berlin))
			f.file("/image/bin/x", "")
			f.link("/proc/"+itoa(f.daemon())+"/root", "../../image")
		}, wants{Warn, "the daemon (process 101) has another time zone", "has UTC+00:00, and the node UTC+01:00", "mount the node's /etc/localtime"}, false},
	})
}

// embeddedRuntime is a runtime of the test's own, and a configuration for it.
func (f *fakeNode) embeddedRuntime() *fake.Runtime {
	f.t.Helper()
	dir, err := os.MkdirTemp("/tmp", "doctor") // short enough for a socket
	if err != nil {
		f.t.Fatal(err)
	}
	rt, err := fake.Start(fake.Options{Dir: dir})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := errors.Join(rt.Close(), os.RemoveAll(dir)); err != nil {
			f.t.Error(err)
		}
	})
	f.file("/etc/logwatch/logwatch.yaml", "containerRuntimeEndpoint: "+rt.Endpoint()+"\npodLogsDir: "+rt.PodLogsDir()+"\n")
	return rt
}

func (f *fakeNode) endpoint(path string) {
	f.file("/etc/logwatch/logwatch.yaml", "containerRuntimeEndpoint: "+path+"\n")
}

// listen makes a socket from which nothing is accepted, or which is closed.
func (f *fakeNode) listen(closed bool) (path string) {
	f.t.Helper()
	dir, err := os.MkdirTemp("/tmp", "doctor")
	if err != nil {
		f.t.Fatal(err)
	}
	path = filepath.Join(dir, "s.sock")
	l, err := new(net.ListenConfig).Listen(f.t.Context(), "unix", path)
	if err != nil {
		f.t.Fatal(err)
	}
	if ul, ok := l.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	stop := func() {
		if err := l.Close(); err != nil {
			f.t.Error(err)
		}
	}
	if closed {
		stop()
	} else {
		f.t.Cleanup(stop)
	}
	f.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return path
}

func TestRuntime(t *testing.T) {
	started := func(f *fakeNode, spec fake.ContainerSpec) {
		rt := f.embeddedRuntime()
		if _, err := rt.RunContainer(spec); err != nil {
			f.t.Fatal(err)
		}
	}
	spec := fake.ContainerSpec{Namespace: "shop", Pod: "web", Name: "app", UID: "u"}
	run(t, []scenario{
		{"answers", "runtime-socket", func(f *fakeNode) { f.embeddedRuntime() }, wants{OK, "accepts connections", "", ""}, false},
		{"missing", "runtime-socket", func(f *fakeNode) { f.endpoint("/run/nowhere/crio.sock") }, wants{Fail, "cannot connect to /run/nowhere/crio.sock", "", "systemctl restart crio"}, false},
		{"a file", "runtime-socket", func(f *fakeNode) { f.endpoint("/dev/null") }, wants{Fail, "/dev/null is not a socket", "", "containerRuntimeEndpoint"}, false},
		{"dead", "runtime-socket", func(f *fakeNode) { f.endpoint(f.listen(true)) }, wants{Fail, "no process listens", "has ended", "systemctl restart containerd"}, false},
		{"kubelet's is another", "runtime-socket", func(f *fakeNode) {
			f.embeddedRuntime()
			f.process("/usr/bin/kubelet", "--container-runtime-endpoint=unix:///run/crio/crio.sock")
		}, wants{Fail, "kubelet's runtime is at /run/crio/crio.sock", "not rotated", "containerRuntimeEndpoint: unix:///run/crio/crio.sock"}, false},

		{"answers", "runtime", func(f *fakeNode) { started(f, spec) }, wants{OK, "answers; lists 1 running container", "", ""}, false},
		{"another protocol", "runtime", func(f *fakeNode) {
			f.embeddedRuntime().Fail(fake.Failure{Method: "Version", Mode: fake.Unimplemented})
		}, wants{Fail, "does not support CRI v1", "1.6", "systemctl status --no-pager containerd"}, false},
		{"CRI is disabled", "runtime", func(f *fakeNode) {
			f.file("/etc/containerd/config.toml", "disabled_plugins = [\"cri\"]\n")
			f.embeddedRuntime().Fail(fake.Failure{Method: "Version", Mode: fake.Unimplemented, Times: 1})
		}, wants{Fail, "does not support CRI v1", "as Docker's packages do", "sed -i -E"}, true},
		{"lists nothing", "runtime", func(f *fakeNode) {
			rt := f.embeddedRuntime()
			for _, method := range []string{"ListContainers", "StreamContainers"} {
				rt.Fail(fake.Failure{Method: method, Mode: fake.ErrorWithoutActing})
			}
		}, wants{Fail, "does not list its containers", "", "journalctl"}, false},
		{"is slow", "runtime", func(f *fakeNode) {
			rt := f.embeddedRuntime()
			rt.Fail(fake.Failure{Method: "StreamContainers", Mode: fake.Unimplemented})
			rt.Fail(fake.Failure{Method: "ListContainers", Mode: fake.Slow, Delay: 600 * time.Millisecond})
			f.file("/etc/logwatch/logwatch.yaml", "containerRuntimeEndpoint: "+rt.Endpoint()+"\nruntimeRequestTimeout: 1s\n")
		}, wants{Warn, "answers; lists 0 running containers", "1s (runtimeRequestTimeout)", "crictl"}, false},
		{"hangs", "runtime", func(f *fakeNode) {
			f.file("/etc/logwatch/logwatch.yaml", "containerRuntimeEndpoint: "+f.listen(false)+"\nruntimeRequestTimeout: 200ms\n")
		}, wants{Fail, "does not answer", "Rotation is suspended", "journalctl -u containerd"}, false},

		{"below", "log-paths", func(f *fakeNode) { started(f, spec) }, wants{OK, "the logs of all running containers (1) are below", "", ""}, false},
		{"elsewhere", "log-paths", func(f *fakeNode) {
			started(f, spec)
			rt, err := os.ReadFile(f.root + "/etc/logwatch/logwatch.yaml")
			if err != nil {
				f.t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(rt), "\n")
			f.file("/etc/logwatch/logwatch.yaml", first+"\npodLogsDir: /var/log/pods\n")
		}, wants{Fail, "the logs of 1 of 1 running container are outside of podLogsDir (/var/log/pods)", "shop/web/app (/tmp/", "podLogsDir: /tmp/"}, true},
		{"silent runtime", "log-paths", func(f *fakeNode) { f.endpoint("/nowhere/x.sock") }, wants{Skip, "see runtime", "", ""}, false},
	})
}

// TestWithoutCRI is what Docker's packages of containerd are like.
func TestWithoutCRI(t *testing.T) {
	for text, want := range map[string]bool{
		`disabled_plugins = ["cri"]`:                                    true,
		"version = 2\n  disabled_plugins=[ \"aufs\", \"cri\" ]":         true,
		`disabled_plugins = ["io.containerd.grpc.v1.cri"]`:              true,
		`#disabled_plugins = ["cri"]`:                                   false,
		`disabled_plugins = []`:                                         false,
		`disabled_plugins = ["io.containerd.snapshotter.v1.devmapper"]`: false,
	} {
		if got := withoutCRI.MatchString(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestListeners finds a real listener, on any address that includes its own.
func TestListeners(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was accepted
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	self, err := procfs.Self()
	if err != nil {
		t.Fatal(err)
	}
	targets, err := self.FileDescriptorTargets()
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t.Context(), Options{})
	for host, want := range map[string]int{"127.0.0.1": 1, "": 1, "0.0.0.0": 1, "[::]": 1, "127.0.0.2": 0, "[::1]": 0} {
		sockets, err := n.listeners("self", host+":"+port)
		if err != nil || len(sockets) != want || want > 0 && !slices.Contains(targets, sockets[0]) {
			t.Errorf("%s: %v %v, want %d", host, sockets, err, want)
		}
	}
}

// TestPeer asks the kernel for the process behind a real socket.
func TestPeer(t *testing.T) {
	path := newFake(t).listen(false)
	cred, err := peerOf(t.Context(), path)
	if err != nil || int(cred.Pid) != os.Getpid() || int(cred.Uid) != os.Geteuid() {
		t.Errorf("%+v %v", cred, err)
	}
	if _, err := peerOf(t.Context(), path+"x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
