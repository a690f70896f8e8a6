package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agent"
)

// rateOver is the time over which rates are taken: shorter, and the bursts make
// the figures unreadable.
const rateOver = time.Second

// tracker follows the containers: the daemon's rotations come in at rotated, and
// the view asks with sample, from one goroutine.
type tracker struct {
	header  header
	started time.Time
	counts  counts // all rotations

	samples []sample // of the last rateOver, the oldest first; sample's alone

	mu         sync.Mutex
	containers []*tracked
	byID       map[string]*tracked
}

// tracked is one container.
type tracked struct {
	name      string
	container *fake.Container
	dir       string // absolute
	reader    *readback
	counts    counts
}

// sample is what the totals were at a time.
type sample struct {
	at    time.Time
	cpu   time.Duration
	lines uint64
	bytes []int64 // by container
}

func newTracker(h header) *tracker {
	return &tracker{header: h, started: time.Now(), byID: map[string]*tracked{}}
}

// add starts a container. The lock is held over the start, for its first
// rotation may come before start has returned.
func (t *tracker) add(name string, start func() (c *fake.Container, rel string, err error), podLogsDir string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, rel, err := start()
	if err != nil {
		return err
	}
	w := &tracked{name: name, container: c, dir: c.Dir(), reader: newReadback(podLogsDir, rel)}
	t.containers = append(t.containers, w)
	t.byID[c.ID()] = w
	return nil
}

func (t *tracker) all() []*tracked {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*tracked(nil), t.containers...)
}

// rotated is called by the daemon's workers, one at a time for a container.
func (t *tracker) rotated(r agent.Rotated) {
	t.mu.Lock()
	w := t.byID[r.Container.ID]
	t.mu.Unlock()
	if w == nil {
		return
	}
	t.counts.add(r.Overshoot)
	w.counts.add(r.Overshoot)
	w.reader.collect(r.To)
}

func (t *tracker) endReaders() {
	for _, w := range t.all() {
		w.reader.end()
	}
}

// sample says how things stand.
func (t *tracker) sample(now time.Time) State {
	s := State{header: t.header, Elapsed: now.Sub(t.started)}
	is := sample{at: now, cpu: cpuTime()}
	all := t.all()
	for _, w := range all {
		for _, n := range w.container.Written() {
			is.lines += n
		}
		b := w.container.BytesWritten()
		is.bytes = append(is.bytes, b)
		s.Written += b
		c := ContainerState{Name: w.name}
		c.Size, c.OnDisk, c.Plain, c.Compressed = listDir(w.dir, filepath.Base(w.container.LogPath()))
		c.Rotations, c.Overshoot = w.counts.last()
		s.OnDisk += c.OnDisk
		s.Rotations += c.Rotations
		s.Containers = append(s.Containers, c)
		s.ReadBack.add(w.reader.sofar())
	}
	s.Lines, s.WorstOvershoot = is.lines, t.counts.worst()
	then, over := t.since(is)
	if over <= 0 {
		return s
	}
	for i := range s.Containers {
		s.Containers[i].Rate = float64(is.bytes[i]-then.bytes[i]) / over
		s.Rate += s.Containers[i].Rate
	}
	s.LineRate = float64(is.lines-then.lines) / over
	s.CPU = 100 * (is.cpu - then.cpu).Seconds() / over
	return s
}

// since keeps a sample, and returns the one that rates are to be taken from, and
// how many seconds ago that was; 0: there is none.
func (t *tracker) since(is sample) (then sample, seconds float64) {
	for len(t.samples) > 1 && is.at.Sub(t.samples[1].at) >= rateOver {
		t.samples = t.samples[1:]
	}
	t.samples = append(t.samples, is)
	return t.samples[0], is.at.Sub(t.samples[0].at).Seconds()
}

// cpuTime is this process's, in user and kernel; 0 if the kernel does not say.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// listDir looks at a container's directory. Files come and go meanwhile; what is
// gone counts as nothing.
func listDir(dir, log string) (live, total int64, plain, compressed int) {
	entries, _ := os.ReadDir(dir) // a view; the next frame looks again
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		total += info.Size()
		switch name := e.Name(); {
		case name == log:
			live = info.Size()
			plain++
		case strings.HasSuffix(name, ".gz"):
			compressed++
		case strings.HasSuffix(name, ".tmp"):
		default:
			plain++
		}
	}
	return live, total, plain, compressed
}

// conclude counts the lines of all containers. The containers and the daemon have
// stopped.
func (t *tracker) conclude() summary {
	sum := summary{
		header: t.header, Elapsed: time.Since(t.started), Rotations: t.counts.total(),
		P50: t.counts.quantile(0.50), P99: t.counts.quantile(0.99), Max: t.counts.worst(),
	}
	for _, w := range t.all() {
		read := w.reader.finish(filepath.Base(w.container.LogPath()))
		disk := readDisk(w.reader.logs, w.reader.rel)
		p := judge(w.name, w.container.Written(), disk, read)
		if err := w.container.Err(); err != nil {
			p.Problems = append(p.Problems, fmt.Sprintf("the container could not write its log: %v", err))
		}
		sum.Proofs = append(sum.Proofs, p)
	}
	return sum
}
