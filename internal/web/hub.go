package web

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

const (
	// eventsKept is how far a viewer may fall behind: a second or more of the most
	// rotations that a node can do.
	eventsKept = 512
	// eventsShown is what a new viewer gets of what was before.
	eventsShown = 100
	// maxViewers is for all peers, maxPerPeer for one. Where there is no room, the
	// oldest viewer is disconnected after minStay: a client cannot keep others out.
	maxViewers = 16
	maxPerPeer = 8
	minStay    = 10 * time.Second
	// maxText is how much of an error is kept, in bytes: they hold names, which may
	// be long.
	maxText = 1 << 10
)

// Kinds of events.
const (
	KindRotated      = "rotated"
	KindReopened     = "reopened"     // a live log that was missing is there again
	KindFailed       = "failed"       // for the reason in Error; once while it lasts
	KindHousekeeping = "housekeeping" // housekeeping failed; otherwise as KindFailed
)

// Event is something that happened to a container's log.
type Event struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`
	// Names and ID are of the container. Where they are not known, Dir is.
	api.Names
	ID  string `json:"id,omitempty"`
	Dir string `json:"dir"` // relative to podLogsDir

	Cause string `json:"cause,omitempty"`
	// What follows is of KindRotated, as in api.Rotation; the size is that at the
	// exchange.
	To      string  `json:"to,omitempty"`
	Size    int64   `json:"sizeBytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`

	Error string `json:"error,omitempty"`
}

// Hub keeps the last events for its viewers. NewHub returns one; a nil Hub drops
// what is published.
type Hub struct {
	epoch string // distinguishes this daemon's numbers from an earlier one's

	mu      sync.Mutex
	ring    [eventsKept]Event
	next    uint64 // the number of the next event; the first is 0
	viewers map[*viewer]struct{}
}

// viewer is a client that follows the events.
type viewer struct {
	hub   *Hub
	peer  string
	since time.Time
	wake  chan struct{} // has room for one
	ended chan struct{} // closed when another viewer takes its place
	at    uint64        // the next event that it gets
}

// NewHub returns an empty Hub.
func NewHub() *Hub {
	return &Hub{epoch: strconv.FormatInt(time.Now().UnixNano(), 36), viewers: map[*viewer]struct{}{}}
}

// Publish hands an event to all viewers. It may be called with locks held: it
// takes none but the hub's, for as long as a copy takes.
func (h *Hub) Publish(e Event) {
	if h == nil {
		return
	}
	if len(e.Error) > maxText {
		e.Error = e.Error[:maxText]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring[h.next%eventsKept] = e
	h.next++
	for v := range h.viewers {
		select {
		case v.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// join adds a viewer of a peer that has seen the event after; "": none. nil: there is
// no room. The caller must call leave.
func (h *Hub) join(peer, after string) *viewer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.makeRoom(peer) {
		return nil
	}
	v := &viewer{
		hub: h, peer: peer, since: time.Now(), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		at: h.next - min(h.next, eventsShown),
	}
	if epoch, n, ok := strings.Cut(after, "-"); ok && epoch == h.epoch {
		if last, err := strconv.ParseUint(n, 10, 64); err == nil && last < h.next {
			v.at = last + 1
		}
	}
	v.wake <- struct{}{}
	h.viewers[v] = struct{}{}
	return v
}

// makeRoom reports whether there is room for one more viewer of a peer. It may end
// another one for that, of the peer that has the most.
func (h *Hub) makeRoom(peer string) bool {
	count := map[string]int{}
	for v := range h.viewers {
		count[v.peer]++
	}
	from := peer
	if count[peer] < maxPerPeer {
		if len(h.viewers) < maxViewers {
			return true
		}
		for p, n := range count {
			if n > count[from] {
				from = p
			}
		}
	}
	var oldest *viewer
	for v := range h.viewers {
		if v.peer == from && (oldest == nil || v.since.Before(oldest.since)) {
			oldest = v
		}
	}
	if count[from] <= count[peer]+1 && time.Since(oldest.since) < minStay {
		return false
	}
	close(oldest.ended)
	delete(h.viewers, oldest)
	return true
}

func (v *viewer) leave() {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	delete(v.hub.viewers, v)
}

// drain returns the new events, the number of the first, and how many before it are
// no longer kept.
func (v *viewer) drain() (events []Event, first, missed uint64) {
	h := v.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if oldest := h.next - min(h.next, eventsKept); v.at < oldest {
		missed, v.at = oldest-v.at, oldest
	}
	first = v.at
	for ; v.at < h.next; v.at++ {
		events = append(events, h.ring[v.at%eventsKept])
	}
	return events, first, missed
}

// id is an event's number as viewers get it.
func (h *Hub) id(n uint64) string { return h.epoch + "-" + strconv.FormatUint(n, 10) }
