package health

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
)

const (
	// maxReaders are described.
	maxReaders = 5
	// unreadShare is the usage from which unreadLogBudget is a problem, in percent.
	unreadShare = 80
)

// Readers describes the log readers, the one that is the furthest behind first.
func Readers(n api.Node) (lines []string) {
	all := slices.SortedFunc(slices.Values(n.Readers), func(a, b api.Reader) int {
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Command, b.Command), cmp.Compare(a.PID, b.PID))
	})
	for _, r := range all[:min(len(all), maxReaders)] {
		exited := ""
		if r.Exited {
			exited = " (exited)"
		}
		lines = append(lines, fmt.Sprintf("%s, process %d%s: %s, %s unread", r.Command, r.PID, exited, display.Plural(r.Containers, "container"), display.Bytes(r.Lag)))
	}
	if more := len(all) - maxReaders; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	if len(all) == 0 {
		lines = append(lines, "none")
	}
	if n.ReadersUnseen > 0 {
		lines = append(lines, fmt.Sprintf("%d other processes have open files that cannot be read (see logwatch doctor)", n.ReadersUnseen))
	}
	return lines
}

// Unread describes how much of unreadLogBudget is used.
func Unread(b api.Budget) string {
	if b.Limit <= 0 {
		return "off"
	}
	return fmt.Sprintf("%s of %s (%.0f%%)", display.Bytes(b.Usage), display.Bytes(b.Limit), 100*float64(b.Usage)/float64(b.Limit))
}

// Lag returns what the slowest log reader has not read; "": there is no reader.
func Lag(c api.Container) string {
	if c.Lag < 0 {
		return ""
	}
	return display.Bytes(c.Lag)
}

// Waiting describes the log reader that a rotation waits for; "": it waits for none.
func Waiting(c api.Container, now time.Time) string {
	w := c.Waiting
	if w == nil {
		return ""
	}
	if w.PID == 0 {
		return fmt.Sprintf("a process that cannot be seen, for %s", display.Age(now.Sub(w.Since)))
	}
	return fmt.Sprintf("%s, process %d, for %s: %s unread", w.Command, w.PID, display.Age(now.Sub(w.Since)), display.Bytes(w.Unread))
}

// unreadProblems are those of unreadLogBudget.
func unreadProblems(n api.Node) (list []Problem) {
	b := n.Unread
	if b.Limit <= 0 || b.Usage*100 < b.Limit*unreadShare {
		return nil
	}
	return []Problem{{
		Level: Warning, What: fmt.Sprintf("%d%% of unreadLogBudget is used: log readers are behind", b.Usage*100/b.Limit), Why: Readers(n)[0],
		Do: "When it is used up, the oldest unread logs are pruned. See why the log shipper is slow or stopped; to give it more time, raise unreadLogBudget.",
	}}
}
