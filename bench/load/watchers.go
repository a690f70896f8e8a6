package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"

	"github.com/logwatch/logwatch/watcher"
)

// sweepEvery is logwatch's default interval.
const sweepEvery = 10 * time.Second

// Watch runs logwatch's watcher with its usual limits until ctx ends. Nothing is
// rotated: there is no runtime.
func Watch(ctx context.Context, root string) error {
	var w *watcher.Watcher
	var once sync.Once
	w = watcher.New(watcher.Config{
		PodLogsDir: root,
		Limits: func(string) watcher.Limits {
			return watcher.Limits{MaxSize: 10 << 20, MaxTotalSize: 50 << 20, MinInterval: time.Second}
		},
		Due:     func(watcher.Due) {},
		Changed: func(string) {},
		Swept:   func(watcher.Cause) { once.Do(func() { fmt.Fprintln(os.Stderr, Ready) }) },
		Log:     zerolog.Nop(),
	})
	w.Sweep(watcher.CauseStartup)
	go func() {
		for tick := time.Tick(sweepEvery); ctx.Err() == nil; <-tick {
			w.Sweep(watcher.CauseSweep)
		}
	}()
	return w.Run(ctx)
}

// Notify watches each container's directory with fsnotify until ctx ends. It ignores
// the events: any use of them would cost more.
func Notify(ctx context.Context, root string) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	dirs, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := w.Add(dir); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr, Ready)
	for {
		select {
		case <-w.Events:
		case err := <-w.Errors:
			// An overflow is what such a watch comes to under load.
			if err != nil && !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
		case <-ctx.Done():
			return w.Close()
		}
	}
}
