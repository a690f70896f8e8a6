package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/rotator"
)

// container writes numbered lines as containerd does, and is the runtime that the
// rotator asks to reopen its log.
type container struct {
	t    testing.TB
	tree *tree
	rot  *rotator.Rotator

	mu        sync.Mutex
	f         *os.File
	restart   int
	rotations int
	last      int // number of the last line
	late      sync.WaitGroup
	r         *rand.Rand
	refuse    bool
	neat      bool // nothing is written to the old log after a reopen
	form      form
}

// form is how a container's log is rotated and reopened.
type form struct {
	exchange bool // with an empty file; else by a plain rename
	conmon   bool // a reopen replaces the file at the live path
}

var forms = map[string]form{
	"rename":           {},
	"rename, conmon":   {conmon: true},
	"exchange":         {exchange: true},
	"exchange, conmon": {exchange: true, conmon: true},
}

func (tr *tree) container() *container {
	c := &container{t: tr.t, tree: tr, r: rand.New(rand.NewPCG(3, 3))}
	c.rot = rotator.New(rotator.Options{PodLogsDir: tr.root, Runtime: c})
	if err := os.MkdirAll(tr.dir("app"), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	c.f = c.open()
	tr.t.Cleanup(c.exit)
	return c
}

func (c *container) log() string { return fmt.Sprint(c.restart, ".log") }

func (c *container) open() *os.File {
	path := filepath.Join(c.tree.dir("app"), c.log())
	at := path
	if c.form.conmon {
		at += ".tmp"
	}
	f, err := os.OpenFile(at, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil && c.form.conmon {
		err = os.Rename(at, path)
	}
	if err != nil {
		c.t.Error(err)
	}
	return f
}

// begin is the rotation up to the reopen. It returns the rotated log's name.
func (c *container) begin() string {
	c.t.Helper()
	dir := c.tree.dir("app")
	c.rotations++
	rotated := c.log() + time.Date(2026, 1, 1, 0, 0, c.rotations, 0, time.UTC).Format(".20060102-150405")
	from, to := filepath.Join(dir, c.log()), filepath.Join(dir, rotated)
	err := error(nil)
	if c.form.exchange {
		err = os.WriteFile(to, nil, 0o600)
		err = errors.Join(err, unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE))
	} else {
		err = os.Rename(from, to)
	}
	if err != nil {
		c.t.Error(err)
	}
	return rotated
}

func (c *container) exit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late.Wait()
	if c.f != nil {
		_ = c.f.Close() // a test's
	}
	c.f = nil
}

// next restarts the container.
func (c *container) next() {
	c.exit()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restart++
	c.f = c.open()
}

// lineTime is that of a numbered line: it identifies the line.
func lineTime(n int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Microsecond)
}

func record(n int, tag, text string) string {
	return lineTime(n).Format(time.RFC3339Nano) + " stdout " + tag + " " + text + "\n"
}

func lineText(n int) string { return fmt.Sprintf("%08d %s.", n, strings.Repeat("x", n%50)) }

// write writes n lines.
func (c *container) write(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	for range n {
		c.last++
		b.WriteString(record(c.last, "F", lineText(c.last)))
	}
	c.put(c.f, b.String())
}

func (c *container) put(f *os.File, text string) {
	if _, err := f.WriteString(text); err != nil {
		c.t.Error(err)
	}
}

// ReopenContainerLog returns before the old log is complete: some lines and the
// beginning of one are still written to it, while that one's end is in the new log.
func (c *container) ReopenContainerLog(context.Context, string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse {
		return errors.New("refused")
	}
	old := c.f
	if c.neat {
		c.f = c.open()
		return old.Close()
	}
	tail := ""
	for range c.r.IntN(4) {
		c.last++
		tail += record(c.last, "F", lineText(c.last))
	}
	c.last++
	cut := lineText(c.last)
	c.f = c.open()
	c.put(c.f, record(c.last, "F", cut[4:]))
	tail += record(c.last, "P", cut[:4])
	c.late.Add(1)
	time.AfterFunc(time.Duration(c.r.IntN(4))*time.Millisecond, func() {
		defer c.late.Done()
		c.put(old, tail)
		if err := old.Close(); err != nil {
			c.t.Error(err)
		}
	})
	return nil
}

// rotate rotates, and keeps that many files.
func (c *container) rotate(files int, codec *podlogs.Codec) {
	c.t.Helper()
	c.begin()
	c.write(c.r.IntN(20)) // to the rotated log: it has not reopened yet
	if err := c.ReopenContainerLog(c.t.Context(), "id"); err != nil {
		c.t.Error(err)
	}
	c.late.Wait() // housekeeping leaves what is written alone
	p := rotator.Policy{MaxFiles: files, Codec: codec, Level: 1}
	if _, err := c.rot.Tidy(c.t.Context(), "shop_web_u1/app", p, podlogs.Name{}); err != nil {
		c.t.Error(err)
	}
	if _, err := c.rot.Compress(c.t.Context(), "shop_web_u1/app", p, func(podlogs.Name) {}); err != nil {
		c.t.Error(err)
	}
}

// followed is a Run that follows, and its output.
type followed struct {
	t      testing.TB
	cancel context.CancelFunc
	ended  chan error
	// gate is received from before each write, until it is closed: it makes the
	// reader slow.
	gate chan struct{}

	mu       sync.Mutex
	out      bytes.Buffer
	warnings bytes.Buffer
}

func (tr *tree) follow(o Options, gate chan struct{}) *followed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &followed{t: tr.t, cancel: cancel, ended: make(chan error, 1), gate: gate}
	o.Follow = true
	o.Out = writerFunc(func(p []byte) (int, error) {
		if f.gate != nil {
			select {
			case <-f.gate:
			case <-ctx.Done():
			}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.out.Write(p)
	})
	o.Warnings = writerFunc(func(p []byte) (int, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.warnings.Write(p)
	})
	go func() { f.ended <- Run(ctx, o) }()
	tr.t.Cleanup(cancel)
	return f
}

func (f *followed) text() (out, warnings string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.String(), f.warnings.String()
}

// until waits for something to be written.
func (f *followed) until(what string, done func(out, warnings string) bool) {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		out, warnings := f.text()
		if done(out, warnings) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("waited for %s; it ends with %q\n%s", what, out[max(0, len(out)-200):], warnings)
		}
	}
}

// stop waits for the last line, ends the run, and returns what it wrote.
func (f *followed) stop(last int) (out, warnings string, err error) {
	f.t.Helper()
	f.until("the last line", func(out, _ string) bool { return strings.HasSuffix(out, lineText(last)+"\n") })
	f.cancel()
	err = <-f.ended
	out, warnings = f.text()
	return out, warnings, err
}
