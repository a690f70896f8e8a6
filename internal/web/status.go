package web

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/health"
)

const (
	// fresh is how old an answer may be. One costs a listing of each container, so that
	// all viewers share it; where it takes long, it is fresh for workShare as long.
	fresh     = time.Second
	workShare = 10
	// maxWaiting are the requests that may be under way.
	maxWaiting = 32
)

// View is the answer of GET /api/v1/status.
type View struct {
	Time     time.Time        `json:"time"` // it is of; viewers' clocks may differ
	Problems []health.Problem `json:"problems"`
	api.Status
	Containers []Container `json:"containers"`
}

// Container is a container with what is wrong with its log.
type Container struct {
	api.Container
	State    string           `json:"state"` // see health.State
	Findings []health.Finding `json:"findings,omitempty"`
}

// shared is the answer that viewers share.
type shared struct {
	snapshot Snapshot
	detail   bool
	turn     chan struct{} // has room for one: its holder may access what follows
	which    api.Names     // of the last answer
	begun    time.Time
	took     time.Duration
	last     *answer // nil: it was interrupted
}

// answer is a View in JSON.
type answer struct {
	doc     []byte
	zipped  func() []byte
	encoded error
}

func encode(v View) *answer {
	a := &answer{}
	a.doc, a.encoded = json.Marshal(v)
	a.zipped = sync.OnceValue(func() []byte {
		var out bytes.Buffer
		// The fastest level is a tenth of the size; the writer's target takes all.
		z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
		_, _ = z.Write(a.doc)
		_ = z.Close()
		return out.Bytes()
	})
	return a
}

// get returns a fresh answer about the containers that match. The error is ctx's.
func (s *shared) get(ctx context.Context, which api.Names) (*answer, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	pause, same := workShare*s.took, which == s.which
	if same {
		pause = max(fresh, pause)
	}
	if wait := pause - time.Since(s.begun); wait > 0 {
		if same && s.last != nil {
			return s.last, nil
		}
		// A client that disconnected, or requests another container each time, must not
		// cause more work than others.
		if !sleep(ctx, wait) {
			return nil, ctx.Err()
		}
	}
	s.begun, s.which, s.last = time.Now(), which, nil
	a := encode(view(ctx, s.snapshot, which, s.detail))
	s.took = time.Since(s.begun)
	if ctx.Err() != nil { // then it is incomplete
		return nil, ctx.Err()
	}
	s.last = a
	return a, nil
}

// view takes a snapshot.
func view(ctx context.Context, s Snapshot, which api.Names, detail bool) View {
	v := View{Time: time.Now(), Status: s(ctx, which, detail), Containers: []Container{}} // [] in JSON
	v.Problems = health.Problems(v.Status, v.Time)
	for _, c := range v.Status.Containers {
		v.Containers = append(v.Containers, Container{c, health.State(c), health.Container(c)})
	}
	return v
}

// status is GET /api/v1/status.
func (p *Page) status(w http.ResponseWriter, r *http.Request) {
	p.answer(w, r, &p.all, api.Names{})
}

// container is GET /api/v1/container.
func (p *Page) container(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	which := api.Names{Namespace: q.Get("namespace"), Pod: q.Get("pod"), Container: q.Get("container")}
	if which.Namespace == "" || which.Pod == "" || which.Container == "" {
		fail(w, http.StatusBadRequest, "namespace, pod and container must be set; /api/v1/status has all containers")
		return
	}
	p.answer(w, r, &p.one, which)
}

// answer sends an answer, unless too many requests wait for one.
func (p *Page) answer(w http.ResponseWriter, r *http.Request, s *shared, which api.Names) {
	select {
	case p.waiting <- struct{}{}:
		defer func() { <-p.waiting }()
	default:
		fail(w, http.StatusServiceUnavailable, "too many requests at once: try again in a moment")
		return
	}
	if a, err := s.get(r.Context(), which); err == nil {
		p.send(w, r, a)
	}
}

func (p *Page) send(w http.ResponseWriter, r *http.Request, a *answer) {
	if a.encoded != nil {
		fail(w, http.StatusInternalServerError, a.encoded.Error())
		return
	}
	doc := a.doc
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		doc = a.zipped()
		w.Header().Set("Content-Encoding", "gzip")
	}
	// The time to write begins now: making the answer may have taken some.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(p.write))
	_, _ = w.Write(doc) // the viewer may have disconnected
}

func fail(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(api.Error{Error: text}) // the viewer may have disconnected
}
