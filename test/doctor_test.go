package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/doctor"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

// patient is a node with a real containerd and a logwatch, for doctor to check.
type patient struct {
	t    *testing.T
	node realNode
	p    *process
	conf string // the daemon's configuration
	bin  string // logwatch, and stand-ins for what would restart services
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	n := newReal(t, "")
	if _, err := n.RunPod(t.Context(), containerd.PodSpec{Name: "web", Containers: []containerd.ContainerSpec{{Name: "app", Args: []string{"-rate=500000"}}}}); err != nil {
		t.Fatal(err)
	}
	port, err := freePort(t)
	if err != nil {
		t.Fatal(err)
	}
	yaml := fmt.Sprintf("containerLogMaxSize: 512Ki\nlogging: {format: json, level: debug}\nmetrics: {listenAddress: \"127.0.0.1:%d\"}\ncontrolSocket: %s/logwatch.sock\n", port, n.Dir())
	d := &patient{t: t, node: n, p: newProcess(t, n, yaml)}
	d.conf = d.p.args[len(d.p.args)-1]
	d.bin = filepath.Dir(d.p.binary)
	for _, service := range []string{"systemctl", "service"} { // this machine's services must not be restarted
		if err := os.WriteFile(filepath.Join(d.bin, service), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func freePort(t *testing.T) (int, error) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(errors.New("no TCP address"), l.Close())
	}
	return a.Port, l.Close()
}

// shell runs a script as an operator would.
func (d *patient) shell(script string) *exec.Cmd {
	cmd := exec.Command("sh", "-ec", script)
	cmd.Env = append(os.Environ(), "PATH="+d.bin+":"+os.Getenv("PATH"))
	return cmd
}

// examine runs doctor, after the commands before, in a separate mount namespace.
func (d *patient) examine(before string) (doctor.Report, error) {
	d.t.Helper()
	cmd := d.shell("logwatch doctor --config " + d.conf + " -o json")
	if before != "" {
		inner := "mount --make-rprivate /\n" + before + "\nexec logwatch doctor --config " + d.conf + " -o json"
		cmd = d.shell("exec unshare --mount sh -ec \"$SCRIPT\"")
		cmd.Env = append(cmd.Env, "SCRIPT="+inner)
	}
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() != 1 {
		d.t.Fatalf("doctor: %v\n%s", err, exit.Stderr)
	}
	var r doctor.Report
	if jerr := json.Unmarshal(out, &r); jerr != nil {
		d.t.Fatalf("%v\n%s", jerr, out)
	}
	if (err != nil) != (r.Fail > 0) {
		d.t.Errorf("exit %v with %d failures", err, r.Fail)
	}
	return r, err
}

func (d *patient) find(r doctor.Report, name string) doctor.Check {
	d.t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	d.t.Fatalf("no check %s", name)
	return doctor.Check{}
}

// is fails unless a check has this outcome, and returns it.
func (d *patient) is(before, name string, want doctor.Status, text string) doctor.Check {
	d.t.Helper()
	r, _ := d.examine(before) // whether others fail is not the question
	c := d.find(r, name)
	if c.Status != want || !strings.Contains(c.Summary+"\n"+c.Detail, text) {
		d.t.Errorf("%+v\nwant %s, %q", c, want, text)
	}
	return c
}

// fix runs a check's commands.
func (d *patient) fix(c doctor.Check) {
	d.t.Helper()
	if c.Fix == "" {
		d.t.Fatalf("%s: no command fixes it", c.Name)
	}
	if out, err := d.shell(c.Fix).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", c.Fix, err, out)
	}
}

// pretend runs a process under another name until the test ends.
func (d *patient) pretend(args ...string) (stop func()) {
	d.t.Helper()
	cmd := exec.Command("sh")
	cmd.Args = append([]string{args[0], "-c", "read _", "sh"}, args[1:]...)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return func() { _ = errors.Join(stdin.Close(), cmd.Wait()) } // read ends with its input
}

