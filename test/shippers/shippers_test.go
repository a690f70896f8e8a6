package shippers

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/crilog"
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
// the logs that they find first would miss the beginning of one that exists by then. The
// container that it ships goes on, slowly, as there always is one on a node.
func startShipper(t *testing.T, n *node, s shipper) (*process, *output) {
	t.Helper()
	dir := t.TempDir()
	files := settings{Pods: n.podLogsDir, Containers: n.containersDir, Dir: dir, Output: filepath.Join(dir, "output")}
	p := newProcess(t, filepath.Join(dir, "shipper.log"), append(readOnly(n.podLogsDir), s.args(t, files)...)...)
	out := newOutput(t, files.Output, s)
	p.start("")
	slow := n.run("slow", 0, 100, 1000)
	p.eventually("ship", func() bool { out.read(); return out.found[slow.name] != nil })
	return p, out
}

// readOnly is a command that runs the one after it with a read-only mount of a directory, as most
// DaemonSets of shippers mount the logs: what they read keeps its access time.
func readOnly(dir string) []string {
	const script = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"`
	return []string{"unshare", "--mount", "sh", "-c", script, dir}
}

// TestShippers: OpenTelemetry's collector misses no line of logs that are rotated while
// they are written. rsyslog reads a log to its end when it sees the rotation, and then
// leaves it: it misses no line but those that the runtime writes to it between the
// exchange and the reopen. It notes a log's inode before it opens the log: where conmon
// replaces the empty log in between, it reads the first lines of the new one twice.
//
// The next rotation waits until the shipper has shipped what is in each live log, so that a
// slow machine rotates less often: a log that is gone before the shipper looks is not what
// is tested here.
func TestShippers(t *testing.T) {
	needRoot(t)
	for name, fresh := range map[string]func(*testing.T) *node{"containerd": newContainerd, "conmon": newConmon} {
		for _, s := range shippers {
			if s.short {
				t.Run(name+"/"+s.name, func(t *testing.T) { shipRotated(t, fresh(t), s) })
			}
		}
	}
}

func shipRotated(t *testing.T, n *node, s shipper) {
	p, out := startShipper(t, n, s)
	const rotations, rate, width = 12, 200_000, 121 // a very busy machine reads as fast as that
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	startLogwatch(t, n, dir, fmt.Sprintf(requested, socket))
	ws := []writer{n.run("first", 0, width, rate), n.run("second", 0, width, rate)}
	client := api.NewClient(socket)
	before := map[uint64]int64{} // the size, by inode, of a log before its rotation
	for range rotations {
		out.waitLive(n, p, ws)
		for _, w := range ws {
			live := n.live(w)
			before[inode(live)] = live.Size()
		}
		if err := client.Rotate(t.Context(), api.Selector{All: true}, func(api.Result) {}); err != nil {
			t.Fatal(err)
		}
	}
	out.waitLive(n, p, ws)
	late := uint64(0)
	for i := range ws {
		if logs := n.stop(&ws[i]); logs != rotations+1 {
			t.Errorf("%d logs after %d rotations", logs, rotations)
		}
		late += n.after(ws[i], before)
	}
	sum := out.wait(ws)
	t.Logf("%d of %d lines missing, %d doubled; %d were written to a log since its rotation was requested", missing(sum), sum.Written, sum.Doubled, late)
	allowed, twice := uint64(0), uint64(0)
	if s.name == "rsyslog" {
		allowed = late
		if n.replaces {
			twice = late
		}
	}
	if missing(sum) > allowed || sum.Doubled > twice || sum.Written == 0 {
		t.Errorf("%d of %d lines missing, at most %d may be; %d doubled, at most %d may be", missing(sum), sum.Written, allowed, sum.Doubled, twice)
	}
}

// requested rotates only by request, and keeps all logs.
const requested = "containerLogMaxSize: -1\ncontainerLogMaxFiles: 100000\ncompression: {codec: none}\ncontrolSocket: %q\n"

// waitLive waits until the shipper has shipped what is in each live log now, and at least
// one line of it.
func (o *output) waitLive(n *node, shipper *process, ws []writer) {
	o.t.Helper()
	for _, w := range ws {
		last := n.lastLine(w)
		shipper.eventually("ship the live log", func() bool { o.read(); return o.last(w) >= last })
	}
}

// lastLine waits until the live log has a whole line, and returns the last one's number.
func (n *node) lastLine(w writer) (number uint64) {
	n.t.Helper()
	testutil.Eventually(n.t, "a line", func() bool {
		content, err := os.ReadFile(w.log)
		if err != nil {
			n.t.Fatal(err)
		}
		found := false
		for line := range bytes.Lines(content[max(0, len(content)-4096):]) {
			var stamp, tag string // after a cut line's end
			if !bytes.HasSuffix(line, []byte{'\n'}) {
				break
			}
			if _, err := fmt.Sscanf(string(line), "%s stdout %s stdout %d ", &stamp, &tag, &number); err == nil {
				found = true
			}
		}
		return found
	})
	return number
}

// stop ends a container that writes until then, notes how many lines it has written, and
// returns the number of its logs. It fails the test unless each line is in them once.
func (n *node) stop(w *writer) (logs int) {
	n.t.Helper()
	if err := w.stop(); err != nil {
		n.t.Fatal(err)
	}
	dir, err := filepath.Rel(n.podLogsDir, filepath.Dir(w.log))
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := linecheck.Container(n.podLogsDir, dir)
	if err == nil {
		err = res.OK(nil)
	}
	if err != nil || res.Pruned() > 0 {
		n.t.Errorf("%s: %v, %d lines missing at the front", w.name, err, res.Pruned())
	}
	w.lines = res.Streams[crilog.Stdout].Last
	return len(res.Logs)
}

func inode(f fs.FileInfo) uint64 { return f.Sys().(*syscall.Stat_t).Ino }

// live returns the state of the live log.
func (n *node) live(w writer) fs.FileInfo {
	n.t.Helper()
	info, err := os.Stat(w.log)
	if err != nil {
		n.t.Fatal(err)
	}
	return info
}

// after returns how many records are in a container's rotated logs after the offsets, by
// inode.
func (n *node) after(w writer, offsets map[uint64]int64) (records uint64) {
	n.t.Helper()
	names, err := filepath.Glob(w.log + ".*")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			n.t.Fatal(err)
		}
		if offset, ok := offsets[inode(info)]; ok {
			records += n.records(name, offset)
		}
	}
	return records
}

// records returns how many records are in a log from an offset on.
func (n *node) records(name string, offset int64) uint64 {
	n.t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		n.t.Fatal(err)
	}
	return uint64(bytes.Count(content[offset:], []byte{'\n'}))
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
