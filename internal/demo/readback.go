package demo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

const (
	// maxBehind is how many rotated logs may wait to be read. Each holds a file
	// descriptor, and its bytes on disk though it may have been pruned.
	maxBehind = 128

	// keptPerLog is of how many logs it is remembered what was in them: many more
	// than the policy keeps.
	keptPerLog = 64

	idlePoll  = 5 * time.Millisecond // about what a runtime takes to close an old log
	idleAfter = time.Second          // a log's age that counts as idle where there are no leases
	idleLimit = 10 * time.Second     // a writer that stays longer is a fault to be told
)

// readback reads each rotated log of a container once, as a log shipper does:
// without it, what was pruned would have to be taken on trust.
type readback struct {
	podLogsDir, rel string
	logs            podlogs.FS
	queue           chan generation
	done            chan struct{} // closed when the reader has ended

	// Guards what collects: a worker of the daemon may outlive the daemon when the
	// runtime hangs.
	collecting sync.Mutex
	ended      bool      // the queue is closed
	collected  time.Time // stamp of the newest log in the queue

	mu     sync.Mutex
	soFar  ReadBack
	gaveUp error // why this container's reading ended; what is on disk is checked all the same
	result checked
	recent []perLog // the last keptPerLog logs
}

// generation is a rotated log that is open.
type generation struct {
	name string
	from io.ReadCloser
	file *os.File // nil: compressed, hence complete
	at   time.Time
}

// perLog are the lines that ended in a log, by stream.
type perLog struct {
	name  string
	lines map[string]uint64
}

func newReadback(podLogsDir, rel string) *readback {
	r := &readback{
		podLogsDir: podLogsDir, rel: rel,
		logs:  podlogs.At(podLogsDir),
		queue: make(chan generation, maxBehind),
		done:  make(chan struct{}),
	}
	go r.run()
	return r
}

// collect opens the logs that were rotated since the last call: the one called
// newest ("": none), which only a policy on sizes may have pruned already, and
// before it such as were rotated without being reported. It does not wait for the
// reader.
func (r *readback) collect(newest string) {
	r.collecting.Lock()
	defer r.collecting.Unlock()
	if r.ended || r.stopped() != nil {
		return
	}
	logs, err := podlogs.Logs(r.logs, r.rel)
	if err != nil {
		r.giveUp(err)
		return
	}
	for _, log := range logs {
		if log.Kind == podlogs.Live || !log.Stamp.After(r.collected) {
			continue
		}
		g, err := r.open(log.Name.String())
		if err != nil {
			r.giveUp(fmt.Errorf("a rotated log was gone before it could be read: %w", err))
			return
		}
		select {
		case r.queue <- g:
			r.collected = log.Stamp
		default:
			r.giveUp(errors.Join(fmt.Errorf("%d rotated logs wait to be read: this machine is too slow", maxBehind), g.from.Close()))
			return
		}
	}
	if n, ok := podlogs.ParseName(newest); ok && n.Stamp.After(r.collected) {
		r.giveUp(fmt.Errorf("%s was pruned before it could be read", newest))
	}
}

func (r *readback) open(name string) (generation, error) {
	f, err := os.Open(filepath.Join(r.podLogsDir, r.rel, name))
	if err == nil && filepath.Ext(name) != ".gz" {
		return generation{name: name, from: f, file: f, at: time.Now()}, nil
	}
	if err == nil {
		_ = f.Close() // nothing was written
	} else if !errors.Is(err, fs.ErrNotExist) {
		return generation{}, err
	} else {
		name += ".gz" // housekeeping was faster
	}
	from, err := podlogs.OpenLog(r.logs, r.rel, name)
	return generation{name: name, from: from}, err
}

// run is the reader. It belongs to the container; end or finish ends it.
func (r *readback) run() {
	defer close(r.done)
	var l lineChecker
	for g := range r.queue {
		if r.stopped() == nil {
			err := g.awaitIdle()
			if err == nil {
				err = l.read(g.from)
			}
			if err != nil {
				r.fail(fmt.Errorf("read %s: %w", g.name, err))
			}
			r.publish(&l, generationName(g.name))
		}
		_ = g.from.Close() // nothing was written
	}
}

// awaitIdle waits until nobody has the log open for writing: containerd writes
// what was in flight after it has reopened the log. It asks the kernel for a
// lease, as housekeeping does.
func (g generation) awaitIdle() error {
	if g.file == nil {
		return nil
	}
	for {
		_, err := unix.FcntlInt(g.file.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		switch age := time.Since(g.at); {
		case err == nil:
			_, err = unix.FcntlInt(g.file.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
			return err
		case !errors.Is(err, unix.EAGAIN) && age > idleAfter:
			return nil
		case age > idleLimit:
			return fmt.Errorf("somebody still writes it after %v", idleLimit)
		}
		time.Sleep(idlePoll)
	}
}

// publish makes known what was read, the log called name last.
func (r *readback) publish(l *lineChecker, name string) {
	rep := l.checker.Report()
	r.mu.Lock()
	defer r.mu.Unlock()
	var so ReadBack
	in := perLog{name, map[string]uint64{}}
	for stream, s := range rep.Streams {
		in.lines[stream] = s.Lines - r.result.Streams[stream].Lines
		so.Lines += s.Lines
		so.Lost += s.Missing
		so.Doubled += s.Doubled
		so.OutOfOrder += s.OutOfOrder
	}
	r.soFar, r.result.Report = so, rep
	r.recent = append(r.recent, in)
	r.recent = r.recent[max(0, len(r.recent)-keptPerLog):]
}

func (r *readback) sofar() ReadBack {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.soFar
}

func (r *readback) stopped() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.gaveUp, r.result.Err)
}

// giveUp is for a reader that cannot keep up, which is nobody's loss of lines.
func (r *readback) giveUp(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaveUp = why
}

// fail is for a log that cannot be read, which is one.
func (r *readback) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Err = err
}

// end ends the reader after what is queued. What is rotated afterwards is not read.
func (r *readback) end() {
	r.collecting.Lock()
	if !r.ended {
		r.ended = true
		close(r.queue)
	}
	r.collecting.Unlock()
	<-r.done
}

// readResult is what was read back in all.
type readResult struct {
	checked
	gaveUp error
	recent []perLog
}

// on returns how many lines were read, by stream, from the logs of these names.
func (r readResult) on(names []string) map[string]uint64 {
	lines := map[string]uint64{}
	for _, l := range r.recent {
		if slices.Contains(names, l.name) {
			for stream, n := range l.lines {
				lines[stream] += n
			}
		}
	}
	return lines
}

// finish reads the live log as the last one, and returns what was found. The
// container and the daemon have stopped.
func (r *readback) finish(liveLog string) readResult {
	// What is queued is read first, so that the queue has room.
	for len(r.queue) > 0 && r.stopped() == nil {
		time.Sleep(idlePoll)
	}
	r.collect("")
	if f, err := os.Open(filepath.Join(r.podLogsDir, r.rel, liveLog)); err == nil {
		r.queue <- generation{name: liveLog, from: f, file: f, at: time.Now()}
	}
	r.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	return readResult{checked: r.result, gaveUp: r.gaveUp, recent: r.recent}
}
