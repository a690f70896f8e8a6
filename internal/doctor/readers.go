package doctor

import (
	"context"
	"slices"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/api"
)

// checkReaders reports which log readers the daemon sees. Those that it does not see
// get the protection of fixed times and of leases only.
func checkReaders(_ context.Context, n *node) Check {
	a := n.status().Node
	var seen, unseen []string
	for _, r := range a.Readers {
		seen = append(seen, text("%s (process %d)", r.Command, r.PID))
	}
	for _, p := range n.processes() {
		if shipperOf(p) != "" && !slices.ContainsFunc(a.Readers, func(r api.Reader) bool { return r.PID == p.PID }) {
			unseen = append(unseen, text("%s (process %d)", p.program(), p.PID))
		}
	}
	readers := "none"
	if len(seen) > 0 {
		readers = firstFew(seen)
	}
	if a.ReadersExact {
		return found(OK, "the daemon sees the open files of all processes; log readers: %s", readers)
	}
	c := found(Skip, "the daemon cannot see the open files of all processes; log readers that it sees: %s", readers)
	if len(unseen) > 0 {
		c = found(Warn, "the daemon does not see that %s reads logs; log readers that it sees: %s", firstFew(unseen), readers)
	}
	if a.ReadersUnseen > 0 {
		c = c.detail("Processes whose open files it cannot read: %d.", a.ReadersUnseen)
	}
	return n.seeReaders(c.detail("A log that such a process has open is kept for up to logReaders.timeout; minRotationInterval gives it time. How far it has read is not known."))
}

// seeReaders adds how the daemon can see all log readers.
func (n *node) seeReaders(c Check) Check {
	d := n.daemon()
	var st procfs.ProcStatus
	if p, err := n.proc.Proc(d.pid); err == nil {
		st, _ = p.NewStatus() // unreadable: it has no capability
	}
	switch {
	case st.CapEff&(1<<unix.CAP_SYS_PTRACE) != 0:
		return c.detail("The daemon has CAP_SYS_PTRACE: its PID namespace, or the options of its /proc (hidepid), hide processes.").
			fix("readlink /proc/%d/ns/pid /proc/1/ns/pid; grep ' /proc ' /proc/%[1]d/mountinfo", d.pid)
	case d.inPod:
		return c.fix("kubectl get daemonsets --all-namespaces | grep logwatch # add to its overlay: components: [../../components/readers]")
	case n.unitFile("logwatch.service") != "":
		return c.fix(`mkdir -p %s && printf '%%s\n' '[Service]' %s > %[1]s/readers.conf && systemctl daemon-reload && systemctl restart logwatch`,
			"/etc/systemd/system/logwatch.service.d", "CapabilityBoundingSet=CAP_SYS_PTRACE")
	}
	return c.fix("grep Cap /proc/%d/status # start logwatch with CAP_SYS_PTRACE", d.pid)
}
