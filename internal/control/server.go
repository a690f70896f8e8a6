package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/rs/zerolog"
)

const (
	retryPause  = 15 * time.Second // between two tries to listen
	readTimeout = 5 * time.Second  // for a request
	idleTimeout = 30 * time.Second
	stopTimeout = time.Second // for answers under way when the daemon stops
	// writeTimeout is what a client may take for one piece of an answer. The
	// largest, of 5000 containers in detail, has some megabytes.
	writeTimeout = 10 * time.Second
	// rotateTimeout bounds a whole POST /v1/rotate: 5000 rotations of 4 workers at
	// some milliseconds each, on a runtime that is slow.
	rotateTimeout = 10 * time.Minute
	maxRequest    = 64 << 10 // bytes of a request's body
)

// Daemon is what the server asks. Its methods may be called at the same time.
type Daemon interface {
	// Status describes the containers that fit.
	Status(ctx context.Context, which Names, detail bool) Status
	// Rotate has the logs of the containers that fit rotated, and returns how many
	// there are; so many Results come from the channel, which is never closed, as
	// they are there. It must not need them to be received. An error: none can be
	// rotated now, or nobody knows whether there are any.
	Rotate(ctx context.Context, which Names) (<-chan Result, int, error)
}

// Server is the daemon's end of the socket.
type Server struct {
	Path   string
	Daemon Daemon
	Log    zerolog.Logger

	retry, write time.Duration // tests' own; 0: retryPause, writeTimeout
}

// Run serves until ctx ends. It listens again, now and then, when it cannot.
func (s *Server) Run(ctx context.Context) {
	if s.retry == 0 {
		s.retry = retryPause
	}
	if s.write == 0 {
		s.write = writeTimeout
	}
	said := ""
	for {
		l, err := listen(ctx, s.Path)
		if err == nil {
			said = ""
			err = s.serve(ctx, l)
		}
		if ctx.Err() != nil {
			return
		}
		if err.Error() != said { // a lasting problem is one line
			said = err.Error()
			s.Log.Warn().Err(err).Msg("no control socket: `logwatch status` and `logwatch rotate` do not work, and logs are rotated all the same; trying again now and then")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.retry):
		}
	}
}

func (s *Server) serve(ctx context.Context, l *net.UnixListener) error {
	ours, _ := identify(s.Path)
	defer remove(s.Path, ours)
	srv := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: readTimeout, WriteTimeout: s.write, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0), // clients that went away
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			_ = srv.Close() // nothing to be saved of a connection
		}
	})
	s.Log.Debug().Str("path", s.Path).Msg("listening on the control socket")
	err := srv.Serve(l)
	if stop() {
		_ = srv.Close()
	} else {
		<-stopped
	}
	return fmt.Errorf("serve %s: %w", s.Path, err)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("POST /v1/rotate", s.rotate)
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

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	st := s.Daemon.Status(r.Context(), Names{q.Get("namespace"), q.Get("pod"), q.Get("container")}, q.Get("detail") != "")
	w.Header().Set("Content-Type", "application/json")
	// The time to write begins now: making the answer may have taken some.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.write))
	_ = json.NewEncoder(w).Encode(st) // the client has gone
}

func (s *Server) rotate(w http.ResponseWriter, r *http.Request) {
	// Of the body alone: a deadline that passed later would end ctx.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(readTimeout))
	var which Selector
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&which); err != nil {
		fail(w, http.StatusBadRequest, "the request cannot be read: %v", err)
		return
	}
	if (which.Namespace == "" || which.Pod == "") && !which.All {
		fail(w, http.StatusBadRequest, "namespace and pod must be named, or all be true")
		return
	}
	_ = rc.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(r.Context(), rotateTimeout)
	defer cancel()
	results, n, err := s.Daemon.Rotate(ctx, which.Names)
	switch {
	case err != nil:
		fail(w, http.StatusServiceUnavailable, "%v", err)
		return
	case n == 0:
		fail(w, http.StatusNotFound, "no such container runs")
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for range n {
		select {
		case res := <-results:
			_ = rc.SetWriteDeadline(time.Now().Add(s.write)) // Flush tells
			if errors.Join(out.Encode(res), rc.Flush()) != nil {
				return // the client has gone; the rotations are done all the same
			}
		case <-ctx.Done():
			panic(http.ErrAbortHandler) // an answer that ended as usual would seem whole
		}
	}
}

func fail(w http.ResponseWriter, code int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(Error{fmt.Sprintf(format, args...)}) // the client has gone
}
