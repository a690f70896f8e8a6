package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
)

var daemonChecks = []check{
	{"daemon", checkDaemon, []need{needConfig}},
	{"control-socket", checkControlSocket, []need{needConfig}},
	{"skipped-logs", checkSkippedLogs, []need{needConfig, needAnswer}},
	{"exchange", checkExchange, []need{needConfig, needAnswer}},
	{"metrics-port", checkMetricsPort, []need{needConfig}},
	{"service", checkService, nil},
}

// daemonProcess is the running logwatch, and other logwatch processes.
type daemonProcess struct {
	pid      int // 0: none
	settings settings
	inPod    bool
	others   []process
}

// isLogwatch reports whether a process is `logwatch run`. Any process may have that
// name: its executable counts, and its user or its service's cgroup, into which only
// root puts processes.
func (n *node) isLogwatch(p process) bool {
	exe, err := p.Executable() // a replaced one ends in " (deleted)"
	if n.noPermission(err) {
		exe = p.program()
	}
	return strings.HasPrefix(filepath.Base(exe), "logwatch") && slices.Contains(p.args, "run") &&
		(n.trusted(p.uid()) || p.inCgroup(strings.HasPrefix, "/system.slice/logwatch.service"))
}

// findDaemon returns the logwatch that listens on its control socket, or else the
// one that holds the lock of its podLogsDir, or else any. With a configuration
// that was named, only one that works on the same directory counts.
func (n *node) findDaemon(ctx context.Context) (d daemonProcess) {
	wanted := ""
	if n.file != "" {
		wanted = filepath.Clean(n.settings().PodLogsDir)
	}
	best := 0
	for _, p := range n.processes() {
		if !n.isLogwatch(p) {
			continue
		}
		s, rank := n.settingsOf(p), 1
		if pid, err := n.sys.holder(s.PodLogsDir); err == nil && pid == p.PID {
			rank = 2
		}
		if peer, err := n.sys.peer(ctx, n.seenBy(p.PID, s.ControlSocket)); err == nil && int(peer.Pid) == p.PID {
			rank = 3
		}
		// Without a proof it may be a pod's, or of another node in a container.
		if rank == 1 && (p.inPod() && !n.isolated() || !n.sharesDir(p.PID, s.PodLogsDir)) {
			continue
		}
		d.others = append(d.others, p)
		if rank > best && (wanted == "" || filepath.Clean(s.PodLogsDir) == wanted) {
			best, d.pid, d.settings, d.inPod = rank, p.PID, s, p.inPod()
		}
	}
	d.others = slices.DeleteFunc(d.others, func(p process) bool { return p.PID == d.pid })
	return d
}

// sharesDir reports whether a path is the same directory for a process as for the
// node, as far as that can be read.
func (n *node) sharesDir(pid int, path string) bool {
	ours, err := os.Stat(n.path(path))
	if err != nil {
		return true
	}
	theirs, err := os.Stat(n.seenBy(pid, path))
	return err != nil || os.SameFile(ours, theirs)
}

func checkDaemon(_ context.Context, n *node) Check {
	s, d := n.settings(), n.daemon()
	if c, ok := n.conflicting(); ok {
		return c
	}
	from := cmp.Or(d.settings.file, "its flags and the defaults")
	switch {
	case d.pid == 0:
		c := n.orHidden(found(Warn, "logwatch does not run on %s", s.PodLogsDir).detail("Only kubelet rotates these logs."))
		for _, other := range d.others {
			c = c.detail("Process %d uses %s.", other.PID, n.settingsOf(other).PodLogsDir)
		}
		return c.run(n.start())
	case n.file != "" && d.settings.file != "" && !sameFile(n.file, n.seenBy(d.pid, d.settings.file)):
		return found(Warn, "the running logwatch (process %d) uses %s, not %s", d.pid, from, n.file).
			fix("logwatch doctor --config %s", d.settings.file)
	}
	return found(OK, "logwatch runs (process %d) on %s, with %s", d.pid, s.PodLogsDir, from)
}

// start is the command that starts logwatch.
func (n *node) start() command {
	switch s := n.settings(); {
	case n.unitFile("logwatch.service") != "":
		return systemctl("enable --now", "logwatch")
	case s.file != "":
		return command("logwatch run --config " + quote(s.file) + " # or install the package, for a service")
	}
	return "logwatch run # or install the package, for a service"
}

// conflicting returns a Check for another process that works on the same logs.
func (n *node) conflicting() (Check, bool) {
	const show = "ps -p %d -o pid,user,lstart,args; systemctl status %[1]d --no-pager"
	s, d := n.settings(), n.daemon()
	if pid, err := n.sys.holder(s.PodLogsDir); err == nil && pid != d.pid {
		name := "which has ended"
		if i := slices.IndexFunc(n.processes(), func(p process) bool { return p.PID == pid }); i >= 0 {
			p := n.processes()[i]
			exe, _ := p.Executable() // unreadable: its name
			if name = filepath.Base(cmp.Or(exe, p.program())); n.isLogwatch(p) {
				name = ""
			}
		}
		if name != "" {
			return found(Warn, "podLogsDir is locked by process %d (%s)", pid, name).
				detail("logwatch works nevertheless. If that is a rotator, stop it: two rotators lose lines.").fix(show, pid), true
		}
	}
	ours := filepath.Clean(s.PodLogsDir)
	for _, other := range d.others {
		theirs := filepath.Clean(n.settingsOf(other).PodLogsDir)
		if strings.HasPrefix(theirs+"/", ours+"/") || strings.HasPrefix(ours, theirs+"/") {
			return found(Fail, "a second logwatch (process %d) uses %s", other.PID, theirs).
				detail("Two rotators lose lines. The lock on podLogsDir prevents that, but not if the directory is mounted twice, or one is within the other.").
				fix(show, other.PID), true
		}
	}
	return Check{}, false
}

