package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a tmpfs of a size in MiB.
func smallDisk(t *testing.T, mib int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("logwatch-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fullest samples the usage of a disk in percent until the returned function is called,
// which returns the maximum.
func fullest(t *testing.T, dir string) func() float64 {
	t.Helper()
	stop, result := make(chan struct{}), make(chan float64)
	go func() {
		most := 0.0
		for {
			var st unix.Statfs_t
			if err := unix.Statfs(dir, &st); err != nil {
				t.Error(err)
			} else {
				most = max(most, 100-100*float64(st.Bavail)/float64(st.Blocks))
			}
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() float64 { close(stop); return <-result }
}

// TestDiskPressure: ten writers on a small disk, one with 50 times the volume of the
// others. The disk never fills, and only that one is pruned: the others keep each line.
func TestDiskPressure(t *testing.T) {
	needRoot(t)
	const seconds, quiet = 20, 100_000 // bytes/s
	disk := smallDisk(t, 64)
	n := newRealOn(t, filepath.Join(disk, "pods"))
	l := start(t, n, `
containerLogMaxSize: 512Ki
containerLogMaxFiles: 10000
minRotationInterval: 0s
compression: {codec: none}
diskPressure: {highThresholdPercent: 80, lowThresholdPercent: 70}
`)
	most := fullest(t, disk)
	var cs []container
	var loads []workload
	for i := range 10 {
		w := workload{name: fmt.Sprint("quiet", i), rate: quiet}
		if i == 4 {
			w.name, w.rate = "loud", 50*quiet
		}
		w.lines = uint64(seconds * w.rate / lineLength)
		loads = append(loads, w)
		cs = append(cs, n.run(t, w))
	}
	for _, c := range cs {
		c.wait(t)
	}
	percent := most()
	l.Stop()
	if percent > 95 || percent < 75 {
		t.Errorf("the disk was up to %.1f %% full, want at most 95 %%, and pressure", percent)
	}
	for i, c := range cs {
		if loads[i].name != "loud" {
			all(t, n, c.dir(), loads[i].written())
			continue
		}
		res := found(t, n, c.dir(), loads[i].written())
		if res.Pruned() == 0 {
			t.Error("the loud one lost nothing")
		}
		rotations := 0
		for _, r := range l.Rotated() {
			if r.Due.Dir == c.dir() {
				rotations++
			}
		}
		// As many as it has written limits, but for some overshoot.
		if rotations < seconds*50*quiet/(512<<10)/2 {
			t.Errorf("the loud one was rotated %d times", rotations)
		}
		t.Logf("the loud one: %d rotations, %d of %d lines pruned, %d files left", rotations, res.Pruned(), loads[i].lines, len(res.Logs))
	}
	passes := 0
	for line := range strings.Lines(l.Log.String()) {
		if strings.Contains(line, "pruned rotated logs to relieve pressure") {
			passes++
			if strings.Contains(line, "quiet") {
				t.Errorf("a quiet one paid: %s", line)
			}
		}
	}
	t.Logf("the disk was up to %.1f %% full; %d passes", percent, passes)
}
