package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"
)

const (
	// eventsPause is the minimum time between two writes to a viewer: a thousand
	// rotations at once are few packets, and all still arrive within a second.
	eventsPause = 100 * time.Millisecond
	// heartbeat keeps proxies and tunnels from closing a quiet stream.
	heartbeat = 15 * time.Second
	// writeTimeout is what a viewer may take for one write.
	writeTimeout = 10 * time.Second
)

// events is GET /api/v1/events.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	v := p.hub.join(peerOf(r), after)
	if v == nil {
		fail(w, http.StatusServiceUnavailable, "too many pages follow the events: close one of them, or try again in a moment")
		return
	}
	defer v.leave()
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx, which would delay the events
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	out := bytes.NewBufferString("retry: 1000\n\n")
	for {
		select {
		case <-r.Context().Done():
			return
		case <-v.ended: // the page connects again
			return
		case <-v.wake: // at once the first time
			v.hub.write(out, v)
		case <-beat.C:
			out.WriteString(": still there\n\n")
		}
		// The server's own deadline is for short answers.
		_ = rc.SetWriteDeadline(time.Now().Add(p.write)) // Flush returns the error
		if _, err := out.WriteTo(w); err != nil || rc.Flush() != nil {
			return // the viewer disconnected, or is too slow
		}
		if !sleep(r.Context(), eventsPause) {
			return
		}
	}
}

// peerOf identifies a client. An IPv6 host may have a whole /64 of addresses.
func peerOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := at.Addr().Unmap()
	switch {
	case addr.IsLoopback():
		return "loopback"
	case addr.Is6():
		return netip.PrefixFrom(addr, 64).Masked().String()
	}
	return addr.String()
}

// write adds what is new for a viewer.
func (h *Hub) write(out *bytes.Buffer, v *viewer) {
	events, first, missed := v.drain()
	if missed > 0 {
		_, _ = fmt.Fprintf(out, "event: missed\ndata: %d\n\n", missed) // a Buffer takes all
	}
	for i, e := range events {
		doc, err := json.Marshal(e) // one line, whatever is in there
		if err != nil {
			continue // a time past the year 9999
		}
		_, _ = fmt.Fprintf(out, "id: %s\ndata: %s\n\n", h.id(first+uint64(i)), doc)
	}
}
