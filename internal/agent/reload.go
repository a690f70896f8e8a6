package agent

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/watcher"
)

// reloadPause lets a file be written to its end, and several events be one.
const reloadPause = 100 * time.Millisecond

// Reload is where a configuration comes from, and comes from again.
type Reload struct {
	// File is the configuration's path; a change of it is a reason to reload.
	// "": none.
	File string
	// Load reads the configuration anew.
	Load func() (config.Config, error)
	// Ask has something to receive when somebody wants a reload.
	Ask <-chan os.Signal
}

// dir is the directory to watch for changes; kubelet changes a ConfigMap's
// volume by a link in it.
func (r Reload) dir() string {
	if r.File == "" {
		return ""
	}
	return filepath.Dir(r.File)
}

// reloads reloads when asked to, and when the file is not what it was last, until
// ctx ends.
func (d *Daemon) reloads(ctx context.Context, r Reload, last []byte) error {
	for {
		asked := false
		select {
		case <-ctx.Done():
			return nil
		case <-r.Ask:
			asked = true
		case <-d.configChanged:
			select {
			case <-time.After(reloadPause):
			case <-ctx.Done():
				return nil
			}
		}
		now := r.fileNow()
		if asked || (now != nil && !bytes.Equal(now, last)) {
			last = now
			d.reload(r)
		}
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
	fixed, ignored := cfg.KeepStartupKeys(d.rules.Load().cfg)
	if len(ignored) > 0 {
		d.log.Warn().Strs("keys", ignored).Msg("changed keys take effect at the next start")
	}
	r, err := newRules(fixed)
	if err != nil {
		return err
	}
	if r.resolver.NeedsPod() {
		d.inventory.ReadPods()
	}
	d.rules.Store(r)
	limits := budgetOf(fixed)
	d.pressure.limits.Store(&limits)
	d.pressure.swept()
	d.watcher.Sweep(watcher.CauseReload)
	return nil
}