// daemonStatus is what the daemon answers.
type daemonStatus struct {
	api.Status
	peer unix.Ucred
	err  error
}

// askDaemon asks the process that listens on the control socket, if it is the
// daemon.
func (n *node) askDaemon(ctx context.Context) (a daemonStatus) {
	s, d := n.settings(), n.daemon()
	socket := n.path(s.ControlSocket)
	if d.pid != 0 {
		socket = n.seenBy(d.pid, s.ControlSocket)
	}
	if a.peer, a.err = n.sys.peer(ctx, socket); a.err != nil {
		return a
	}
	if int(a.peer.Pid) != d.pid {
		a.err = fmt.Errorf("process %d of user %d listens there", a.peer.Pid, a.peer.Uid)
		return a
	}
	a.Status, a.err = n.sys.status(ctx, socket)
	return a
}

// needAnswer skips a check without the daemon's answer.
func needAnswer(n *node) Check {
	if n.settings().ControlSocket == "" || n.daemon().pid == 0 || n.status().err != nil {
		return found(Skip, "the daemon does not answer: see control-socket")
	}
	return Check{}
}

func checkControlSocket(_ context.Context, n *node) Check {
	s, d := n.settings(), n.daemon()
	switch {
	case s.ControlSocket == "":
		return found(Skip, "controlSocket is empty: status, top and rotate are not available")
	case d.pid == 0:
		if st, err := os.Lstat(n.path(s.ControlSocket)); err == nil && st.Mode().Type() != os.ModeSocket {
			return found(Fail, "%s exists and is not a socket", s.ControlSocket).
				detail("logwatch does not replace it, and has no control socket.").
				fix("mv %s %s", s.ControlSocket, s.ControlSocket+".moved")
		}
		return found(Skip, "logwatch does not run")
	}
	a := n.status()
	node, logs := a.Node, logsOf("logwatch")
	switch {
	case a.peer.Pid != 0 && int(a.peer.Pid) != d.pid:
		return found(Fail, "another process listens on %s", s.ControlSocket).detail("%v; the daemon is process %d. Its answers are ignored.", a.err, d.pid).
			fix("ps -p %d -o pid,user,lstart,args", int(a.peer.Pid))
	case a.err != nil:
		return found(Warn, "the daemon does not answer at %s", s.ControlSocket).cause(a.err).run(logs)
	case node.Unhealthy != "":
		return found(Fail, "the daemon is unhealthy").detail("%s", node.Unhealthy).run(logs)
	case node.Config.Error != "":
		return found(Fail, "the daemon rejected its last configuration").detail("%s", node.Config.Error).
			detail("The previous one is still active.").fix("${EDITOR:-vi} %s && logwatch reload --config %[1]s", node.Config.File)
	case node.Waiting != "":
		return found(Warn, "the daemon is waiting").detail("%s", node.Waiting).run(logs)
	case node.Failures > 0 && node.Failures > node.Rotations/100:
		return found(Warn, "%d of %d rotations failed", node.Failures, node.Rotations+node.Failures).run("logwatch status -o wide", logs)
	}
	return found(OK, "the daemon answers: %s, %d failed", display.Plural(int(node.Rotations), "rotation"), node.Failures)
}

// checkSkippedLogs lists the running containers whose logs the daemon does not
// rotate, with the reason.
func checkSkippedLogs(_ context.Context, n *node) Check {
	all := n.status().Containers
	var skipped []string
	for _, c := range all {
		if c.Skipped != "" {
			skipped = append(skipped, c.Namespace+"/"+c.Pod+"/"+c.Container+": "+c.Skipped)
		}
	}
	if len(skipped) > 0 {
		return found(Warn, "the daemon skips the logs of %d of %s", len(skipped), display.Plural(len(all), "running container")).
			detail("They grow without a limit: %s.", firstFew(skipped)).
			fix("logwatch status -o wide # see log-paths and live-logs")
	}
	return found(OK, "the daemon skips none of %s", display.Plural(len(all), "running container"))
}

