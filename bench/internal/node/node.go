// Package node is the runtime that the subjects work for, with containers that
// write numbered lines: a real containerd, or the embedded one in a process of
// its own, so that its writers take no CPU time from the benchmark.
package node

import (
	"context"
	"time"
)

// RecordBytes is the size of a line in the log: a content of ContentBytes, and
// the runtime's "2006-01-02T15:04:05.123456789Z stdout F " and newline.
const (
	ContentBytes = 120
	RecordBytes  = 40 + ContentBytes + 1
)

// Load is what a container writes, to standard output.
type Load struct {
	Name    string
	Lines   uint64        // then it is quiet, or ends; 0: none
	Rate    float64       // bytes a second in the log; 0: no limit
	On, Off time.Duration // bursts; both 0: steady
	CatchUp time.Duration // fake.Pattern's; a real container has none
}

// Container is a container that was run.
type Container struct {
	ID  string
	Dir string // relative to PodLogsDir
}

// Node is a runtime. Its methods are for one goroutine.
type Node interface {
	Kind() string
	Version() string
	Endpoint() string
	PodLogsDir() string
	Run(ctx context.Context, l Load) (Container, error)
	// Done reports whether all containers have written all their lines.
	Done(ctx context.Context) (bool, error)
	// Finish ends the containers and returns how many lines each has written, by
	// Container.Dir. Everything is in the logs then.
	Finish(ctx context.Context) (map[string]uint64, error)
	// Calls counts the CRI calls since the start; nil: unknown.
	Calls() (map[string]int, error)
	Close() error
}
