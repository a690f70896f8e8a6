package web

import (
	"fmt"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/status"
)

// Levels of a Problem.
const (
	LevelError   = "error"   // logs may grow past their limits
	LevelWarning = "warning" // something does not work as it was meant
	LevelNote    = "note"    // to be known; logwatch copes
)

// Problem is what is wrong, and what to do.
type Problem struct {
	Level string    `json:"level"`
	What  string    `json:"what"`
	Why   string    `json:"why,omitempty"` // as whoever found it says
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
	// startTime is within which nothing has to have been looked at.
	startTime = time.Minute
	// budgetShare is from where on the budget is worth a word, in per cent.
	budgetShare = 95
	// queueShare times as many jobs as workers do not wait on a node that is well.
	queueShare = 25
)

// Problems are all that a status knows of, the worst first.
func Problems(s api.Status, now time.Time) []Problem {
	n := s.Node
	if n.Waiting != "" {
		return []Problem{{
			Level: LevelError, What: "logwatch has not begun: nothing is rotated yet", Why: n.Waiting, Since: n.Started,
			Do: "See whether a container runtime runs (systemctl status containerd crio). If it does, set containerRuntimeEndpoint to its socket.",
		}}
	}
	list := append([]Problem{}, daemonProblems(n, now)...) // [] in JSON, never null
	list = append(list, logProblems(s)...)
	list = append(list, roomProblems(n)...)
	list = append(list, watchProblems(s.Node)...)
	levels := []string{LevelError, LevelWarning, LevelNote}
	slices.SortStableFunc(list, func(a, b Problem) int {
		return slices.Index(levels, a.Level) - slices.Index(levels, b.Level)
	})
	return list
}

// daemonProblems are those of the daemon and of what it works with.
func daemonProblems(n api.Node, now time.Time) (list []Problem) {
	if n.Unhealthy != "" {
		list = append(list, Problem{
			Level: LevelError, What: "A loop of logwatch is stuck", Why: n.Unhealthy,
			Do: "See whether the disk of podLogsDir answers (ls " + n.PodLogsDir + "). If it does: systemctl restart logwatch, which loses nothing, and please report it with logwatch's log.",
		})
	}
	switch starting := n.LastSweep.IsZero() && now.Sub(n.Started) < startTime; {
	case n.Runtime.Reachable:
	case starting:
		list = append(list, Problem{
			Level: LevelNote, What: "logwatch is starting: it looks at all logs for the first time", Why: n.Runtime.Error,
			Do: "Wait a moment.", Since: n.Started,
		})
	default:
		list = append(list, Problem{
			Level: LevelError, What: "The container runtime does not answer: nothing is rotated until it does", Why: n.Runtime.Error,
			Do: "See what the runtime is doing (systemctl status containerd crio; crictl --runtime-endpoint " + n.Runtime.Endpoint + " ps). If it listens somewhere else, set containerRuntimeEndpoint.",
		})
	}
	if n.Config.Error != "" {
		list = append(list, Problem{
			Level: LevelWarning, What: "The configuration was not reloaded: the one before is in force", Why: n.Config.Error, Since: n.Config.Failed,
			Do: "Mend the file and check it: logwatch check-config " + n.Config.File + ". It is reloaded as soon as it changes.",
		})
	}
	return list
}

// logProblems are those of containers.
func logProblems(s api.Status) (list []Problem) {
	failed := Problem{
		Level: LevelError, What: "Logs could not be rotated, or tidied up",
		Do: "logwatch tries again by itself. Most often the reason is the disk (df -h, df -i), rights, or the runtime (crictl logs, journalctl -u containerd).",
	}
	refused := Problem{
		Level: LevelWarning, What: "Logs are not rotated, for they are not logwatch's to touch",
		Do: "If they are to be rotated, set podLogsDir to the directory that kubelet has its pods log to. Else this is as it should be.",
	}
	rejects := Problem{
		Level: LevelWarning, What: "Annotations of pods do not hold as they are",
		Do: "Mend the annotation, or raise its ceiling in the configuration. What holds for a container: logwatch check-config --explain NAMESPACE/POD/CONTAINER.",
	}
	for _, c := range s.Containers {
		if e := c.LastError; e != nil {
			failed.add(c, e.Text)
			if failed.Since.IsZero() || e.Time.Before(failed.Since) {
				failed.Since = e.Time
			}
		}
		if c.Skipped != "" {
			refused.add(c, c.Skipped)
		}
		for _, r := range c.Rejected {
			rejects.add(c, r.Annotation+"="+r.Value+": "+r.Reason)
		}
	}
	for _, p := range []Problem{failed, refused, rejects} {
		if len(p.Affected) > 0 {
			list = append(list, p)
		}
	}
	return list
}

func (p *Problem) add(c api.Container, text string) {
	if len(p.Affected) >= maxAffected {
		p.More++
		return
	}
	p.Affected = append(p.Affected, Affected{c.Names, c.ID, text})
}

// roomProblems are those of the disk and of the pools.
func roomProblems(n api.Node) (list []Problem) {
	if b := n.Budget; b != nil && b.Usage*100 >= b.Limit*budgetShare {
		p := Problem{
			Level: LevelWarning, What: fmt.Sprintf("The node's logs take %d %% of their budget", b.Usage*100/max(1, b.Limit)),
			Do: "Over it, logwatch removes the oldest rotated logs of those containers that hold the most. To keep more, raise nodeLogBudget; to need less, give the largest containers (sort by all logs) smaller limits.",
		}
		if b.Usage > b.Limit {
			p.Why = "What is left may be live logs, or be written still: it is freed as soon as it can be."
		}
		list = append(list, p)
	}
	if b := n.Backlog; b.Files > 0 {
		list = append(list, Problem{
			Level: LevelWarning, What: fmt.Sprintf("%d rotated logs (%s) are to be compressed or removed, and could not be", b.Files, status.Size(b.Bytes)),
			Do: "For a moment after a rotation this is as it should be: the runtime still writes the file's end. If it stays, see who has them open (lsof +D " + n.PodLogsDir + "), and whether the disk is full (df -h, df -i).",
		})
	}
	knobs := map[string]string{"rotate": "; else raise containerLogMaxWorkers", "compress": "; else raise compression.workers"}
	for _, p := range n.Pools {
		if p.Queued > queueShare*max(1, p.Workers) {
			list = append(list, Problem{
				Level: LevelWarning, What: fmt.Sprintf("%d jobs wait in the %s pool, which has %d workers", p.Queued, p.Name, p.Workers),
				Do: "If it does not go down by itself, see whether the disk or the runtime is slow" + knobs[p.Name] + ".",
			})
		}
	}
	return list
}

// watchProblems are inotify's. The sweep finds what it lost.
func watchProblems(n api.Node) (list []Problem) {
	if n.WatchErrors > 0 {
		list = append(list, Problem{
			Level: LevelWarning, What: fmt.Sprintf("inotify could not watch a directory, %d times since the start: such logs are looked at by the sweep alone", n.WatchErrors),
			Do: "Raise the kernel's limit, for instance: sysctl fs.inotify.max_user_watches=1048576 (and for good in /etc/sysctl.d).",
		})
	}
	if n.Overflows > 0 {
		list = append(list, Problem{
			Level: LevelNote, What: fmt.Sprintf("inotify lost events %d times since the start: a sweep followed each time at once", n.Overflows),
			Do: "If it happens again and again, raise the kernel's limit, for instance: sysctl fs.inotify.max_queued_events=65536 (and for good in /etc/sysctl.d).",
		})
	}
	return list
}
