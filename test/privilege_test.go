package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/testutil"
)

// unprivileged runs its arguments without capabilities, unable to gain any, and with a
// file system that is read-only except for one directory.
const unprivileged = `
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro /
shift
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
`

// TestLeastPrivilege: root's user ID without capabilities, with only podLogsDir
// writable, is enough to rotate, to detect open writers, to compress and to prune.
func TestLeastPrivilege(t *testing.T) {
	needRoot(t)
	n := newReal(t, "")
	p := newProcess(t, n, strings.Replace(everything, "100000", "4", 1))
	p.args = append([]string{"--mount", "sh", "-c", unprivileged, "sh", n.PodLogsDir(), p.binary}, p.args...)
	p.binary = "unshare"
	p.sweep()
	w := workload{name: "private", lines: 40_000, rate: 2e6}
	c := n.run(t, w)
	c.wait(t)
	p.settled(n, []container{c})
	p.stop()
	found(t, n, c.dir(), w.written())
	gz := 0
	for _, name := range names(t, n, c.dir()) {
		if strings.HasSuffix(name, ".gz") {
			gz++
		}
	}
	if gz != 2 {
		t.Errorf("files = %v, want two .gz", names(t, n, c.dir()))
	}
}

// TestDurableOrder traces the system calls of a compression: the .gz is synced before
// it gets its name, and the directory before the source is removed.
func TestDurableOrder(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("strace"); err != nil {
		const why = "strace is not installed: apt-get install strace"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	n := newReal(t, "")
	p := newProcess(t, n, everything)
	trace := filepath.Join(t.TempDir(), "trace")
	// -D: the process that gets the signals is logwatch, not strace.
	p.args = append([]string{"-D", "-f", "-y", "-o", trace, "-e", "trace=fsync,renameat2,unlinkat", p.binary}, p.args...)
	p.binary = "strace"
	p.sweep()
	w := workload{name: "durable", lines: 10_000, rate: 2e6}
	c := n.run(t, w)
	c.wait(t)
	p.settled(n, []container{c})
	p.stop()
	var text []byte
	testutil.Eventually(t, "the trace's end", func() bool {
		var err error
		if text, err = os.ReadFile(trace); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "+++ exited with 0 +++")
	})
	var order []string
	for _, call := range regexp.MustCompile(`(fsync|renameat2|unlinkat)\(.*`).FindAllString(string(text), -1) {
		switch {
		case strings.HasPrefix(call, "renameat2") && strings.Contains(call, ".tmp"):
			order = append(order, "rename")
		case strings.HasPrefix(call, "fsync") && strings.Contains(call, ".tmp"):
			order = append(order, "sync")
		case strings.HasPrefix(call, "fsync"):
			order = append(order, "sync-dir")
		case strings.HasPrefix(call, "unlinkat") && strings.Contains(call, n.PodLogsDir()):
			order = append(order, "remove")
		}
	}
	const once = "sync rename sync-dir remove"
	got := strings.Join(order, " ")
	if rest := strings.ReplaceAll(got, once, ""); !strings.Contains(got, once) || strings.TrimSpace(rest) != "" {
		t.Errorf("order of the calls: %s\nwant only: %s\n%s", got, once, text)
	}
}
