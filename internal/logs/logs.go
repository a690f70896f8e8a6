package logs

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// Options select lines, and how they are printed.
type Options struct {
	// PodLogsDir is kubelet's, as an absolute path.
	PodLogsDir string
	// Container is empty for all of the pod's.
	Namespace, Pod, Container string
	// UID is the pod's, or a prefix of it; "": the pod that logged last.
	UID string

	Follow   bool
	Since    time.Time // zero: all
	Tail     int64     // the last lines of each container; negative: all
	Previous bool      // the logs of the restart before the latest
	Stream   string    // crilog.Stdout or crilog.Stderr; "": both
	Grep     *regexp.Regexp

	JSON       bool
	Timestamps bool
	RawEscapes bool
	Color      bool
	// Prefix is whether lines begin with their container; nil: if there are several.
	Prefix *bool

	Out      io.Writer
	Warnings io.Writer // a line each
}

// ErrIncomplete: something was missing. Options.Warnings has the details.
var ErrIncomplete = errors.New("not everything could be read: see above")

// Run writes the logs of a pod or a container. It returns when all has been written,
// when, following, the pod was removed, or, with nil, when the context ends.
func Run(ctx context.Context, o Options) error {
	r := &run{Options: o, fs: podlogs.At(o.PodLogsDir), wake: make(chan struct{}, 1), known: make(map[string]bool)}
	var err error
	if r.pod, err = r.choosePod(); err != nil {
		return err
	}
	if r.dir, err = r.fs.OpenDir(r.pod); err != nil {
		return fmt.Errorf("logs: %w", explain(err))
	}
	defer r.dir.Close() //nolint:errcheck // opened for reading
	ctx, r.stop = context.WithCancel(ctx)
	defer r.wait.Wait()
	defer r.stop()
	if err := r.discover(ctx); err != nil {
		return err
	}
	if err := r.write(ctx); err != nil {
		return err
	}
	r.stop()
	r.wait.Wait() // for their warnings
	if r.failed.Load() {
		return ErrIncomplete
	}
	return nil
}

type run struct {
	Options
	fs   podlogs.FS
	pod  string      // the pod's directory
	dir  podlogs.Dir // the same, open
	stop context.CancelFunc
	wait sync.WaitGroup
	wake chan struct{}

	known   map[string]bool // the containers that were found
	feeds   []*feed
	several atomic.Bool // lines get a prefix
	failed  atomic.Bool
	out     []byte // to be written

	mu sync.Mutex // for Warnings
}

// warn writes a warning; failed: lines are missing.
func (r *run) warn(failed bool, format string, args ...any) {
	if failed {
		r.failed.Store(true)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	text := display.Escape(r.Namespace + "/" + r.Pod + "/" + fmt.Sprintf(format, args...))
	_, _ = fmt.Fprintln(r.Warnings, "logwatch: "+text) // there is no other place to report that it failed
}

// discover starts to read the containers that are not known yet.
func (r *run) discover(ctx context.Context) error {
	names, err := podlogs.Containers(r.PodLogsDir, r.pod)
	if err != nil {
		return fmt.Errorf("logs: list containers: %w", explain(err))
	}
	slices.Sort(names)
	var added []string
	for _, name := range names {
		if !r.known[name] && (r.Container == "" || r.Container == name) {
			added = append(added, name)
		}
	}
	if len(r.known)+len(added) == 0 && (r.Container != "" || !r.Follow) {
		return r.noContainer(names)
	}
	for _, name := range added {
		r.known[name] = true
	}
	several := r.Prefix == nil && len(r.known) > 1 || r.Prefix != nil && *r.Prefix
	r.several.Store(several && !r.JSON)
	for _, name := range added {
		rel := r.pod + "/" + name
		d, err := r.fs.OpenDir(rel)
		if err != nil {
			r.warn(true, "%s: %v", name, explain(err))
			continue
		}
		r.start(ctx, &source{Options: &r.Options, name: name, rel: rel, fs: r.fs, dir: d, warn: r.warn}, len(added))
	}
	return nil
}

// start starts one of several sources.
func (r *run) start(ctx context.Context, s *source, several int) {
	ch, free := make(chan *batch, maxBatches), make(chan *batch, maxBatches+2)
	s.ahead = maxAhead / several
	s.out = sender{
		ctx: ctx, ch: ch, free: free, wake: r.wake, merge: r.Container == "" && (r.Follow || several > 1),
		prefix: prefix(s.name, r.Color), several: &r.several, tick: func() {
			if s.Follow {
				s.scan(false)
			}
		},
	}
	s.format = newFormat(r.Options, s.name)
	s.lines = newLines(selection{stream: r.Stream, since: r.Since, grep: r.Grep}, s.emit)
	s.lines.foreign, s.lines.resumed = s.foreign, s.resumed
	r.feeds = append(r.feeds, &feed{ch: ch, free: free})
	r.wait.Go(func() { s.run(ctx) })
}

// prefix is what the lines of a container begin with, in the same color each time.
func prefix(name string, color bool) []byte {
	text := "[" + display.Escape(name) + "] "
	if !color {
		return []byte(text)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	colors := [...]int{36, 33, 32, 35, 34, 96, 93, 92, 95, 94}
	return fmt.Appendf(nil, "\x1b[%dm%s\x1b[0m ", colors[h.Sum32()%uint32(len(colors))], text[:len(text)-1])
}

// write writes what the sources send, in order of time.
func (r *run) write(ctx context.Context) error {
	const discoverEvery = time.Second
	t := time.NewTicker(discoverEvery)
	defer t.Stop()
	for {
		first, until, known := earliest(r.feeds)
		if known && first != nil {
			if err := r.add(first.next(until)); err != nil {
				return err
			}
			first.done()
			continue
		}
		if err := r.flush(); err != nil {
			return err
		}
		if known && r.ended() {
			return nil
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return nil
		case <-t.C:
			if r.Follow && r.readerClosed() {
				return nil
			}
			if r.Follow && r.Container == "" {
				_ = r.discover(ctx) // a pod whose directory was removed ends when its logs do
			}
		}
	}
}

// ended reports whether no further line will come.
func (r *run) ended() bool {
	for _, f := range r.feeds {
		if !f.ended {
			return false
		}
	}
	return !r.Follow || r.Container != "" || isGone(r.fs, r.pod, r.dir)
}

// add writes p, together with others if p is small.
func (r *run) add(p []byte) error {
	const small = 32 << 10 // bytes; above, copying costs more than writing
	if len(p) >= small {
		if err := r.flush(); err != nil {
			return err
		}
		return r.put(p)
	}
	r.out = append(r.out, p...)
	if len(r.out) >= blockSize {
		return r.flush()
	}
	return nil
}

func (r *run) flush() error {
	p := r.out
	r.out = p[:0]
	if len(p) == 0 {
		return nil
	}
	return r.put(p)
}

func (r *run) put(p []byte) error {
	_, err := r.Out.Write(p)
	if err != nil {
		return fmt.Errorf("logs: write: %w", err)
	}
	return nil
}

// readerClosed reports whether the reader has closed its end of the output, which a
// write would find out too late when nothing is logged.
func (r *run) readerClosed() bool {
	f, ok := r.Out.(*os.File)
	if !ok {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0
}
