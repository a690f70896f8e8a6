// Package observe measures rotations from outside, in the same way for every rotator.
//
// A rotation by rename is an inotify event of the container's directory
// (IN_MOVED_TO of a rotated name); the size at the rename is that of the new name
// the moment the event arrives, which is a few microseconds late and therefore a
// little too large. A rotation by copy is IN_CREATE of a rotated name; its size is the
// copy's when it is closed. The watch has no IN_MODIFY: writes cause no events.
//
// Live logs are stat'ed once a millisecond (less often when there are many), and
// all files of a container twenty times a second.
package observe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// rotatedName is kubelet's format; all subjects are configured to use it.
var rotatedName = regexp.MustCompile(`^\d+\.log\.\d{8}-\d{6}$`)

const (
	liveName = "0.log"
	// closeAfter is how long after its rotation a log's size is final: containerd
	// writes what was in flight a few milliseconds after its reopen.
	closeAfter = 500 * time.Millisecond
	// minSample is the time between two checks of a live log; with many containers it
	// is perLog times their number, so that the observer takes a few percent of a core
	// at most.
	minSample = time.Millisecond
	perLog    = 20 * time.Microsecond
	// Totals are taken so often, with a readdir for each container.
	totalSample = 50 * time.Millisecond
	totalPerLog = 2 * time.Millisecond
	// pointEvery is the resolution of the sizes over time.
	pointEvery = 50 * time.Millisecond
)

// Rotation is one rotation of a log.
type Rotation struct {
	Dir  string
	At   time.Time
	Size int64 // at the rename, or of the finished copy
	// Final is the size once the runtime has closed the file: with what was written
	// between rename and reopen.
	Final      int64
	Copied     bool
	Compressed bool
	// Latency is the time from the last check that found the log below its limit; 0:
	// no check did.
	Latency time.Duration
}

// Point is the size of the largest live log at a time.
type Point struct {
	At   time.Duration `json:"at"`
	Size int64         `json:"size"`
}

// Result is what was observed.
type Result struct {
	Rotations    []Rotation
	LargestLive  int64
	LargestTotal int64 // files of one container together
	Points       []Point
	Compressed   int64 // bytes of rotated logs that were replaced by a .gz
	Overflows    int
}

// dir is one container's directory.
type dir struct {
	rel       string
	fd        int // O_PATH
	path      string
	below     [2]seen // this live log's and the one's before it
	rotations map[string]*open
}

// seen is the last check that found a live log below its limit. It is kept by inode: the
// next live log may be checked before the event of the rename is read.
type seen struct {
	inode uint64
	at    time.Time
}

// open is a rotated log that is held until its size is final. The descriptor is
// O_PATH, which counts neither as a reader nor as a writer.
type open struct {
	Rotation
	fd int
}

// Observer observes logs. Start returns one.
type Observer struct {
	root  string
	limit int64
	start time.Time

	inotify int
	stop    chan struct{}
	work    sync.WaitGroup

	mu     sync.Mutex
	dirs   map[int]*dir // by watch
	list   []*dir
	result Result
	all    []*open
}

// Start begins to observe logs below root that have this limit in bytes.
func Start(root string, limit int64) (*Observer, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("observe: inotify: %w", err)
	}
	o := &Observer{root: root, limit: limit, start: time.Now(), inotify: fd, stop: make(chan struct{}), dirs: map[int]*dir{}}
	o.work.Go(o.events)
	o.work.Go(o.sample)
	o.work.Go(o.totals)
	return o, nil
}

