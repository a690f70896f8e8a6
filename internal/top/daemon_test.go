package top

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/server"
	"github.com/logwatch/logwatch/internal/testutil"
)

// fake is a daemon whose answers a test makes.
type fakeDaemon struct {
	mu     sync.Mutex
	answer func() api.Status
	hold   chan struct{} // answers wait until it is closed; nil: they do not
	asked  []asked
}

// asked is a request, and when it came.
type asked struct {
	query
	at time.Time
}

func (f *fakeDaemon) Status(ctx context.Context, which api.Names, detail bool) api.Status {
	f.mu.Lock()
	f.asked = append(f.asked, asked{query{which, detail}, time.Now()})
	s, hold := f.answer(), f.hold
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	fit := []api.Container{}
	for _, c := range s.Containers {
		if which.Matches(c.Names) {
			if detail {
				c.Policy = policy
			}
			fit = append(fit, c)
		}
	}
	s.Containers = fit
	return s
}

func (f *fakeDaemon) questions() []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]asked{}, f.asked...)
}

// running makes a daemon of samples that go on with the clock.
func running() *fakeDaemon {
	begun := time.Now()
	return &fakeDaemon{answer: func() api.Status {
		s := sample(int(time.Since(begun).Seconds()))
		shift := time.Since(start.Add(time.Duration(time.Since(begun).Seconds()) * time.Second))
		s.Node.Started = s.Node.Started.Add(shift)
		for i := range s.Containers {
			if r := s.Containers[i].LastRotation; r != nil {
				r.Time = r.Time.Add(shift)
			}
			if p := s.Containers[i].LastError; p != nil {
				p.Time = p.Time.Add(shift)
			}
		}
		return s
	}}
}

// serve runs a daemon's control socket until stop is called or the test ends.
func serve(t testing.TB, d *fakeDaemon, socket string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() { server.Run(ctx, server.Options{ControlSocket: socket, Log: zerolog.Nop(), Snapshot: d.Status}) })
	stop = func() {
		cancel()
		g.Wait()
	}
	t.Cleanup(stop)
	testutil.Eventually(t, "the socket", func() bool {
		c, err := net.Dial("unix", socket)
		return err == nil && c.Close() == nil
	})
	return stop
}

// socketPath is short enough for a socket.
func socketPath(t testing.TB) string {
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
	return filepath.Join(dir, "s.sock")
}
