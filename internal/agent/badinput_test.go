package agent_test

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
	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/testutil"
)

func TestWaitsForPodLogsDir(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	aside := n.Runtime.PodLogsDir() + ".aside"
	must(t, os.Rename(n.Runtime.PodLogsDir(), aside))
	n.Start()
	testutil.Eventually(t, "the message", func() bool { return n.Log.Count("podLogsDir does not exist; waiting for it") == 1 })
	must(t, os.Rename(aside, n.Runtime.PodLogsDir()))
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.WaitRotations(2)
	c.Exit()
	n.Stop()
	n.Check(c)
	if got := n.Log.Count("waiting for it"); got != 1 {
		t.Errorf("said %d times that it waits", got)
	}
}

func TestPodLogsDirIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pods")
	must(t, os.WriteFile(file, nil, 0o600))
	cfg := config.Default()
	cfg.PodLogsDir, cfg.ControlSocket = file, file+".sock"
	err := agent.Run(t.Context(), agent.Options{Config: cfg, Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), "is not a directory: set podLogsDir") {
		t.Errorf("err = %v", err)
	}
}

// TestTouchesNothingWithoutRuntime: full logs, temps, too many rotated files:
// all stays unchanged until the runtime has answered once.
func TestTouchesNothingWithoutRuntime(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, strings.Replace(agenttest.Small, "1000", "2", 1))
	c := n.RunContainer(fake.ContainerSpec{})
	must(t, c.WriteNumbered("stdout", 400, 200))
	for _, name := range []string{"0.log.20200101-000000", "0.log.20200102-000000", "0.log.20200101-000000.tmp"} {
		must(t, os.WriteFile(filepath.Join(c.Dir(), name), []byte("x"), 0o600))
	}
	must(t, n.Runtime.Stop())
	before := agenttest.List(t, c.Dir())
	n.Start()
	testutil.Eventually(t, "three sweeps", func() bool { return n.Log.Count("sweep ended") >= 3 })
	if after := agenttest.List(t, c.Dir()); after != before {
		t.Errorf("touched: %s, was %s", after, before)
	}
	if got := n.Log.Count("container runtime is unreachable"); got != 1 {
		t.Errorf("said %d times that container runtime is unreachable", got)
	}
	must(t, n.Runtime.Restart())
	n.WaitRotations(1)
	testutil.Eventually(t, "housekeeping", func() bool { return strings.Count(agenttest.List(t, c.Dir()), " ") == 1 })
	if n.Log.Count("container runtime is reachable again") != 1 {
		t.Error("did not say that container runtime is reachable again")
	}
}

