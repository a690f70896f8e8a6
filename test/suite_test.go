package test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEmbeddedContainerd(t *testing.T) {
	suite(t, func(t *testing.T) node { t.Parallel(); return newEmbedded(t, fake.Containerd) })
}

func TestEmbeddedConmon(t *testing.T) {
	suite(t, func(t *testing.T) node { t.Parallel(); return newEmbedded(t, fake.CRIO) })
}

func TestContainerd(t *testing.T) {
	needRoot(t)
	n := newReal(t, "")
	suite(t, func(*testing.T) node { return n })
}

// TestInstalledContainerd runs the suite with a distribution's containerd, which
// is usually older.
func TestInstalledContainerd(t *testing.T) {
	needRoot(t)
	needInstalled(t)
	n := newReal(t, "/usr/bin")
	suite(t, func(*testing.T) node { return n })
}

// suite runs the tests that every runtime must pass. fresh returns the node for a test;
// it may be the same each time.
func suite(t *testing.T, fresh func(*testing.T) node) {
	for name, test := range map[string]func(*testing.T, node){
		"EachLineOnce":      eachLineOnce,
		"KeepsToPolicy":     keepsToPolicy,
		"ReopensMissing":    reopensMissing,
		"RuntimeComesBack":  runtimeComesBack,
		"ContainerRestarts": containerRestarts,
		"StartsOnFullLogs":  startsOnFullLogs,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// strict rotates often and keeps everything.
const strict = `
containerLogMaxSize: 256Ki
containerLogMaxFiles: 10000
minRotationInterval: 0s
`

func eachLineOnce(t *testing.T, n node) {
	l := start(t, n, strict)
	loads := []workload{
		{name: "fast", lines: 100_000, rate: 4e6},
		{name: "mixed", lines: 40_000, rate: 2e6, stderrEvery: 3},
		{name: "long", lines: 3_000, rate: 3e6, longEvery: 7, stderrEvery: 5},
		{name: "ragged", lines: 20_000, rate: 2e6, noFinalNewline: true},
	}
	var containers []container
	for _, w := range loads {
		containers = append(containers, n.run(t, w))
	}
	for _, c := range containers {
		c.wait(t)
	}
	l.Stop()
	for i, c := range containers {
		res := all(t, n, c.dir(), loads[i].written())
		if len(res.Logs) < 5 {
			t.Errorf("%s: %d files, so it was hardly rotated", c.dir(), len(res.Logs))
		}
		t.Logf("%s: %d files", c.dir(), len(res.Logs))
	}
}

func keepsToPolicy(t *testing.T, n node) {
	l := start(t, n, `
containerLogMaxSize: 256Ki
containerLogMaxFiles: 4
minRotationInterval: 0s
`)
	w := workload{name: "pruned", lines: 60_000, rate: 4e6}
	c := n.run(t, w)
	c.wait(t)
	testutil.Eventually(t, "housekeeping to end", func() bool {
		// 0.log, then the others from the oldest on: the last one stays plain. Where
		// compression came late, the total has removed more than the number of files has,
		// and what has no room to be compressed in stays plain, too.
		all := names(t, n, c.dir())
		packed := func(name string) bool { return strings.HasSuffix(name, ".gz") }
		return len(all) >= 3 && len(all) <= 4 && all[0] == "0.log" && !packed(all[len(all)-1]) &&
			slices.ContainsFunc(all, packed) && !slices.ContainsFunc(all, func(name string) bool { return strings.HasSuffix(name, ".tmp") })
	})
	l.Stop()
	if res := found(t, n, c.dir(), w.written()); res.Pruned() == 0 {
		t.Error("nothing was pruned")
	}
}

// reopensMissing: a log that a crash between rename and reopen left is reopened.
func reopensMissing(t *testing.T, n node) {
	w := workload{name: "crashed", lines: 30_000, rate: 1e6}
	c := n.run(t, w)
	live := filepath.Join(n.PodLogsDir(), c.dir(), "0.log")
	testutil.Eventually(t, "lines", func() bool { st, err := os.Stat(live); return err == nil && st.Size() > 10_000 })
	if err := os.Rename(live, live+".20200101-000000"); err != nil {
		t.Fatal(err)
	}
	l := start(t, n, strict)
	testutil.Eventually(t, "the live log to be there again", func() bool { _, err := os.Stat(live); return err == nil })
	c.wait(t)
	l.Stop()
	all(t, n, c.dir(), w.written())
}

// runtimeComesBack: rotation resumes when the runtime is back; ten seconds later, if a reopen was not
// answered. The writer is slow, since a killed containerd loses lines of a fast one by itself.
func runtimeComesBack(t *testing.T, n node) {
	l := start(t, n, strict)
	w := workload{name: "survivor", lines: 120_000, rate: 1e6}
	c := n.run(t, w)
	rotatedAtLeast(t, l, c, 2)
	n.bounce(t)
	rotatedAtLeast(t, l, c, 6)
	c.wait(t)
	l.Stop()
	all(t, n, c.dir(), w.written())
}

func containerRestarts(t *testing.T, n node) {
	l := start(t, n, strict)
	w := workload{name: "restarted", lines: 8_000, rate: 4e6}
	c := n.run(t, w)
	again := c.restart(t)
	again.wait(t)
	l.Stop()
	byBase := map[string]int{}
	for _, name := range names(t, n, again.dir()) {
		parsed, ok := podlogs.ParseName(name)
		if !ok {
			t.Errorf("foreign file %q", name)
		}
		byBase[parsed.Base]++
	}
	if byBase["0.log"] < 3 || byBase["1.log"] < 3 {
		t.Errorf("files = %v, want several of each", byBase)
	}
}

// startsOnFullLogs: logs that exceed their limit are rotated at the start.
func startsOnFullLogs(t *testing.T, n node) {
	w := workload{name: "full", lines: 50_000, rate: 2e6}
	c := n.run(t, w)
	live := filepath.Join(n.PodLogsDir(), c.dir(), "0.log")
	testutil.Eventually(t, "a full log", func() bool { st, err := os.Stat(live); return err == nil && st.Size() > 300<<10 })
	l := start(t, n, strict)
	rotatedAtLeast(t, l, c, 1)
	if cause := l.Rotated()[0].Due.Cause; cause != watcher.CauseStartup && cause != watcher.CauseWrite {
		t.Errorf("cause %q", cause)
	}
	c.wait(t)
	l.Stop()
	all(t, n, c.dir(), w.written())
}

func rotatedAtLeast(t *testing.T, l *agenttest.Daemon, c container, count int) {
	t.Helper()
	testutil.Eventually(t, "rotations", func() bool {
		done := 0
		for _, r := range l.Rotated() {
			if r.Due.Dir == c.dir() {
				done++
			}
		}
		return done >= count
	})
}

func names(t *testing.T, n node, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.PodLogsDir(), dir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
