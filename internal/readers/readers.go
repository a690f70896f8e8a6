package readers

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/procfs"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Options configure a Tracker.
type Options struct {
	PodLogsDir string        // absolute, clean
	Proc       string        // "/proc"
	Ignore     []string      // commands (/proc/PID/comm) that never count as readers
	Timeout    time.Duration // how long a reader that died, or that is behind and does not progress, still counts
}

// Tracker finds the readers of containers' logs.
type Tracker struct {
	podLogsDir string
	proc       string
	fs         procfs.FS

	// Owned by Discover.
	idle   map[int]idle     // processes without an open log, by PID
	spaces map[string]space // by mount namespace
	free   time.Duration    // see freeScan
	ours   podlogs.ID       // this program's executable
	place  place            // where podLogsDir is
	writer bool             // a process was seen that writes logs: the runtime's are visible

	mu       sync.Mutex
	ignore   []string
	timeout  time.Duration
	tracked  []*process           // have a log open, or died as readers
	commands map[string]int       // of readers: the most containers that one process has followed; never changed, only replaced
	most     int                  // the most of any command
	all      int                  // containers with a directory, if there are readers
	dirs     map[string]directory // by container
	stats    Stats
	scans    int // that have ended
}

// New returns a Tracker that knows of no reader until Discover is called.
func New(o Options) *Tracker {
	fs, _ := procfs.NewFS(o.Proc) // without it each look into it fails
	return &Tracker{
		podLogsDir: o.PodLogsDir, proc: o.Proc, fs: fs,
		idle: map[int]idle{}, spaces: map[string]space{}, free: freeScan,
		ignore: o.Ignore, timeout: o.Timeout,
		commands: map[string]int{}, dirs: map[string]directory{},
	}
}

// Configure replaces what a reload may change.
func (t *Tracker) Configure(ignore []string, timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ignore, t.timeout = ignore, timeout
}

// Follower is a reader of one container's logs.
type Follower struct {
	PID       int
	Command   string
	Kubelet   bool             // a person is watching (kubectl logs -f): counts for the pace, holds no disk
	Dead      bool             // exited; Positions are the last that were seen. Counts until Timeout, or until a younger process of the same command has this container's live log open
	Expected  bool             // follows logs of other containers and has never opened one of this
	Since     time.Time        // first seen with a log of this container (Expected: since it is a reader; zero: it exited before it was known as one)
	Progress  time.Time        // when a position of it last grew, or it was at the end of the live log and of all else it has open
	Rate      float64          // the most it read of this container's logs recently, bytes/s (decaying over about 10 s)
	Positions map[uint64]int64 // by inode: offset in each file of this container that it has open (or had at its death)
	Stalled   map[uint64]int64 // by inode: offset in files that it has open, and in which it is behind and has not advanced for Timeout
	Closed    map[uint64]int64 // by inode: the last offset that was seen in files that it has closed, while they exist
}

// Open returns the offset in a file that the reader has open, or had at its death.
func (f *Follower) Open(inode uint64) (offset int64, ok bool) {
	if offset, ok = f.Positions[inode]; !ok {
		offset, ok = f.Stalled[inode]
	}
	return offset, ok
}

// Stats are figures over all containers, as of the last Discover.
type Stats struct {
	Readers    []Reader
	Exact      bool          // the descriptors of all processes that can see PodLogsDir could be read
	Unreadable int           // processes whose descriptors could not be read (CAP_SYS_PTRACE, hidepid)
	Took       time.Duration // of the last Discover
}

// Reader is a process that follows logs.
type Reader struct {
	PID        int
	Command    string
	Dead       bool
	Containers int   // of which it has logs open
	LagBytes   int64 // unread bytes of all logs that it has open
	Since      time.Time
}

// Stats returns figures over all containers, as of the last Discover.
func (t *Tracker) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	stats := t.stats
	stats.Readers = slices.Clone(stats.Readers)
	return stats
}

