package agent

import (
	"context"
	"sync"
	"time"

	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/internal/web"
	"github.com/logwatch/logwatch/watcher"
)

// newHub returns what the page's events go to; nil: there is no page.
func newHub(o Options) *web.Hub {
	if c := o.Config.Metrics; !o.Listen || c.ListenAddress == "" || !c.Page {
		return nil
	}
	return web.NewHub()
}

// happened tells those who look at the page of something that happened to a log,
// at e.Time or now.
func (s *stats) happened(kind string, due watcher.Due, e web.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Kind, e.Dir, e.Cause = kind, due.Dir, string(due.Cause)
	s.events.Publish(e)
}

// serve lets the daemon be asked, by HTTP and through the control socket, until
// stop is called or ctx ends; stop waits for that. Nothing that goes wrong here
// concerns the rotations.
func serve(ctx context.Context, o Options, s *stats) (stop func()) {
	if !o.Listen {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var g sync.WaitGroup
	if c := o.Config.Metrics; c.ListenAddress != "" {
		mux := telemetry.NewMux(s.registry, func() error { return s.healthy(ctx) }, s.ready, o.Log)
		if s.events != nil {
			web.New(s, s.events).Mount(mux)
		}
		srv := telemetry.Server{Address: c.ListenAddress, WebConfigFile: c.WebConfigFile, Handler: mux, Log: o.Log, Listening: o.listening}
		g.Go(func() { srv.Run(ctx) })
	}
	if o.Config.ControlSocket != "" {
		srv := control.Server{Path: o.Config.ControlSocket, Daemon: s, Log: o.Log}
		g.Go(func() { srv.Run(ctx) })
	}
	return func() {
		cancel()
		g.Wait()
	}
}
