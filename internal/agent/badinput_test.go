package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
)

const small = `
containerLogMaxSize: 64Ki
containerLogMaxFiles: 1000
containerLogMonitorInterval: 1s
minRotationInterval: 0s
`

func TestWaitsForPodLogsDir(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	aside := n.runtime.PodLogsDir() + ".aside"
	must(t, os.Rename(n.runtime.PodLogsDir(), aside))
	n.start()
	testutil.Eventually(t, "the message", func() bool { return n.log.count("podLogsDir does not exist; waiting for it") == 1 })
	must(t, os.Rename(aside, n.runtime.PodLogsDir()))
	c := n.run(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.waitRotations(2)
	c.Exit()
	n.stop()
	n.check(c)
	if got := n.log.count("waiting for it"); got != 1 {
		t.Errorf("said %d times that it waits", got)
	}
}

func TestPodLogsDirIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pods")
	must(t, os.WriteFile(file, nil, 0o600))
	cfg := config.Default()
	cfg.PodLogsDir = file
	err := Run(t.Context(), Options{Config: cfg, Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), "is not a directory: set podLogsDir") {
		t.Errorf("err = %v", err)
	}
}

func TestRefusesASecondLogwatch(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	n.start()
	testutil.Eventually(t, "the start", func() bool { return n.log.count(`"message":"watching"`) == 1 })
	err := Run(t.Context(), Options{Config: n.cfg, Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), "another logwatch is at work there") {
		t.Errorf("err = %v", err)
	}
	n.stop()
	// The first one is gone, and its lock with it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, Run(ctx, Options{Config: n.cfg, Log: zerolog.Nop()}))
}

// TestTouchesNothingWithoutRuntime: full logs, temps, too many rotated files:
// all stays as it is until the runtime has answered once.
func TestTouchesNothingWithoutRuntime(t *testing.T) {
	n := newNode(t, fake.Options{}, strings.Replace(small, "1000", "2", 1))
	c := n.run(fake.ContainerSpec{})
	must(t, c.WriteNumbered("stdout", 400, 200))
	for _, name := range []string{"0.log.20200101-000000", "0.log.20200102-000000", "0.log.20200101-000000.tmp"} {
		must(t, os.WriteFile(filepath.Join(c.Dir(), name), []byte("x"), 0o600))
	}
	must(t, n.runtime.Stop())
	before := list(t, c.Dir())
	n.start()
	testutil.Eventually(t, "three sweeps", func() bool { return n.log.count("sweep ended") >= 3 })
	if after := list(t, c.Dir()); after != before {
		t.Errorf("touched: %s, was %s", after, before)
	}
	if got := n.log.count("the runtime does not answer"); got != 1 {
		t.Errorf("said %d times that the runtime does not answer", got)
	}
	must(t, n.runtime.Restart())
	n.waitRotations(1)
	testutil.Eventually(t, "housekeeping", func() bool { return strings.Count(list(t, c.Dir()), " ") == 1 })
	if n.log.count("the runtime answers again") != 1 {
		t.Error("did not say that the runtime answers again")
	}
}

