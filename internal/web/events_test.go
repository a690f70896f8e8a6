package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/testutil"
)

// stream is a viewer's end.
type stream struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Scanner
}

// message is one of the stream.
type message struct{ id, event, data string }

func follow(t *testing.T, srv *httptest.Server, after string) *stream {
	t.Helper()
	return followAt(t, srv.Client(), srv.URL, after, "")
}

func followAt(t *testing.T, client *http.Client, url, after, last string) *stream {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/events?after="+after, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, body: resp.Body, in: bufio.NewScanner(resp.Body)}
	t.Cleanup(s.close)
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%d %s: %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	return s
}

func (s *stream) close() { _ = s.body.Close() }

// next returns the next message; none: the stream ended.
func (s *stream) next() (m message, ok bool) {
	for s.in.Scan() {
		name, value, _ := strings.Cut(s.in.Text(), ": ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "":
			if m.data != "" {
				return m, true
			}
		}
	}
	return m, false
}

func (s *stream) want(n int) (m message, e Event) {
	s.t.Helper()
	m, ok := s.next()
	if !ok {
		s.t.Fatalf("the stream ended: %v", s.in.Err())
	}
	if err := json.Unmarshal([]byte(m.data), &e); err != nil || m.event != "" {
		s.t.Fatalf("%+v: %v", m, err)
	}
	if e.ID != strconv.Itoa(n) {
		s.t.Fatalf("event %s, want %d", e.ID, n)
	}
	return m, e
}

func (h *Hub) publish(from, to int) {
	for i := from; i < to; i++ {
		h.Publish(Event{Time: time.Now(), Kind: KindRotated, ID: strconv.Itoa(i), Dir: "d", Names: api.Names{Pod: hostile}})
	}
}

func (h *Hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers)
}

// TestEvents: each arrives once and in order, at once, over a reconnection too, and
// for longer than the server's deadlines.
func TestEvents(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		p, srv := serve(t, two())
		testEvents(t, p, srv)
	})
	t.Run("TLS", func(t *testing.T) { // and so HTTP/2
		p, srv := prepare(t, two())
		srv.EnableHTTP2 = true
		srv.StartTLS()
		testEvents(t, p, srv)
	})
}

func testEvents(t *testing.T, p *Page, srv *httptest.Server) {
	p.hub.publish(0, 2)
	s := follow(t, srv, "")
	s.want(0)
	s.want(1)
	var last message
	n := 2
	for start := time.Now(); time.Since(start) < 4*srv.Config.WriteTimeout; n++ {
		begin := time.Now()
		p.hub.publish(n, n+1)
		m, e := s.want(n)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it came after %v", took)
		}
		if e.Pod != strings.ToValidUTF8(hostile, "\ufffd") {
			t.Errorf("%q", e.Pod)
		}
		last = m
	}
	s.close()
	p.hub.publish(n, n+3)
	s = follow(t, srv, last.id)
	for i := n; i < n+3; i++ {
		s.want(i)
	}
	followAt(t, srv.Client(), srv.URL, "", last.id).want(n) // as browsers do it by themselves
	// Numbers of an earlier daemon, and nonsense, count as none.
	for _, after := range []string{"other-3", p.hub.id(99), "x", "-", "1"} {
		follow(t, srv, after).want(0)
	}
	s.close()
	testutil.Eventually(t, "the viewers to be forgotten", func() bool { return p.hub.count() <= 6 })
}

// TestFallsBehind: a viewer that is too slow gets the number of events that it missed,
// and then those that are kept.
func TestFallsBehind(t *testing.T) {
	p, srv := serve(t, two())
	s := follow(t, srv, "")
	p.hub.publish(0, 1)
	m, _ := s.want(0)
	s.close()
	p.hub.publish(1, 1+eventsKept+7)
	s = follow(t, srv, m.id)
	m, ok := s.next()
	if !ok || m.event != "missed" || m.data != "7" {
		t.Fatalf("%+v", m)
	}
	for i := 8; i < 8+eventsKept; i++ {
		s.want(i)
	}
	// A new viewer gets the last ones, and missed nothing.
	follow(t, srv, "").want(1 + eventsKept + 7 - eventsShown)
}

