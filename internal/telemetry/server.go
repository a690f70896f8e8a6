package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

const (
	// retryPause is when to listen again after it failed: whoever has the port
	// may go, and a certificate may come.
	retryPause = 15 * time.Second
	// readTimeout and writeTimeout are what a client may take, for its request
	// and for the answer.
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = 2 * time.Minute
	// stopTimeout is for answers under way when the daemon stops.
	stopTimeout = time.Second
	// scrapesAtOnce is more than there are who scrape one node.
	scrapesAtOnce = 8
)

// Server is the HTTP server.
type Server struct {
	Address       string // host:port
	WebConfigFile string // of the exporter-toolkit; "": plain HTTP
	Handler       http.Handler
	Log           zerolog.Logger
	// Listening, if set, is called with the address once it listens.
	Listening func(net.Addr)

	retry time.Duration // tests' own; 0: retryPause
}

// Run serves until ctx ends. It listens again, now and then, when it cannot.
func (s *Server) Run(ctx context.Context) {
	pause := s.retry
	if pause == 0 {
		pause = retryPause
	}
	said := ""
	for {
		err := s.serve(ctx, func() { said = "" })
		if ctx.Err() != nil {
			return
		}
		if err.Error() != said { // a lasting problem is one line
			said = err.Error()
			s.Log.Warn().Err(err).Str("address", s.Address).
				Msg("metrics and health are not served, and logs are rotated all the same; trying again now and then")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (s *Server) serve(ctx context.Context, ok func()) error {
	if s.WebConfigFile != "" {
		if err := web.Validate(s.WebConfigFile); err != nil {
			return fmt.Errorf("metrics.webConfigFile %s: %w: mend the file, or leave the key out for plain HTTP", s.WebConfigFile, err)
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.Address)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("metrics.listenAddress %s: another process has this port (see ss -ltnp): set another one (%w)", s.Address, err)
	case err != nil:
		return fmt.Errorf("metrics.listenAddress %s: %w: set an address of this host", s.Address, err)
	}
	ok()
	srv := &http.Server{
		Handler: s.Handler, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(debugOnly(s.Log), slog.LevelDebug),
	}
	s.Log.Info().Stringer("address", l.Addr()).Bool("webConfig", s.WebConfigFile != "").Msg("serving metrics and health")
	if s.Listening != nil {
		s.Listening(l.Addr())
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
	none := false
	err = web.Serve(l, srv, &web.FlagConfig{WebListenAddresses: &[]string{s.Address}, WebSystemdSocket: &none, WebConfigFile: &s.WebConfigFile}, slog.New(debugOnly(s.Log)))
	if stop() {
		_ = srv.Close() // an error of Serve may leave it open
		_ = l.Close()
	} else {
		<-stopped
	}
	return fmt.Errorf("serve metrics: %w", err)
}

// debugOnly is for what others log: a scanner on the port must not fill the
// daemon's log.
func debugOnly(l zerolog.Logger) slog.Handler {
	return quiet{zerolog.NewSlogHandler(l)}
}

type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.Handler.WithGroup(name)} }

// Health says what is wrong; nil: nothing.
type Health func() error

// NewMux has /metrics, /healthz and /readyz. More may be added to it.
func NewMux(g prometheus.Gatherer, healthy, ready Health, log zerolog.Logger) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog: scrapeErrors{log}, ErrorHandling: promhttp.ContinueOnError, // what can be shown is
		MaxRequestsInFlight: scrapesAtOnce, EnableOpenMetrics: true,
	}))
	mux.HandleFunc("GET /healthz", healthy.serve)
	mux.HandleFunc("GET /readyz", ready.serve)
	return mux
}

func (h Health) serve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := h(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err) // the client has gone: nobody is told
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

type scrapeErrors struct{ log zerolog.Logger }

func (s scrapeErrors) Println(v ...any) {
	s.log.Warn().Msg("a scrape is not complete: " + fmt.Sprint(v...))
}
