package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/logwatch/logwatch/internal/control"
)

func checkDaemon(_ context.Context, n *node) Check {
	s, w := n.settings(), n.worker()
	if c, ok := n.strangers(s, w); ok {
		return c
	}
	switch {
	case w.pid == 0:
		c := n.onlyOwn(warn("no logwatch runs on %s", s.PodLogsDir).because("Nothing is rotated there, unless by kubelet."))
		for _, other := range w.others {
			c = c.because("process %d works on %s.", other.PID, n.settingsOf(other).PodLogsDir)
		}
		if n.unitFile("logwatch.service") != "" {
			return c.do(n.ctl("enable --now", "logwatch"))
		}
		if s.file != "" {
			return c.mend("logwatch run --config %s # or install the package, for a service", s.file)
		}
		return c.do("logwatch run # or install the package, for a service")
	case n.file != "" && w.settings.file != "" && !sameFile(n.file, n.seenBy(w.pid, w.settings.file)):
		return warn("the logwatch that runs (process %d) goes by %s, and not by %s", w.pid, w.settings.file, n.file).
			mend("logwatch doctor --config %s", w.settings.file)
	}
	return okay("logwatch runs (process %d) on %s, by %s", w.pid, s.PodLogsDir, w.from())
}

func (w worker) from() string {
	if w.settings.file == "" {
		return "the defaults and its flags"
	}
	return w.settings.file
}

// strangers are other processes that work on the same logs.
func (n *node) strangers(s settings, w worker) (Check, bool) {
	if pid, err := n.sys.holder(s.PodLogsDir); err == nil && pid != w.pid {
		name := "that has ended"
		for _, p := range n.processes() {
			if p.PID == pid {
				name = p.program()
			}
		}
		if !strings.HasPrefix(name, "logwatch") {
			return fail("podLogsDir is locked by process %d (%s)", pid, name).
				because("logwatch does not start while another has the lock: two rotators lose lines.").
				mend("ps -p %d -o pid,user,lstart,args; systemctl status %[1]d --no-pager", pid), true
		}
	}
	ours := filepath.Clean(s.PodLogsDir)
	for _, other := range w.others {
		theirs := filepath.Clean(n.settingsOf(other).PodLogsDir)
		if theirs == ours || strings.HasPrefix(theirs, ours+"/") || strings.HasPrefix(ours, theirs+"/") {
			return fail("a second logwatch (process %d) is set to work on %s", other.PID, theirs).
				because("Two rotators lose lines. The lock on podLogsDir keeps it from starting, but not where that is mounted twice, or one lies within the other.").
				mend("ps -p %d -o pid,user,lstart,args; systemctl status %[1]d --no-pager", other.PID), true
		}
	}
	return Check{}, false
}

func checkControlSocket(ctx context.Context, n *node) Check {
	s, w := n.settings(), n.worker()
	switch {
	case s.ControlSocket == "":
		return skip("controlSocket is empty: status, top and rotate have nobody to ask")
	case w.pid == 0:
		if st, err := os.Lstat(n.path(s.ControlSocket)); err == nil && st.Mode().Type() != os.ModeSocket {
			return fail("%s is there, and is no socket", s.ControlSocket).
				because("logwatch does not touch what it did not make, and has no control socket then.").
				mend("mv %s %s", s.ControlSocket, s.ControlSocket+".away")
		}
		return skip("no logwatch runs")
	}
	socket := s.ControlSocket
	if w.inPod {
		socket = n.seenBy(w.pid, socket)
	}
	// Names that nothing has: the answer is about the node alone.
	st, err := control.NewClient(socket).Status(ctx, control.Names{Namespace: "/", Pod: "/"}, false)
	logs := n.logs("logwatch")
	switch {
	case n.blind(connect(ctx, socket)):
		return n.unseen("the control socket", connect(ctx, socket))
	case err != nil:
		return warn("the daemon does not answer at %s", socket).because("%v", err).do(logs)
	case st.Node.PID != w.pid && !w.inPod:
		return warn("another logwatch (process %d) answers at %s", st.Node.PID, socket).
			because("process %d is the one that works on podLogsDir.", w.pid).mend("ps -p %d -o pid,user,lstart,args", st.Node.PID)
	case st.Node.Unhealthy != "":
		return fail("the daemon is not well").because("%s", st.Node.Unhealthy).do(logs)
	case st.Node.Config.Error != "":
		return fail("the daemon did not take its last configuration").because("%s", st.Node.Config.Error).
			because("The one before is in force.").mend("${EDITOR:-vi} %s && logwatch reload --config %[1]s", st.Node.Config.File)
	case st.Node.Waiting != "":
		return warn("the daemon waits").because("%s", st.Node.Waiting).do(logs)
	case st.Node.Failures > 0 && st.Node.Failures > st.Node.Rotations/100:
		return warn("%d rotations failed, of %d", st.Node.Failures, st.Node.Rotations+st.Node.Failures).do("logwatch status -o wide", logs)
	}
	return okay("the daemon answers: %s rotations, %s failed", strconv.FormatUint(st.Node.Rotations, 10), strconv.FormatUint(st.Node.Failures, 10))
}

