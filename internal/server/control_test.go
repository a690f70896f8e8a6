package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a daemon with n containers.
type fake struct {
	n     int
	stuck chan struct{} // rotations never end; closed when one was asked for
}

const hostile = "<script>\n\x1b[2J\u202e"

func (f fake) names(i int) api.Names {
	return api.Names{Namespace: "ns", Pod: fmt.Sprintf("%s%d", hostile, i), Container: "c"}
}

func (f fake) Status(_ context.Context, which api.Names, detail bool) (s api.Status) {
	s.Containers = []api.Container{}
	for i := range f.n {
		c := api.Container{Names: f.names(i), ID: strings.Repeat("x", 64)}
		if detail {
			c.Policy = []api.Field{{Name: "maxSize", Value: strings.Repeat("v", 1000), Source: "default"}}
		}
		if which.Matches(c.Names) {
			s.Containers = append(s.Containers, c)
		}
	}
	return s
}

func (f fake) Rotate(_ context.Context, which api.Names) (<-chan api.Result, int, error) {
	out, n := make(chan api.Result, f.n), 0
	for i := range f.n {
		if which.Matches(f.names(i)) {
			n++
			if f.stuck == nil {
				out <- api.Result{Names: f.names(i), Result: api.Rotated, To: "0.log.1", Size: 5}
			}
		}
	}
	if f.stuck != nil {
		close(f.stuck)
	}
	return out, n, nil
}

