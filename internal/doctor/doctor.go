package doctor

import (
	"cmp"
	"context"
	"time"
)

// Status is the outcome of a check.
type Status string

// The outcomes. Skip is for what could not be looked at, or does not apply.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Check is the outcome of one check. Its texts have no control characters but
// the newlines that part the lines of Detail and Fix.
type Check struct {
	Name    string `json:"name"`
	Status  Status `json:"status"`
	Summary string `json:"summary"` // one line: what is so
	Detail  string `json:"detail"`  // why that matters, and what it was seen by
	Fix     string `json:"fix"`     // commands for a root shell, one a line; "": none
}

// Report is the outcome of all of them, in the order in which they are done.
type Report struct {
	Checks []Check `json:"checks"`
	OK     int     `json:"ok"`
	Warn   int     `json:"warn"`
	Fail   int     `json:"fail"`
	Skip   int     `json:"skip"`
}

// Options of Run.
type Options struct {
	// ConfigFile is the configuration to check; "": that of the daemon which
	// runs, or else the installed one, or else the defaults.
	ConfigFile string
	// Each, if not nil, is called with each check as soon as it and those before
	// it are done.
	Each func(Check)

	root    string        // of the files that are read; "": /
	timeout time.Duration // of each check; 0: checkTimeout
	system  *system       // nil: the real one
}

// checkTimeout is longer than the default runtimeRequestTimeout, so that the
// runtime's own error comes first.
const checkTimeout = 5 * time.Second

// checks are all there are. Their names are an interface: none changes.
var checks = []struct {
	name string
	run  func(context.Context, *node) Check
	free bool // of the configuration: it is the same whatever that says
}{
	{"config", checkConfig, true},
	{"daemon", checkDaemon, false},
	{"control-socket", checkControlSocket, false},
	{"metrics-port", checkMetricsPort, false},
	{"service", checkService, true},
	{"privileges", checkPrivileges, false},
	{"pod-logs-dir", checkPodLogsDir, false},
	{"rename", checkRename, false},
	{"leases", checkLeases, false},
	{"runtime-socket", checkSocket, false},
	{"runtime", checkRuntime, false},
	{"log-paths", checkLogPaths, false},
	{"live-logs", checkLiveLogs, false},
	{"log-links", checkLogLinks, false},
	{"inotify-watches", checkWatches, false},
	{"inotify-instances", checkInstances, true},
	{"inotify-queue", checkQueue, true},
	{"kubelet", checkKubelet, true},
	{"kubelet-rotation", checkKubeletRotation, false},
	{"kubelet-cleaning", checkKubeletCleaning, false},
	{"logrotate", checkLogrotate, false},
	{"shippers", checkShippers, false},
	{"disk-space", checkSpace, false},
	{"disk-inodes", checkInodes, false},
	{"clock", checkClock, true},
	{"clock-stamps", checkStamps, false},
	{"time-zone", checkZone, false},
}

// Run does all checks. Its error is that of a context which ended first.
func Run(parent context.Context, o Options) (Report, error) {
	timeout := cmp.Or(o.timeout, checkTimeout)
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	n := newNode(ctx, o)
	results := make([]chan Check, len(checks))
	for i, c := range checks {
		results[i] = make(chan Check, 1) // nobody may be left to take it
		go func() {
			if err := n.settings().err; !c.free && n.blind(err) {
				results[i] <- n.unseen("the configuration", err)
				return
			}
			results[i] <- c.run(ctx, n)
		}()
	}
	late, stop := context.WithTimeout(parent, timeout+answerTime)
	defer stop()
	r := Report{Checks: make([]Check, 0, len(checks))}
	for i, result := range results {
		select {
		case c := <-result:
			r.add(o, i, c)
			continue
		case <-late.Done():
		}
		if parent.Err() != nil {
			return r, parent.Err()
		}
		select { // both may have been so
		case c := <-result:
			r.add(o, i, c)
		default:
			r.add(o, i, hung(timeout))
		}
	}
	return r, nil
}

// answerTime is what a check whose context has ended gets to say so.
const answerTime = 200 * time.Millisecond

func hung(timeout time.Duration) Check {
	return fail("did not end within %v", timeout).
		because("A disk, a mount, or a process in the way does not answer: what is skipped or hangs besides may have the same cause.").
		mend("dmesg --level=err,warn | tail -n 20")
}

func (r *Report) add(o Options, i int, c Check) {
	c.Name = checks[i].name
	r.Checks = append(r.Checks, c)
	switch c.Status {
	case OK:
		r.OK++
	case Warn:
		r.Warn++
	case Fail:
		r.Fail++
	default:
		r.Skip++
	}
	if o.Each != nil {
		o.Each(c)
	}
}
