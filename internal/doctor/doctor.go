package doctor

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Status is the result of a check.
type Status string

// The results. Skip is for what could not be read, or does not apply.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Check is the result of one check. Its texts have no control characters but the
// newlines between the lines of Detail and Fix.
type Check struct {
	Name    string `json:"name"`
	Status  Status `json:"status"`
	Summary string `json:"summary"` // one line: what was found
	Detail  string `json:"detail"`  // why it matters, and the evidence
	Fix     string `json:"fix"`     // commands for a root shell, one a line; "": none

	err error // a missing permission skips the check
}

// Report is the result of all checks, in their order.
type Report struct {
	Checks []Check `json:"checks"`
	OK     int     `json:"ok"`
	Warn   int     `json:"warn"`
	Fail   int     `json:"fail"`
	Skip   int     `json:"skip"`
}

// Options of Run.
type Options struct {
	// ConfigFile is the configuration to check; "": that of the running daemon,
	// else the installed one, else the defaults.
	ConfigFile string
	// Each, if not nil, is called with each check as soon as it and those before
	// it are done.
	Each func(Check)

	root    string        // of the files that are read; "": /
	timeout time.Duration // of each check; 0: checkTimeout
	system  *system       // nil: the real one
}

const (
	// checkTimeout is longer than the default runtimeRequestTimeout, so that the
	// runtime's own error comes first.
	checkTimeout = 5 * time.Second
	// answerTime is for a check whose context has ended to return.
	answerTime = 200 * time.Millisecond
)

// check is a row of a table of checks.
type check struct {
	name  string // an interface for programs: it does not change
	run   func(context.Context, *node) Check
	needs []need
}

// need is a prerequisite of checks. It returns the Check of those that are skipped
// without it; no Status: it is met.
type need func(*node) Check

func (c check) do(ctx context.Context, n *node) (result Check) {
	for _, met := range c.needs {
		if result = met(n); result.Status != "" {
			return n.orNoPermission(result)
		}
	}
	return n.orNoPermission(c.run(ctx, n))
}

// checks are all checks, in the order of reports.
var checks = slices.Concat(configChecks, daemonChecks, accessChecks, runtimeChecks, logChecks,
	inotifyChecks, kubeletChecks, rotatorChecks, shipperChecks, diskChecks, clockChecks)

// Run does all checks. Its error is that of a context which ended first.
func Run(parent context.Context, o Options) (Report, error) {
	timeout := cmp.Or(o.timeout, checkTimeout)
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	n := newNode(ctx, o)
	results := make([]chan Check, len(checks))
	for i, c := range checks {
		results[i] = make(chan Check, 1) // a late result has no receiver
		go func() { results[i] <- c.do(ctx, n) }()
	}
	late, stop := context.WithTimeout(parent, timeout+answerTime)
	defer stop()
	r := Report{Checks: make([]Check, 0, len(checks))}
	for i, result := range results {
		var c Check
		select {
		case c = <-result:
		case <-late.Done():
			if parent.Err() != nil {
				return r, parent.Err()
			}
			select { // both may have been ready
			case c = <-result:
			default:
				c = found(Fail, "did not end within %v", timeout).
					detail("A disk, a mount or a process does not respond: other checks that are skipped or time out may have the same cause.").
					fix("dmesg --level=err,warn | tail -n 20")
			}
		}
		c.Name = checks[i].name
		r.add(c)
		if o.Each != nil {
			o.Each(c)
		}
	}
	return r, nil
}

func (r *Report) add(c Check) {
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
}

// First returns the check to start with: the first that failed, or else the first
// that warns.
func (r Report) First() (Check, bool) {
	for _, s := range []Status{Fail, Warn} {
		if i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Status == s }); i >= 0 {
			return r.Checks[i], true
		}
	}
	return Check{}, false
}