// checkExchange reports whether the daemon rotates by exchange.
func checkExchange(_ context.Context, n *node) Check {
	all := n.status().Containers
	why := map[string]int{}
	for _, c := range all {
		if c.Fallback != "" {
			why[c.Fallback]++
		}
	}
	if len(why) == 0 {
		return found(OK, "the daemon rotates by exchange: a live log's path is never absent")
	}
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(why)) {
		reasons = append(reasons, text("%s (%d)", reason, why[reason]))
	}
	return found(Warn, "the daemon rotates by rename: %s", strings.Join(reasons, ", ")).
		detail("The live log is absent until the runtime has reopened it; log shippers that scan in that instant may lose a whole rotated log.").
		detail("lease_unsupported: fs.leases-enable is 0; exchange_unsupported: the file system lacks RENAME_EXCHANGE.").
		fix("sysctl -w fs.leases-enable=1 # for lease_unsupported; for the others: df -hT %s", n.settings().PodLogsDir)
}

// checkMetricsPort checks the listener in the daemon's network namespace.
func checkMetricsPort(_ context.Context, n *node) Check {
	s, d := n.settings(), n.daemon()
	address, where := s.Metrics.ListenAddress, "self"
	if address == "" {
		return found(Skip, "metrics.listenAddress is empty: there are no metrics")
	}
	if d.pid != 0 {
		where = strconv.Itoa(d.pid)
	}
	sockets, err := n.listeners(where, address)
	switch {
	case err != nil:
		return skipUnreadable("the listener on "+address, err)
	case len(sockets) == 0 && d.pid == 0:
		return found(OK, "%s is free", address)
	case len(sockets) == 0:
		return found(Warn, "the daemon does not listen on %s", address).
			detail("It runs without metrics, and retries.").run(logsOf("logwatch"))
	}
	for _, p := range n.processes() {
		targets, ferr := p.FileDescriptorTargets()
		err = errors.Join(err, ferr)
		switch {
		case !slices.ContainsFunc(sockets, func(s string) bool { return slices.Contains(targets, s) }):
		case p.PID == d.pid:
			return found(OK, "the daemon serves metrics on %s", address)
		default:
			_, port, _ := net.SplitHostPort(address) // listeners has parsed it
			return found(Fail, "%s is taken by %s (process %d)", address, p.program(), p.PID).
				detail("There are no metrics and no health checks; rotation continues.").
				fix("ss --tcp --listening --processes --numeric 'sport = :%s'", command(port)).
				fix("${EDITOR:-vi} %s # or set another metrics.listenAddress", s.fileOrInstalled())
		}
	}
	return n.orHidden(skipUnreadable("the process that listens on "+address, err))
}

// listeners returns the sockets that listen on address or a wildcard in a process's
// network namespace, as its descriptors show them.
func (n *node) listeners(pid, address string) (sockets []string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	within, err := procfs.NewFS(n.path("proc", pid))
	if err != nil {
		return nil, err
	}
	lines, err := within.NetTCP() //nolint:staticcheck // netlink cannot read another process's network namespace
	if err != nil {
		return nil, err
	}
	more, _ := within.NetTCP6() //nolint:staticcheck // as above; a kernel without IPv6 has none
	ip := net.ParseIP(host)
	const listening = 0x0A // see proc_pid_net(5)
	for _, l := range append(lines, more...) {
		if l.St == listening && strconv.FormatUint(l.LocalPort, 10) == port &&
			(ip == nil || ip.IsUnspecified() || l.LocalAddr.IsUnspecified() || l.LocalAddr.Equal(ip)) {
			sockets = append(sockets, fmt.Sprintf("socket:[%d]", l.Inode))
		}
	}
	return sockets, nil
}

// systemctl is what does something to a service.
func systemctl(action, unit string) command { return command("systemctl " + action + " " + unit) }

// logsOf is what shows a service's logs.
func logsOf(unit string) command { return command("journalctl -u " + unit + " -n 50 --no-pager") }

// unitDirs are systemd's; the first has precedence.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// unitFile returns the path of a unit; "": none.
func (n *node) unitFile(unit string) string {
	for _, dir := range unitDirs {
		if n.exists(filepath.Join(dir, unit)) {
			return filepath.Join(dir, unit)
		}
	}
	return ""
}

func checkService(_ context.Context, n *node) Check {
	const unit = "logwatch.service"
	d, file := n.daemon(), n.unitFile(unit)
	switch {
	case d.inPod:
		return found(OK, "logwatch runs in a pod: kubelet starts it")
	case !n.exists("/run/systemd/system"):
		return found(Skip, "systemd does not run here")
	case file == "" && d.pid == 0:
		return found(Skip, "%s does not exist", unit)
	case file == "":
		return found(Warn, "%s does not exist", unit).detail("logwatch does not start again when the node restarts.").
			fix("apt-get install ./logwatch-kubernetes_*.deb # or dnf install ./logwatch-kubernetes-*.rpm")
	}
	if target, _ := os.Readlink(n.path(file)); target == os.DevNull {
		return found(Warn, "%s is masked", unit).fix("systemctl unmask %s && systemctl enable --now %[1]s", unit)
	}
	for _, dir := range unitDirs {
		if enabled, _ := filepath.Glob(n.path(dir, "*.wants", unit)); len(enabled) > 0 { // the pattern is valid
			return found(OK, "%s is enabled", file)
		}
	}
	return found(Warn, "%s is not enabled", file).detail("logwatch does not start with the node.").fix("systemctl enable --now %s", unit)
}
