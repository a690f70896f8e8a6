package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/pressure"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// keeping keeps everything, as far as a container's own policy goes.
const keeping = small + `
compression: {codec: none}
`

// startWith is start with another statfs.
func (n *node) startWith(statfs func(string) (pressure.Disk, error)) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Config: n.cfg, Log: zerolog.New(n.log), statfs: statfs,
			Rotated: func(r Rotated) { n.rotated <- r },
		})
	}()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			n.t.Errorf("the daemon: %v", err)
		}
	})
	n.t.Cleanup(func() {
		n.stop()
		if n.t.Failed() {
			n.t.Log("the daemon's log:\n" + n.log.text.String())
		}
	})
}

// taken is what all files below podLogsDir take, in bytes.
func (n *node) taken() (bytes int64) {
	for _, dir := range podlogs.ContainerDirs(n.runtime.PodLogsDir()) {
		entries, err := os.ReadDir(filepath.Join(n.runtime.PodLogsDir(), dir))
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

// pruned checks that what is left of a container's lines is their end, whole, and
// returns how many went.
func (n *node) pruned(c *fake.Container) uint64 {
	n.t.Helper()
	rel, err := filepath.Rel(n.runtime.PodLogsDir(), c.Dir())
	must(n.t, err)
	res, err := linecheck.Container(n.runtime.PodLogsDir(), rel)
	must(n.t, err)
	if err := res.OK(c.Written()); err != nil {
		n.t.Errorf("%s: %v", rel, err)
	}
	return res.Pruned()
}

// reaction is what may be written until pruning has made up for it, in bytes: 5
// MB/s, 100 ms between two counts, 250 ms for a compression to end, and more than
// that for a slow machine.
const reaction = 4 << 20

// storm runs one loud container and some quiet ones until the loud one was
// rotated often enough; what it takes stays within most all the time.
func storm(t *testing.T, n *node, most int64) {
	t.Helper()
	var quiet []*fake.Container
	for i := range 4 {
		quiet = append(quiet, n.run(fake.ContainerSpec{Pod: fmt.Sprint("quiet", i), Writer: &fake.Pattern{BytesPerSecond: 5e4}}))
	}
	loud := n.run(fake.ContainerSpec{Pod: "loud", Writer: &fake.Pattern{BytesPerSecond: 5e6}})
	peak := int64(0)
	testutil.Eventually(t, "the storm", func() bool {
		peak = max(peak, n.taken())
		return loud.BytesWritten() > 15<<20
	})
	for _, c := range append(quiet, loud) {
		c.Exit()
	}
	n.stop()
	if peak > most {
		t.Errorf("the logs took %d bytes, %d were to be the most", peak, most)
	}
	for _, c := range quiet {
		n.check(c)
	}
	if n.pruned(loud) == 0 {
		t.Error("the loud one lost nothing")
	}
	if n.log.count("removed rotated logs early") == 0 || n.log.count(`"from":{"default_quiet`) > 0 {
		t.Error("the log does not say that the loud one paid")
	}
	t.Logf("peak %d bytes of %d; %d passes", peak, most, n.log.count("removed rotated logs early"))
}

func TestNodeBudget(t *testing.T) {
	n := newNode(t, fake.Options{}, keeping+"nodeLogBudget: 2Mi\n")
	n.start()
	storm(t, n, 2<<20+reaction)
	if n.log.count("does not free enough") > 0 {
		t.Error("it says that it was not enough")
	}
}

// TestDiskPressure plays a disk of 3 MiB on which the logs are alone.
func TestDiskPressure(t *testing.T) {
	n := newNode(t, fake.Options{}, keeping+"diskPressure: {highThresholdPercent: 80, lowThresholdPercent: 60}\n")
	const size = 3 << 20
	n.startWith(func(string) (pressure.Disk, error) {
		return pressure.Disk{Bytes: size, BytesFree: size - n.taken()}, nil
	})
	storm(t, n, size*80/100+reaction)
}

// TestBudgetWithCompression: prunes and compressions of the same directories take
// turns, with compression slower than the writer.
func TestBudgetWithCompression(t *testing.T) {
	n := newNode(t, fake.Options{}, small+"rotatedLogGracePeriod: 0s\ncompression: {level: 9}\nnodeLogBudget: 1Mi\n")
	n.start()
	storm(t, n, 1<<20+reaction)
}

func TestStatfsFails(t *testing.T) {
	n := newNode(t, fake.Options{}, keeping+"nodeLogBudget: 1\ndiskPressure: {highThresholdPercent: 80, lowThresholdPercent: 60}\n")
	var asked atomic.Int64
	n.startWith(func(string) (pressure.Disk, error) {
		asked.Add(1)
		return pressure.Disk{}, errors.New("no such luck")
	})
	c := n.run(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.waitRotations(10)
	c.Exit()
	n.stop()
	n.check(c)
	if got := n.log.count("no such luck"); got != 1 || asked.Load() < 2 {
		t.Errorf("asked %d times, said it %d times", asked.Load(), got)
	}
}

// TestBudgetBelowALiveLog: what can be done is done: the live log is rotated
// before its limit, and what that makes is removed. Once nothing can be done any
// more, it says so once.
func TestBudgetBelowALiveLog(t *testing.T) {
	n := newNode(t, fake.Options{}, strings.Replace(keeping, "64Ki", "10Mi", 1)+"nodeLogBudget: 256Ki\n")
	c := n.run(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 2e6}})
	exited := n.run(fake.ContainerSpec{Pod: "exited"})
	must(t, exited.WriteNumbered("stdout", 10_000, 100))
	exited.Exit()
	n.start()
	for _, r := range n.waitRotations(3) {
		if r.Due.Cause != watcher.CausePressure || r.Overshoot < 0 || r.Size >= 10<<20 {
			t.Errorf("rotated %+v", r)
		}
	}
	c.Exit()
	testutil.Eventually(t, "the last removal", func() bool { return len(listed(t, c.Dir())) == 1 })
	sweeps := n.log.count("sweep ended")
	testutil.Eventually(t, "more sweeps", func() bool { return n.log.count("sweep ended") >= sweeps+2 })
	n.stop()
	if n.pruned(c) == 0 {
		t.Error("nothing was removed")
	}
	n.check(exited)
	if got := n.log.count("does not free enough: what is left"); got != 1 {
		t.Errorf("said %d times that it is not enough", got)
	}
}

// TestBudgetOff: without limits the disk is not even asked about.
func TestBudgetOff(t *testing.T) {
	n := newNode(t, fake.Options{}, keeping)
	n.startWith(func(string) (pressure.Disk, error) {
		t.Error("statfs was called")
		return pressure.Disk{}, nil
	})
	c := n.run(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.waitRotations(5)
	c.Exit()
	n.stop()
	n.check(c)
}

// TestPrunesAndHousekeepingTakeTurns: a compression that runs for long is ended
// for prunes, in whatever directory; what they replace in the queue is done
// afterwards.
func TestPrunesAndHousekeepingTakeTurns(t *testing.T) {
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg := config.Default()
		cfg.PodLogsDir = root
		r, err := newRules(cfg)
		must(t, err)
		d := newDaemon(Options{Config: cfg, Log: zerolog.Nop()}, nil, r)
		p := d.pressure
		const stamp = "0.log.20260101-000001"
		name, _ := podlogs.ParseName(stamp)
		var plan []pressure.Prune
		for _, dir := range []string{"a/c", "b/c"} {
			must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
			must(t, os.WriteFile(filepath.Join(root, dir, stamp), []byte("x"), 0o600))
			plan = append(plan, pressure.Prune{Dir: dir, Name: name})
		}
		ran, ended := 0, 0
		endless := func(ctx context.Context, _ string) {
			ran++
			<-ctx.Done()
			ended++
		}
		submit := func(dir string) {
			d.housekeeping.Submit(dir, func(ctx context.Context) { p.job(ctx, dir, endless) })
		}
		submit("a/c")
		synctest.Wait()
		p.prune(plan, pressure.Over{Budget: true})
		submit("b/c") // takes the place of the job that was to prune there
		synctest.Wait()
		if !p.pending() || ended > 0 {
			t.Fatalf("prunes are pending: %t; housekeeping ended %d times at once", p.pending(), ended)
		}
		time.Sleep(yieldAfter)
		p.pending()
		synctest.Wait()
		if p.pending() || ran != 1 || ended != 1 {
			t.Errorf("pending: %t, housekeeping begun %d times and ended %d times, want once", p.pending(), ran, ended)
		}
		for _, a := range plan {
			if got := list(t, filepath.Join(root, a.Dir)); got != "" {
				t.Errorf("%s holds %s", a.Dir, got)
			}
		}
		d.mu.Lock()
		again := len(d.later)
		d.mu.Unlock()
		if again != 2 {
			t.Errorf("housekeeping is to be done later in %d directories, want 2", again)
		}
		must(t, d.stop())
	})
}

