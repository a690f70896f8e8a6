package api

import "time"

// Status is the answer of GET /v1/status.
type Status struct {
	Node       Node        `json:"node"`
	Containers []Container `json:"containers"` // running ones, by namespace, pod and name
}

// Node describes the daemon as a whole.
type Node struct {
	Version    string    `json:"version"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	PodLogsDir string    `json:"podLogsDir"`
	// Waiting is what the start waits for; "": nothing, the daemon is running.
	Waiting string `json:"waiting,omitempty"`

	Runtime      Runtime   `json:"runtime"`
	LastSweep    time.Time `json:"lastSweep,omitzero"`
	SweepSeconds float64   `json:"sweepSeconds"` // duration of the last sweep
	// Unhealthy is what /healthz reports; "": healthy.
	Unhealthy string `json:"unhealthy,omitempty"`

	Config  Config  `json:"config"`
	Budget  *Budget `json:"budget,omitempty"` // nil: there is none
	Polled  int64   `json:"polled"`           // logs whose size is checked on a timer
	Watched int64   `json:"watched"`          // logs whose directory is watched
	Backlog Backlog `json:"backlog"`
	// Readers are the processes that follow logs; Unread is the allowance for what
	// they have not read.
	Readers []Reader `json:"readers"`
	Unread  Budget   `json:"unread"`
	// ReadersUnseen is the number of processes whose open files cannot be read.
	ReadersUnseen int `json:"readersUnseen"`
	// ReadersExact is set while the open files of all processes can be read.
	ReadersExact bool   `json:"readersExact"`
	Pools        []Pool `json:"pools"`

	Rotations uint64 `json:"rotations"` // since the start, as the next ones
	Failures  uint64 `json:"failures"`
	Skipped   uint64 `json:"skipped"`  // logs that are not rotated
	Rejected  uint64 `json:"rejected"` // annotations
	// Renamed is how many containers' logs were renamed by their last rotation, since
	// an atomic exchange was not available.
	Renamed uint64 `json:"renamed"`
	// Overflows are of inotify's queue, WatchErrors directories that could not be
	// watched: the sweep covers both.
	Overflows   uint64 `json:"overflows"`
	WatchErrors uint64 `json:"watchErrors"`
}

// Runtime is the container runtime.
type Runtime struct {
	Endpoint  string `json:"endpoint"`
	Reachable bool   `json:"reachable"`       // at the last request
	Error     string `json:"error,omitempty"` // of that
}

// Config is the active configuration.
type Config struct {
	File   string    `json:"file"` // "": none, the defaults and flags
	Loaded time.Time `json:"loaded"`
	// Error is why the last reload, at Failed, was rejected; "": it was not.
	Error  string    `json:"error,omitempty"`
	Failed time.Time `json:"failed,omitzero"`
}

// Budget is the node's, in bytes.
type Budget struct {
	Limit int64 `json:"limitBytes"`
	Usage int64 `json:"usageBytes"` // at the last count
}

// Reader is a process that follows the logs of containers: a log shipper.
type Reader struct {
	PID        int       `json:"pid"`
	Command    string    `json:"command"`
	Exited     bool      `json:"exited"` // it still counts until logReaders.timeout
	Containers int       `json:"containers"`
	Lag        int64     `json:"lagBytes"` // of the logs that it has open
	Since      time.Time `json:"since"`
}

// Waiting is the log reader that a rotation waits for.
type Waiting struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	Unread  int64     `json:"unreadBytes"` // of the live log
}

// Backlog is the pending housekeeping.
type Backlog struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Pool is a worker pool.
type Pool struct {
	Name    string `json:"name"`
	Queued  int    `json:"queued"`
	Running int    `json:"running"`
	Workers int    `json:"workers"`
}

// Names identify a container, or several: as a selector, empty names match all.
type Names struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container"`
}

