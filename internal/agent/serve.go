package agent

import (
	"context"
	"sync"
	"time"

	"github.com/logwatch/logwatch/internal/control"
	"github.com/logwatch/logwatch/internal/dispatch"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/internal/web"
)

// events publishes what happens to the page's viewers.
type events struct{ hub *web.Hub } // nil: there is no page

func newEvents(o Options) *events {
	if c := o.Config.Metrics; !o.Listen || c.ListenAddress == "" || !c.Page {
		return &events{}
	}
	return &events{web.NewHub()}
}

func (e *events) rotated(r dispatch.Rotated) {
	ev := web.Event{
		Time: r.Time, Kind: web.KindRotated, Dir: r.Due.Dir, Cause: string(r.Due.Cause), Names: namesOf(r.Container), ID: r.Container.ID,
		To: r.To, Size: r.Size, Overshoot: max(0, r.Overshoot), Seconds: r.Took.Seconds(),
	}
	if r.To == "" {
		ev.Kind = web.KindReopened
	}
	e.hub.Publish(ev)
}

func (e *events) failed(f dispatch.Failed) {
	kind := web.KindFailed
	if f.Housekeeping {
		kind = web.KindUntidy
	}
	e.hub.Publish(web.Event{Time: time.Now(), Kind: kind, Dir: f.Dir, Cause: string(f.Cause), Error: f.Err.Error()})
}

// serve serves metrics, health, the page and the control socket until ctx ends.
// Nothing that goes wrong here concerns the rotations.
func (a *agent) serve(ctx context.Context) {
	if !a.o.Listen {
		return
	}
	var g sync.WaitGroup
	if c := a.o.Config.Metrics; c.ListenAddress != "" {
		mux := telemetry.NewMux(a.registry, func() error { return a.healthy(ctx) }, func() error { return a.ready(ctx) }, a.log)
		if a.events.hub != nil {
			web.New(a, a.events.hub).Mount(mux)
		}
		srv := telemetry.Server{Address: c.ListenAddress, WebConfigFile: c.WebConfigFile, Handler: mux, Log: a.log, Listening: a.o.Listening}
		g.Go(func() { srv.Run(ctx) })
	}
	if a.o.Config.ControlSocket != "" {
		srv := control.Server{Path: a.o.Config.ControlSocket, Daemon: a, Log: a.log}
		g.Go(func() { srv.Run(ctx) })
	}
	g.Wait()
}