// Watch adds a container's directory, relative to the root.
func (o *Observer) Watch(rel string) error {
	path := filepath.Join(o.root, rel)
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("observe %s: %w", rel, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	wd, err := unix.InotifyAddWatch(o.inotify, path, unix.IN_MOVED_TO|unix.IN_CREATE|unix.IN_CLOSE_WRITE)
	if err != nil {
		return fmt.Errorf("observe %s: %w", rel, err)
	}
	d := &dir{rel: rel, fd: fd, path: path, rotations: map[string]*open{}}
	o.dirs[wd] = d
	o.list = append(o.list, d)
	return nil
}

// sample checks the live logs: only it knows when a log was still below its limit.
func (o *Observer) sample() {
	last := time.Duration(-1)
	for {
		o.mu.Lock()
		dirs := o.list
		o.mu.Unlock()
		select {
		case <-o.stop:
			return
		case <-time.After(max(minSample, time.Duration(len(dirs))*perLog)):
		}
		largest := int64(0)
		for _, d := range dirs {
			size := o.look(d)
			largest = max(largest, size)
		}
		o.mu.Lock()
		o.result.LargestLive = max(o.result.LargestLive, largest)
		if at := time.Since(o.start) / pointEvery; at != last && len(dirs) > 0 {
			last = at
			o.result.Points = append(o.result.Points, Point{at * pointEvery, largest})
		} else if n := len(o.result.Points); n > 0 {
			o.result.Points[n-1].Size = max(o.result.Points[n-1].Size, largest)
		}
		o.mu.Unlock()
	}
}

func (o *Observer) look(d *dir) int64 {
	now := time.Now()
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, liveName, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0
	}
	if st.Size < o.limit {
		o.mu.Lock()
		if d.below[0].inode != st.Ino {
			d.below[1] = d.below[0]
		}
		d.below[0] = seen{st.Ino, now}
		o.mu.Unlock()
	}
	return st.Size
}

// totals sums up each container's files, and closes what is final.
func (o *Observer) totals() {
	for {
		o.mu.Lock()
		dirs := o.list
		o.mu.Unlock()
		select {
		case <-o.stop:
			return
		case <-time.After(max(totalSample, time.Duration(len(dirs))*totalPerLog)):
		}
		largest := int64(0)
		for _, d := range dirs {
			largest = max(largest, total(d.path))
		}
		o.mu.Lock()
		o.result.LargestTotal = max(o.result.LargestTotal, largest)
		for _, r := range o.all {
			if r.fd >= 0 && !r.Copied && time.Since(r.At) > closeAfter {
				r.finish()
			}
		}
		o.mu.Unlock()
	}
}

// total counts each file once, although it may get another name in the meantime.
func total(path string) (sum int64) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return 0
	}
	counted := map[uint64]bool{}
	for _, e := range entries {
		var st unix.Stat_t
		if unix.Lstat(filepath.Join(path, e.Name()), &st) == nil && !counted[st.Ino] {
			counted[st.Ino] = true
			sum += st.Size
		}
	}
	return sum
}

// finish takes the final size and closes the descriptor.
func (r *open) finish() {
	if r.fd < 0 {
		return
	}
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err == nil {
		r.Final = st.Size
		if r.Copied {
			r.Size = st.Size
		}
	}
	_ = unix.Close(r.fd) // O_PATH: nothing to lose
	r.fd = -1
}

// Stop ends the observation and returns the result.
func (o *Observer) Stop() (Result, error) {
	close(o.stop)
	o.work.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.all {
		r.finish()
		o.result.Rotations = append(o.result.Rotations, r.Rotation)
		o.result.LargestLive = max(o.result.LargestLive, r.Size)
		if r.Compressed {
			o.result.Compressed += r.Final
		}
	}
	errs := []error{unix.Close(o.inotify)}
	for _, d := range o.list {
		errs = append(errs, unix.Close(d.fd))
	}
	if o.result.Overflows > 0 {
		errs = append(errs, errors.New("observe: the event queue overflowed; rotations were missed"))
	}
	return o.result, errors.Join(errs...)
}

// Elapsed is the time since the start, as in Points.
func (o *Observer) Elapsed() time.Duration { return time.Since(o.start) }

// events reads inotify on a thread of its own, which the kernel wakes without a poll by
// Go's scheduler.
func (o *Observer) events() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	buf := make([]byte, 64<<10)
	for {
		fds := []unix.PollFd{{Fd: int32(o.inotify), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 100) // ms; bounds how long Stop waits
		select {
		case <-o.stop:
			return
		default:
		}
		if err != nil || n == 0 {
			continue
		}
		if n, err = unix.Read(o.inotify, buf); err == nil && n > 0 {
			o.parse(buf[:n], time.Now())
		}
	}
}

// Count returns the number of rotations so far.
func (o *Observer) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}
