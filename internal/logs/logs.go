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

	"github.com/logwatch/logwatch/internal/status"
)

// Options say which lines are wanted, and how.
type Options struct {
	// PodLogsDir is where the logs are.
	PodLogsDir string
	// Container is empty for all of the pod's.
	Namespace, Pod, Container string
	// UID is the pod's, or how it begins; "": the pod that logged last.
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
	// Prefix says whether lines begin with their container; nil: when there are
	// several.
	Prefix *bool

	Out   io.Writer
	Notes io.Writer // what is wrong, a line each
}

// ErrIncomplete says that something was missing; what, Notes has.
var ErrIncomplete = errors.New("not everything could be read: see above")

// Run writes the logs of a pod or a container. It returns when all has been written,
// when, following, the pod is gone, or when the context ends, which is no error.
func Run(ctx context.Context, o Options) error {
	root, err := openRoot(o.PodLogsDir)
	if err != nil {
		return fmt.Errorf("logs: %w: name the directory with --pod-logs-dir, or the daemon's file with --config", err)
	}
	defer root.f.Close() //nolint:errcheck // opened for reading
	r := &run{Options: o, wake: make(chan struct{}, 1), known: make(map[string]bool)}
	if r.pod, err = r.choosePod(root); err != nil {
		return err
	}
	defer r.pod.f.Close() //nolint:errcheck // opened for reading
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
	r.wait.Wait() // for what they have to tell
	if r.failed.Load() {
		return ErrIncomplete
	}
	return nil
}

type run struct {
	Options
	pod  *dir
	stop context.CancelFunc
	wait sync.WaitGroup
	wake chan struct{}

	known   map[string]bool // the containers that have been found
	feeds   []*feed
	several atomic.Bool // lines are to have a prefix
	failed  atomic.Bool
	out     []byte // to be written

	mu sync.Mutex // for Notes
}

// note tells the user what he should know; failed: it costs lines.
func (r *run) note(failed bool, format string, args ...any) {
	if failed {
		r.failed.Store(true)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	text := status.Escape(r.Namespace + "/" + r.Pod + "/" + fmt.Sprintf(format, args...))
	_, _ = fmt.Fprintln(r.Notes, "logwatch: "+text) // there is no other place to tell that it failed
}

// discover starts to read the containers that are not known yet.
func (r *run) discover(ctx context.Context) error {
	names, err := r.pod.subs()
	if err != nil {
		return fmt.Errorf("logs: list %s: %w", r.pod.f.Name(), err)
	}
	slices.Sort(names)
	var fresh []string
	for _, name := range names {
		if !r.known[name] && (r.Container == "" || r.Container == name) {
			fresh = append(fresh, name)
		}
	}
	if len(r.known)+len(fresh) == 0 && (r.Container != "" || !r.Follow) {
		return r.noContainer(names)
	}
	for _, name := range fresh {
		r.known[name] = true
	}
	r.several.Store(!r.JSON && (r.Prefix != nil && *r.Prefix || r.Prefix == nil && len(r.known) > 1))
	for _, name := range fresh {
		d, err := r.pod.sub(name)
		if err != nil {
			r.note(true, "%s: %v", name, err)
			continue
		}
		r.start(ctx, name, d, len(fresh))
	}
	return nil
}

// start starts the source of a container, one of as many.
func (r *run) start(ctx context.Context, name string, d *dir, of int) {
	ch, free := make(chan *batch, feeds), make(chan *batch, feeds+2)
	s := &source{Options: &r.Options, name: name, dir: d, note: r.note, ahead: unpackAhead / of}
	s.out = sender{
		ctx: ctx, ch: ch, free: free, wake: r.wake, merge: r.Container == "" && (r.Follow || of > 1),
		prefix: prefix(name, r.Color), several: &r.several, tick: func() {
			if s.Follow {
				s.look(false)
			}
		},
	}
	s.format = format{
		json: r.JSON, timestamps: r.Timestamps, rawEscapes: r.RawEscapes,
		namespace: r.Namespace, pod: r.Pod, container: name,
	}
	s.format.names()
	s.lines = newLines(selection{stream: r.Stream, since: r.Since, grep: r.Grep}, s.handOut)
	s.lines.foreign, s.lines.resumed = s.foreign, s.resumed
	r.feeds = append(r.feeds, &feed{ch: ch, free: free})
	r.wait.Go(func() { s.run(ctx) })
}

// prefix is what the lines of a container begin with: the same colour each time.
func prefix(name string, color bool) []byte {
	text := "[" + status.Escape(name) + "] "
	if !color {
		return []byte(text)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	colors := [...]int{36, 33, 32, 35, 34, 96, 93, 92, 95, 94}
	return fmt.Appendf(nil, "\x1b[%dm%s\x1b[0m ", colors[h.Sum32()%uint32(len(colors))], text[:len(text)-1])
}

// write writes what the sources send, by time.
func (r *run) write(ctx context.Context) error {
	const discoverEvery = time.Second
	t := time.NewTicker(discoverEvery)
	defer t.Stop()
	for {
		first, until, known := earliest(r.feeds)
		if known && first != nil {
			if err := r.add(first.take(until)); err != nil {
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
			if r.Follow && r.unread() {
				return nil
			}
			if r.Follow && r.Container == "" {
				_ = r.discover(ctx) // a pod whose directory is gone ends when its logs do
			}
		}
	}
}

// ended reports whether no line will come any more.
func (r *run) ended() bool {
	for _, f := range r.feeds {
		if !f.ended {
			return false
		}
	}
	if !r.Follow || r.Container != "" {
		return true
	}
	at, err := statx(unix.AT_FDCWD, r.pod.f.Name(), r.pod.f.Name())
	own, ownErr := r.pod.stat("")
	return err != nil || ownErr == nil && own.id != at.id
}

// add writes p, together with others if it is small.
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

// unread reports whether the reader of our output has gone away, which a write would
// find out too late when nothing is logged.
func (r *run) unread() bool {
	f, ok := r.Out.(*os.File)
	if !ok {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0
}