// TestSlowViewer: a viewer that reads nothing is disconnected, and holds up neither
// publishing nor other viewers.
func TestSlowViewer(t *testing.T) {
	p, srv := serve(t, two())
	p.write = 200 * time.Millisecond
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // given up
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the slow one", func() bool { return p.hub.count() == 1 })
	s := follow(t, srv, "")
	big := Event{Kind: KindFailed, Error: strings.Repeat("x", 10*maxText)}
	got := make(chan int, 1) // events that the other one got or missed
	stop := make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		sum := 0
		for m, ok := s.next(); ok; m, ok = s.next() {
			if m.event == "missed" {
				k, _ := strconv.Atoi(m.data)
				sum += k
			} else {
				sum++
			}
			if m.event == "" && strings.Contains(m.data, `"last"`) {
				break
			}
			if len(m.data) > 2*maxText {
				t.Errorf("an event of %d bytes", len(m.data))
			}
		}
		got <- sum
		close(stop)
	})
	defer g.Wait()
	var longest time.Duration
	n := 0
	testutil.Eventually(t, "the slow one to be left", func() bool {
		for range 50 {
			begin := time.Now()
			p.hub.Publish(big)
			longest = max(longest, time.Since(begin))
			n++
		}
		return p.hub.count() == 1
	})
	p.hub.Publish(Event{ID: "last"})
	<-stop
	if sum := <-got; sum != n+1 {
		t.Errorf("the other one got, or was told of, %d of %d", sum, n+1)
	}
	t.Logf("%d events, Publish took %v at most", n, longest)
}

// TestTooManyViewers: one more is refused, over HTTP.
func TestTooManyViewers(t *testing.T) {
	p, srv := serve(t, two())
	var first *stream
	for range maxPerPeer {
		first = follow(t, srv, "")
	}
	resp, body := ask(t, srv, "GET", "/api/v1/events")
	if resp.StatusCode != 503 || !strings.Contains(body, "too many pages") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	first.close()
	testutil.Eventually(t, "a place", func() bool { return p.hub.count() < maxPerPeer })
	p.hub.publish(0, 1)
	follow(t, srv, "").want(0)
}

// TestPlaces: no peer keeps others out, at once if it has more than they, and after a
// while its own.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub()
		join := func(peer string, n int) (all []*viewer) {
			for range n {
				all = append(all, h.join(peer, ""))
			}
			return all
		}
		ended := func(v *viewer) bool {
			select {
			case <-v.ended:
				return true
			default:
				return false
			}
		}
		a := join("a", maxPerPeer)
		if h.join("a", "") != nil {
			t.Error("a peer has more than its places")
		}
		time.Sleep(time.Second)
		join("b", maxViewers-maxPerPeer)
		if c := h.join("c", ""); c == nil || h.count() != maxViewers {
			t.Errorf("two peers keep out a third; %d viewers", h.count())
		}
		time.Sleep(minStay)
		last := h.join("a", "")
		if last == nil || ended(last) {
			t.Error("the old viewers of a peer keep out its new ones")
		}
		n := 0
		for _, v := range a {
			if ended(v) {
				n++
				v.leave()
			}
		}
		if n == 0 || h.count() != maxViewers {
			t.Errorf("%d viewers of the first peer ended, %d are left", n, h.count())
		}
	})
}

// TestPeers: addresses of one host are one peer.
func TestPeers(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:5": "loopback", "127.9.8.7:5": "loopback", "[::1]:5": "loopback", "10.1.2.3:5": "10.1.2.3", "[::ffff:10.1.2.3]:5": "10.1.2.3",
		"[2001:db8::1]:5": "2001:db8::/64", "[2001:db8::2:3:4:5]:5": "2001:db8::/64", "@": "",
	} {
		if got := peerOf(&http.Request{RemoteAddr: addr}); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

// TestPublishCosts: next to nothing without viewers, and little with as many as there can
// be.
func TestPublishCosts(t *testing.T) {
	e := Event{Time: time.Now(), Kind: KindRotated, ID: "1", Dir: "d"}
	var none *Hub
	none.Publish(e)
	h := NewHub()
	for i := range maxViewers + 1 {
		if n := testing.AllocsPerRun(100, func() { h.Publish(e) }); n > 0 {
			t.Errorf("%d viewers: %v allocations", i, n)
		}
		if v := h.join(fmt.Sprint(i), ""); (v == nil) != (i == maxViewers) {
			t.Errorf("%d viewers: the next is %v", i, v)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, maxViewers} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := NewHub()
			for range n {
				h.join("", "")
			}
			e := Event{Time: time.Now(), Kind: KindRotated, ID: "1", Dir: "d"}
			b.ReportAllocs()
			for b.Loop() {
				h.Publish(e)
			}
		})
	}
}

// BenchmarkAnswer is what a look at so many containers costs beside their
// listings.
func BenchmarkAnswer(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var s api.Status
			for i := range n {
				s.Containers = append(s.Containers, api.Container{
					Names: api.Names{Namespace: "team", Pod: fmt.Sprintf("service-%04d-7c9f5d6b8-x2kvq", i), Container: "app"},
					ID:    fmt.Sprintf("%064x", i*7919), Dir: fmt.Sprintf("team_service-%04d_uid/app", i), Log: "0.log", Size: int64(i) * 1000, Limit: 10 << 20,
				})
			}
			var a *answer
			for b.Loop() {
				a = encode(View{Status: s})
				a.zipped()
			}
			b.ReportMetric(float64(len(a.doc)), "bytes")
			b.ReportMetric(float64(len(a.zipped())), "zipped")
		})
	}
}
