// Package load holds what is measured without a runtime: writers, watchers of their
// files, log text, and its compression. Each runs in a process of its own.
package load

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Roles are the arguments with which the benchmark starts itself.
const (
	RoleWriters  = "writers"
	RoleWatch    = "watch"    // logwatch's watcher
	RoleNotify   = "fsnotify" // a plain watch of every directory
	RoleCompress = "compress"
)

// Ready is what the watchers print once every directory is watched.
const Ready = "watching everything"

const (
	// lineBytes is the size of a write.
	lineBytes = 100
	// wrap is the size at which a file is emptied: below the usual limit of
	// 10 MiB, so that checks come as often as before a rotation and the files
	// stay in memory.
	wrap = 8 << 20
	// At high rates the clock is read after so many writes.
	paceEvery = 64
)

// Wrote is what the writers report, as JSON on standard output.
type Wrote struct {
	Writes  uint64
	Seconds float64
}

// Tree creates a pod logs directory with a live log for each container.
func Tree(root string, containers int) error {
	for i := range containers {
		dir := filepath.Join(root, fmt.Sprintf("default_writer-%03d_uid-%03d", i, i), "app")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "0.log"), nil, 0o640); err != nil {
			return err
		}
	}
	return nil
}

// Write writes to every log below root in turn, 100 bytes each time: neighboring
// events are of different files then, so inotify cannot join them. rate is writes
// a second over all files; 0: no limit. One thread writes: a watcher's cost to it
// is in write(2).
func Write(root string, rate float64, d time.Duration) (Wrote, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	names, err := filepath.Glob(filepath.Join(root, "*", "*", "0.log"))
	if err != nil || len(names) == 0 {
		return Wrote{}, fmt.Errorf("no logs in %s: %w", root, err)
	}
	files := make([]*os.File, len(names))
	sizes := make([]int, len(names))
	for i, name := range names {
		if files[i], err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0); err != nil {
			return Wrote{}, err
		}
		defer files[i].Close() //nolint:errcheck // what is in it is of no use
	}
	line := make([]byte, lineBytes)
	for i := range line {
		line[i] = 'x'
	}
	line[lineBytes-1] = '\n'
	var wrote uint64
	start := time.Now()
	for i := 0; ; i = (i + 1) % len(files) {
		if rate > 0 || wrote%paceEvery == 0 {
			now := time.Since(start)
			if now >= d {
				return Wrote{wrote, now.Seconds()}, nil
			}
			if ahead := time.Duration(float64(wrote)/max(rate, 1e-9)*float64(time.Second)) - now; rate > 0 && ahead > time.Millisecond {
				time.Sleep(ahead)
			}
		}
		if sizes[i] >= wrap {
			if err := files[i].Truncate(0); err != nil {
				return Wrote{}, err
			}
			sizes[i] = 0
		}
		if _, err := files[i].Write(line); err != nil {
			return Wrote{}, err
		}
		sizes[i] += lineBytes
		wrote++
	}
}

// WriteRole is Write as a process.
func WriteRole(_ context.Context, root string, rate float64, d time.Duration) error {
	w, err := Write(root, rate, d)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(w)
}
