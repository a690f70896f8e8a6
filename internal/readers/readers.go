// Package readers knows which processes follow the logs of containers, and how far they have read.
package readers

import (
	"context"
	"time"
)

// Options configure a Tracker.
type Options struct {
	PodLogsDir string        // absolute, clean
	Proc       string        // "/proc"
	Ignore     []string      // commands (/proc/PID/comm) that never count as readers
	Timeout    time.Duration // how long a reader that died, or that is behind and does not progress, still counts
}

// Tracker finds the readers of containers' logs.
type Tracker struct{}

// New returns a Tracker that knows of no reader until Discover is called.
func New(Options) *Tracker { return &Tracker{} }

// Configure replaces what a reload may change.
func (t *Tracker) Configure(ignore []string, timeout time.Duration) {}

// Discover scans all processes. It must not be called concurrently with itself.
func (t *Tracker) Discover(ctx context.Context) error { return ctx.Err() }

// Followers returns the readers of a container, given as "pod/container" relative to PodLogsDir.
// Positions are at most maxAge old where the process lives.
func (t *Tracker) Followers(dir string, maxAge time.Duration) []Follower { return nil }

// Follower is a reader of one container's logs.
type Follower struct {
	PID       int
	Command   string
	Kubelet   bool             // a person is watching (kubectl logs -f): counts for the pace, holds no disk
	Dead      bool             // exited; Positions are the last that were seen. Counts until Timeout, or until another process of the same command has this container's live log open
	Expected  bool             // follows logs of other containers and has never opened one of this
	Since     time.Time        // first seen with a log of this container (Expected: since it is a reader)
	Progress  time.Time        // when a position of it last grew, or it was at the end of all it has open
	Rate      float64          // the most it read of this container's logs recently, bytes/s (decaying over about 10 s)
	Positions map[uint64]int64 // by inode: offset in each file of this container that it has open (or had at its death)
}

// Stats are figures over all containers.
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
	Containers int
	LagBytes   int64 // unread bytes of all files that it has open
	Since      time.Time
}

// Stats returns figures over all containers.
func (t *Tracker) Stats() Stats { return Stats{} }
