package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/internal/web"
)

const (
	publicWriteTimeout = 30 * time.Second
	maxScrapes         = 4 // at once; with series for 5000 containers, each takes 15 MB
)

// publicHandler has /metrics, /healthz, /readyz and the page.
func (o *Options) publicHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
		ErrorLog: scrapeErrors{o.Log}, ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true,
	}))
	mux.HandleFunc("GET /healthz", check(o.Healthy))
	mux.HandleFunc("GET /readyz", check(o.Ready))
	if o.Events != nil {
		web.New(o.Snapshot, o.Events).Mount(mux)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ownName(r, o.HostNames) {
			http.Error(w, "a loopback address answers only to localhost and IP addresses: use http://localhost and the port, or set metrics.hostNames", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// ownName reports whether a request to a loopback address has a local name, or a
// further one. A script of another site, whose name resolves to 127.0.0.1, has not.
func ownName(r *http.Request, further string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	// Browsers look up neither of these, and always send a Host.
	_, err := netip.ParseAddr(host)
	return err == nil || host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		slices.Contains(strings.Split(strings.ToLower(further), ","), host)
}

// check answers 200 while find returns nil, and 503 with its error.
func check(find func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		text := "ok"
		if err := find(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			text = err.Error()
		}
		_, _ = fmt.Fprintln(w, text) // the client may have disconnected
	}
}

type scrapeErrors struct{ log zerolog.Logger }

func (s scrapeErrors) Println(v ...any) {
	s.log.Warn().Str("error", fmt.Sprint(v...)).Msg("a scrape is incomplete")
}
