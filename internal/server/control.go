package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

const (
	readTimeout = 5 * time.Second // for a request's body
	// controlWriteTimeout is for one piece of an answer. The largest, of 5000
	// containers in detail, has some megabytes.
	controlWriteTimeout = 10 * time.Second
	// rotateTimeout is for a whole POST /v1/rotate: 5000 rotations of 4 workers at
	// some milliseconds each, on a slow runtime.
	rotateTimeout = 10 * time.Minute
	maxRequest    = 64 << 10 // bytes of a request's body
)

// control is the endpoint of the control socket.
func (o *Options) control() *endpoint {
	c := &control{*o}
	c.write = cmp.Or(c.write, controlWriteTimeout)
	e := o.endpoint(c.handler(), c.write)
	e.unavailable = "control socket unavailable; status and rotate disabled; retrying every 2s"
	e.listen = func(ctx context.Context) (net.Listener, error) { return listen(ctx, o.ControlSocket) }
	e.serve = func(srv *http.Server, l net.Listener) error {
		o.Log.Debug().Str("path", o.ControlSocket).Msg("listening on the control socket")
		own, _ := identify(o.ControlSocket)
		defer remove(o.ControlSocket, own)
		return srv.Serve(l)
	}
	return e
}

// control handles the requests on the control socket.
type control struct{ Options }

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", c.status)
	mux.HandleFunc("GET /v1/ready", c.check(c.Ready))
	mux.HandleFunc("GET /v1/healthy", c.check(c.Healthy))
	mux.HandleFunc("POST /v1/rotate", c.rotate)
	mux.HandleFunc("POST /v1/reload", c.reload)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is no %s %s: daemon and command may be of different versions (see logwatch version)", r.Method, r.URL.Path)
	})
	return mux
}

func (c *control) status(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	st := c.Snapshot(r.Context(), api.Names{Namespace: q.Get("namespace"), Pod: q.Get("pod"), Container: q.Get("container")}, q.Get("detail") != "")
	w.Header().Set("Content-Type", "application/json")
	// The time to write begins now: the snapshot may have taken some.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(c.write))
	_ = json.NewEncoder(w).Encode(st) // the client may have disconnected
}

// check answers with what is wrong. It lists no containers: probes ask every few
// seconds.
func (*control) check(wrong func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := wrong(r.Context()); err != nil {
			fail(w, http.StatusServiceUnavailable, "%v", err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (c *control) rotate(w http.ResponseWriter, r *http.Request) {
	// Only for the body: a deadline that passed later would end ctx.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(readTimeout))
	var which api.Selector
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&which); err != nil {
		fail(w, http.StatusBadRequest, "invalid request: %v", err)
		return
	}
	if (which.Namespace == "" || which.Pod == "") && !which.All {
		fail(w, http.StatusBadRequest, "namespace and pod must be set, or all must be true")
		return
	}
	_ = rc.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(r.Context(), rotateTimeout)
	defer cancel()
	results, n, err := c.Rotate(ctx, which.Names)
	switch {
	case err != nil:
		fail(w, http.StatusServiceUnavailable, "%v", err)
		return
	case n == 0:
		fail(w, http.StatusNotFound, "%v", api.ErrNone)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for range n {
		select {
		case res := <-results:
			_ = rc.SetWriteDeadline(time.Now().Add(c.write)) // Flush returns the error
			if errors.Join(out.Encode(res), rc.Flush()) != nil {
				return // the client has disconnected; the rotations are done nevertheless
			}
		case <-ctx.Done():
			panic(http.ErrAbortHandler) // an answer that ended as usual would seem complete
		}
	}
}

func (c *control) reload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), c.write)
	defer cancel()
	if err := c.Reload(ctx); err != nil {
		fail(w, http.StatusUnprocessableEntity, "%v", err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func fail(w http.ResponseWriter, code int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(api.Error{Error: fmt.Sprintf(format, args...)}) // the client may have disconnected
}
