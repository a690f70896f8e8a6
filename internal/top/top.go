package top

import (
	"context"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/logwatch/logwatch/internal/api"
)

// MinInterval is the shortest interval: an answer costs the daemon a listing of each
// container's directory.
const MinInterval = 100 * time.Millisecond

// Source is an api.Client.
type Source interface {
	// Status describes the containers that match. It must end with ctx.
	Status(ctx context.Context, which api.Names, detail bool) (api.Status, error)
}

// Options are what Run shows, and where.
type Options struct {
	Source   Source
	Which    api.Names     // the containers to show; empty names match all
	Interval time.Duration // between two requests, at least MinInterval
	Unicode  bool          // the terminal can show more than ASCII
	In       io.Reader     // a terminal; nil: standard input, or else the process's terminal
	Out      io.Writer     // a terminal; nil: standard output

	now func() time.Time // for tests; nil: time.Now
}

// Run shows the status of Source until a key or ctx ends it, which is not an error. An
// error of the first answer ends it too.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newModel(ctx, o)
	// Signals end ctx. Bubble Tea's own handler would race with that, and its own
	// way to end with a context leaves a reader of the terminal behind.
	options := []tea.ProgramOption{tea.WithoutSignalHandler()}
	if o.In != nil {
		options = append(options, tea.WithInput(o.In))
	}
	if o.Out != nil {
		options = append(options, tea.WithOutput(o.Out))
	}
	p := tea.NewProgram(m, options...)
	quit := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(quit)
		p.Quit()
	})
	_, err := p.Run()
	if !stop() {
		<-quit
	}
	cancel()
	m.jobs.stop()
	if m.fatal != nil {
		return m.fatal
	}
	if err != nil {
		return fmt.Errorf("show the containers: %w", err)
	}
	return nil
}
