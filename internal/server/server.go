package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/web"
)

const (
	retryPause = 2 * time.Second // before it listens again: another instance may just be stopping
	// maxConnections is for each address: idle or slow clients must leave file
	// descriptors for the rotations. See connections.
	maxConnections = 128
	maxHeaderBytes = 8 << 10
	// headerTimeout and idleTimeout are short, as a client that holds all connections
	// keeps others out.
	headerTimeout = 5 * time.Second
	idleTimeout   = 15 * time.Second
	stopTimeout   = time.Second // for answers in progress
)

// Options are what Run serves, and where.
type Options struct {
	ControlSocket string // its path; "": none
	ListenAddress string // host:port of metrics, health and the page; "": none
	WebConfigFile string // of the exporter-toolkit; "": plain HTTP
	HostNames     string // that a loopback address answers to, with commas, beside localhost
	Log           zerolog.Logger
	Registry      *prometheus.Registry

	// Snapshot describes the containers that match. It and the functions below may be
	// called at the same time.
	Snapshot func(ctx context.Context, which api.Names, detail bool) api.Status
	// Rotate rotates the logs of the containers that match, and returns their number.
	// The channel, which is never closed, yields as many Results as they are there;
	// it must not need them to be received. An error: none can be rotated now, or it
	// is unknown whether there are any.
	Rotate func(ctx context.Context, which api.Names) (<-chan api.Result, int, error)
	// Reload reloads the configuration and returns the result.
	Reload func(ctx context.Context) error
	// Healthy and Ready return the problem; nil: none.
	Healthy, Ready func(ctx context.Context) error
	// Events are what the page shows; nil: there is no page.
	Events *web.Hub
	// Listening, if set, is called with ListenAddress once it is being served.
	Listening func(net.Addr)

	retry, write time.Duration // for tests; 0: the usual
}

// Run serves until ctx ends. An address that cannot be listened on is logged, and
// tried again.
func Run(ctx context.Context, o Options) {
	var g sync.WaitGroup
	if o.ListenAddress != "" {
		g.Go(func() { o.public().run(ctx) })
	}
	if o.ControlSocket != "" {
		g.Go(func() { o.control().run(ctx) })
	}
	g.Wait()
}

// endpoint is one address.
type endpoint struct {
	handler     http.Handler
	read, write time.Duration // for a request, 0: unlimited; for an answer
	listen      func(context.Context) (net.Listener, error)
	serve       func(*http.Server, net.Listener) error
	log         zerolog.Logger
	unavailable string // the message while it cannot be served
	retry       time.Duration
}

func (o *Options) endpoint(h http.Handler, write time.Duration) *endpoint {
	return &endpoint{handler: h, write: write, log: o.Log, retry: cmp.Or(o.retry, retryPause)}
}

// run serves until ctx ends.
func (e *endpoint) run(ctx context.Context) {
	logged := ""
	for {
		l, err := e.listen(ctx)
		if err == nil {
			logged = ""
			err = e.serveUntil(ctx, l)
		}
		if ctx.Err() != nil {
			return
		}
		if err.Error() != logged { // a lasting problem is one line
			logged = err.Error()
			e.log.Warn().Err(err).Msg(e.unavailable)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(e.retry):
		}
	}
}

// serveUntil serves l until ctx or the server ends.
func (e *endpoint) serveUntil(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: e.handler, MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: e.read, WriteTimeout: e.write, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		// Any client can cause these: a scanner on the port must not fill the log.
		ErrorLog: slog.NewLogLogger(zerolog.NewSlogHandler(e.log), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			_ = srv.Close() // a connection holds nothing to be saved
		}
	})
	err := e.serve(srv, netutil.LimitListener(l, connections()))
	if stop() {
		_ = srv.Close() // an error of Serve may leave it open
		_ = l.Close()
	} else {
		<-stopped
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// connections is the number of connections to an address: at most a quarter of the
// file descriptors that the process may have, so that two addresses leave half.
func connections() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return maxConnections
	}
	return int(min(maxConnections, max(1, limit.Cur/4)))
}

// public is the endpoint of metrics, health and the page.
func (o *Options) public() *endpoint {
	e := o.endpoint(o.publicHandler(), publicWriteTimeout)
	e.read = headerTimeout // no request has a body
	e.unavailable = "metrics server unavailable; retrying every 2s"
	e.log = e.log.With().Str("address", o.ListenAddress).Logger()
	e.listen = func(ctx context.Context) (net.Listener, error) {
		if o.WebConfigFile != "" {
			if err := toolkit.Validate(o.WebConfigFile); err != nil {
				return nil, fmt.Errorf("metrics.webConfigFile %s: %w: correct the file, or omit the key for plain HTTP", o.WebConfigFile, err)
			}
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.ListenAddress)
		switch {
		case errors.Is(err, unix.EADDRINUSE):
			return nil, fmt.Errorf("metrics.listenAddress %s: another process has this port (see ss -ltnp): set another one (%w)", o.ListenAddress, err)
		case err != nil:
			return nil, fmt.Errorf("metrics.listenAddress %s: %w: set an address of this host", o.ListenAddress, err)
		}
		return l, nil
	}
	e.serve = func(srv *http.Server, l net.Listener) error {
		o.Log.Info().Stringer("address", l.Addr()).Bool("webConfig", o.WebConfigFile != "").Msg("serving metrics and health")
		if o.Listening != nil {
			o.Listening(l.Addr())
		}
		return toolkit.Serve(l, srv, &toolkit.FlagConfig{
			WebListenAddresses: &[]string{o.ListenAddress}, WebSystemdSocket: new(bool), WebConfigFile: &o.WebConfigFile,
		}, slog.New(slog.DiscardHandler))
	}
	return e
}