func TestSocketAppearsLater(t *testing.T) {
	cfg := config.Default()
	cfg.PodLogsDir, cfg.ControlSocket = t.TempDir(), filepath.Join(t.TempDir(), "s.sock")
	log := &agenttest.Lines{}
	cfg.ContainerRuntimeEndpoint = "unix://" + filepath.Join(t.TempDir(), "none.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- agent.Run(ctx, agent.Options{Config: cfg, Log: zerolog.New(log)}) }()
	testutil.Eventually(t, "the message", func() bool { return log.Count("container runtime is unreachable") == 1 })
	cancel()
	must(t, <-ended)
}

func TestRefusesStrangeLogPaths(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	outside := filepath.Join(filepath.Dir(n.Runtime.PodLogsDir()), "outside.log")
	must(t, os.WriteFile(outside, make([]byte, 1<<20), 0o600))
	n.RunContainer(fake.ContainerSpec{Name: "without", LogPath: fake.NoLog})
	n.RunContainer(fake.ContainerSpec{Name: "outside", LogPath: outside})
	n.RunContainer(fake.ContainerSpec{Name: "flat", LogPath: n.Runtime.PodLogsDir() + "/flat.log"})
	dots := n.Runtime.PodLogsDir() + "/a/../../outside.log"
	n.RunContainer(fake.ContainerSpec{Name: "dots", LogPath: dots})
	good := n.RunContainer(fake.ContainerSpec{Name: "good", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.Start()
	n.WaitRotations(2)
	for _, want := range []string{podlogs.ErrNoPath.Error(), podlogs.ErrOutside.Error(), podlogs.ErrLayout.Error()} {
		testutil.Eventually(t, want, func() bool { return n.Log.Count(want) >= 1 })
	}
	good.Exit()
	n.Stop()
	n.Check(good)
	if n.Log.Count(`"skipped":4`) != 1 {
		t.Error("the refused ones were not counted")
	}
	if st, err := os.Stat(outside); err != nil || st.Size() != 1<<20 {
		t.Errorf("outside: %v %v", st, err)
	}
}

// TestRefusesALinkAsLog: a live log that is a link to a large file elsewhere.
func TestRefusesALinkAsLog(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	target := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(target, make([]byte, 1<<20), 0o600))
	bad := n.RunContainer(fake.ContainerSpec{Name: "bad"})
	must(t, os.Remove(bad.LogPath()))
	must(t, os.Symlink(target, bad.LogPath()))
	good := n.RunContainer(fake.ContainerSpec{Name: "good", Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.Start()
	n.WaitRotations(2)
	good.Exit()
	n.Stop()
	n.Check(good)
	if got := agenttest.List(t, bad.Dir()); got != "0.log" {
		t.Errorf("the link's directory holds %s", got)
	}
	if calls := n.Runtime.Calls("ReopenContainerLog"); uint64(calls) != uint64(len(agenttest.Names(t, good.Dir())))-1 {
		t.Errorf("%d reopens for %s", calls, agenttest.List(t, good.Dir()))
	}
}

// TestOddDirectories: names with glob characters and a directory with 100,000
// foreign files neither stop nor slow any other container.
func TestOddDirectories(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	var all []*fake.Container
	for _, name := range []string{"[a-z]*", "?", `back\slash`, "dollar$HOME", "new\nline"} {
		all = append(all, n.RunContainer(fake.ContainerSpec{Pod: name, Name: name, Writer: &fake.Pattern{BytesPerSecond: 5e5}}))
	}
	crowded := n.RunContainer(fake.ContainerSpec{Name: "crowded", Writer: &fake.Pattern{BytesPerSecond: 5e5}})
	for i := range 100_000 {
		f, err := os.Create(filepath.Join(crowded.Dir(), fmt.Sprintf("foreign-%d.log", i)))
		must(t, err)
		must(t, f.Close())
	}
	all = append(all, crowded)
	n.Start()
	for done := map[string]int{}; len(done) < len(all); {
		for _, r := range n.WaitRotations(1) {
			done[r.Due.Dir]++
		}
	}
	for _, c := range all {
		c.Exit()
	}
	n.Stop()
	for _, c := range all {
		n.Check(c)
	}
	if got := len(agenttest.Names(t, crowded.Dir())); got < 100_000 {
		t.Errorf("%d files are left: foreign ones were removed", got)
	}
}

// TestIdleCostsOneCall: 500 quiet containers are one RPC a sweep, and no check
// in between.
func TestIdleCostsOneCall(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	for i := range 500 {
		n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprintf("p%d", i)})
	}
	n.Start()
	sweeps := func() int { return n.Log.Count("sweep ended") }
	testutil.Eventually(t, "the lookups", func() bool { return sweeps() >= 1 && n.Runtime.Calls("ContainerStatus") >= 500 })
	first, statuses := n.Runtime.Calls("StreamContainers"), n.Runtime.Calls("ContainerStatus")
	from := sweeps()
	testutil.Eventually(t, "more sweeps", func() bool { return sweeps() >= from+3 })
	lists := n.Runtime.Calls("StreamContainers") + n.Runtime.Calls("ListContainers") - first
	if lists < 2 || lists > 5 {
		t.Errorf("%d lists in 3 sweeps", lists)
	}
	if more := n.Runtime.Calls("ContainerStatus") - statuses; more != 0 {
		t.Errorf("%d ContainerStatus calls while idle", more)
	}
}

func TestStopsInTimeWhileTheRuntimeHangs(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	c := n.RunContainer(fake.ContainerSpec{})
	c.Fail(fake.Failure{Mode: fake.Hang})
	must(t, c.WriteNumbered("stdout", 1000, 200))
	n.Start()
	testutil.Eventually(t, "a reopen that hangs", func() bool { return n.Runtime.Calls("ReopenContainerLog") > 0 })
	begin := time.Now()
	n.Stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %v, want at most 5 s", took)
	}
	// The next start repairs.
	c.ClearFailures()
	n.Start()
	testutil.Eventually(t, "the live log", func() bool { _, err := os.Lstat(c.LogPath()); return err == nil })
	c.Exit()
	n.Stop()
	n.Check(c)
}

func TestClean(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	c := n.RunContainer(fake.ContainerSpec{})
	must(t, c.WriteNumbered("stdout", 10, 100))
	for _, name := range []string{"0.log.20200101-000000", "0.log.20200101-000000.gz", "1.log", "foreign"} {
		must(t, os.WriteFile(filepath.Join(c.Dir(), name), []byte("x"), 0o600))
	}
	client, err := cri.Dial(n.Runtime.Endpoint(), time.Second)
	must(t, err)
	defer client.Close() //nolint:errcheck // nothing is lost
	if _, err := agent.Clean(t.Context(), n.Options.Config, client, c.ID()); err == nil || !strings.Contains(err.Error(), "is running: stop it first") {
		t.Errorf("a running container: %v", err)
	}
	if _, err := agent.Clean(t.Context(), n.Options.Config, client, "nobody"); err == nil || !strings.Contains(err.Error(), "does not know container") {
		t.Errorf("an unknown container: %v", err)
	}
	c.Exit()
	removed, err := agent.Clean(t.Context(), n.Options.Config, client, c.ID())
	must(t, err)
	if len(removed) != 3 || agenttest.List(t, c.Dir()) != "1.log foreign" {
		t.Errorf("removed %v, left %s", removed, agenttest.List(t, c.Dir()))
	}
}
