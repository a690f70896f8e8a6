package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

// none fills empty cells, so that programs can cut columns.
const none = "-"

// table writes lines of cells. A tabwriter keeps the first error for Flush.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer) table {
	return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

func (t table) line(cells ...string) {
	for i, c := range cells {
		cells[i] = Escape(c)
		if c == "" {
			cells[i] = none
		}
	}
	_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
}

func writeTable(w io.Writer, s api.Status, wide bool, now time.Time) error {
	t := newTable(w)
	nodeLines(t, s.Node, now)
	if err := t.Flush(); err != nil || s.Node.Waiting != "" {
		return err
	}
	_, _ = fmt.Fprintln(w) // Flush below returns its error
	if len(s.Containers) == 0 {
		_, err := fmt.Fprintln(w, "No running containers.")
		return err
	}
	t = newTable(w)
	head := []string{"NAMESPACE", "POD", "CONTAINER", "SIZE", "LIMIT", "FILES", "TOTAL", "RATE", "ROTATIONS", "LAST", "OVERSHOOT"}
	if wide {
		head = append(head, "CAUSE", "STATE", "MAX-TOTAL", "DIR", "POLICY")
	}
	t.line(append(head, "ERROR")...)
	for _, c := range s.Containers {
		t.line(row(c, wide, now)...)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := rejected(w, s.Containers); err != nil || !wide || len(s.Containers) != 1 {
		return err
	}
	return policy(w, s.Containers[0])
}

// nodeLines describe the node.
func nodeLines(t table, n api.Node, now time.Time) {
	if n.Waiting != "" {
		t.line("daemon", fmt.Sprintf("%s, process %d, started %s ago: %s", n.Version, n.PID, Age(now.Sub(n.Started)), n.Waiting))
		return
	}
	t.line("daemon", fmt.Sprintf("%s, process %d, started %s ago: %d rotations, %d failed", n.Version, n.PID, Age(now.Sub(n.Started)), n.Rotations, n.Failures))
	reachable := "ready (" + n.Runtime.Endpoint + ")"
	if !n.Runtime.Reachable {
		reachable = "UNREACHABLE (" + n.Runtime.Endpoint + "): rotation is suspended. " + n.Runtime.Error
	}
	t.line("runtime", reachable)
	sweep := "none yet"
	if !n.LastSweep.IsZero() {
		sweep = fmt.Sprintf("%s ago, took %s; %d logs: %d polled, %d watched", Age(now.Sub(n.LastSweep)), seconds(n.SweepSeconds), n.Polled+n.Watched, n.Polled, n.Watched)
	}
	t.line("last sweep", sweep)
	if n.Unhealthy != "" {
		t.line("health", "UNHEALTHY: "+n.Unhealthy)
	}
	conf := "loaded " + Age(now.Sub(n.Config.Loaded)) + " ago"
	if n.Config.File != "" {
		conf += " from " + n.Config.File
	}
	t.line("config", conf)
	if n.Config.Error != "" {
		t.line("", fmt.Sprintf("RELOAD FAILED %s ago; previous config still active: %s", Age(now.Sub(n.Config.Failed)), n.Config.Error))
	}
	if b := n.Budget; b != nil {
		t.line("budget", fmt.Sprintf("%s of %s (%.0f%%)", Size(b.Usage), Size(b.Limit), 100*float64(b.Usage)/float64(max(1, b.Limit))))
	}
	if n.Backlog.Files > 0 {
		t.line("backlog", fmt.Sprintf("%s, %s: pending compression or removal, still open for writing, or failed", plural(n.Backlog.Files, "file"), Size(n.Backlog.Bytes)))
	}
	if n.Overflows > 0 || n.WatchErrors > 0 {
		t.line("inotify", fmt.Sprintf("%d queue overflows, %d errors: covered by the sweep (logwatch doctor checks the limits)", n.Overflows, n.WatchErrors))
	}
	if n.Skipped > 0 || n.Rejected > 0 {
		t.line("skipped", fmt.Sprintf("%s; rejected annotations: %d", plural(n.Skipped, "log"), n.Rejected))
	}
	if n.Renamed > 0 {
		t.line("renamed", fmt.Sprintf("%s: no atomic exchange, so the live log is absent for an instant in each rotation (-o wide)", plural(n.Renamed, "log")))
	}
}

func row(c api.Container, wide bool, now time.Time) []string {
	limit := "off"
	if c.Limit > 0 {
		limit = Size(c.Limit)
	}
	cells := []string{c.Namespace, c.Pod, c.Names.Container, Size(c.Size), limit, strconv.Itoa(c.Files), Size(c.Total), Size(int64(c.Rate)) + "/s", strconv.FormatUint(c.Rotations, 10)}
	last, overshoot, cause := "", "", ""
	if r := c.LastRotation; r != nil {
		last, overshoot, cause = Age(now.Sub(r.Time)), Size(r.Overshoot), r.Cause
	}
	cells = append(cells, last, overshoot)
	if wide {
		total := "no limit"
		if c.MaxTotal > 0 {
			total = Size(c.MaxTotal)
		}
		state := "watched"
		if c.Polled {
			state = "polled"
		}
		if c.Fallback != "" {
			cause += " (renamed: " + c.Fallback + ")"
		}
		cells = append(cells, cause, state, total, c.Dir, changed(c.Policy))
	}
	problem := ""
	switch {
	case c.Skipped != "":
		problem = "skipped: " + c.Skipped
	case c.LastError != nil:
		problem = Age(now.Sub(c.LastError.Time)) + " ago: " + c.LastError.Text
	}
	return append(cells, problem)
}

// changed are the fields of a policy that are not the defaults.
func changed(fields []api.Field) string {
	var parts []string
	for _, f := range fields {
		if f.Source != "default" && f.Source != "maxSize × maxFiles" {
			parts = append(parts, f.Name+"="+f.Value+" ("+f.Source+")")
		}
	}
	if len(parts) == 0 && len(fields) > 0 {
		return "defaults"
	}
	return strings.Join(parts, ", ")
}

// rejected are the annotations that were ignored or capped.
func rejected(w io.Writer, all []api.Container) error {
	t, any := newTable(w), false
	for _, c := range all {
		for _, r := range c.Rejected {
			if !any {
				any = true
				_, _ = fmt.Fprintln(t) // see table
				t.line("NAMESPACE", "POD", "CONTAINER", "ANNOTATION", "VALUE", "RESULT")
			}
			t.line(c.Namespace, c.Pod, c.Names.Container, r.Annotation, r.Value, r.Reason)
		}
	}
	return t.Flush()
}

// policy is the effective policy of one container, with its sources.
func policy(w io.Writer, c api.Container) error {
	t := newTable(w)
	_, _ = fmt.Fprintln(t) // see table
	t.line("FIELD", "VALUE", "SOURCE")
	for _, f := range c.Policy {
		t.line(f.Name, f.Value, f.Source)
	}
	return t.Flush()
}

var units = []string{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}

// Size is a number of bytes in few characters: 512, 9.8Mi, 104Mi.
func Size(bytes int64) string {
	if bytes < 1000 {
		return strconv.FormatInt(bytes, 10)
	}
	v, unit := float64(bytes), -1
	for v >= 1000 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	if v < 9.95 {
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + units[unit]
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + units[unit]
}

// Age is a time in few characters: 3s, 5m, 2h, 14d.
func Age(d time.Duration) string {
	switch d = max(0, d); {
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}

// plural is a number of things: 1 log, 2 logs.
func plural[N uint64 | int64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}
