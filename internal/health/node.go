package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
)

// Levels of a Problem.
const (
	Error   = "error"   // logs may grow past their limits
	Warning = "warning" // something does not work as intended
	Note    = "note"    // information
)

// Problem is a problem of the node or of some containers, and what to do.
type Problem struct {
	Level string    `json:"level"`
	What  string    `json:"what"`
	Why   string    `json:"why,omitempty"` // the error
	Do    string    `json:"do"`
	Since time.Time `json:"since,omitzero"`
	// Affected are the first of the containers that have it, More counts the others.
	Affected []Affected `json:"affected,omitempty"`
	More     int        `json:"more,omitempty"`
}

// Affected is a container that has a problem.
type Affected struct {
	api.Names
	ID   string `json:"id"`
	Text string `json:"text"`
}

const (
	// maxAffected of a problem are named.
	maxAffected = 10
	// startTime is how long the first sweep may take.
	startTime = time.Minute
	// budgetShare is the usage from which the budget is a problem, in percent.
	budgetShare = 95
	// maxQueued jobs per worker are normal.
	maxQueued = 25
)

// Problems are all problems in a status, the worst first.
func Problems(s api.Status, now time.Time) []Problem {
	list := append([]Problem{}, Daemon(s.Node, now)...) // [] in JSON, never null
	if s.Node.Waiting == "" {
		list = append(list, slices.Concat(logProblems(s.Containers), roomProblems(s.Node), unreadProblems(s.Node), watchProblems(s.Node))...)
	}
	levels := []string{Error, Warning, Note}
	slices.SortStableFunc(list, func(a, b Problem) int {
		return slices.Index(levels, a.Level) - slices.Index(levels, b.Level)
	})
	return list
}

// Daemon returns the problems of the daemon, its runtime and its configuration.
func Daemon(n api.Node, now time.Time) (list []Problem) {
	if n.Waiting != "" {
		return []Problem{{
			Level: Error, What: "logwatch is starting: nothing is rotated yet", Why: n.Waiting, Since: n.Started,
			Do: "See whether a container runtime runs (systemctl status containerd crio). If it does, set containerRuntimeEndpoint to its socket.",
		}}
	}
	if n.Unhealthy != "" {
		list = append(list, Problem{
			Level: Error, What: "A loop of logwatch is stuck", Why: n.Unhealthy,
			Do: "See whether the disk of podLogsDir answers (ls " + n.PodLogsDir + "). If it does: systemctl restart logwatch, which loses nothing, and please report it with logwatch's log.",
		})
	}
	switch starting := n.LastSweep.IsZero() && now.Sub(n.Started) < startTime; {
	case n.Runtime.Reachable:
	case starting:
		list = append(list, Problem{
			Level: Note, What: "logwatch is starting: the first sweep is running", Why: n.Runtime.Error,
			Do: "Wait a moment.", Since: n.Started,
		})
	default:
		list = append(list, Problem{
			Level: Error, What: "The container runtime is unreachable: rotation is suspended", Why: n.Runtime.Error,
			Do: "See what the runtime is doing (systemctl status containerd crio; crictl --runtime-endpoint " + n.Runtime.Endpoint + " ps). If it listens somewhere else, set containerRuntimeEndpoint.",
		})
	}
	if n.Config.Error != "" {
		list = append(list, Problem{
			Level: Warning, What: "Reload failed; previous configuration still active", Why: n.Config.Error, Since: n.Config.Failed,
			Do: "Correct the file and check it: logwatch check-config " + n.Config.File + ". It is reloaded when it changes.",
		})
	}
	return list
}

