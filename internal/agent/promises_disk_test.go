package agent_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// TestPruningPassesCompression: a container that writes 20 MB/s keeps to its policy
// while another one's large log is compressed.
func TestPruningPassesCompression(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, `
containerLogMaxSize: 1Mi
containerLogMaxFiles: 3
minRotationInterval: 0s
compression: {level: 9}
overrides:
- match: {pods: [big]}
  maxSize: 1Gi
  maxFiles: 4
`)
	big := n.RunContainer(fake.ContainerSpec{Pod: "big"})
	must(t, big.WriteNumbered("stdout", 10, 100))
	source := filepath.Join(big.Dir(), "0.log.20260101-000000")
	must(t, writeText(source, 96<<20))
	must(t, os.WriteFile(filepath.Join(big.Dir(), "0.log.20260102-000000"), []byte("x\n"), 0o600))
	n.Start()
	testutil.Eventually(t, "the compression to begin", func() bool { return sizeOf(source+".tmp") > 0 })
	c := n.RunContainer(fake.ContainerSpec{Pod: "loud", Writer: &fake.Pattern{BytesPerSecond: 20e6}})
	var most int64
	testutil.Eventually(t, "lines", func() bool {
		bytes, _ := dirSize(c.Dir())
		most = max(most, bytes)
		return c.BytesWritten() > 30<<20
	})
	if _, err := os.Stat(source); err != nil {
		t.Log("the compression ended before: the test shows less on this machine")
	}
	if most > 3<<20+8<<20 { // 400 ms of its writing for a slow machine
		t.Errorf("%d bytes in the directory, allowed %d", most, 3<<20)
	}
	c.Exit()
	n.Stop()
	n.CheckLines(c)
}

// writeText writes so many bytes of text that takes long to compress.
func writeText(path string, size int) error {
	words := []string{"GET ", "POST ", "/api/v1/", "200 ", "500 ", "timeout ", "refused ", "user=", "id=", "duration="}
	block := make([]byte, 0, 4<<20)
	for len(block) < cap(block)-100 {
		for range 8 {
			block = append(block, words[rand.IntN(len(words))]...)
			block = append(block, byte('a'+rand.IntN(26)), byte('0'+rand.IntN(10)), ' ')
		}
		block[len(block)-1] = '\n'
	}
	f, err := os.Create(path)
	for written := 0; err == nil && written < size; written += len(block) {
		_, err = f.Write(block)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// TestTotalHolds: all files of a container together stay at their total, below twice
// the limit too, and with files in the directory that are not its logs.
func TestTotalHolds(t *testing.T) {
	for _, total := range []int64{1 << 20, 1500 << 10, 5 << 20} {
		n := agenttest.New(t, fake.Options{}, fmt.Sprintf(`
containerLogMaxSize: 1Mi
containerLogMaxFiles: 100
containerLogMaxTotalSize: %d
minRotationInterval: 0s
compression: {codec: none}
`, total))
		n.Start()
		c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 2e6}})
		var most int64
		looks, over := 0, 0
		testutil.Eventually(t, "lines", func() bool {
			bytes, _ := dirSize(c.Dir())
			most = max(most, bytes)
			if looks++; bytes > total {
				over++
			}
			return c.BytesWritten() > 12<<20
		})
		// Half a second of its writing, as on a machine that stalls, and not for long.
		if most > total+1<<20 || over > looks/4 {
			t.Errorf("%d bytes in the directory, the total is %d; more than that in %d of %d looks", most, total, over, looks)
		}
		c.Exit()
		n.Stop()
		n.CheckLines(c)
	}
}

// TestForeignFilesCountForNothing: neither for the interval nor for the total.
func TestForeignFilesCountForNothing(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, "containerLogMaxSize: 64Ki\nminRotationInterval: 1h\ncontainerLogMaxFiles: 20\n")
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 200e3}})
	foreign := filepath.Join(c.Dir(), "0.log.1") // logrotate's
	must(t, os.WriteFile(foreign, make([]byte, 2<<20), 0o600))
	n.Start()
	n.WaitRotations(1)
	from := c.BytesWritten()
	// 64 KiB × 20 is the total, and half of it overrides the interval.
	testutil.Eventually(t, "400 KB", func() bool { return c.BytesWritten() > from+400e3 })
	if n.SkipRotations() > 0 {
		t.Error("rotated within the interval")
	}
	if sizeOf(foreign) != 2<<20 {
		t.Error("the foreign file was touched")
	}
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestNameComesBack: kubectl logs --previous finds the log of a container that ended
// while its reopen hung, and of one that ended while the agent was not running.
func TestNameComesBack(t *testing.T) {
	for _, style := range []fake.Style{fake.Containerd, fake.CRIO} {
		for _, crashed := range []string{"", "rename", "exchange"} {
			t.Run(fmt.Sprint(style, crashed), func(t *testing.T) {
				n := agenttest.New(t, fake.Options{Style: style}, agenttest.Small+"runtimeRequestTimeout: 500ms\n")
				c := n.RunContainer(fake.ContainerSpec{})
				must(t, c.WriteNumbered("stdout", 1000, 200))
				c.Fail(fake.Failure{Mode: fake.Hang})
				rotated := c.LogPath() + ".20260101-000000"
				switch crashed {
				case "":
					n.Start()
					testutil.Eventually(t, "a reopen that hangs", func() bool { return n.Runtime.Calls("ReopenContainerLog") > 0 })
					c.Exit()
				case "rename":
					must(t, os.Rename(c.LogPath(), rotated))
					c.Exit()
					n.Start()
				case "exchange":
					must(t, os.WriteFile(rotated, nil, 0o640))
					must(t, unix.Renameat2(unix.AT_FDCWD, rotated, unix.AT_FDCWD, c.LogPath(), unix.RENAME_EXCHANGE))
					c.Exit()
					n.Start()
				}
				testutil.Eventually(t, "the name", func() bool { return sizeOf(c.LogPath()) > 100_000 })
				n.Stop()
				n.Check(c)
				if got := agenttest.List(t, c.Dir()); got != "0.log" {
					t.Errorf("the directory holds %s", got)
				}
			})
		}
	}
}

