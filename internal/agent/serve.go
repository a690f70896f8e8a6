package agent

import (
	"context"
	"time"

	"github.com/logwatch/logwatch/internal/dispatch"
	"github.com/logwatch/logwatch/internal/server"
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
		To: r.To, Size: r.Size, Seconds: r.Took.Seconds(),
	}
	if r.To == "" {
		ev.Kind = web.KindReopened
	}
	e.hub.Publish(ev)
}

func (e *events) failed(f dispatch.Failed) {
	kind := web.KindFailed
	if f.Housekeeping {
		kind = web.KindHousekeeping
	}
	e.hub.Publish(web.Event{Time: time.Now(), Kind: kind, Dir: f.Dir, Cause: string(f.Cause), Error: f.Err.Error()})
}

// serve serves metrics, health, the page and the control socket until ctx ends.
func (a *agent) serve(ctx context.Context) {
	if !a.o.Listen {
		return
	}
	c := a.o.Config
	server.Run(ctx, server.Options{
		ControlSocket: c.ControlSocket, ListenAddress: c.Metrics.ListenAddress, WebConfigFile: c.Metrics.WebConfigFile, HostNames: c.Metrics.HostNames,
		Log: a.log, Registry: a.registry, Snapshot: a.Status, Rotate: a.Rotate, Reload: a.reloadNow,
		Healthy: a.healthy, Ready: a.ready, Events: a.events.hub, Listening: a.o.Listening,
	})
}
