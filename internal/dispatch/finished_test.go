package dispatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/watcher"
)

// sumOf returns a counter's value, or the sum of a histogram and its count.
func sumOf(t *testing.T, c prometheus.Collector) (sum float64, count uint64) {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	must(t, err)
	m := families[0].GetMetric()[0]
	return m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum(), m.GetHistogram().GetSampleCount()
}

// finishing is a node whose container has a live log of known size, which a second
// writer has open.
type finishing struct {
	*node
	*fake.Container
	dir      string
	size     int64
	writer   *os.File
	finished chan Finished
}

func newFinishing(t *testing.T) *finishing {
	t.Helper()
	n := newNode(t, "")
	f := &finishing{node: n, finished: make(chan Finished, 10)}
	n.o.Finished = func(end Finished) { f.finished <- end }
	f.Container, f.dir = n.run(t, fake.ContainerSpec{})
	must(t, f.WriteNumbered("stdout", 100, 200))
	n.list(t)
	f.size = f.BytesWritten()
	var err error
	f.writer, err = os.OpenFile(f.LogPath(), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	t.Cleanup(func() { _ = f.writer.Close() })
	return f
}

func (f *finishing) write(t *testing.T, text string) {
	t.Helper()
	_, err := f.writer.WriteString(text)
	must(t, err)
}

// rotate requests a rotation, and waits for it.
func (f *finishing) rotate(t *testing.T, cause watcher.Cause, limit int64) {
	t.Helper()
	before := f.Totals().Rotations
	f.Due(watcher.Due{Dir: f.dir, Log: "0.log", Cause: cause, Limit: limit, Lead: limit})
	testutil.Eventually(t, "the rotation", func() bool { return f.Totals().Rotations > before })
}

// TestOvershootIsOfTheFinishedLog: nothing is observed until the last writer has closed
// the rotated log; then its overshoot, what it got late and its split are.
func TestOvershootIsOfTheFinishedLog(t *testing.T) {
	const late, cut = "2026-01-02T03:04:05.123456789Z stdout F late\n", "2026-01-02T03:04:05.123456789Z stdout P cu\n"
	for name, test := range map[string]struct {
		cause      watcher.Cause
		past       int64 // the size at the exchange over the limit
		text       string
		overshoot  int64
		observed   uint64
		lateSplits int
	}{
		"past the limit":    {watcher.CauseWrite, 1000, late + cut, 1000 + int64(len(late+cut)), 1, 1},
		"up to the limit":   {watcher.CauseWrite, -int64(len(late)), late, 0, 1, 0},
		"below the limit":   {watcher.CauseWrite, -1000, late, -1000 + int64(len(late)), 1, 0},
		"without any limit": {watcher.CauseAge, 1000, late, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFinishing(t)
			f.rotate(t, test.cause, f.size-test.past)
			rotated := f.Describe(f.dir, "0.log", false).Last
			if rotated.FinalSize != f.size {
				t.Errorf("the last rotation has %d bytes until it is finished, want %d", rotated.FinalSize, f.size)
			}
			f.write(t, test.text)
			f.Changed(f.dir)
			testutil.Eventually(t, "a prune", func() bool { return f.prunes.Stats().Queued+f.prunes.Stats().Running == 0 })
			if _, count := sumOf(t, f.o.Metrics.Overshoot); count > 0 || len(f.finished) > 0 {
				t.Error("observed while the log is open for writing")
			}
			must(t, f.writer.Close())
			end := <-f.finished
			if sum, count := sumOf(t, f.o.Metrics.Overshoot); int64(sum) != test.overshoot || count != test.observed {
				t.Errorf("overshoot %v of %d rotations, want %d of %d", sum, count, test.overshoot, test.observed)
			}
			if got, _ := sumOf(t, f.o.Metrics.LateBytes); int(got) != len(test.text) {
				t.Errorf("%v late bytes, want %d", got, len(test.text))
			}
			if got, _ := sumOf(t, f.o.Metrics.SplitRecords); int(got) != test.lateSplits {
				t.Errorf("%v splits, want %d", got, test.lateSplits)
			}
			f.with(f.dir, func(c *container) {
				if want := f.size + int64(len(test.text)); c.state.past != want {
					t.Errorf("%d bytes were written before the live log, want %d", c.state.past, want)
				}
			})
			last := f.Describe(f.dir, "0.log", false).Last
			if last.FinalSize != f.size+int64(len(test.text)) || last.Overshoot() != test.overshoot || last.To != rotated.To || end.FinalSize != last.FinalSize {
				t.Errorf("the last rotation is %+v", last)
			}
		})
	}
}

// TestFinishedAfterAFailedReopen: what goes to a rotated log while the runtime does not
// reopen it counts. The rotation counts once, with the limit that it had.
func TestFinishedAfterAFailedReopen(t *testing.T) {
	f := newFinishing(t)
	must(t, f.writer.Close())
	f.Fail(fake.Failure{Mode: fake.ErrorWithoutActing, Times: 1})
	f.Due(watcher.Due{Dir: f.dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: f.size - 10})
	testutil.Eventually(t, "the failure", func() bool { return f.Totals().Failures > 0 })
	must(t, f.WriteNumbered("stdout", 100, 200))
	all := f.BytesWritten()
	if end := <-f.finished; end.FinalSize != all || end.Overshoot() != all-f.size+10 || end.Late() != all-f.size {
		t.Errorf("finished with %d bytes, overshoot %d, late %d; want %d bytes", end.FinalSize, end.Overshoot(), end.Late(), all)
	}
	if _, count := sumOf(t, f.o.Metrics.Overshoot); count != 1 {
		t.Errorf("%d overshoots of one rotation", count)
	}
}

// TestUndoneRotationHasNoOvershoot: a log that got its name back is not finished, and
// one that was removed before is not counted.
func TestUndoneRotationHasNoOvershoot(t *testing.T) {
	f := newFinishing(t)
	f.rotate(t, watcher.CauseWrite, f.size)
	to := filepath.Join(f.Container.Dir(), f.Describe(f.dir, "0.log", false).Last.To)
	must(t, os.Rename(to, to+"x"))
	must(t, f.writer.Close())
	testutil.Eventually(t, "the log to be forgotten", func() bool {
		f.Changed(f.dir)
		left := 0
		f.with(f.dir, func(c *container) { left = len(c.unfinished) })
		return left == 0
	})
	if _, count := sumOf(t, f.o.Metrics.Overshoot); count > 0 || len(f.finished) > 0 {
		t.Errorf("%d overshoots", count)
	}
}

// TestUnfinishedIsBounded: the latest count, and one inode counts once.
func TestUnfinishedIsBounded(t *testing.T) {
	n := newNode(t, "")
	for i := range uint64(3 * maxUnfinished) {
		r := Rotated{Due: watcher.Due{Dir: "dir"}, Time: time.Unix(int64(i), 0)}
		r.Inode = 1 + i/2
		n.unfinished(r)
	}
	n.with("dir", func(c *container) {
		if len(c.unfinished) != maxUnfinished || c.unfinished[0].Time.Unix() != maxUnfinished+1 {
			t.Errorf("%d are remembered, from %v", len(c.unfinished), c.unfinished[0].Time.Unix())
		}
	})
}