// TestDoctor checks a node without problems. Then it breaks one thing after another,
// checks that doctor reports it, and runs the commands of the fix.
func TestDoctor(t *testing.T) {
	needRoot(t)
	d := newPatient(t)
	d.is("", "daemon", doctor.Warn, "logwatch does not run on")
	d.p.sweep()
	testutil.Eventually(t, "a rotation", func() bool {
		return strings.Contains(d.p.text(), `"msg":"rotated"`) || strings.Contains(d.p.text(), "rotated")
	})

	r, err := d.examine("")
	for _, c := range r.Checks {
		if c.Status == doctor.Fail {
			t.Errorf("there is no problem, but %+v", c)
		}
	}
	for _, name := range []string{
		"config", "daemon", "control-socket", "skipped-logs", "metrics-port", "privileges", "pod-logs-dir", "rename", "leases",
		"runtime-socket", "runtime", "log-paths", "live-logs", "log-writers", "clock-stamps", "logrotate", "conmon", "shippers", "time-zone",
	} {
		c := d.find(r, name)
		hidden := name == "shippers" && c.Status == doctor.Skip && !hostPIDs(t) // the node's processes are not visible
		if c.Status != doctor.OK && !hidden {
			t.Errorf("there is no problem, but %+v", c)
		}
	}
	if err != nil {
		t.Errorf("exit code: %v", err)
	}

	t.Run("kubelet", d.kubelet)
	t.Run("logrotate", d.logrotate)
	t.Run("read-only", d.readOnly)
	t.Run("shipper", d.shipper)
	t.Run("configuration", d.configuration)
	t.Run("runtime", d.runtime)
	t.Run("unprivileged", d.unprivileged)
	d.p.stop()
	t.Run("impostor", d.impostor)
	t.Run("no reopen", d.noReopen)
	t.Run("second rotator", d.secondRotator)
	t.Run("service", d.readOnlyService)
}

func (d *patient) on(t *testing.T) *patient {
	c := *d
	c.t = t
	return &c
}

