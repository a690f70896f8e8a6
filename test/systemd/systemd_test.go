package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
)

const (
	second  = time.Second
	dropIns = "/etc/systemd/system/logwatch.service.d"
)

// TestSystemd runs logwatch on one machine, step by step: each depends on those before.
func TestSystemd(t *testing.T) {
	need(t, "systemd-nspawn", "nsenter", "unshare", "dpkg", "rpm", "ip")
	n := newNode(t, "/")
	makePackages(t, n)
	for _, step := range []struct {
		name string
		do   func(*testing.T, *node)
	}{
		{"Installs", installs},
		{"Hardened", hardened},
		{"StartsAfterRuntime", startsAfterRuntime},
		{"Rotates", rotates},
		{"Answers", answers},
		{"OtherHosts", otherHosts},
		{"Readers", seesReaders},
		{"Reloads", reloads},
		{"RuntimeRestarts", runtimeRestarts},
		{"Watchdog", watchdog},
		{"Upgrades", upgrades},
		{"UpgradesBesideBadConfig", upgradesBesideBadConfig},
		{"Frugal", frugal},
		{"Stops", stops},
		{"Removes", removes},
		{"OtherDisk", otherDisk},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(t, n) }) {
			return
		}
	}
}

// hardened: systemd finds no fault in the unit, and its exposure level is low.
func hardened(t *testing.T, n *node) {
	if out := n.run(t, "systemd-analyze", "verify", "--man=no", unit); out != "" {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	out := n.run(t, "systemd-analyze", "security", "--no-pager", "--threshold=25", unit)
	level := regexp.MustCompile(`Overall exposure level for logwatch.service: ([0-9.]+)`).FindStringSubmatch(out)
	if level == nil {
		t.Fatalf("systemd-analyze security:\n%s", out)
	}
	t.Log(level[0])
}

// startsAfterRuntime: it starts in the order of a boot, on a node without any pod yet.
func startsAfterRuntime(t *testing.T, n *node) {
	n.configure(t, "64Ki")
	n.run(t, "systemctl", "enable", unit)
	n.run(t, "systemctl", "start", "multi-user.target")
	started := func(u string) int {
		t.Helper()
		testutil.Eventually(t, u, func() bool { return n.show(t, u, "ActiveState") == "active" })
		at, err := strconv.Atoi(n.show(t, u, "ActiveEnterTimestampMonotonic"))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if lw, rt := started(unit), started("containerd.service"); lw < rt {
		t.Errorf("logwatch was up at %d µs, before the runtime at %d", lw, rt)
	}
	if status := n.show(t, unit, "StatusText"); status != "waiting for "+podLogsDir {
		t.Errorf("status %q", status)
	}
	n.attach(t)
}

// rotates: the sandbox allows everything that logwatch does.
func rotates(t *testing.T, n *node) {
	l := n.load(t, "rotated", 4*second) // makes podLogsDir, as kubelet does
	if files := l.complete(t); files < 10 {
		t.Errorf("%d files, so it was hardly rotated", files)
	}
	// The machine's clock is ahead of UTC, and a stamp is of the local time.
	zone, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	live, err := os.Stat(filepath.Join(n.path(podLogsDir), l.dir, "0.log"))
	if err != nil {
		t.Fatal(err)
	}
	gz := 0
	for _, name := range l.files(t) {
		parsed, ok := podlogs.ParseName(name)
		if !ok {
			t.Errorf("foreign file %s", name)
			continue
		}
		if name == "0.log" {
			continue
		}
		// The name has no zone, and was parsed as if it were of ours.
		stamp := parsed.Stamp
		stamp = time.Date(stamp.Year(), stamp.Month(), stamp.Day(), stamp.Hour(), stamp.Minute(), stamp.Second(), 0, zone)
		if time.Since(stamp).Abs() > 10*time.Minute {
			t.Errorf("%s: not of the machine's local time, %v", name, time.Now().In(zone))
		}
		info, err := os.Stat(filepath.Join(n.path(podLogsDir), l.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != live.Mode() {
			t.Errorf("%s has mode %v, the live log %v", name, info.Mode(), live.Mode())
		}
		if strings.HasSuffix(name, ".gz") {
			gz++
		}
	}
	if gz == 0 {
		t.Error("nothing was compressed")
	}
}

// answers: control socket and metrics respond.
func answers(t *testing.T, n *node) {
	s := n.status(t)
	if s.Node.Rotations == 0 || s.Node.Unhealthy != "" || s.Node.PodLogsDir != podLogsDir {
		t.Errorf("status: %+v", s.Node)
	}
	info, err := os.Stat(n.path("/run/logwatch"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("/run/logwatch has mode %v", info.Mode())
	}
	testutil.Eventually(t, "metrics", func() bool {
		metrics, err := n.metrics("127.0.0.1")
		return err == nil && strings.Contains(metrics, "\nlogwatch_rotations_total")
	})
}

// metrics requests the metrics as a client with that address.
func (n *node) metrics(address string) (string, error) {
	return n.try("timeout", "2", "bash", "-c",
		`exec 3<>"/dev/tcp/$0/9790" && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3`, address)
}

// otherHosts: other hosts get metrics only with the drop-in of the unit's comments.
func otherHosts(t *testing.T, n *node) {
	const host = "192.0.2.1" // of documentation, by RFC 5737
	n.run(t, "ip", "address", "add", host+"/32", "dev", "lo")
	config := n.config(t)
	n.write(t, configFile, strings.Replace(config, "listenAddress: 127.0.0.1:9790", `listenAddress: "[::]:9790"`, 1))
	n.run(t, "systemctl", "restart", unit)
	testutil.Eventually(t, "metrics on this host", func() bool { _, err := n.metrics("127.0.0.1"); return err == nil })
	if out, err := n.metrics(host); err == nil {
		t.Errorf("another host has metrics without the drop-in: %.200s", out)
	}
	n.run(t, "mkdir", dropIns)
	n.write(t, dropIns+"/metrics.conf", "[Service]\nIPAddressAllow=any\n")
	n.run(t, "systemctl", "daemon-reload")
	n.run(t, "systemctl", "restart", unit)
	testutil.Eventually(t, "metrics on another host", func() bool { _, err := n.metrics(host); return err == nil })
	n.run(t, "rm", "-r", dropIns)
	n.run(t, "systemctl", "daemon-reload")
	n.write(t, configFile, config)
	n.run(t, "systemctl", "restart", unit)
}

// reloads: by systemctl and by a change of the file, and not with an invalid file.
func reloads(t *testing.T, n *node) {
	l := n.load(t, "reloaded", 10*second)
	n.idle(t, "idle")
	limit := func() int64 {
		for _, c := range n.status(t).Containers {
			if c.Pod == "idle" {
				return c.Limit
			}
		}
		return 0
	}
	before := n.pid(t)
	n.configure(t, "128Ki")
	testutil.Eventually(t, "the file's new limit", func() bool { return limit() == 128<<10 })

	n.run(t, "systemctl", "reload", unit)
	if journal := n.run(t, "journalctl", "--no-pager", "--unit="+unit); !strings.Contains(journal, "the daemon reloaded its configuration") {
		t.Errorf("systemctl reload did not reach the daemon:\n%s", journal)
	}

	n.write(t, configFile, edited(t, n.sample, "lots"))
	if out, err := n.try("systemctl", "reload", unit); err == nil {
		t.Errorf("a bad file was reloaded: %s", out)
	}
	testutil.Eventually(t, "the bad file to be told of", func() bool { return strings.Contains(n.status(t).Node.Config.Error, "lots") })
	if active := n.show(t, unit, "ActiveState"); active != "active" || limit() != 128<<10 {
		t.Errorf("after a bad file it is %s, with a limit of %d", active, limit())
	}

	n.configure(t, "64Ki")
	testutil.Eventually(t, "the good file's limit", func() bool { return limit() == 64<<10 })
	if n.pid(t) != before {
		t.Error("a reload has restarted it")
	}
	l.complete(t)
}

func runtimeRestarts(t *testing.T, n *node) {
	l := n.load(t, "survivor", 6*second)
	l.rotated(t)
	before := n.pid(t)
	n.run(t, "systemctl", "restart", "containerd")
	l.rotated(t)
	l.complete(t)
	if n.pid(t) != before || n.show(t, unit, "NRestarts") != "0" {
		t.Error("it was restarted with the runtime")
	}
}

// watchdog: a process that hangs is replaced, and the next one rotates what is due.
func watchdog(t *testing.T, n *node) {
	usec, err := time.ParseDuration(strings.ReplaceAll(n.show(t, unit, "WatchdogUSec"), "min", "m"))
	if err != nil || usec == 0 {
		t.Fatalf("no watchdog: %v, %v", usec, err)
	}
	const sooner = 8 * second
	n.run(t, "mkdir", dropIns)
	n.write(t, dropIns+"/watchdog.conf", fmt.Sprintf("[Service]\nWatchdogSec=%d\n", sooner/second))
	n.run(t, "systemctl", "daemon-reload")
	n.run(t, "systemctl", "restart", unit)
	l := n.load(t, "hung", sooner+8*second)
	l.rotated(t)
	before, begin := n.pid(t), time.Now()
	n.run(t, "kill", "-STOP", before)
	testutil.Eventually(t, "a restart by the watchdog", func() bool {
		return n.show(t, unit, "NRestarts") == "1" && n.show(t, unit, "ActiveState") == "active"
	})
	t.Logf("restarted after %v", time.Since(begin).Round(100*time.Millisecond))
	if n.pid(t) == before {
		t.Error("it is the same process")
	}
	journal := n.run(t, "journalctl", "--no-pager", "--unit="+unit)
	if !strings.Contains(journal, "Watchdog timeout") || !strings.Contains(journal, "goroutine ") {
		t.Errorf("the journal does not say what hung:\n%s", journal)
	}
	l.rotated(t)
	l.complete(t)
	n.run(t, "rm", "-r", dropIns)
	n.run(t, "systemctl", "daemon-reload")
}

// frugal: its limits are effective, and usage is far below them after all that work.
func frugal(t *testing.T, n *node) {
	proc := "/proc/" + n.pid(t)
	field := func(of, name string, base int) int64 {
		t.Helper()
		found := regexp.MustCompile(`(?m)^` + name + `:\s+([0-9a-f]+)`).FindStringSubmatch(n.run(t, "cat", of+"/status"))
		if found == nil {
			t.Fatalf("no %s in %s/status", name, of)
		}
		value, err := strconv.ParseInt(found[1], base, 64)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	most, err := strconv.ParseInt(n.show(t, unit, "MemoryMax"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	resident := field(proc, "VmHWM", 10) << 10 // kB
	threads, files := field(proc, "Threads", 10), len(strings.Fields(n.run(t, "ls", proc+"/fd")))
	t.Logf("%d MB of %d at most, %d threads, %d files", resident>>20, most>>20, threads, files)
	if resident > most/3 || threads > 64 || files > 256 {
		t.Error("it is near its limits")
	}
	if caps := field(proc, "CapEff", 16) | field(proc, "CapBnd", 16); caps != 0 {
		t.Errorf("capabilities: %x", caps)
	}
	// A nested machine may not be allowed to set it.
	if field("/proc/1", "CapEff", 16)&(1<<unix.CAP_SYS_RESOURCE) == 0 {
		t.Log("this machine may not set oom_score_adj")
	} else if score := n.run(t, "cat", proc+"/oom_score_adj"); score != "-900" {
		t.Errorf("oom_score_adj = %s", score)
	}
}

// stops: it stops in time and cleanly while a container writes.
func stops(t *testing.T, n *node) {
	l := n.load(t, "stopped", 4*second)
	l.rotated(t)
	begin := time.Now()
	n.run(t, "systemctl", "stop", unit)
	if took := time.Since(begin); took > 5*second {
		t.Errorf("it took %v to stop", took)
	}
	if result, code := n.show(t, unit, "Result"), n.show(t, unit, "ExecMainStatus"); result != "success" || code != "0" {
		t.Errorf("it ended with %s and exit code %s", result, code)
	}
	if left := n.run(t, "find", "/run/logwatch", "-type", "s,f"); left != "" {
		t.Errorf("left: %s", left)
	}
	n.run(t, "systemctl", "start", unit)
	l.complete(t)
}
