package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cpu reports the processor time of an operation: wall time depends on what else runs.
func cpu(b *testing.B) func() {
	now := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := now()
	return func() { b.ReportMetric(float64((now()-start).Microseconds())/float64(b.N), "cpu-µs/op") }
}

const benchContainers = 250

func container(i int) string { return "ns_" + strconv.Itoa(i%benchContainers) + "_uid/c" }

// benchNode has three readers with 300 descriptors each, of the live logs of 250 containers and of
// rotated ones.
func benchNode(b *testing.B) (*Tracker, []*child) {
	logs := b.TempDir()
	var paths []string
	for i := range benchContainers {
		dir := filepath.Join(logs, container(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		for _, name := range []string{"0.log", "0.log.20261121-100000"} {
			if name != "0.log" && i >= 50 {
				continue
			}
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, make([]byte, 1000), 0o640); err != nil {
				b.Fatal(err)
			}
			paths = append(paths, path)
		}
	}
	var children []*child
	for i := range 3 {
		c := start(b, program(b, "shipper"+strconv.Itoa(i)), 0)
		for _, path := range paths {
			c.do("open", path)
			c.do("read", path, 1000)
		}
		children = append(children, c)
	}
	t := New(Options{PodLogsDir: logs, Proc: "/proc", Timeout: timeout})
	begin := time.Now()
	for {
		if err := t.Discover(b.Context()); err != nil {
			b.Fatal(err)
		}
		if len(t.Stats().Readers) == len(children) && time.Since(begin) > 2*span {
			break
		}
		time.Sleep(span / 4)
	}
	b.Logf("%+v, %d idle processes", t.Stats(), len(t.idle))
	return t, children
}

// BenchmarkDiscover is a sweep.
func BenchmarkDiscover(b *testing.B) {
	t, _ := benchNode(b)
	defer cpu(b)()
	for b.Loop() {
		if err := t.Discover(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDiscoverIdle scans all processes of the machine, of which none has a log open.
func BenchmarkDiscoverIdle(b *testing.B) {
	for _, again := range []bool{true, false} {
		b.Run("scan="+strconv.FormatBool(again), func(b *testing.B) {
			t := New(Options{PodLogsDir: b.TempDir(), Proc: "/proc", Timeout: timeout})
			for range earlyScans {
				if err := t.Discover(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			defer cpu(b)()
			for b.Loop() {
				if again {
					clear(t.idle)
				}
				if err := t.Discover(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(t.idle)), "processes")
		})
	}
}

// BenchmarkFollowers asks for the readers of one container.
func BenchmarkFollowers(b *testing.B) {
	t, children := benchNode(b)
	for name, maxAge := range map[string]time.Duration{"now": 0, "known": time.Hour} {
		b.Run(name, func(b *testing.B) {
			defer cpu(b)()
			for i := 0; b.Loop(); i++ {
				if got := len(t.Followers(container(i), maxAge)); got != len(children) {
					b.Fatal(got)
				}
			}
		})
	}
	b.Run("list", func(b *testing.B) { // as for a reader that exchanges its descriptors
		p := t.tracked[0]
		defer cpu(b)()
		for b.Loop() {
			if err := p.list(t, t.known(view{})); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkThousands is a sweep over 3,000 processes without a log, and a scan of all of them.
func BenchmarkThousands(b *testing.B) {
	p := newFakeProc(b)
	for i := range 3000 {
		p.process(strconv.Itoa(1000+i), "idle")
		p.link(fmt.Sprintf("%d/fd/3", 1000+i), "socket:[123]")
	}
	t := New(Options{PodLogsDir: b.TempDir(), Proc: p.dir, Timeout: timeout})
	for _, again := range []bool{true, false} {
		b.Run("scan="+strconv.FormatBool(again), func(b *testing.B) {
			defer cpu(b)()
			for b.Loop() {
				if again {
					clear(t.idle)
				} else {
					for pid, rest := range t.idle {
						rest.again = time.Now().Add(time.Hour)
						t.idle[pid] = rest
					}
				}
				if err := t.Discover(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestConcurrent: sweeps, calls for several containers, and a reload at once, while readers come
// and go. It is for the race detector.
func TestConcurrent(t *testing.T) {
	path := program(t, "shipper")
	c, dies := start(t, path, 0), start(t, path, 0)
	n := &node{T: t, logs: t.TempDir()}
	proc := t.TempDir()
	n.Tracker = New(Options{PodLogsDir: n.logs, Proc: proc, Timeout: timeout})
	n.show("self", os.Getpid())
	for _, c := range []*child{c, dies} {
		n.show(strconv.Itoa(c.cmd.Process.Pid), c.cmd.Process.Pid)
		for i := range 5 {
			log := n.write(container(i), "0.log", 1000)
			c.do("open", log)
			c.do("read", log, 1000)
		}
	}
	n.discover()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				n.Followers(container(i%6), time.Duration(i%3)*time.Millisecond)
				n.Stats()
				n.Configure([]string{"other"}, timeout)
			}
		})
	}
	for i := range 20 {
		if i == 10 {
			dies.kill()
		}
		n.discover()
	}
	wg.Wait()
	n.mustTrack(1)
}