// Unseen returns for how long there may be a reader that is not known of a log which a
// process has open; 0: none, since the descriptors of all processes can be read.
func (t *Tracker) Unseen() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stats.Exact {
		return 0
	}
	return t.timeout
}

// Known reports whether the readers that ran before this program are known: Discover was called
// twice.
func (t *Tracker) Known() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.scans >= 2
}

// Followers returns the readers of a container, given as "pod/container" relative to PodLogsDir.
// Positions are at most maxAge old where the process lives, save those of a process that has
// exchanged its descriptors since they were last listed: see relistPause.
func (t *Tracker) Followers(dir string, maxAge time.Duration) []Follower {
	t.mu.Lock()
	tracked, commands, most, all := t.countedLocked(), t.commands, t.most, t.all
	t.mu.Unlock()
	if len(tracked) == 0 {
		return nil
	}
	v := t.look(dir)
	v.commands, v.most, v.all = commands, most, all
	var followers []Follower
	var dead []*process
	var successors []successor
	for _, p := range tracked {
		f, successor, exited := p.follower(t, v, maxAge)
		if f != nil {
			followers = append(followers, *f)
		}
		if exited {
			dead = append(dead, p)
		} else {
			successors = append(successors, successor)
		}
	}
	for _, p := range dead {
		if f := p.deadFollower(t, v, successors); f != nil {
			followers = append(followers, *f)
		}
	}
	return followers
}

// isReader reports whether processes of a command are known as readers.
func (v view) isReader(command string) bool {
	_, ok := v.commands[command]
	return ok
}

// newContainers is how many containers may be so new that no process follows them yet.
const newContainers = 3

// expects reports whether processes of a command should open each new container's log: they
// follow at least half as many containers as any does, and half of those that there are. One
// that follows a single container, such as tail, says nothing about the others.
func (v view) expects(command string) bool {
	follows := 2 * v.commands[command]
	return command != kubelet && v.isReader(command) && follows >= v.most && follows+newContainers >= v.all
}

// countedLocked returns the tracked processes that are not ignored.
func (t *Tracker) countedLocked() []*process {
	counted := make([]*process, 0, len(t.tracked))
	for _, p := range t.tracked {
		if !slices.Contains(t.ignore, p.command) {
			counted = append(counted, p)
		}
	}
	return counted
}

// Discover scans all processes. It must not be called concurrently with itself.
func (t *Tracker) Discover(ctx context.Context) error {
	start := time.Now()
	t.mu.Lock()
	tracked, timeout, commands := t.tracked, t.timeout, t.commands
	t.mu.Unlock()
	tracked = t.review(tracked, timeout, commands)
	found, unreadable, complete, err := t.scan(ctx, tracked)
	tracked = append(tracked, found...)
	t.mu.Lock()
	t.tracked = tracked
	tracked = t.countedLocked()
	t.mu.Unlock()

	commands, readers, partial := summarize(tracked)
	unreadable += partial
	all := 0
	if len(commands) > 0 {
		all = len(podlogs.ContainerDirs(t.podLogsDir))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.commands, t.most, t.all = commands, 0, all
	t.scans++
	for _, containers := range commands {
		t.most = max(t.most, containers)
	}
	t.stats = Stats{Readers: readers, Exact: err == nil && complete && unreadable == 0, Unreadable: unreadable, Took: time.Since(start)}
	return err
}

// summarize returns the commands of readers with the most containers that one process has followed,
// the readers, and how many processes have more descriptors than are read.
func summarize(tracked []*process) (commands map[string]int, readers []Reader, partial int) {
	commands = map[string]int{}
	for _, p := range tracked {
		r, follows, isPartial := p.reader()
		if !r.Since.IsZero() {
			readers = append(readers, r)
			commands[r.Command] = max(commands[r.Command], follows)
		}
		if isPartial {
			partial++
		}
	}
	return commands, readers, partial
}
