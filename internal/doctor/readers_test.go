package doctor

import (
	"context"
	"testing"

	"github.com/logwatch/logwatch/internal/api"
)

// TestReaders: whether the daemon sees the log readers, and what lets it see them.
func TestReaders(t *testing.T) {
	const (
		unit   = "/usr/lib/systemd/system/logwatch.service"
		dropIn = "/etc/systemd/system/logwatch.service.d/readers.conf"
	)
	// sees is a daemon beside a log shipper, in process 101, and what it sees of it.
	sees := func(status api.Node, then func(f *fakeNode, pid int)) func(*fakeNode) {
		return func(f *fakeNode) {
			f.process("/usr/bin/fluent-bit")
			pid := f.daemon()
			f.sys.status = func(context.Context, string) (api.Status, error) { return api.Status{Node: status}, nil }
			if then != nil {
				then(f, pid)
			}
		}
	}
	fluentBit := []api.Reader{{PID: 101, Command: "fluent-bit"}}
	packaged := func(f *fakeNode, _ int) { f.file(unit, "") }
	run(t, []scenario{
		{"no answer", "log-readers", nil, wants{Skip, "see control-socket", "", ""}, false},
		{"all", "log-readers", sees(api.Node{Readers: fluentBit, ReadersExact: true}, nil), wants{OK, "of all processes; log readers: fluent-bit (process 101)", "", ""}, false},
		{"all, and none reads", "log-readers", sees(api.Node{ReadersExact: true}, nil), wants{OK, "log readers: none", "", ""}, false},
		{"a shipper is not seen", "log-readers", sees(api.Node{ReadersUnseen: 40}, packaged), wants{Warn, "does not see that fluent-bit (process 101) reads logs", "cannot read: 40.", dropIn}, false},
		{"others are not seen", "log-readers", sees(api.Node{Readers: fluentBit, ReadersUnseen: 1}, packaged), wants{Skip, "that it sees: fluent-bit (process 101)", "cannot read: 1.", dropIn}, false},
		{"without a unit", "log-readers", sees(api.Node{ReadersUnseen: 1}, nil), wants{Warn, "", "", "start logwatch with CAP_SYS_PTRACE"}, false},
		{"in a pod", "log-readers", sees(api.Node{}, func(f *fakeNode, pid int) {
			f.link("/proc/self/ns/pid", "pid:[4026539999]")
			f.file("/proc/"+itoa(pid)+"/environ", "KUBERNETES_SERVICE_HOST=10.0.0.1\x00")
		}), wants{Warn, "", "", "components/readers"}, false},
		{"with the capability", "log-readers", sees(api.Node{ReadersUnseen: 9}, func(f *fakeNode, pid int) {
			packaged(f, pid)
			f.file("/proc/"+itoa(pid)+"/status", "Name:\tx\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000080000\n")
		}), wants{Warn, "", "hidepid", "/ns/pid"}, false},
	})
}