// TestLinkAsLog: a symbolic link as live log, as cri-dockerd has it, is reported once
// and counted.
func TestLinkAsLog(t *testing.T) {
	t.Parallel()
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	url, socket := n.Listen()
	target := filepath.Join(t.TempDir(), "id-json.log")
	must(t, os.WriteFile(target, make([]byte, 1<<20), 0o600))
	bad := n.RunContainer(fake.ContainerSpec{Pod: "bad"})
	must(t, os.Remove(bad.LogPath()))
	must(t, os.Symlink(target, bad.LogPath()))
	n.Start()
	base := url()
	n.WaitLog("skipping container log", 1)
	n.WaitSweeps(4)
	if got := n.Log.Count("skipping container log"); got != 1 {
		t.Errorf("reported %d times", got)
	}
	if _, text := fetch(t, base+"/metrics"); value(t, text, "logwatch_skipped_containers") != 1 {
		t.Error("it is not counted as skipped")
	}
	s, err := api.NewClient(socket).Status(t.Context(), api.Names{}, false)
	if err != nil || len(s.Containers) != 1 || !strings.Contains(s.Containers[0].Skipped, "not a regular file") {
		t.Errorf("%+v, %v", s.Containers, err)
	}
	must(t, os.Remove(bad.LogPath()))
	must(t, os.WriteFile(bad.LogPath(), make([]byte, 1000), 0o600))
	testutil.Eventually(t, "the count to go back", func() bool {
		_, text := fetch(t, base+"/metrics")
		return value(t, text, "logwatch_skipped_containers") == 0
	})
}

// TestNewPodCostsItsOwnDirectory: with labels in use, a new pod is not a reason to
// look at all other containers.
func TestNewPodCostsItsOwnDirectory(t *testing.T) {
	large := strings.NewReplacer("64Ki", "1Gi", "MonitorInterval: 1s", "MonitorInterval: 1h").Replace(agenttest.Small)
	n := agenttest.New(t, fake.Options{}, large+"overrides:\n- match: {labels: a=b}\n  maxFiles: 7\n")
	url, _ := n.Listen()
	for i := range 200 {
		n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprint("p", i)})
	}
	n.Start()
	base := url()
	jobs := func() float64 {
		_, text := fetch(t, base+"/metrics")
		return value(t, text, `logwatch_pool_jobs_completed_total{pool="prune"}`)
	}
	testutil.Eventually(t, "all lookups", func() bool { return n.Runtime.Calls("ContainerStatus") >= 200 })
	settled := -1.0
	testutil.Eventually(t, "quiet", func() bool {
		now := jobs()
		quiet := now == settled && now >= 200
		settled = now
		return quiet
	})
	var dirs []string
	for i := range 5 {
		dirs = append(dirs, n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprint("new", i)}).Dir())
	}
	testutil.Eventually(t, "the new lookups", func() bool { return n.Runtime.Calls("ContainerStatus") >= 205 })
	for _, dir := range dirs { // their policies are known once they are pruned by them
		for k := range 9 {
			must(t, os.WriteFile(fmt.Sprintf("%s/0.log.20260101-00000%d", dir, k), []byte("x\n"), 0o600))
		}
	}
	time.Sleep(time.Second) // anything that would list the node does so by now
	if got := jobs() - settled; got > 40 {
		t.Errorf("%v housekeeping jobs for 5 new pods", got)
	}
}

// TestWithoutInotify: the kernel allows no more inotify instances. Logs are rotated
// from sweeps and timers, and inotify is used once there is an instance.
func TestWithoutInotify(t *testing.T) {
	const limit = "/proc/sys/fs/inotify/max_user_instances"
	before, err := os.ReadFile(limit)
	must(t, err)
	if err := os.WriteFile(limit, []byte("0"), 0o644); err != nil {
		t.Skipf("needs root: %v", err)
	}
	restore := func() { must(t, os.WriteFile(limit, before, 0o644)) }
	t.Cleanup(restore)
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.WaitRotations(5)
	if n.Log.Count("inotify") == 0 {
		t.Error("it does not report that there is no inotify instance")
	}
	restore()
	n.WaitSweeps(2)
	n.SkipRotations()
	if all := n.WaitRotations(10); !slices.ContainsFunc(all, func(r agent.Rotated) bool { return r.Due.Cause == watcher.CauseWrite }) {
		t.Error("no rotation was caused by a write")
	}
	c.Exit()
	n.Stop()
	n.Check(c)
}
