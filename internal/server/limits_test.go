package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// pipes is a listener whose connections are pipes, for synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn, 1000), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns a client's end that has sent some bytes, or is sending them.
func (p *pipes) dial(send string) net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	go func() { _, _ = io.WriteString(client, send) }() // the server may close it first
	return client
}

// attacked serves an endpoint on pipes to an attack, in a bubble.
func attacked(t *testing.T, attack func(t *testing.T, o Options, p *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := public("", zerolog.Nop())
		e, p := o.public(), newPipes()
		e.serve = (*http.Server).Serve
		ctx, cancel := context.WithCancel(t.Context())
		var g sync.WaitGroup
		g.Go(func() { _ = e.serveUntil(ctx, p) })
		attack(t, o, p)
		cancel()
		g.Wait()
	})
}

const request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"

// answered reports whether a request was answered with success by now.
func answered(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && strings.Contains(line, "200")
}

// closedAfter returns how long the server keeps a connection that sends nothing more.
func closedAfter(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := c.SetReadDeadline(begin.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // ends when the server closes it
	return time.Since(begin)
}

// TestIdleConnections: they leave descriptors for the rotations, and end soon.
func TestIdleConnections(t *testing.T) {
	attacked(t, func(t *testing.T, _ Options, p *pipes) {
		var idle []net.Conn
		for range maxConnections {
			c := p.dial(request)
			if !answered(t, c) {
				t.Fatal("no answer")
			}
			idle = append(idle, c)
		}
		more := p.dial(request)
		if answered(t, more) {
			t.Errorf("more than %d connections are served", maxConnections)
		}
		if took := closedAfter(t, idle[0]); took > idleTimeout {
			t.Errorf("an idle connection is kept for %v", took)
		}
		synctest.Wait()
		if !answered(t, more) {
			t.Error("idle connections keep others out")
		}
		for _, c := range append(idle, more) {
			_ = c.Close()
		}
	})
}

// TestUnfinishedHeaders: a header costs little memory, and little time.
func TestUnfinishedHeaders(t *testing.T) {
	attacked(t, func(t *testing.T, _ Options, p *pipes) {
		c := p.dial("GET / HTTP/1.1\r\nX: ")
		if took := closedAfter(t, c); took > headerTimeout {
			t.Errorf("an unfinished header is waited for for %v", took)
		}
		client, server := net.Pipe()
		p.conns <- server
		sent := 0
		for err := error(nil); err == nil && sent < 1<<20; {
			_ = client.SetWriteDeadline(time.Now().Add(time.Second)) // as the server may stop reading
			var n int
			n, err = io.WriteString(client, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 1<<10))
			sent += n
			if err != nil && !errors.Is(err, io.ErrClosedPipe) && !strings.Contains(err.Error(), "timeout") {
				t.Error(err)
			}
		}
		if sent > 3*maxHeaderBytes { // the server adds 4 KiB, and has a buffer
			t.Errorf("it reads %d bytes of a header", sent)
		}
		_ = client.Close()
	})
}

// TestSlowScrapers: clients that do not read their metrics hold few answers in memory.
func TestSlowScrapers(t *testing.T) {
	attacked(t, func(t *testing.T, o Options, p *pipes) {
		large := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "large"}, []string{"n"})
		for i := range 10_000 { // more than what buffers take
			large.WithLabelValues(fmt.Sprint(i)).Set(1)
		}
		o.Registry.MustRegister(large)
		var slow []net.Conn
		for range 4 * maxScrapes {
			slow = append(slow, p.dial("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		}
		synctest.Wait()
		served := 0
		for _, c := range slow {
			if answered(t, c) {
				served++
			}
		}
		if served != maxScrapes {
			t.Errorf("%d scrapes at once, want %d", served, maxScrapes)
		}
		for _, c := range slow {
			_ = c.Close()
		}
	})
}
