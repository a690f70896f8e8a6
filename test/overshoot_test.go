package test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/agent"
)

// measure is how long TestOvershoot's containers write; make measure sets it.
var measure = flag.Duration("measure", 2*time.Second, "how long TestOvershoot writes")

// TestOvershoot prints how far finished logs are over their limit, and how many lines
// the rotations split. It does not assert time, only that no line is lost, doubled or
// out of order.
func TestOvershoot(t *testing.T) {
	needRoot(t)
	n := newReal(t, "")
	const limit10, limit1 = "containerLogMaxSize: 10Mi\n", "containerLogMaxSize: 1Mi\ncontainerLogMaxFiles: 1000\n"
	for _, c := range []struct {
		name, yaml string
		containers int
		rate       int // bytes/s each; 0: as fast as it goes
	}{
		{"4x2MBps_1Mi_default", limit1, 4, 2e6},
		{"4x2MBps_1Mi_strict", limit1 + "minRotationInterval: 0s\n", 4, 2e6},
		{"2x8MBps_strict", limit10 + "minRotationInterval: 0s\n", 2, 8e6},
		{"1x50MBps_strict", limit10 + "minRotationInterval: 0s\n", 1, 50e6},
		{"1x50MBps_default", limit10, 1, 50e6},
	} {
		t.Run(c.name, func(t *testing.T) { overshoot(t, n, c.yaml, c.containers, c.rate) })
	}
}

func overshoot(t *testing.T, n node, yaml string, count, rate int) {
	l := start(t, n, yaml)
	var cs []container
	var loads []workload
	for i := range count {
		// The writer's rate counts its 121 bytes a line.
		w := workload{name: fmt.Sprintf("w%d", i), rate: rate, lines: uint64(measure.Seconds() * float64(rate) / lineLength)}
		loads = append(loads, w)
		cs = append(cs, n.run(t, w))
	}
	largest := largestLive(t, n, cs)
	for _, c := range cs {
		c.wait(t)
	}
	top := largest()
	l.Stop()
	for i, c := range cs {
		found(t, n, c.dir(), loads[i].written())
	}
	report(t, l.Finished(), top)
}

// largestLive samples the live logs' sizes until the returned function is called, which
// returns the maximum, and the maximum of a container's files together.
func largestLive(t *testing.T, n node, cs []container) func() [2]int64 {
	t.Helper()
	stop, result := make(chan struct{}), make(chan [2]int64)
	go func() {
		var top [2]int64
		for {
			for _, c := range cs {
				live, all := sizes(filepath.Join(n.PodLogsDir(), c.dir()))
				top[0], top[1] = max(top[0], live), max(top[1], all)
			}
			select {
			case <-stop:
				result <- top
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() [2]int64 { close(stop); return <-result }
}

func sizes(dir string) (live, all int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		all += info.Size()
		if filepath.Ext(e.Name()) == ".log" {
			live = max(live, info.Size())
		}
	}
	return live, all
}

func report(t *testing.T, done []agent.Finished, top [2]int64) {
	t.Helper()
	if len(done) == 0 {
		t.Fatal("no rotations")
	}
	var percent, took []float64
	var late int64
	splits := 0
	for _, f := range done {
		percent = append(percent, 100*float64(f.Overshoot())/float64(f.Due.Limit))
		took = append(took, f.Took.Seconds()*1000)
		late += f.Late()
		splits += f.Splits
	}
	slices.Sort(percent)
	slices.Sort(took)
	at := func(s []float64, p float64) float64 { return s[min(len(s)-1, int(p*float64(len(s))))] }
	t.Logf("%d rotations; finished files over the limit: p50 %.2f %% p99 %.2f %% max %.2f %%; rename + reopen p50 %.2f ms p99 %.2f ms; "+
		"%d splits, %.1f per 1000; written after the exchange: %.1f kB a rotation; largest live log %.2f MB, files together %.1f MB",
		len(done), at(percent, .5), at(percent, .99), percent[len(percent)-1], at(took, .5), at(took, .99),
		splits, 1000*float64(splits)/float64(len(done)), float64(late)/1e3/float64(len(done)), float64(top[0])/1e6, float64(top[1])/1e6)
}
