package test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

// torture is how long each torture test writes; make torture sets it.
var torture = flag.Duration("torture", 8*time.Second, "how long the torture tests' containers write")

// everything keeps all files, so that each line must be found.
const everything = `
containerLogMaxSize: 512Ki
containerLogMaxFiles: 100000
minRotationInterval: 0s
logging: {format: json, level: debug}
metrics: {listenAddress: ""}
controlSocket: ""
`

// tortured starts the containers that write during the test.
func tortured(t *testing.T, n node, seconds float64) (cs []container, loads []workload) {
	t.Helper()
	for _, w := range []workload{
		{name: "steady", rate: 2e6},
		{name: "mixed", rate: 1e6, stderrEvery: 3},
		{name: "long", rate: 1e6, longEvery: 50},
		{name: "slow", rate: 2e5, stderrEvery: 2},
	} {
		width := float64(lineLength)
		if w.longEvery > 0 {
			width += 20_000 / float64(w.longEvery) // see -long-every: lines over 16 KiB
		}
		w.lines = uint64(seconds * float64(w.rate) / width)
		w.name += fmt.Sprint("-", rand.Uint32())
		loads = append(loads, w)
		cs = append(cs, n.run(t, w))
	}
	return cs, loads
}

// running reports whether any container is still writing.
func running(cs []container) bool {
	for _, c := range cs {
		if !c.exited() {
			return true
		}
	}
	return false
}

// TestTortureKill kills and stops logwatch at random while pods come and go. At the end,
// each line is there once.
func TestTortureKill(t *testing.T) {
	needRoot(t)
	n := newReal(t, "")
	p := newProcess(t, n, everything)
	cs, loads := tortured(t, n, torture.Seconds())
	visitors := make(chan struct{})
	go func() { defer close(visitors); comeAndGo(t, n, cs) }()
	kills, pauses := 0, 0
	for running(cs) {
		p.start()
		time.Sleep(time.Duration(20+rand.IntN(480)) * time.Millisecond)
		if rand.IntN(10) == 0 {
			pauses++
			p.signal(unix.SIGSTOP)
			time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
			p.signal(unix.SIGCONT)
		}
		kills++
		p.kill()
	}
	<-visitors
	settle(t, n, p, cs)
	files := 0
	for i, c := range cs {
		res := all(t, n, c.dir(), loads[i].written())
		files += len(res.Logs)
	}
	t.Logf("%d kills, %d pauses, %d files", kills, pauses, files)
	if kills < 5 || files < 20 {
		t.Errorf("that was no torture: %d kills, %d files", kills, files)
	}
}

