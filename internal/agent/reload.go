package agent

import (
	"bytes"
	"context"
	"os"
	"reflect"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/watcher"
)

// Reload is where a configuration comes from, and comes from again.
type Reload struct {
	// File is the configuration's path. It is compared at each sweep; a change of
	// it is a reason to reload. "": none.
	File string
	// Load reads the configuration anew.
	Load func() (config.Config, error)
	// Ask has something to receive when somebody wants a reload.
	Ask <-chan os.Signal
}

// reloadPause lets a file be written to its end.
const reloadPause = 100 * time.Millisecond

// reloads reloads on request, and when a sweep finds the file changed, until ctx
// ends.
func (d *Daemon) reloads(ctx context.Context, r Reload, last []byte) error {
	for {
		requested := false
		select {
		case <-ctx.Done():
			return nil
		case <-r.Ask:
			requested = true
		case <-d.sweeps:
		}
		now := r.fileNow()
		if !requested {
			if now == nil || bytes.Equal(now, last) {
				continue
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(reloadPause):
			}
			if !bytes.Equal(r.fileNow(), now) {
				continue // it is being written; the next sweep compares again
			}
		}
		last = now
		d.reload(r)
	}
}

// fileNow is the file's content; nil if it cannot be read, which a swap of links
// may be for a moment.
func (r Reload) fileNow() []byte {
	if r.File == "" {
		return nil
	}
	content, err := os.ReadFile(r.File)
	if err != nil {
		return nil
	}
	return content
}

// reload puts a new configuration in force; a bad one leaves the old as it is.
func (d *Daemon) reload(r Reload) {
	d.notify("RELOADING=1\nMONOTONIC_USEC=" + monotonic())
	cfg, err := r.Load()
	if err == nil {
		err = d.apply(cfg)
	}
	d.stats.reloads(err)
	if err != nil {
		d.notify("READY=1\nSTATUS=not reloaded, the old configuration stays in force: " + oneLine(err))
		d.counts.reloadFailed.Store(true)
		d.log.Error().Err(err).Msg("the configuration was not reloaded; the old one stays in force")
		return
	}
	d.notify("READY=1\nSTATUS=watching " + d.cfg.PodLogsDir)
	d.counts.reloadFailed.Store(false)
	d.log.Info().Msg("the configuration was reloaded")
}

// monotonic is the clock that the service manager tells one reload from another
// by, in microseconds.
func monotonic() string {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // it has this clock
	return strconv.FormatInt(ts.Nano()/1000, 10)
}

func (d *Daemon) apply(cfg config.Config) error {
	old := d.rules.Load().cfg
	fixed := cfg
	keepFixed(&fixed, old)
	if !reflect.DeepEqual(fixed, cfg) {
		d.log.Warn().Msg("podLogsDir, containerRuntimeEndpoint, containerLogMaxWorkers, containerLogMonitorInterval, " +
			"runtimeRequestTimeout, compression.workers, logging, metrics and controlSocket take effect at the next start; the rest does now")
	}
	r, err := newRules(fixed)
	if err != nil {
		return err
	}
	if r.readsPods() {
		d.inventory.ReadPods()
	}
	d.rules.Store(r)
	limits := budgetOf(fixed)
	d.pressure.limits.Store(&limits)
	d.pressure.swept()
	d.watcher.Sweep(watcher.CauseReload)
	return nil
}

// keepFixed has in cfg what only a start can change.
func keepFixed(cfg *config.Config, old config.Config) {
	cfg.PodLogsDir = old.PodLogsDir
	cfg.ContainerRuntimeEndpoint = old.ContainerRuntimeEndpoint
	cfg.ContainerLogMaxWorkers = old.ContainerLogMaxWorkers
	cfg.ContainerLogMonitorInterval = old.ContainerLogMonitorInterval
	cfg.RuntimeRequestTimeout = old.RuntimeRequestTimeout
	cfg.Compression.Workers = old.Compression.Workers
	cfg.Logging = old.Logging
	cfg.Metrics, cfg.ControlSocket = old.Metrics, old.ControlSocket
}
