package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// fakeNode is a node in a directory, without problems.
type fakeNode struct {
	t      *testing.T
	root   string
	sys    system
	config string // Options.ConfigFile
	pid    int    // the last one given
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func newFake(t *testing.T) *fakeNode {
	t.Helper()
	f := &fakeNode{t: t, root: t.TempDir(), pid: 100}
	f.sys = system{
		now: func() time.Time { return noon },
		statfs: func(_ string, st *unix.Statfs_t) error {
			*st = unix.Statfs_t{Type: unix.EXT4_SUPER_MAGIC, Frsize: 4096, Blocks: 25e6, Bavail: 12e6, Files: 1e6, Ffree: 5e5}
			return nil
		},
		access:   func(string, uint32) error { return nil },
		adjtimex: func(*unix.Timex) (int, error) { return 0, nil },
		holder:   func(string) (int, error) { return 0, errors.New("no holder") },
		rename:   func(string, bool, uint) error { return nil },
		podLogs:  podlogs.At,
		pause:    func(context.Context) {},
		peer:     func(context.Context, string) (unix.Ucred, error) { return unix.Ucred{}, unix.ECONNREFUSED },
		status:   func(context.Context, string) (api.Status, error) { return api.Status{}, nil },
	}
	for name, text := range map[string]string{
		"/proc/sys/fs/leases-enable":                "1\n",
		"/proc/sys/fs/inotify/max_user_watches":     "65536\n",
		"/proc/sys/fs/inotify/max_user_instances":   "128\n",
		"/proc/sys/fs/inotify/max_queued_events":    "16384\n",
		"/etc/localtime":                            utc(t),
		"/etc/sysctl.d/.keep":                       "",
		"/run/systemd/system/.keep":                 "",
		"/var/log/pods/shop_web-0_u1/app/0.log":     "2026-03-04T11:00:00.000000000Z stdout F hello\n",
		"/var/log/pods/shop_web-0_u1/side/0.log":    "",
		"/var/log/pods/shop_db-0_u2/postgres/1.log": "2026-03-04T11:00:00.000000000+01:00 stderr P half\n",
	} {
		f.file(name, text)
	}
	f.link("/var/log/containers/web-0_shop_app-c1.log", "/var/log/pods/shop_web-0_u1/app/0.log")
	f.processOf(f.pid, 0, "/usr/bin/logwatch", "doctor")
	f.link("/proc/self", strconv.Itoa(f.pid))
	f.link("/proc/self/ns/pid", "pid:[4026531836]")
	return f
}

const tcpHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func utc(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/usr/share/zoneinfo/Etc/UTC")
	if err != nil {
		t.Skip("no time zones are installed: apt-get install tzdata")
	}
	return string(data)
}

func (f *fakeNode) file(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeNode) link(name, target string) {
	f.t.Helper()
	path := filepath.Join(f.root, name)
	_ = os.Remove(path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeNode) remove(name string) {
	f.t.Helper()
	if err := os.RemoveAll(filepath.Join(f.root, name)); err != nil {
		f.t.Fatal(err)
	}
}

// process adds one of root's, and returns its ID.
func (f *fakeNode) process(args ...string) int {
	f.t.Helper()
	f.pid++
	return f.processOf(f.pid, 0, args...)
}

func (f *fakeNode) processOf(pid, uid int, args ...string) int {
	f.t.Helper()
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	f.link(dir+"exe", args[0])
	f.file(dir+"cmdline", strings.Join(args, "\x00")+"\x00")
	f.file(dir+"status", fmt.Sprintf("Name:\t%s\nUid:\t%d\t%[2]d\t%[2]d\t%[2]d\nCapEff:\t0000000000000000\n", "x", uid))
	f.file(dir+"cgroup", "0::/system.slice/x.service\n")
	f.file(dir+"environ", "")
	f.file(dir+"net/tcp", tcpHead)
	f.file(dir+"net/tcp6", tcpHead)
	f.file(dir+"fdinfo/.keep", "")
	f.link(dir+"fd/0", "/dev/null")
	f.link(dir+"root", "../..")
	f.link(dir+"cwd", "/")
	return pid
}

// daemon adds a logwatch that listens on its control socket.
func (f *fakeNode) daemon(args ...string) int {
	f.t.Helper()
	pid := f.process(append([]string{"/usr/bin/logwatch", "run"}, args...)...)
	f.sys.peer = func(context.Context, string) (unix.Ucred, error) { return unix.Ucred{Pid: int32(pid)}, nil }
	return pid
}

func (f *fakeNode) node() *node {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	f.t.Cleanup(cancel)
	return newNode(ctx, Options{ConfigFile: f.config, root: f.root, system: &f.sys})
}

// check runs one by its name.
func (f *fakeNode) check(name string) Check {
	f.t.Helper()
	for _, c := range checks {
		if c.name == name {
			return c.do(f.t.Context(), f.node())
		}
	}
	f.t.Fatalf("there is no check %q", name)
	return Check{}
}

// fix runs a check's commands as an operator would, on this node's files. It
// has no services, and kernel parameters are files.
func (f *fakeNode) fix(c Check) {
	f.t.Helper()
	bin := filepath.Join(f.t.TempDir(), "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		f.t.Fatal(err)
	}
	for name, script := range map[string]string{
		"systemctl": "", "logwatch": "", "service": "",
		"sysctl": `[ "$1" = -p ] || exit 1; sed 's/ //g' "$2" | while IFS== read -r key value; do echo "$value" > "` +
			f.root + `/proc/sys/$(echo "$key" | tr . /)"; done`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			f.t.Fatal(err)
		}
	}
	script := strings.NewReplacer("/etc/", f.root+"/etc/", "/var/lib/", f.root+"/var/lib/").Replace(c.Fix)
	cmd := exec.Command("sh", "-ec", script)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Errorf("%v: %s\n%s", err, script, out)
	}
}

// wants is what a check should report; each text must be in its part.
type wants struct {
	status               Status
	summary, detail, fix string
}

func (w wants) hold(t *testing.T, c Check) {
	t.Helper()
	if c.Status != w.status || !strings.Contains(c.Summary, w.summary) || !strings.Contains(c.Detail, w.detail) || !strings.Contains(c.Fix, w.fix) {
		t.Errorf("got  %s %q\n     %q\n fix %q\nwant %s %q\n     %q\n fix %q", c.Status, c.Summary, c.Detail, c.Fix, w.status, w.summary, w.detail, w.fix)
	}
}

// scenario is a node in some state.
type scenario struct {
	name  string
	check string
	make  func(*fakeNode)
	wants wants
	fixed bool // running the commands makes the check ok
}

func run(t *testing.T, scenarios []scenario) {
	t.Helper()
	for _, s := range scenarios {
		t.Run(s.check+"/"+s.name, func(t *testing.T) {
			f := newFake(t)
			if s.make != nil {
				s.make(f)
			}
			c := f.check(s.check)
			s.wants.hold(t, c)
			if (c.Status == Warn || c.Status == Fail) && c.Fix == "" {
				t.Error("no command fixes it")
			}
			if s.fixed {
				f.fix(c)
				if again := f.check(s.check); again.Status != OK {
					t.Errorf("after %s\nit is %+v", c.Fix, again)
				}
			}
		})
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// list has hidden files too.
func list(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
