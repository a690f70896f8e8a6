package shippers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == noExchange {
		fmt.Fprintln(os.Stderr, runWithoutExchange(os.Args[2:]))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// needed skips a test for what is not there; in CI it fails.
func needed(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("a real containerd is not for -short")
	case os.Geteuid() != 0:
		needed(t, "a real containerd needs root to mount and to make cgroups: sudo env \"PATH=$PATH\" make test")
	}
}

// startShipper runs a shipper, and waits until it ships: those that start at the end of
// the logs that they find first would miss the beginning of one that exists by then.
func startShipper(t *testing.T, n *node, s shipper) (*process, *output) {
	t.Helper()
	dir := t.TempDir()
	files := settings{Pods: n.PodLogsDir(), Containers: n.containersDir, Dir: dir, Output: filepath.Join(dir, "output")}
	p := newProcess(t, filepath.Join(dir, "shipper.log"), s.args(t, files)...)
	out := newOutput(t, files.Output, s)
	p.start("")
	canary := n.run("canary", 100_000, 100, 1000)
	testutil.Eventually(t, s.name+" to ship", func() bool { out.read(); return out.found[canary.name] != nil })
	n.remove(canary)
	return p, out
}

// TestShippers: OpenTelemetry's collector misses no line of logs that are rotated every
// second. rsyslog reads a log to its end when it sees the rotation, and then leaves it:
// it misses no line but those that the runtime writes to it between the exchange and
// the reopen.
func TestShippers(t *testing.T) {
	needRoot(t)
	const rate, width = 2_000_000, 121
	const lines = 15 * rate / width // 15 s
	for _, s := range shippers {
		if !s.short {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			n := newNode(t)
			_, out := startShipper(t, n, s)
			l := startLogwatch(t, n, t.TempDir(), "containerLogMaxSize: 1Mi\ncontainerLogMaxFiles: 1000\ncompression: {codec: none}\n")
			ws := []writer{n.run("first", lines, width, rate), n.run("second", lines, width, rate)}
			late := uint64(0)
			for _, w := range ws {
				n.wait(w)
			}
			l.stop()
			done := rotations(t, l)
			for _, w := range ws {
				late += n.late(w, done)
			}
			sum := out.wait(ws)
			t.Logf("%d rotations; %d of %d lines missing, %d doubled; %d were written to a rotated log", len(done), missing(sum), sum.Written, sum.Doubled, late)
			if len(done) <= 10 {
				t.Errorf("only %d rotations", len(done))
			}
			allowed := uint64(0)
			if s.name == "rsyslog" {
				allowed = late
			}
			if missing(sum) > allowed || sum.Doubled > 0 {
				t.Errorf("%d lines missing, at most %d may be; %d doubled", missing(sum), allowed, sum.Doubled)
			}
		})
	}
}

// late returns how many records of a container are in rotated logs after what was there
// when they got their name. It fails the test unless each line is in the logs once.
func (n *node) late(w writer, done []rotated) (records uint64) {
	n.t.Helper()
	res, err := linecheck.Container(n.PodLogsDir(), w.dir())
	if err == nil {
		err = res.OK(map[string]uint64{"stdout": w.lines})
	}
	if err != nil || res.Pruned() > 0 {
		n.t.Errorf("%s: %v, %d lines missing at the front", w.name, err, res.Pruned())
	}
	for _, r := range done {
		if r.Pod != w.name {
			continue
		}
		content, err := os.ReadFile(filepath.Join(n.PodLogsDir(), w.dir(), r.To))
		if err != nil {
			n.t.Fatal(err)
		}
		records += uint64(bytes.Count(content[r.Size:], []byte{'\n'}))
	}
	return records
}

// row is a row of the matrix.
func row(cells ...any) string {
	var b strings.Builder
	b.WriteString("|")
	for _, c := range cells {
		fmt.Fprintf(&b, " %v |", c)
	}
	return b.String()
}
