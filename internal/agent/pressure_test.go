package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/pressure"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// keeping keeps everything, as far as a container's own policy goes.
const keeping = agenttest.Small + `
compression: {codec: none}
`

// taken is what all files below podLogsDir take, in bytes.
func taken(n *agenttest.Node) (bytes int64) {
	for _, dir := range podlogs.ContainerDirs(n.Runtime.PodLogsDir()) {
		entries, err := os.ReadDir(filepath.Join(n.Runtime.PodLogsDir(), dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				bytes += info.Size()
			}
		}
	}
	return bytes
}

// storm runs one high-volume container and some quiet ones until the first was
// rotated often enough. All logs together are brought within the budget while it writes,
// again and again.
func storm(t *testing.T, n *agenttest.Node, budget int64) {
	t.Helper()
	var quiet []*fake.Container
	for i := range 4 {
		quiet = append(quiet, n.RunContainer(fake.ContainerSpec{Pod: fmt.Sprint("quiet", i), Writer: &fake.Pattern{BytesPerSecond: 5e4}}))
	}
	loud := n.RunContainer(fake.ContainerSpec{Pod: "loud", Writer: &fake.Pattern{BytesPerSecond: 5e6}})
	const part = 3 << 20 // bytes
	peak := int64(0)
	for written := int64(part); written <= 5*part; written += part {
		testutil.Eventually(t, "the storm, and then the budget", func() bool {
			now := taken(n)
			peak = max(peak, now)
			return loud.BytesWritten() > written && now <= budget
		})
	}
	for _, c := range append(quiet, loud) {
		c.Exit()
	}
	n.Stop()
	for _, c := range quiet {
		n.Check(c)
	}
	if n.CheckLines(loud) == 0 {
		t.Error("the loud one lost nothing")
	}
	if n.Log.Count("pruned rotated logs to relieve pressure") == 0 || n.Log.Count(`"from":{"default_quiet`) > 0 {
		t.Error("the log does not say that the loud one paid")
	}
	t.Logf("peak %d bytes, the budget is %d; %d passes", peak, budget, n.Log.Count("pruned rotated logs to relieve pressure"))
}

func TestNodeBudget(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, keeping+"nodeLogBudget: 2Mi\n")
	n.Start()
	storm(t, n, 2<<20)
	if n.Log.Count("there is nothing left to prune") > 0 {
		t.Error("it says that it was not enough")
	}
}

// TestDiskPressure plays a disk of 3 MiB on which the logs are alone.
func TestDiskPressure(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, keeping+"diskPressure: {highThresholdPercent: 80, lowThresholdPercent: 60}\n")
	const size = 3 << 20
	n.Options.Statfs = func(string) (pressure.Disk, error) {
		return pressure.Disk{Bytes: size, BytesFree: size - taken(n)}, nil
	}
	n.Start()
	storm(t, n, size*80/100)
}

// TestBudgetWithCompression: prunes and compressions of the same directories take
// turns, with compression slower than the writer.
func TestBudgetWithCompression(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small+"rotatedLogGracePeriod: 0s\ncompression: {level: 9}\nnodeLogBudget: 1Mi\n")
	n.Start()
	storm(t, n, 1<<20)
}

func TestStatfsFails(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, keeping+"nodeLogBudget: 1\ndiskPressure: {highThresholdPercent: 80, lowThresholdPercent: 60}\n")
	var asked atomic.Int64
	n.Options.Statfs = func(string) (pressure.Disk, error) {
		asked.Add(1)
		return pressure.Disk{}, errors.New("no such luck")
	}
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.WaitRotations(10)
	c.Exit()
	n.Stop()
	n.Check(c)
	if got := n.Log.Count("no such luck"); got != 1 || asked.Load() < 2 {
		t.Errorf("asked %d times, said it %d times", asked.Load(), got)
	}
}

// TestBudgetBelowALiveLog: what can be done is done: the live log is rotated
// before its limit, and what that makes is removed. Once nothing can be done any
// more, it says so once.
func TestBudgetBelowALiveLog(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, strings.Replace(keeping, "64Ki", "10Mi", 1)+"nodeLogBudget: 256Ki\n")
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 2e6}})
	exited := n.RunContainer(fake.ContainerSpec{Pod: "exited"})
	must(t, exited.WriteNumbered("stdout", 10_000, 100))
	exited.Exit()
	n.Start()
	for _, r := range n.WaitRotations(3) {
		if r.Due.Cause != watcher.CausePressure || r.Size >= 10<<20 {
			t.Errorf("rotated %+v", r)
		}
	}
	c.Exit()
	testutil.Eventually(t, "the last removal", func() bool { return len(agenttest.Names(t, c.Dir())) == 1 })
	sweeps := n.Log.Count("sweep ended")
	testutil.Eventually(t, "more sweeps", func() bool { return n.Log.Count("sweep ended") >= sweeps+2 })
	n.Stop()
	if n.CheckLines(c) == 0 {
		t.Error("nothing was removed")
	}
	n.Check(exited)
	if got := n.Log.Count("there is nothing left to prune"); got != 1 {
		t.Errorf("said %d times that it is not enough", got)
	}
}

// TestBudgetOff: without limits the disk is not even asked about.
func TestBudgetOff(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, keeping)
	n.Options.Statfs = func(string) (pressure.Disk, error) {
		t.Error("statfs was called")
		return pressure.Disk{}, nil
	}
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.WaitRotations(5)
	c.Exit()
	n.Stop()
	n.Check(c)
}