func TestSocketAppearsLater(t *testing.T) {
	cfg := config.Default()
	cfg.PodLogsDir = t.TempDir()
	log := &logs{}
	cfg.ContainerRuntimeEndpoint = "unix://" + filepath.Join(t.TempDir(), "none.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Run(ctx, Options{Config: cfg, Log: zerolog.New(log)}) }()
	testutil.Eventually(t, "the message", func() bool { return log.count("the runtime does not answer") == 1 })
	cancel()
	must(t, <-ended)
}

func TestRefusesStrangeLogPaths(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	outside := filepath.Join(filepath.Dir(n.runtime.PodLogsDir()), "outside.log")
	must(t, os.WriteFile(outside, make([]byte, 1<<20), 0o600))
	n.run(fake.ContainerSpec{Name: "without", LogPath: fake.NoLog})
	n.run(fake.ContainerSpec{Name: "outside", LogPath: outside})
	n.run(fake.ContainerSpec{Name: "flat", LogPath: n.runtime.PodLogsDir() + "/flat.log"})
	dots := n.runtime.PodLogsDir() + "/a/../../outside.log"
	n.run(fake.ContainerSpec{Name: "dots", LogPath: dots})
	good := n.run(fake.ContainerSpec{Name: "good", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.start()
	n.waitRotations(2)
	for _, want := range []string{podlogs.ErrNoPath.Error(), podlogs.ErrOutside.Error(), podlogs.ErrLayout.Error()} {
		testutil.Eventually(t, want, func() bool { return n.log.count(want) >= 1 })
	}
	good.Exit()
	n.stop()
	n.check(good)
	if n.log.count(`"refused":4`) != 1 {
		t.Error("the refused ones were not counted")
	}
	if st, err := os.Stat(outside); err != nil || st.Size() != 1<<20 {
		t.Errorf("outside: %v %v", st, err)
	}
}

// TestRefusesALinkAsLog: a live log that is a link to a large file elsewhere.
func TestRefusesALinkAsLog(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	target := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(target, make([]byte, 1<<20), 0o600))
	bad := n.run(fake.ContainerSpec{Name: "bad"})
	must(t, os.Remove(bad.LogPath()))
	must(t, os.Symlink(target, bad.LogPath()))
	good := n.run(fake.ContainerSpec{Name: "good", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.start()
	n.waitRotations(2)
	good.Exit()
	n.stop()
	n.check(good)
	if got := list(t, bad.Dir()); got != "0.log" {
		t.Errorf("the link's directory holds %s", got)
	}
	if calls := n.runtime.Calls("ReopenContainerLog"); uint64(calls) != uint64(len(listed(t, good.Dir())))-1 {
		t.Errorf("%d reopens for %s", calls, list(t, good.Dir()))
	}
}

// TestOddDirectories: names with glob characters and a directory with 100,000
// foreign files neither stop nor slow anybody.
func TestOddDirectories(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	var all []*fake.Container
	for _, name := range []string{"[a-z]*", "?", `back\slash`, "dollar$HOME", "new\nline"} {
		all = append(all, n.run(fake.ContainerSpec{Pod: name, Name: name, Writer: &fake.Pattern{BytesPerSecond: 5e5}}))
	}
	crowded := n.run(fake.ContainerSpec{Name: "crowded", Writer: &fake.Pattern{BytesPerSecond: 5e5}})
	for i := range 100_000 {
		f, err := os.Create(filepath.Join(crowded.Dir(), fmt.Sprintf("foreign-%d.log", i)))
		must(t, err)
		must(t, f.Close())
	}
	all = append(all, crowded)
	n.start()
	for done := map[string]int{}; len(done) < len(all); {
		for _, r := range n.waitRotations(1) {
			done[r.Due.Dir]++
		}
	}
	for _, c := range all {
		c.Exit()
	}
	n.stop()
	for _, c := range all {
		n.check(c)
	}
	if got := len(listed(t, crowded.Dir())); got < 100_000 {
		t.Errorf("%d files are left: foreign ones were removed", got)
	}
}

// TestIdleCostsOneCall: 500 quiet containers are one RPC a sweep, and no check
// in between.
func TestIdleCostsOneCall(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	for i := range 500 {
		n.run(fake.ContainerSpec{Pod: fmt.Sprintf("p%d", i)})
	}
	n.start()
	sweeps := func() int { return n.log.count("sweep ended") }
	testutil.Eventually(t, "a sweep", func() bool { return sweeps() >= 1 })
	first, statuses := n.runtime.Calls("StreamContainers"), n.runtime.Calls("ContainerStatus")
	from := sweeps()
	testutil.Eventually(t, "more sweeps", func() bool { return sweeps() >= from+3 })
	lists := n.runtime.Calls("StreamContainers") + n.runtime.Calls("ListContainers") - first
	if lists < 2 || lists > 5 {
		t.Errorf("%d lists in 3 sweeps", lists)
	}
	if more := n.runtime.Calls("ContainerStatus") - statuses; more != 0 {
		t.Errorf("%d ContainerStatus calls while idle", more)
	}
}

func TestStopsInTimeWhileTheRuntimeHangs(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	c := n.run(fake.ContainerSpec{})
	c.Fail(fake.Failure{Mode: fake.Hang})
	must(t, c.WriteNumbered("stdout", 1000, 200))
	n.start()
	testutil.Eventually(t, "a reopen that hangs", func() bool { return n.runtime.Calls("ReopenContainerLog") > 0 })
	begin := time.Now()
	n.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %v, want at most 5 s", took)
	}
	// The next start repairs.
	c.ClearFailures()
	n.start()
	testutil.Eventually(t, "the live log", func() bool { _, err := os.Lstat(c.LogPath()); return err == nil })
	c.Exit()
	n.stop()
	n.check(c)
}

func TestClean(t *testing.T) {
	n := newNode(t, fake.Options{}, small)
	c := n.run(fake.ContainerSpec{})
	must(t, c.WriteNumbered("stdout", 10, 100))
	for _, name := range []string{"0.log.20200101-000000", "0.log.20200101-000000.gz", "1.log", "foreign"} {
		must(t, os.WriteFile(filepath.Join(c.Dir(), name), []byte("x"), 0o600))
	}
	client, err := cri.Dial(n.runtime.Endpoint(), time.Second)
	must(t, err)
	defer client.Close() //nolint:errcheck // nothing is lost
	if _, err := Clean(t.Context(), n.cfg, client, c.ID()); err == nil || !strings.Contains(err.Error(), "is running: stop it first") {
		t.Errorf("a running container: %v", err)
	}
	if _, err := Clean(t.Context(), n.cfg, client, "nobody"); err == nil || !strings.Contains(err.Error(), "knows no container") {
		t.Errorf("an unknown container: %v", err)
	}
	c.Exit()
	removed, err := Clean(t.Context(), n.cfg, client, c.ID())
	must(t, err)
	if len(removed) != 3 || list(t, c.Dir()) != "1.log foreign" {
		t.Errorf("removed %v, left %s", removed, list(t, c.Dir()))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, dir string) string { return strings.Join(listed(t, dir), " ") }

func listed(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