func (d *patient) kubelet(t *testing.T) {
	d = d.on(t)
	dir := t.TempDir()
	file, dropIns := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "kubelet.conf.d")
	text := "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\npodLogsDir: " + d.node.PodLogsDir() + "\ncontainerLogMaxSize: 1Mi\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	defer d.pretend("kubelet", "--config="+file, "--config-dir", dropIns)()
	c := d.is("", "kubelet-rotation", doctor.Fail, "kubelet rotates the same logs at 1Mi")
	d.fix(c)
	d.is("", "kubelet-rotation", doctor.OK, "at 1Gi and checks every 1h0m0s")
	if _, err := os.Stat(dropIns + "/90-logwatch.conf"); err != nil {
		t.Error(err)
	}
	d.is("", "pod-logs-dir", doctor.OK, "")
	if err := os.WriteFile(dropIns+"/99-other.conf", []byte("podLogsDir: /data/pods\ncontainerLogMaxSize: \"-1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.is("", "pod-logs-dir", doctor.Fail, "kubelet's is /data/pods")
	d.fix(d.is("", "kubelet-cleaning", doctor.Warn, "are not removed"))
	d.is("", "kubelet-cleaning", doctor.OK, "logwatch removes")
}

func (d *patient) logrotate(t *testing.T) {
	d = d.on(t)
	rules := t.TempDir()
	text := "/var/log/unrelated.log {\n  daily\n}\n" + d.node.PodLogsDir() + "/*/*/*.log {\n  size 1M\n  copytruncate\n}\n"
	if err := os.WriteFile(rules+"/pods", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// Rules of the test's own in their place, and no others.
	if os.Mkdir("/etc/logrotate.d", 0o755) == nil { // there is no logrotate
		defer os.Remove("/etc/logrotate.d") //nolint:errcheck // it is empty
	}
	mount := "mount --bind " + rules + " /etc/logrotate.d"
	c := d.is(mount, "logrotate", doctor.Fail, "/etc/logrotate.d/pods:4: ")
	if !strings.Contains(c.Detail, "with copytruncate") {
		t.Errorf("%+v", c)
	}
	c.Fix = strings.ReplaceAll(c.Fix, "/etc/logrotate.d", rules)
	d.fix(c)
	d.is(mount, "logrotate", doctor.OK, "")
}

func (d *patient) readOnly(t *testing.T) {
	d = d.on(t)
	dir := d.node.PodLogsDir()
	mount := fmt.Sprintf("mount --bind %s %[1]s\nmount -o remount,bind,ro %[1]s", dir)
	c := d.is(mount, "pod-logs-dir", doctor.Fail, "is read-only")
	d.is(mount+"\n"+c.Fix, "pod-logs-dir", doctor.OK, "")
}

// shipper: the daemon accepts what doctor writes.
func (d *patient) shipper(t *testing.T) {
	d = d.on(t)
	defer d.pretend("/opt/fluent-bit/bin/fluent-bit", "-c", "x")()
	before := strings.Count(d.p.text(), "configuration reloaded")
	d.fix(d.is("", "shippers", doctor.Warn, "fluent-bit may miss lines"))
	d.is("", "shippers", doctor.OK, "minRotationInterval 5s, rotatedLogGracePeriod 10s")
	testutil.Eventually(t, "the daemon to reload", func() bool {
		return strings.Count(d.p.text(), "configuration reloaded") > before
	})
	d.is("", "control-socket", doctor.OK, "answers")
}

// configuration: an invalid file fails, and so does a daemon that rejected it.
func (d *patient) configuration(t *testing.T) {
	d = d.on(t)
	good, err := os.ReadFile(d.conf)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(d.conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reloads := func() bool { return strings.Contains(d.p.text(), "reload failed; previous configuration still active") }
	write(string(good) + "containerLogMaxFiles: 1\n")
	testutil.Eventually(t, "the daemon to refuse", reloads)
	d.is("", "config", doctor.Fail, "containerLogMaxFiles: must be at least 2")
	write(string(good))
	testutil.Eventually(t, "the daemon to take it", func() bool {
		r, _ := d.examine("") // the question is one check of it
		return d.find(r, "control-socket").Status == doctor.OK
	})
	d.is("", "config", doctor.OK, "is valid")
}

// runtime: it is killed, and started again.
func (d *patient) runtime(t *testing.T) {
	d = d.on(t)
	if err := d.node.Kill(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	d.is("", "runtime-socket", doctor.Fail, "no process listens")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	d.is("", "runtime", doctor.Skip, "see runtime-socket")
	if err := d.node.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.is("", "runtime-socket", doctor.OK, "")
	d.is("", "runtime", doctor.OK, "containerd")
	// A reopen that was requested while containerd started is requested again 10 s later.
	testutil.Eventually(t, "a reopened log", func() bool {
		r, _ := d.examine("")
		return d.find(r, "log-writers").Status == doctor.OK
	})
}

// unprivileged: no check fails because of missing permissions.
func (d *patient) unprivileged(t *testing.T) {
	d = d.on(t)
	out, err := d.shell("exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all logwatch doctor --config " + d.conf + " -o json").Output()
	var r doctor.Report
	if jerr := json.Unmarshal(out, &r); jerr != nil {
		t.Fatalf("user 65534 cannot run %s: %v, %v", d.p.binary, err, jerr)
	}
	for _, c := range r.Checks {
		if c.Status == doctor.Fail {
			t.Errorf("%+v", c)
		}
	}
	c := d.find(r, "config")
	if c.Status != doctor.Skip || !strings.Contains(c.Fix, "sudo logwatch doctor --config "+d.conf) {
		t.Errorf("%+v", c)
	}
}

// impostor: another program has the daemon's name and arguments.
func (d *patient) impostor(t *testing.T) {
	d = d.on(t)
	defer d.pretend("logwatch", "run", "--config", d.conf)()
	d.is("", "daemon", doctor.Warn, "logwatch does not run on")
}

// noReopen: as after a crash in the middle of a rotation.
func (d *patient) noReopen(t *testing.T) {
	d = d.on(t)
	live, err := filepath.Glob(d.node.PodLogsDir() + "/*/*/0.log")
	if err != nil || len(live) != 1 {
		t.Fatalf("%v %v", live, err)
	}
	rotated := live[0] + ".20260102-030405"
	if err := os.Rename(live[0], rotated); err != nil {
		t.Fatal(err)
	}
	d.is("", "log-writers", doctor.Warn, rotated)
	if err := os.Rename(rotated, live[0]); err != nil {
		t.Fatal(err)
	}
	d.is("", "log-writers", doctor.OK, "")
}

// secondRotator: another process holds the lock on podLogsDir.
func (d *patient) secondRotator(t *testing.T) {
	d = d.on(t)
	f, err := os.Open(d.node.PodLogsDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	d.is("", "daemon", doctor.Warn, fmt.Sprintf("podLogsDir is locked by process %d", os.Getpid()))
}

// readOnlyService: the node may write podLogsDir, and the daemon's service not.
func (d *patient) readOnlyService(t *testing.T) {
	d = d.on(t)
	p := *d.p
	p.t = t
	p.args = append([]string{"--mount", "sh", "-ec", "mount --make-rprivate /; mount --bind $0 $0; mount -o remount,bind,ro $0; exec \"$@\"", d.node.PodLogsDir(), p.binary}, p.args...)
	p.binary = "unshare"
	p.sweep()
	defer p.stop()
	d.is("", "pod-logs-dir", doctor.Fail, "read-only")
}

// hostPIDs reports whether the test runs in the PID namespace of the host, PROC_PID_INIT_INO.
func hostPIDs(t *testing.T) bool {
	t.Helper()
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	return namespace == "pid:[4026531836]"
}
