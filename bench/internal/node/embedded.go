package node

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/crilog"
)

// Role is the argument with which the benchmark starts itself as the embedded
// runtime.
const Role = "embedded-runtime"

// Style is what the embedded runtime imitates.
type Style string

const (
	Containerd Style = "containerd"
	Conmon     Style = "conmon"
)

// methods are those that the runtime serves.
var methods = []string{
	"Version", "Status", "ListContainers", "StreamContainers", "ContainerStatus",
	"ListPodSandbox", "ReopenContainerLog",
}

// Server is the embedded runtime in its process, called over standard input and
// output by the benchmark.
type Server struct {
	rt         *fake.Runtime
	root       string
	containers []*fake.Container
	loads      []Load
}

// conmon's reopens in this benchmark: each takes a time between these, evenly
// distributed, in which it writes on into the old file.
const (
	minReopen = 20 * time.Millisecond
	maxReopen = 80 * time.Millisecond
)

// Serve runs until standard input is closed. Style Conmon imitates CRI-O's conmon
// with slow reopens, the other one containerd.
func Serve(dir string, style Style) error {
	o := fake.Options{Dir: dir}
	if style == Conmon {
		o.Style = fake.CRIO
	}
	rt, err := fake.Start(o)
	if err != nil {
		return err
	}
	if style == Conmon {
		random := rand.New(rand.NewPCG(1, 2)) // the same for each subject
		for range 10_000 {
			rt.Fail(fake.Failure{Mode: fake.Slow, Times: 1, Delay: minReopen + time.Duration(random.Int64N(int64(maxReopen-minReopen)))})
		}
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Node", &Server{rt: rt, root: rt.PodLogsDir()}); err != nil {
		return err
	}
	server.ServeConn(stdio{os.Stdin, os.Stdout})
	return rt.Close()
}

type stdio struct {
	io.Reader
	io.WriteCloser
}

// Info is what does not change.
type Info struct{ Endpoint, PodLogsDir string }

// Info returns where the runtime is.
func (s *Server) Info(_ struct{}, out *Info) error {
	*out = Info{s.rt.Endpoint(), s.rt.PodLogsDir()}
	return nil
}

// Run starts a container.
func (s *Server) Run(l Load, out *Container) error {
	spec := fake.ContainerSpec{Pod: l.Name, Name: "app"}
	if l.Lines > 0 {
		spec.Writer = &fake.Pattern{BytesPerSecond: l.Rate, On: l.On, Off: l.Off, CatchUp: l.CatchUp, LineBytes: ContentBytes, Lines: l.Lines}
	}
	c, err := s.rt.RunContainer(spec)
	if err != nil {
		return err
	}
	s.containers, s.loads = append(s.containers, c), append(s.loads, l)
	dir, err := filepath.Rel(s.root, c.Dir())
	*out = Container{c.ID(), dir}
	return err
}

// Spreading configures Spread.
type Spreading struct {
	Rate  float64 // bytes a second over all containers
	Batch int     // lines a write
	For   time.Duration
}

// Spread writes to all containers in turn at a rate over all: the same bytes by
// the same number of writes, whatever the number of containers.
func (s *Server) Spread(p Spreading, wrote *uint64) error {
	start := time.Now()
	for i := 0; ; i++ {
		ahead := time.Duration(float64(*wrote)/p.Rate*float64(time.Second)) - time.Since(start)
		if time.Since(start) > p.For {
			return nil
		}
		if ahead > time.Millisecond {
			time.Sleep(ahead)
		}
		if err := s.containers[i%len(s.containers)].WriteNumbered(crilog.Stdout, p.Batch, ContentBytes); err != nil {
			return err
		}
		*wrote += uint64(p.Batch * RecordBytes)
	}
}

// Done reports whether all lines are written.
func (s *Server) Done(_ struct{}, out *bool) error {
	for i, c := range s.containers {
		if c.Written()[crilog.Stdout] < s.loads[i].Lines {
			return nil
		}
	}
	*out = true
	return nil
}

// Finish ends the containers.
func (s *Server) Finish(_ struct{}, out *map[string]uint64) error {
	*out = map[string]uint64{}
	for _, c := range s.containers {
		c.Exit()
		if err := c.Err(); err != nil {
			return err
		}
		dir, err := filepath.Rel(s.root, c.Dir())
		if err != nil {
			return err
		}
		(*out)[dir] = c.Written()[crilog.Stdout]
	}
	return nil
}

// Calls counts CRI calls.
func (s *Server) Calls(_ struct{}, out *map[string]int) error {
	*out = map[string]int{}
	for _, m := range methods {
		if n := s.rt.Calls(m); n > 0 {
			(*out)[m] = n
		}
	}
	return nil
}

// Embedded is the client of a Server.
type Embedded struct {
	Info
	style  Style
	dir    string
	cmd    *exec.Cmd
	client *rpc.Client
}

// StartEmbedded starts this program as the embedded runtime.
func StartEmbedded(style Style) (*Embedded, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "logwatch-bench-")
	if err != nil {
		return nil, err
	}
	e := &Embedded{style: style, dir: dir, cmd: exec.Command(self, Role, dir, string(style))}
	e.cmd.Stderr = os.Stderr
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := e.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the embedded runtime: %w", err)
	}
	e.client = rpc.NewClient(stdio{out, in})
	if err := e.client.Call("Node.Info", struct{}{}, &e.Info); err != nil {
		return nil, fmt.Errorf("start the embedded runtime: %w", err)
	}
	return e, nil
}

func (e *Embedded) Kind() string       { return "embedded" }
func (e *Embedded) Version() string    { return "this tree's, as " + string(e.style) }
func (e *Embedded) Endpoint() string   { return e.Info.Endpoint }
func (e *Embedded) PodLogsDir() string { return e.Info.PodLogsDir }

func (e *Embedded) Run(_ context.Context, l Load) (c Container, err error) {
	err = e.client.Call("Node.Run", l, &c)
	return c, err
}

// Spread blocks until it is done and returns the number of bytes written.
func (e *Embedded) Spread(p Spreading) (wrote uint64, err error) {
	err = e.client.Call("Node.Spread", p, &wrote)
	return wrote, err
}

func (e *Embedded) Done(context.Context) (done bool, err error) {
	err = e.client.Call("Node.Done", struct{}{}, &done)
	return done, err
}

func (e *Embedded) Finish(context.Context) (lines map[string]uint64, err error) {
	err = e.client.Call("Node.Finish", struct{}{}, &lines)
	return lines, err
}

func (e *Embedded) Calls() (calls map[string]int, err error) {
	err = e.client.Call("Node.Calls", struct{}{}, &calls)
	return calls, err
}

// Close ends the runtime and removes its directory with all logs.
func (e *Embedded) Close() error {
	closing := e.client.Close()
	err := e.cmd.Wait()
	if err != nil && strings.Contains(err.Error(), "signal") {
		closing = nil
	}
	if removing := os.RemoveAll(e.dir); err == nil {
		err = removing
	}
	if err == nil {
		err = closing
	}
	return err
}