// checkMetricsPort looks for who listens, in the daemon's network.
func checkMetricsPort(_ context.Context, n *node) Check {
	s, w := n.settings(), n.worker()
	address := s.Metrics.ListenAddress
	if address == "" {
		return skip("metrics.listenAddress is empty: there are no metrics")
	}
	where := "self"
	if w.pid != 0 {
		where = strconv.Itoa(w.pid)
	}
	inodes, err := n.listeners(where, address)
	switch {
	case err != nil:
		return n.unseenOr(err, "who listens on "+address)
	case len(inodes) == 0 && w.pid == 0:
		return okay("%s is free", address)
	case len(inodes) == 0:
		return warn("the daemon does not listen on %s", address).
			because("It goes on without, and tries again now and then.").do(n.logs("logwatch"))
	}
	owner, blind := n.owner(inodes)
	if w.pid != 0 && owner.PID == w.pid {
		return okay("the daemon serves metrics on %s", address)
	}
	if owner.PID == 0 && blind {
		return skip("who listens on %s cannot be seen as user %d", address, n.sys.euid).do(n.again())
	}
	_, port, _ := net.SplitHostPort(address)
	return fail("%s is taken by %s (process %d)", address, owner.program(), owner.PID).
		because("There are no metrics and no health then; rotation goes on.").
		mend("ss --tcp --listening --processes --numeric 'sport = :%s'", command(port)).
		mend("${EDITOR:-vi} %s # or another metrics.listenAddress", s.fileOr())
}

func (s settings) fileOr() string {
	if s.file != "" {
		return s.file
	}
	return usualFiles[0]
}

// listeners are the inodes of sockets that listen on address or on a wildcard.
func (n *node) listeners(pid, address string) (inodes []string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host)
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(n.path("proc", pid, "net", name))
		switch {
		case err != nil && name == "tcp":
			return nil, err
		case err != nil:
			continue // a kernel without IPv6
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			at, state, inode := tcpLine(lines.Text())
			if at == nil {
				continue // the heading
			}
			if state != listening {
				break // these come first, and others may be many
			}
			anyHost := ip == nil || ip.IsUnspecified() || at.IP.IsUnspecified()
			if strconv.Itoa(at.Port) == port && (anyHost || at.IP.Equal(ip)) {
				inodes = append(inodes, inode)
			}
		}
		_ = f.Close() // opened for reading
	}
	return inodes, nil
}

// listening is a TCP socket's state in /proc/net/tcp, see proc_pid_net(5).
const listening = "0A"

// tcpLine reads a line of /proc/net/tcp: where the socket is bound, as words in
// the machine's own byte order, its state and its inode.
func tcpLine(l string) (at *net.TCPAddr, state, inode string) {
	fields := strings.Fields(l)
	if len(fields) < 10 {
		return nil, "", ""
	}
	host, port, _ := strings.Cut(fields[1], ":")
	words, err := hex.DecodeString(host)
	number, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || (len(words) != net.IPv4len && len(words) != net.IPv6len) {
		return nil, "", ""
	}
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	return &net.TCPAddr{IP: words, Port: int(number)}, fields[3], fields[9]
}

// owner is the process that has one of the sockets; blind: some could not be
// looked into.
func (n *node) owner(inodes []string) (owner process, blind bool) {
	for _, p := range n.processes() {
		targets, err := p.FileDescriptorTargets()
		blind = blind || n.blind(err)
		for _, inode := range inodes {
			if slices.Contains(targets, "socket:["+inode+"]") {
				return p, blind
			}
		}
	}
	return process{}, blind
}

// ctl is what does something to a service here.
func (n *node) ctl(action, unit string) command {
	switch {
	case !n.systemd() && action == "enable --now":
		return command("service " + unit + " start")
	case !n.systemd():
		return command("service " + unit + " " + action)
	case action == "status":
		return command("systemctl status " + unit + " --no-pager")
	}
	return command("systemctl " + action + " " + unit)
}

// logs shows what a service has logged.
func (n *node) logs(unit string) command {
	if !n.systemd() {
		return command("grep -h " + unit + " /var/log/syslog /var/log/messages | tail -n 50")
	}
	return command("journalctl -u " + unit + " -n 50 --no-pager")
}

func (n *node) systemd() bool { return n.exists("/run/systemd/system") }

// unitDirs are where systemd looks, the first one first.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// unitFile is the path of a unit; "": there is none.
func (n *node) unitFile(unit string) string {
	for _, dir := range unitDirs {
		if n.exists(filepath.Join(dir, unit)) {
			return filepath.Join(dir, unit)
		}
	}
	return ""
}

func checkService(_ context.Context, n *node) Check {
	w := n.worker()
	switch {
	case w.inPod:
		return okay("logwatch runs in a pod: kubelet starts it")
	case !n.systemd():
		return skip("no systemd runs here")
	}
	const unit = "logwatch.service"
	file := n.unitFile(unit)
	if file == "" {
		if w.pid == 0 {
			return skip("there is no %s", unit)
		}
		return warn("there is no %s", unit).because("The logwatch that runs does not come back after a restart of the node.").
			do("apt-get install ./logwatch_*.deb # or dnf install ./logwatch-*.rpm")
	}
	if target, _ := os.Readlink(n.path(file)); target == os.DevNull {
		return warn("%s is masked", unit).mend("systemctl unmask %s && systemctl enable --now %[1]s", unit)
	}
	for _, dir := range unitDirs {
		enabled, _ := filepath.Glob(n.path(dir, "*.wants", unit)) // the pattern is good
		if len(enabled) > 0 {
			return okay("%s is enabled", file)
		}
	}
	return warn("%s is not enabled", file).because("logwatch does not start with the node.").mend("systemctl enable --now %s", unit)
}
