package demo

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/display"
)

// daemon is the real daemon, in a goroutine.
type daemon struct {
	cancel    context.CancelFunc
	ended     chan struct{} // closed when it has ended, with err set
	err       error
	rotations rotations
	warnings  warnings
}

// start runs the daemon until stop is called: it outlives the containers, and with
// them the caller's context. onEnd is called when it has ended.
func (d *daemon) start(ctx context.Context, cfg config.Config, onEnd func()) {
	ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	d.ended = make(chan struct{})
	log := zerolog.New(zerolog.ConsoleWriter{
		Out: &d.warnings, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName},
	}).Level(zerolog.WarnLevel)
	go func() {
		defer onEnd()
		defer close(d.ended)
		d.err = agent.Run(ctx, agent.Options{
			Config: cfg, Log: log, Listen: true, Version: "demo",
			Finished: func(f agent.Finished) { d.rotations.add(f.Overshoot()) },
		})
	}()
}

// stop stops the daemon and returns its error. It may be called again.
func (d *daemon) stop() error {
	d.cancel()
	<-d.ended
	return d.err
}

// rotations counts the daemon's rotations.
type rotations struct {
	mu         sync.Mutex
	n          int
	sum, worst int64 // of the overshoot, in bytes
}

func (r *rotations) add(overshoot int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 || overshoot > r.worst {
		r.worst = overshoot
	}
	r.n++
	r.sum += overshoot
}

func (r *rotations) get() (n int, mean, worst int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n, r.sum / int64(max(1, r.n)), r.worst
}

// maxWarnings bounds the warnings that are kept: the first ones, which are closest to
// the cause.
const maxWarnings = 20

// warnings collects the daemon's log lines, one with each Write: on the terminal they
// would garble the view.
type warnings struct {
	mu    sync.Mutex
	lines []string
	more  int
}

// Write drops lines that only report that the daemon was stopped.
func (w *warnings) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case bytes.Contains(line, []byte(context.Canceled.Error())):
	case len(w.lines) < maxWarnings:
		w.lines = append(w.lines, "daemon: "+display.Escape(strings.TrimSpace(string(line))))
	default:
		w.more++
	}
	return len(line), nil
}

// text returns the lines that were kept, and how many were not.
func (w *warnings) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.Join(w.lines, "\n")
	if w.more > 0 {
		text += fmt.Sprintf("\ndaemon: and %d more", w.more)
	}
	return text
}