// Matches reports whether a container is among those that n selects.
func (n Names) Matches(c Names) bool {
	return (n.Namespace == "" || n.Namespace == c.Namespace) && (n.Pod == "" || n.Pod == c.Pod) &&
		(n.Container == "" || n.Container == c.Container)
}

// Container is a running container.
type Container struct {
	Names
	ID string `json:"id"`
	// Dir is its logs' directory, relative to podLogsDir, and Log its live log's name
	// in there. Both are "" if it is skipped.
	Dir string `json:"dir"`
	Log string `json:"log"`
	// Skipped is why its log is not rotated; "": it is.
	Skipped string `json:"skipped,omitempty"`
	// Fallback is why its last rotation renamed the live log, which was absent for an
	// instant, instead of exchanging it; "": it was exchanged.
	Fallback string `json:"fallback,omitempty"`
	// Waiting is the log reader that its rotation waits for; nil: none.
	Waiting *Waiting `json:"waiting,omitempty"`
	// Lag is what the slowest log reader has not read, in bytes; -1: it has no reader.
	Lag int64 `json:"lagBytes"`

	Size     int64 `json:"sizeBytes"`     // of the live log
	Limit    int64 `json:"limitBytes"`    // 0: it is not rotated
	Total    int64 `json:"totalBytes"`    // of all logs
	MaxTotal int64 `json:"maxTotalBytes"` // 0: no limit
	Files    int   `json:"files"`         // including the live log
	MaxFiles int   `json:"maxFiles"`
	Polled   bool  `json:"polled"` // its size is checked on a timer; else its directory is watched
	// Written are bytes since the daemon first saw it; Rate is of the time between
	// the last two sweeps, in bytes a second.
	Written int64   `json:"writtenBytes"`
	Rate    float64 `json:"bytesPerSecond"`

	Rotations    uint64    `json:"rotations"` // since the daemon first saw it
	LastRotation *Rotation `json:"lastRotation,omitempty"`
	LastError    *Problem  `json:"lastError,omitempty"` // one that lasts

	Policy   []Field              `json:"policy,omitempty"` // only with detail
	Rejected []RejectedAnnotation `json:"rejected,omitempty"`
}

// Rotation is a completed rotation.
type Rotation struct {
	Time  time.Time `json:"time"`
	Cause string    `json:"cause"`
	To    string    `json:"to"` // the rotated log's name
	// Size is the rotated log's in bytes: what the runtime wrote until its reopen is
	// included some milliseconds after the rotation, once it has closed the log.
	Size int64 `json:"sizeBytes"`
	// Overshoot is Size minus the limit, so that it is negative below the limit; 0 for a
	// cause without a limit (age, pressure, operator).
	Overshoot int64   `json:"overshootBytes"`
	Seconds   float64 `json:"seconds"` // until the live log existed again
}

// Problem is why a container's log could not be rotated, or its housekeeping failed.
type Problem struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// Field is a value of a policy and its source.
type Field struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// RejectedAnnotation is one that was ignored, or capped at its ceiling.
type RejectedAnnotation struct {
	Annotation string `json:"annotation"`
	Value      string `json:"value"`
	Reason     string `json:"reason"`
}

// Selector is the body of POST /v1/rotate.
type Selector struct {
	Names
	// All is required to rotate without a name.
	All bool `json:"all,omitempty"`
}

// Results of a requested rotation.
const (
	Rotated        = "rotated"
	Reopened       = "reopened"        // the live log was missing, and exists again
	Empty          = "empty"           // there was nothing to rotate
	AlreadyRotated = "already_rotated" // in the meantime, for another cause
	Stopped        = "stopped"         // the container is not running
	Failed         = "failed"          // Error is the reason
)

// Result is what was done with one container's log.
type Result struct {
	Names
	Result string `json:"result"`
	Error  string `json:"error,omitempty"`
	// The following is set only with Rotated.
	To      string  `json:"to,omitempty"`
	Size    int64   `json:"sizeBytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// Error is the body of an answer that is one.
type Error struct {
	Error string `json:"error"`
}