// comeAndGo runs pods and deletes them and their logs while they write, as kubelet does.
func comeAndGo(t *testing.T, n realNode, cs []container) {
	for running(cs) {
		pod, err := n.RunPod(t.Context(), containerd.PodSpec{
			Containers: []containerd.ContainerSpec{{Name: "app", Args: []string{"-rate=3000000"}}},
		})
		if err != nil {
			t.Error(err)
			return
		}
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
		if err := pod.Remove(t.Context()); err != nil {
			t.Error(err)
			return
		}
		// A log may be rotated in the directory while it is removed; kubelet tries again, too.
		for err = os.RemoveAll(pod.LogDir); errors.Is(err, unix.ENOTEMPTY); {
			err = os.RemoveAll(pod.LogDir)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// settle runs logwatch until no work is left, then stops it.
func settle(t *testing.T, n node, p *process, cs []container) {
	t.Helper()
	p.sweep()
	p.settled(n, cs)
	p.stop()
}

// peer is another rotator to test instead of logwatch.
var peer = flag.String("peer", "", "path of bench/kubelet-rotator, for TestTorturePeer")

// TestTorturePeer does to kubelet's own log manager what TestTortureKill does to
// logwatch, and prints the lost lines. It is killed as often as logwatch, and also,
// since that is more often than its minimum interval of 3 s, during its second check.
func TestTorturePeer(t *testing.T) {
	needRoot(t)
	if *peer == "" {
		t.Skip("this is a comparison, not a test of logwatch: make torture-peer")
	}
	for name, least := range map[string]time.Duration{"AsOften": 20 * time.Millisecond, "AtItsInterval": 3 * time.Second} {
		t.Run(name, func(t *testing.T) { torturePeer(t, least) })
	}
}

func torturePeer(t *testing.T, least time.Duration) {
	n := newReal(t, "")
	p := &process{t: t, binary: *peer, args: []string{
		"-endpoint", n.Endpoint(), "-max-size", "512Ki", "-max-files", "100000", "-workers", "10", "-interval", "3s",
	}}
	var err error
	if p.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	cs, loads := tortured(t, n, torture.Seconds())
	kills := 0
	for running(cs) {
		p.start()
		time.Sleep(least + time.Duration(rand.IntN(500))*time.Millisecond)
		p.kill()
		kills++
	}
	lost, doubled, lines := uint64(0), uint64(0), uint64(0)
	for i, c := range cs {
		res, err := linecheck.Container(n.PodLogsDir(), c.dir())
		if err != nil {
			t.Logf("%s cannot be read to its end: %v", c.dir(), err)
		}
		for stream, written := range loads[i].written() {
			r := res.Streams[stream]
			lines += written
			lost += written - (r.Lines - r.Doubled)
			doubled += r.Doubled
		}
	}
	t.Logf("kubelet's manager: %d kills: %d of %d lines lost, %d doubled", kills, lost, lines, doubled)
}

// TestTorturePolicy is the same with pruning: the rest is the end of what was written,
// complete and within the policy.
func TestTorturePolicy(t *testing.T) {
	needRoot(t)
	n := newReal(t, "")
	p := newProcess(t, n, strings.Replace(everything, "100000", "4", 1))
	cs, loads := tortured(t, n, torture.Seconds())
	for running(cs) {
		p.start()
		time.Sleep(time.Duration(20+rand.IntN(480)) * time.Millisecond)
		p.kill()
	}
	p.sweep()
	// The live log and the newest rotated log are kept, and may be past the total: they grow
	// while logwatch is not running. What has no room to be compressed in stays uncompressed.
	testutil.Eventually(t, "housekeeping by the policy", func() bool {
		for _, c := range cs {
			files, sum := onDisk(t, n, c.dir())
			temps, err := filepath.Glob(filepath.Join(n.PodLogsDir(), c.dir(), "*.tmp"))
			if err != nil {
				t.Fatal(err)
			}
			if len(temps) > 0 || files > 2 && (files > 4 || sum > 4*512<<10) {
				return false
			}
		}
		return true
	})
	p.stop()
	for i, c := range cs {
		found(t, n, c.dir(), loads[i].written())
	}
}

// onDisk returns how many logs a container has, and their bytes.
func onDisk(t *testing.T, n node, dir string) (files int, sum int64) {
	t.Helper()
	for _, name := range names(t, n, dir) {
		if st, err := os.Stat(filepath.Join(n.PodLogsDir(), dir, name)); err == nil { // else it was pruned
			files, sum = files+1, sum+st.Size()
		}
	}
	return files, sum
}

// heldByContainerd is the most that containerd 2.4 holds in memory of one stream, in
// bytes: what io.Copy has read (32 KiB), its reader's buffer (4 KiB) and a line that is
// not complete (16 KiB). A SIGKILL loses it, with any rotator.
const heldByContainerd = (32 + 4 + 16) << 10

// TestTortureRuntime kills containerd, which loses what it holds in memory: no more
// than that may be missing in one place, with logwatch as without. A rotation that
// goes wrong loses a file, of thousands of lines.
func TestTortureRuntime(t *testing.T) {
	needRoot(t)
	for _, withLogwatch := range []bool{false, true} {
		n := newReal(t, "")
		p := newProcess(t, n, everything)
		if withLogwatch {
			p.start()
		}
		cs, loads := tortured(t, n, torture.Seconds())
		kills := 0
		// Not near their ends: if a container exits while containerd is not running, up
		// to 64 KiB in each of its pipes is never read.
		for end := time.Now().Add(*torture * 3 / 4); time.Now().Before(end); kills++ {
			time.Sleep(time.Duration(500+rand.IntN(1000)) * time.Millisecond)
			n.bounce(t)
		}
		// While containerd does not run they are held up, which adds up.
		for deadline := time.Now().Add(*torture); running(cs) && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond)
		}
		for _, c := range cs {
			c.wait(t)
		}
		if withLogwatch {
			p.kill()
			settle(t, n, p, cs)
		}
		lost, lines, longest := uint64(0), uint64(0), uint64(0)
		for i, c := range cs {
			res, err := linecheck.Container(n.PodLogsDir(), c.dir())
			if err != nil {
				t.Fatal(err)
			}
			for stream, written := range loads[i].written() {
				r := res.Streams[stream]
				gap := max(r.LongestGap, r.First-1, written-r.Last)
				lines += written
				lost += r.First - 1 + r.Missing + written - r.Last
				longest = max(longest, gap)
				if gap > heldByContainerd/lineLength || r.Doubled > 0 || r.OutOfOrder > 0 {
					t.Errorf("%s %s: %d lines missing in one place: %+v", c.dir(), stream, gap, r)
				}
			}
		}
		t.Logf("with logwatch: %v; %d kills of containerd: %d of %d lines lost, at most %d in one place", withLogwatch, kills, lost, lines, longest)
	}
}

// TestTortureDisk leaves a container 1 MiB of disk: rotation continues, since each pruned
// log makes room for the next.
func TestTortureDisk(t *testing.T) {
	needRoot(t)
	disk := t.TempDir()
	if err := unix.Mount("logwatch-test", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	n := newRealOn(t, filepath.Join(disk, "pods"))
	// A total of three full logs, the default, may leave no room to compress one.
	p := newProcess(t, n, strings.Replace(everything, "100000", "3", 1)+"containerLogMaxTotalSize: 4Mi\n")
	p.start()
	w := workload{name: "full", rate: 2e6, lines: uint64(torture.Seconds() * 2e6 / lineLength)}
	c, ends := n.run(t, w), time.After(*torture)
	testutil.Eventually(t, "files", func() bool { return len(names(t, n, c.dir())) >= 3 })
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast, 1<<20)
	for range 3 {
		before := newest(t, n, c)
		testutil.Eventually(t, "a rotation on a full disk", func() bool { return newest(t, n, c) != before })
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	<-ends // the writer takes that long, more than a wait for it may
	c.wait(t)
	p.stop()
	settle(t, n, p, []container{c})
	// The runtime drops lines while the disk is full; none may come twice or in
	// disorder, and the files must be readable to their ends.
	res, err := linecheck.Container(n.PodLogsDir(), c.dir())
	if err != nil {
		t.Fatal(err)
	}
	for stream, r := range res.Streams {
		if r.Doubled > 0 || r.OutOfOrder > 0 {
			t.Errorf("%s: %+v", stream, r)
		}
	}
}

// fill writes a file until the disk is full, then frees some of it.
func fill(t *testing.T, path string, leave int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is full on purpose
	size := int64(0)
	for block := make([]byte, 64<<10); err == nil; {
		var n int
		n, err = f.Write(block)
		size += int64(n)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Truncate(size - leave); err != nil {
		t.Fatal(err)
	}
}

// newest returns the newest rotated log of a container.
func newest(t *testing.T, n node, c container) string {
	t.Helper()
	newest := ""
	for _, name := range names(t, n, c.dir()) {
		newest = max(newest, strings.TrimSuffix(name, ".gz"))
	}
	return newest
}
