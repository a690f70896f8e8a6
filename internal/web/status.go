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
)

const (
	// fresh is how old an answer may be. One costs a listing for each container, so
	// all viewers share it; where it takes long, it is fresh for workShare as long.
	fresh     = time.Second
	workShare = 10
	// maxWaiting are the requests that may be under way.
	maxWaiting = 32
)

// View is the answer of GET /api/v1/status.
type View struct {
	Time     time.Time `json:"time"` // it is of; viewers' clocks may differ
	Problems []Problem `json:"problems"`
	api.Status
}

// shared is the answer that viewers share.
type shared struct {
	snapshot Snapshot
	turn     chan struct{} // has room for one: whoever is in it may touch what follows
	begun    time.Time     // the last one
	took     time.Duration
	last     *answer
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

// get returns an answer that is fresh. An error: ctx ended.
func (s *shared) get(ctx context.Context) (*answer, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if wait := max(fresh, workShare*s.took) - time.Since(s.begun); wait > 0 {
		if s.last != nil {
			return s.last, nil
		}
		// Whoever asked before left in the middle, and must not cause more work by
		// that than others.
		if !sleep(ctx, wait) {
			return nil, ctx.Err()
		}
	}
	s.begun, s.last = time.Now(), nil
	v := look(ctx, s.snapshot, api.Names{}, false)
	s.took = time.Since(s.begun)
	if ctx.Err() != nil { // then it is not whole
		return nil, ctx.Err()
	}
	s.last = encode(v)
	return s.last, nil
}

// look takes a snapshot.
func look(ctx context.Context, s Snapshot, which api.Names, detail bool) View {
	v := View{Time: time.Now(), Status: s(ctx, which, detail)}
	if v.Containers == nil { // [] in JSON
		v.Containers = []api.Container{}
	}
	v.Problems = Problems(v.Status, v.Time)
	return v
}

// status is GET /api/v1/status.
func (p *Page) status(w http.ResponseWriter, r *http.Request) {
	if !p.enter(w) {
		return
	}
	defer p.leave()
	if a, err := p.shared.get(r.Context()); err == nil {
		p.send(w, r, a)
	}
}

// container is GET /api/v1/container. It costs one listing.
func (p *Page) container(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	which := api.Names{Namespace: q.Get("namespace"), Pod: q.Get("pod"), Container: q.Get("container")}
	if which.Namespace == "" || which.Pod == "" || which.Container == "" {
		fail(w, http.StatusBadRequest, "namespace, pod and container must be named; for all of them ask /api/v1/status")
		return
	}
	if !p.enter(w) {
		return
	}
	defer p.leave()
	v := look(r.Context(), p.snapshot, which, true)
	if r.Context().Err() == nil {
		p.send(w, r, encode(v))
	}
}

// enter reports whether there is room for one more request, which leave gives
// back.
func (p *Page) enter(w http.ResponseWriter) bool {
	select {
	case p.waiting <- struct{}{}:
		return true
	default:
		fail(w, http.StatusServiceUnavailable, "too many requests at once: try again in a moment")
		return false
	}
}

func (p *Page) leave() { <-p.waiting }

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
	_, _ = w.Write(doc) // the viewer has gone
}

func fail(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(api.Error{Error: text}) // the viewer has gone
}
