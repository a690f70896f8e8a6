package agent

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/watcher"
)

// Reload is where the configuration comes from.
type Reload struct {
	// File is the configuration's path. It is compared at each sweep, and reloaded
	// if it has changed. "": none.
	File string
	// Content is the file's content that Options.Config was read from; nil: unknown.
	Content []byte
	// Load reads the configuration again.
	Load func() (config.Config, error)
	// Ask receives requests to reload at once.
	Ask <-chan os.Signal
}

// fileMayHaveChanged makes reloads compare the file.
func (a *agent) fileMayHaveChanged() {
	select {
	case a.reloadc <- struct{}{}:
	default:
	}
}

// reloads reloads on request, and when the file differs from what it was last,
// until ctx ends.
func (a *agent) reloads(ctx context.Context, p *parts, last []byte) error {
	r := a.o.Reload
	for {
		var answer chan error
		asked := true
		select {
		case <-ctx.Done():
			return nil
		case <-r.Ask:
		case answer = <-a.reloadRequests:
		case <-a.reloadc:
			asked = false
		}
		now := r.fileNow()
		if !asked {
			if changed := a.settled(ctx, now, last); changed != nil {
				now = changed
			} else if now == nil || !bytes.Equal(now, last) || !a.progress.reloadFailed() || !r.loads() {
				continue // else what failed for a moment, as without a free descriptor, works now
			}
		}
		last = now
		err := a.reload(p)
		if answer != nil {
			answer <- err
		}
	}
}

// loads reports whether the configuration can be loaded.
func (r Reload) loads() bool {
	_, err := r.Load()
	return err == nil
}

// settleTime is how long a changed file must keep its content before it is loaded: an
// editor may truncate it and write it then.
const settleTime = time.Second

// settled returns the file's new content once it is stable; nil if it has not
// changed, or is empty, which it is only while it is written.
func (a *agent) settled(ctx context.Context, now, last []byte) []byte {
	for now != nil && !bytes.Equal(now, last) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settleTime):
		}
		again := a.o.Reload.fileNow()
		if bytes.Equal(again, now) {
			if len(bytes.TrimSpace(now)) == 0 {
				a.warn.Do("empty", func() {
					a.log.Warn().Str("path", a.o.Reload.File).Msg("configuration file is empty; previous configuration still active (logwatch reload loads the defaults)")
				})
				return nil
			}
			a.warn.Clear("empty")
			return now
		}
		now = again
	}
	return nil
}

// reloadNow reloads and returns the result; for requests through the control
// socket.
func (a *agent) reloadNow(ctx context.Context) error {
	if err := a.waiting(); err != nil {
		return err
	}
	answer := make(chan error, 1)
	select {
	case a.reloadRequests <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fileNow is the file's content; nil if it cannot be read, which may be so for an
// instant while links are swapped.
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

// reload puts a new configuration into effect; after an error the old one stays
// active.
func (a *agent) reload(p *parts) error {
	a.o.Notify("RELOADING=1\nMONOTONIC_USEC=" + monotonic())
	cfg, err := a.o.Reload.Load()
	if err == nil {
		err = a.apply(p, cfg)
	}
	a.progress.reload(err)
	if err != nil {
		a.o.Notify("READY=1\nSTATUS=reload failed; previous configuration still active: " + oneLine(err))
		a.log.Error().Err(err).Msg("reload failed; previous configuration still active")
		return err
	}
	a.o.Notify("READY=1\nSTATUS=watching " + p.cfg.PodLogsDir)
	a.log.Info().Msg("configuration reloaded")
	return nil
}

// monotonic is the clock by which the service manager distinguishes reloads, in
// microseconds.
func monotonic() string {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // Linux has this clock
	return strconv.FormatInt(ts.Nano()/1000, 10)
}

func (a *agent) apply(p *parts, cfg config.Config) error {
	merged, ignored := cfg.KeepStartupKeys(p.cfg)
	if len(ignored) > 0 {
		a.log.Warn().Str("keys", strings.Join(ignored, ", ")).Msg("some keys take effect at the next start only")
	}
	resolver, err := policy.New(merged.Rules)
	if err != nil {
		return err
	}
	a.warnOf(merged.Rules)
	p.dispatcher.SetRules(resolver, merged.CleanRemovedContainers, merged.UnreadLogBudget)
	p.readers.Configure(merged.LogReaders.Ignored(), merged.LogReaders.Timeout)
	p.pressure.SetLimits(limitsOf(merged))
	p.watcher.Sweep(watcher.CauseReload)
	return nil
}

// warnOf logs what is unwise in a configuration.
func (a *agent) warnOf(rules policy.Rules) {
	for _, w := range rules.Warnings() {
		a.log.Warn().Str("override", w).Msg("pods can choose an override that gives them more")
	}
}