// options serve the fake on a control socket.
func (f fake) options(path string, log zerolog.Logger) Options {
	return Options{ControlSocket: path, Log: log, Snapshot: f.Status, Rotate: f.Rotate}
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// socketDir is a directory whose name is short enough for a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "logwatch")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// start runs a server until stop is called or the test ends.
func start(t *testing.T, o Options) (stop func()) {
	t.Helper()
	o.retry = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() { Run(ctx, o) })
	stop = func() {
		cancel()
		g.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func listens(path string) func() bool {
	return func() bool {
		c, err := net.Dial("unix", path)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}
}

func TestAsk(t *testing.T) {
	path := filepath.Join(socketDir(t), "run", "s.sock") // the directory is missing
	stop := start(t, fake{n: 3}.options(path, zerolog.Nop()))
	testutil.Eventually(t, "the socket", listens(path))
	st, err := os.Lstat(path)
	if err != nil || st.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	c := api.NewClient(path)
	s, err := c.Status(t.Context(), api.Names{}, true)
	if err != nil || len(s.Containers) != 3 || len(s.Containers[0].Policy) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	one := fake{}.names(1)
	s, err = c.Status(t.Context(), one, false)
	if err != nil || len(s.Containers) != 1 || s.Containers[0].Names != one || s.Containers[0].Policy != nil {
		t.Errorf("%+v, %v", s, err)
	}
	var got []api.Result
	if err := c.Rotate(t.Context(), api.Selector{All: true}, func(r api.Result) { got = append(got, r) }); err != nil || len(got) != 3 || got[1].Names != one {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.Rotate(t.Context(), api.Selector{Names: api.Names{Namespace: "ns", Pod: "none"}}, nil); !errors.Is(err, api.ErrNone) {
		t.Errorf("nobody: %v", err)
	}
	if err := c.Rotate(t.Context(), api.Selector{Names: api.Names{Namespace: "ns"}}, nil); err == nil || !strings.Contains(err.Error(), "must be set") {
		t.Errorf("a namespace: %v", err)
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestRaw: requests that no Client makes.
func TestRaw(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	start(t, fake{n: 1}.options(path, zerolog.Nop()))
	testutil.Eventually(t, "the socket", listens(path))
	for _, tt := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/debug/pprof/cmdline", "", 200, "server.test"},
		{"GET", "/debug/pprof/goroutine?debug=1", "", 200, "goroutine profile"},
		{"GET", "/v1/rotate", "", 404, "different versions"},
		{"GET", "/v2/status", "", 404, "different versions"},
		{"POST", "/v1/rotate", "x", 400, "invalid request"},
		{"POST", "/v1/rotate", `{"namespace":"` + strings.Repeat("a", maxRequest) + `"}`, 400, "too large"},
	} {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}}
		req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://x"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tt.code || !strings.Contains(string(body), tt.want) {
			t.Errorf("%s %s: %d %.200s", tt.method, tt.path, resp.StatusCode, body)
		}
	}
}

// TestTakesOver: a dead daemon's socket is replaced; a live one's, and what is not
// a socket, is unchanged.
func TestTakesOver(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	log := &lines{}
	stop := start(t, fake{n: 1}.options(path, zerolog.New(log)))
	testutil.Eventually(t, "the refusal", func() bool { return log.count("another daemon answers there") == 1 })
	if err := l.Close(); err != nil { // as a kill does
		t.Fatal(err)
	}
	c := api.NewClient(path)
	testutil.Eventually(t, "its own socket", func() bool { _, err := c.Status(t.Context(), api.Names{}, false); return err == nil })
	if n := log.count("another daemon answers there"); n != 1 {
		t.Errorf("said %d times", n)
	}
	// By then it is another process's: it stays.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop()
	if data, err := os.ReadFile(path); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
	log = &lines{}
	stop = start(t, fake{}.options(path, zerolog.New(log)))
	testutil.Eventually(t, "the refusal", func() bool { return log.count("is not a socket: remove it") == 1 })
	stop()
	if data, err := os.ReadFile(path); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
	stop = start(t, fake{}.options(filepath.Dir(path), zerolog.New(log)))
	testutil.Eventually(t, "the refusal of a directory", func() bool { return log.count("is a directory: set controlSocket") == 1 })
	stop()
}

// TestNowhere: it is said once where no socket can be made, and tried again.
func TestNowhere(t *testing.T) {
	dir := filepath.Join(socketDir(t), "a", "b")
	log := &lines{}
	o := fake{n: 1}.options(filepath.Join(dir, "s.sock"), zerolog.New(log))
	start(t, o)
	testutil.Eventually(t, "the message", func() bool { return log.count("control socket unavailable") == 1 })
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the socket", listens(o.ControlSocket))
	if n := log.count("control socket unavailable"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestReadOnly: as a read-only /run.
func TestReadOnly(t *testing.T) {
	log := &lines{}
	start(t, fake{}.options("/proc/self/s.sock", zerolog.New(log)))
	testutil.Eventually(t, "the message", func() bool { return log.count("set controlSocket to") == 1 })
}

// TestStuckClient: one that does not read, one that does not write and one that
// sends half a request hold up neither others nor the stop.
func TestStuckClient(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	o := fake{n: 5000}.options(path, zerolog.Nop())
	o.write = 3 * time.Second // enough for the race detector
	stop := start(t, o)
	testutil.Eventually(t, "the socket", listens(path))
	stuck := func(send string) net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatal(err)
		}
		return c
	}
	reads := stuck("GET /v1/status?detail=1 HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, c := range []net.Conn{reads, stuck(""), stuck("POST /v1/rotate HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"), stuck("GET /v1")} {
		defer c.Close() //nolint:errcheck // given up
	}
	s, err := api.NewClient(path).Status(t.Context(), api.Names{}, false)
	if err != nil || len(s.Containers) != 5000 {
		t.Errorf("%d containers, %v", len(s.Containers), err)
	}
	// What it may write is bounded: the rest never comes.
	testutil.Eventually(t, "the end of an answer that nobody reads", func() bool { return !waits(reads) })
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > stopTimeout+time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// waits reports whether the peer of c still has it open.
func waits(c net.Conn) bool {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	fds := []unix.PollFd{{Events: unix.POLLRDHUP}}
	_ = raw.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		_, _ = unix.Poll(fds, 0)
	})
	return fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) == 0
}

// TestStopsInTheMiddle: an answer that is not whole does not look so.
func TestStopsInTheMiddle(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	begun := make(chan struct{})
	stop := start(t, fake{n: 1, stuck: begun}.options(path, zerolog.Nop()))
	testutil.Eventually(t, "the socket", listens(path))
	asked := make(chan error, 1)
	go func() { asked <- api.NewClient(path).Rotate(t.Context(), api.Selector{All: true}, func(api.Result) {}) }()
	<-begun
	stop()
	if err := <-asked; err == nil || !strings.Contains(err.Error(), "daemon") {
		t.Errorf("err = %v", err)
	}
}

// TestClientErrors: each names the next step.
func TestClientErrors(t *testing.T) {
	dir := socketDir(t)
	other := filepath.Join(dir, "other.sock")
	l, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	var g sync.WaitGroup
	g.Go(func() { // a server that does not send JSON
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")
		_ = c.Close()
	})
	for path, want := range map[string]string{
		filepath.Join(dir, "none.sock"): "is it running? systemctl status logwatch",
		other:                           "is it logwatch?",
	} {
		if _, err := api.NewClient(path).Status(t.Context(), api.Names{}, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	g.Wait()
}
