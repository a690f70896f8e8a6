package systemd

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/doctor"
	"github.com/logwatch/logwatch/internal/testutil"
)

// seesReaders: the unit shows log readers without capabilities. With the command that
// doctor gives, it shows all of them.
func seesReaders(t *testing.T, n *node) {
	l := n.load(t, "followed", 2*second)
	l.complete(t)
	follow := func(name, capabilities string) (pid string) {
		t.Helper()
		n.run(t, "systemd-run", "--unit="+name, "--property=CapabilityBoundingSet="+capabilities,
			"tail", "--follow=name", filepath.Join(podLogsDir, l.dir, "0.log"))
		t.Cleanup(func() { n.run(t, "systemctl", "stop", name) })
		return n.show(t, name+".service", "MainPID")
	}
	capable, bare := follow("capable", "CAP_CHOWN"), follow("bare", "")
	seen := func() (pids []string) {
		for _, r := range n.status(t).Node.Readers {
			pids = append(pids, strconv.Itoa(r.PID))
		}
		return pids
	}
	examine := func() doctor.Check {
		t.Helper()
		out, _ := n.try("logwatch", "doctor", "-o", "json") // fails if other checks do
		var report doctor.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		i := slices.IndexFunc(report.Checks, func(c doctor.Check) bool { return c.Name == "log-readers" })
		if i < 0 {
			t.Fatalf("doctor has no such check: %s", out)
		}
		return report.Checks[i]
	}

	testutil.Eventually(t, "the reader without capabilities", func() bool { return slices.Contains(seen(), bare) })
	if slices.Contains(seen(), capable) {
		t.Error("a reader with a capability is seen without the drop-in: it is not needed")
	}
	node := n.status(t).Node
	if node.ReadersExact || node.ReadersUnseen == 0 {
		t.Errorf("exact: %v, %d processes are not seen", node.ReadersExact, node.ReadersUnseen)
	}
	check := examine()
	if check.Status != doctor.Skip || !strings.Contains(check.Summary, "tail (process "+bare+")") {
		t.Errorf("doctor: %+v", check)
	}

	n.run(t, "sh", "-ec", check.Fix)
	// In a nested machine, the runtime that writes logs shows that its processes are visible.
	writing := n.load(t, "writing", 15*second)
	testutil.Eventually(t, "both readers", func() bool {
		pids := seen()
		return slices.Contains(pids, bare) && slices.Contains(pids, capable)
	})
	testutil.Eventually(t, "exact sight", func() bool { return n.status(t).Node.ReadersExact })
	if unseen := n.status(t).Node.ReadersUnseen; unseen > 0 {
		t.Errorf("%d processes are not seen with the drop-in", unseen)
	}
	if c := examine(); c.Status != doctor.OK {
		t.Errorf("doctor: %+v", c)
	}
	writing.complete(t)
	n.run(t, "rm", "-r", "/etc/systemd/system/logwatch.service.d")
	n.run(t, "systemctl", "daemon-reload")
	n.run(t, "systemctl", "restart", unit)
}
