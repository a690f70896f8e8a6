package rotator

import (
	"runtime"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// crowd is a directory of n rotated logs and nothing else.
type crowd struct {
	podlogs.Dir
	n int
}

func (c crowd) Names(yield func(string) bool) error {
	first := podlogs.Name{Base: "0.log", Kind: podlogs.Rotated, Stamp: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range c.n {
		n := first
		n.Stamp = n.Stamp.Add(time.Duration(i*7919%c.n) * time.Second)
		if !yield(n.String()) {
			return nil
		}
	}
	return nil
}

func (c crowd) Stat(string) (podlogs.Stat, error) {
	return podlogs.Stat{Size: 1, Links: 1, Regular: true}, nil
}

// TestMemory: what a listing and its plan take is bounded, however many rotated
// logs there are; and choosing a name takes nothing.
func TestMemory(t *testing.T) {
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	measure := func(files, atMost int) (perFile, held int64) {
		before := live()
		found, err := podlogs.List(crowd{n: files}, atMost)
		if err != nil {
			t.Fatal(err)
		}
		listed := int64(live()-before) / int64(len(found))
		steps, _ := Plan(found, Policy{MaxFiles: 5, Codec: podlogs.Gzip}, planNow)
		held = int64(live() - before)
		runtime.KeepAlive(found)
		runtime.KeepAlive(steps)
		if want := len(found) - 4 + 3; len(steps) != want {
			t.Errorf("%d steps, want %d", len(steps), want)
		}
		return listed, held
	}
	perFile, held := measure(100_000, 0)
	t.Logf("100,000 files: %d bytes a file listed, %d with the plan", perFile, held/100_000)
	if perFile > 200 {
		t.Errorf("%d bytes a file listed", perFile)
	}
	_, held = measure(1_000_000, batchSize)
	t.Logf("1,000,000 files: %d bytes held", held)
	if held > 8<<20 {
		t.Errorf("%d bytes are held", held)
	}
	base := parseName(t, "0.log")[0]
	before := live()
	var err error
	next := podlogs.NextName(base, podlogs.Names(crowd{n: 1_000_000}, &err), planNow)
	if err != nil || next.String() <= "0.log.20260112" {
		t.Errorf("next: %s, %v", next, err)
	}
	if now := live(); now > before+1<<20 {
		t.Errorf("choosing a name took %d bytes", now-before)
	}
}