// kinds are the Problems that containers' findings make, the worst first.
var kinds = []struct {
	kind  string
	group Problem
}{
	{Failing, Problem{
		Level: Error, What: "Rotation or housekeeping failed",
		Do: "logwatch retries by itself. The usual reasons are the disk (df -h, df -i), permissions, or the runtime (crictl logs, journalctl -u containerd).",
	}},
	{Skipped, Problem{
		Level: Warning, What: "Logs are skipped: they are not rotated",
		Do: "Each container has its reason. For a log path that is not below podLogsDir, set podLogsDir to kubelet's.",
	}},
	{Annotation, Problem{
		Level: Warning, What: "Pod annotations were ignored or capped",
		Do: "Correct the annotation, or raise its ceiling in the configuration. logwatch check-config --explain NAMESPACE/POD/CONTAINER prints the effective policy.",
	}},
}

// logProblems are the findings of all containers, by kind.
func logProblems(all []api.Container) (list []Problem) {
	groups := map[string]*Problem{}
	for _, k := range kinds {
		groups[k.kind] = &k.group
	}
	for _, c := range all {
		for _, f := range Container(c) {
			groups[f.Kind].add(c, f)
		}
	}
	for _, k := range kinds {
		if p := groups[k.kind]; len(p.Affected) > 0 {
			list = append(list, *p)
		}
	}
	return list
}

func (p *Problem) add(c api.Container, f Finding) {
	if !f.Since.IsZero() && (p.Since.IsZero() || f.Since.Before(p.Since)) {
		p.Since = f.Since
	}
	if len(p.Affected) >= maxAffected {
		p.More++
		return
	}
	p.Affected = append(p.Affected, Affected{c.Names, c.ID, f.Text})
}

// roomProblems are those of the disk and of the pools.
func roomProblems(n api.Node) (list []Problem) {
	if b := n.Budget; b != nil && b.Usage*100 >= b.Limit*budgetShare {
		p := Problem{
			Level: Warning, What: fmt.Sprintf("The node's logs take %d%% of their budget", b.Usage*100/max(1, b.Limit)),
			Do: "Over it, logwatch removes the oldest rotated logs of those containers that hold the most. To keep more, raise nodeLogBudget; to need less, give the largest containers (sort by total size) smaller limits.",
		}
		if b.Usage > b.Limit {
			p.Why = "The remaining logs are live or still open for writing. Live logs cannot be pruned; rotated logs are once they are closed."
		}
		list = append(list, p)
	}
	if b := n.Backlog; b.Files > 0 {
		list = append(list, Problem{
			Level: Warning, What: fmt.Sprintf("%d rotated logs (%s) could not be compressed or removed yet", b.Files, display.Bytes(b.Bytes)),
			Do: "This is normal for a moment after a rotation, while the runtime writes the rest of the file. If it lasts, see which processes have them open (lsof +D " + n.PodLogsDir + "), and whether the disk is full (df -h, df -i).",
		})
	}
	workers := map[string]string{"rotate": "; else raise containerLogMaxWorkers", "compress": "; else raise compression.workers"}
	for _, p := range n.Pools {
		if p.Queued > maxQueued*max(1, p.Workers) {
			list = append(list, Problem{
				Level: Warning, What: fmt.Sprintf("%d jobs are queued in the %s pool, which has %d workers", p.Queued, p.Name, p.Workers),
				Do: "If the number does not decrease, see whether the disk or the runtime is slow" + workers[p.Name] + ".",
			})
		}
	}
	return list
}

// watchProblems are inotify's. The sweep finds what was lost.
func watchProblems(n api.Node) (list []Problem) {
	if n.WatchErrors > 0 {
		list = append(list, Problem{
			Level: Warning, What: fmt.Sprintf("inotify failed to watch a directory %d times since the start: only the sweep checks such logs", n.WatchErrors),
			Do: "Raise the kernel's limit, for instance: sysctl fs.inotify.max_user_watches=1048576 (and permanently in /etc/sysctl.d).",
		})
	}
	if n.Overflows > 0 {
		list = append(list, Problem{
			Level: Note, What: fmt.Sprintf("inotify lost events %d times since the start: a sweep followed each time", n.Overflows),
			Do: "If it happens repeatedly, raise the kernel's limit, for instance: sysctl fs.inotify.max_queued_events=65536 (and permanently in /etc/sysctl.d).",
		})
	}
	return list
}
