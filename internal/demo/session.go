package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
)

// session is one run, from the daemon's start to the summary.
type session struct {
	o       Options
	cfg     config.Config
	runtime *fake.Runtime
	dir     string
	notes   *notes
	tracker *tracker
	screen  screen

	stopDaemon context.CancelFunc
	ended      chan struct{} // closed when the daemon has ended, with daemonErr set
	daemonErr  error
}

func newSession(o Options, cfg config.Config, rt *fake.Runtime, dir string) *session {
	s := &session{o: o, cfg: cfg, runtime: rt, dir: dir, notes: &notes{}, ended: make(chan struct{})}
	s.tracker = newTracker(header{
		Runtime: o.Runtime, Limit: o.MaxSize, LimitText: setting.FormatSize(o.MaxSize),
		MaxFiles: policy.Default().MaxFiles, MinInterval: o.MinRotationInterval,
	})
	if o.Size != nil {
		s.screen = &live{out: o.Out, size: o.Size, style: o.Style, render: o.render}
	} else {
		s.screen = &plain{out: o.Out}
	}
	return s
}

func (s *session) run(ctx context.Context) error {
	if err := s.cfg.Validate(); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	s.startDaemon(ctx)
	// Whatever happens, a panic of the view too: first the writers stop, then the
	// daemon, and only then may the caller remove the folder.
	defer func() {
		s.stopContainers()
		s.stopDaemon()
		<-s.ended
		s.tracker.endReaders()
	}()
	s.awaitDaemon(ctx)
	if err := s.startContainers(); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := s.watch(ctx); err != nil {
		return err
	}
	if err := s.screen.ending(s.dir); err != nil {
		return err
	}
	s.stopContainers()
	s.notes.ending()
	s.stopDaemon()
	<-s.ended
	return s.conclude()
}

// startDaemon runs the daemon with a context of its own: it has to outlive the
// containers.
func (s *session) startDaemon(ctx context.Context) {
	ctx, s.stopDaemon = context.WithCancel(context.WithoutCancel(ctx))
	log := zerolog.New(zerolog.ConsoleWriter{
		Out: s.notes, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName},
	}).Level(zerolog.WarnLevel)
	go func() {
		defer close(s.ended)
		s.daemonErr = agent.Run(ctx, agent.Options{Config: s.cfg, Log: log, Rotated: s.tracker.rotated})
	}()
}

// awaitDaemon waits until the daemon has asked for the containers: before that
// nobody watches, and the first log would overshoot for no fault of the watching.
func (s *session) awaitDaemon(ctx context.Context) {
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	give := time.After(2 * time.Second) // it will come; the view says so if it does not
	for s.runtime.Calls("ListContainers")+s.runtime.Calls("StreamContainers") == 0 {
		select {
		case <-poll.C:
		case <-give:
			return
		case <-s.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *session) startContainers() error {
	for _, spec := range cast() {
		err := s.tracker.add(spec.Name, func() (*fake.Container, string, error) {
			c, err := s.runtime.RunContainer(spec)
			if err != nil {
				return nil, "", err
			}
			rel, err := filepath.Rel(s.cfg.PodLogsDir, c.Dir())
			return c, rel, err
		}, s.cfg.PodLogsDir)
		if err != nil {
			return err
		}
	}
	return nil
}

// watch shows what happens until it is to end.
func (s *session) watch(ctx context.Context) error {
	if s.o.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.o.Duration)
		defer cancel()
	}
	s.tracker.sample(time.Now()) // rates are taken from here
	tick := time.NewTicker(s.screen.every())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.show(); err != nil {
				return err
			}
		case <-s.ended:
			return errors.Join(errors.New("demo: the daemon ended by itself"), s.daemonErr)
		case <-ctx.Done():
			return s.show()
		}
	}
}

func (s *session) show() error {
	state := s.tracker.sample(time.Now())
	state.Notes = s.notes.latest()
	if err := s.screen.frame(state); err != nil {
		return fmt.Errorf("demo: show: %w", err)
	}
	return nil
}

func (s *session) stopContainers() {
	for _, t := range s.tracker.all() {
		t.container.Exit()
	}
}

// conclude counts the lines and prints the summary.
func (s *session) conclude() error {
	if s.o.doctor != nil {
		s.o.doctor(s.cfg.PodLogsDir)
	}
	sum := s.tracker.conclude()
	sum.Notes, sum.MoreNotes = s.notes.all()
	width := 100 // of a log that people read; terminals say theirs
	if s.o.Size != nil {
		width, _ = s.o.Size()
	}
	for _, line := range sum.lines(width) {
		if _, err := fmt.Fprintln(s.o.Out, line); err != nil {
			return fmt.Errorf("demo: print the summary: %w", err)
		}
	}
	return errors.Join(sum.err(), s.daemonErr)
}
