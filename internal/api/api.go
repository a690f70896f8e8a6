package api

import "time"

// Status is the answer of GET /v1/status.
type Status struct {
	Node       Node        `json:"node"`
	Containers []Container `json:"containers"` // running ones, by namespace, pod and name
}

// Node is what holds for the daemon as a whole.
type Node struct {
	Version    string    `json:"version"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	PodLogsDir string    `json:"podLogsDir"`
	// Waiting is what the daemon's start waits for; "": nothing, it is at work.
	Waiting string `json:"waiting,omitempty"`

	Runtime   Runtime   `json:"runtime"`
	LastSweep time.Time `json:"lastSweep,omitzero"`
	// SweepSeconds is how long that one took.
	SweepSeconds float64 `json:"sweepSeconds"`
	// Unhealthy is what /healthz says; "": all is well.
	Unhealthy string `json:"unhealthy,omitempty"`

	Config  Config  `json:"config"`
	Budget  *Budget `json:"budget,omitempty"` // nil: there is none
	Hot     int64   `json:"hot"`              // logs that are looked at on a timer
	Cold    int64   `json:"cold"`             // logs that are watched
	Backlog Backlog `json:"backlog"`
	Pools   []Pool  `json:"pools"`

	Rotations uint64 `json:"rotations"` // since the start, as the next ones
	Failures  uint64 `json:"failures"`
	Refused   uint64 `json:"refused"`
	Rejects   uint64 `json:"rejects"`
	// Overflows are of inotify's queue, WatchErrors directories that it could not
	// watch: the sweep stands in for both.
	Overflows   uint64 `json:"overflows"`
	WatchErrors uint64 `json:"watchErrors"`
}

// Runtime is the container runtime.
type Runtime struct {
	Endpoint  string `json:"endpoint"`
	Reachable bool   `json:"reachable"`       // when last asked
	Error     string `json:"error,omitempty"` // of that
}

// Config is the configuration in force.
type Config struct {
	File   string    `json:"file"` // "": none, the defaults and flags
	Loaded time.Time `json:"loaded"`
	// Error is why the last reload, at Failed, was refused; "": it was not.
	Error  string    `json:"error,omitempty"`
	Failed time.Time `json:"failed,omitzero"`
}

// Budget is the node's, in bytes.
type Budget struct {
	Limit int64 `json:"limitBytes"`
	Usage int64 `json:"usageBytes"` // as of the last count
}

// Backlog is what housekeeping could not do yet.
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

// Names are what a container is called.
type Names struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container"`
}

// Container is a running container.
type Container struct {
	Names
	ID string `json:"id"`
	// Dir is its logs' directory, relative to podLogsDir, and Log its live log's
	// name in there. Both "" if it is refused.
	Dir string `json:"dir"`
	Log string `json:"log"`
	// Refused is why its log is not rotated; "": it is.
	Refused string `json:"refused,omitempty"`

	Size     int64 `json:"sizeBytes"`     // of the live log
	Limit    int64 `json:"limitBytes"`    // 0: it is not rotated
	Total    int64 `json:"totalBytes"`    // of all logs
	MaxTotal int64 `json:"maxTotalBytes"` // 0: no limit
	Files    int   `json:"files"`         // the live log included
	MaxFiles int   `json:"maxFiles"`
	Hot      bool  `json:"hot"` // looked at on a timer; else its directory is watched
	// Written are bytes since the daemon first saw it; Rate is of the time between
	// the last two sweeps, in bytes a second.
	Written int64   `json:"writtenBytes"`
	Rate    float64 `json:"bytesPerSecond"`

	Rotations    uint64    `json:"rotations"` // since the daemon first saw it
	LastRotation *Rotation `json:"lastRotation,omitempty"`
	LastError    *Problem  `json:"lastError,omitempty"` // one that lasts

	Policy  []Field  `json:"policy,omitempty"` // with detail alone
	Rejects []Reject `json:"rejects,omitempty"`
}

// Rotation is one that was done.
type Rotation struct {
	Time  time.Time `json:"time"`
	Cause string    `json:"cause"`
	To    string    `json:"to"` // the rotated log's name
	Size  int64     `json:"sizeBytes"`
	// Overshoot is what it had over its limit, in bytes; 0 for a cause that knows
	// no limit (age, pressure, operator).
	Overshoot int64   `json:"overshootBytes"`
	Seconds   float64 `json:"seconds"` // until the live log was there again
}

// Problem is why a container's log could not be rotated, or tidied up.
type Problem struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// Field is a value of a policy, and where it comes from.
type Field struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Reject is an annotation that does not hold as it is.
type Reject struct {
	Annotation string `json:"annotation"`
	Value      string `json:"value"`
	Reason     string `json:"reason"`
}

// Selector says which containers; names that are empty fit all.
type Selector struct {
	Names
	// All must be true to rotate without a name.
	All bool `json:"all,omitempty"`
}

// Fits reports whether a container is among them.
func (s Names) Fits(c Names) bool {
	return (s.Namespace == "" || s.Namespace == c.Namespace) && (s.Pod == "" || s.Pod == c.Pod) &&
		(s.Container == "" || s.Container == c.Container)
}

// Outcomes of a rotation that was asked for.
const (
	Rotated  = "rotated"
	Reopened = "reopened" // it was missing, and is there again
	Empty    = "empty"    // left as it is
	Changed  = "changed"  // somebody else rotated it a moment before
	Gone     = "gone"     // its container does not run any more
	Failed   = "failed"   // Error says why
)

// Result is what became of one container's log.
type Result struct {
	Names
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`
	// What follows is of Rotated.
	To      string  `json:"to,omitempty"`
	Size    int64   `json:"sizeBytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// Error is the body of an answer that is one.
type Error struct {
	Error string `json:"error"`
}