// TestStuckContainers: who cannot give for long is passed over for a while.
func TestStuckContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPressure(&Daemon{}, Options{})
		is := func(want bool) {
			t.Helper()
			if got := p.isStuck("pod/c"); got != want {
				t.Errorf("stuck = %t", got)
			}
		}
		is(false)
		p.failed("pod/c")
		is(false)
		time.Sleep(stuckAfter / 2)
		p.failed("pod/c") // the first failure counts
		time.Sleep(stuckAfter / 2)
		is(true)
		p.settled("pod/c")
		is(false)
	})
}

func TestContainerDirs(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "ns_pod_uid/app"), 0o755))
	must(t, os.MkdirAll(filepath.Join(root, "ns_pod_uid/side"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
	must(t, os.Symlink("ns_pod_uid", filepath.Join(root, "link")))
	must(t, os.Symlink("app", filepath.Join(root, "ns_pod_uid/link")))
	if got := podlogs.ContainerDirs(root); len(got) != 2 || got[0]+" "+got[1] != "ns_pod_uid/app ns_pod_uid/side" {
		t.Errorf("dirs = %q", got)
	}
	if got := podlogs.ContainerDirs(root + "/none"); got != nil {
		t.Errorf("of nothing: %q", got)
	}
	disk, err := statfs(root)
	if err != nil || disk.Bytes <= 0 || disk.BytesFree > disk.Bytes {
		t.Errorf("statfs: %+v, %v", disk, err)
	}
	if _, err := statfs(root + "/none"); err == nil {
		t.Error("statfs of nothing worked")
	}
}
