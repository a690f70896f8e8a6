package daemon

import (
	"context"
	"sync"

	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/metrics"
)

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
		mux, err := metrics.NewMux(s.registry, s.version, func() error { return s.healthy(ctx) }, s.ready, o.Log)
		if err != nil { // its template is fixed
			o.Log.Error().Err(err).Msg("metrics and health are not served")
		} else {
			srv := metrics.Server{Address: c.ListenAddress, WebConfigFile: c.WebConfigFile, Handler: mux, Log: o.Log, Listening: o.listening}
			g.Go(func() { srv.Run(ctx) })
		}
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
