package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/health"
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
		cells[i] = display.Escape(c)
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
	var shown []column
	var titles []string
	for _, c := range columns {
		if wide || !c.wide {
			shown, titles = append(shown, c), append(titles, c.title)
		}
	}
	t.line(titles...)
	for _, c := range s.Containers {
		var cells []string
		for _, col := range shown {
			cells = append(cells, col.cell(row{c, now}))
		}
		t.line(cells...)
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
		t.line("daemon", fmt.Sprintf("%s, process %d, started %s ago: %s", n.Version, n.PID, display.Age(now.Sub(n.Started)), n.Waiting))
		return
	}
	t.line("daemon", fmt.Sprintf("%s, process %d, started %s ago: %d rotations, %d failed", n.Version, n.PID, display.Age(now.Sub(n.Started)), n.Rotations, n.Failures))
	reachable := "ready (" + n.Runtime.Endpoint + ")"
	if !n.Runtime.Reachable {
		reachable = "UNREACHABLE (" + n.Runtime.Endpoint + "): rotation is suspended. " + n.Runtime.Error
	}
	t.line("runtime", reachable)
	sweep := "none yet"
	if !n.LastSweep.IsZero() {
		sweep = fmt.Sprintf("%s ago, took %s; %d logs: %d polled, %d watched", display.Age(now.Sub(n.LastSweep)), display.Took(n.SweepSeconds), n.Polled+n.Watched, n.Polled, n.Watched)
	}
	t.line("last sweep", sweep)
	if n.Unhealthy != "" {
		t.line("health", "UNHEALTHY: "+n.Unhealthy)
	}
	conf := "loaded " + display.Age(now.Sub(n.Config.Loaded)) + " ago"
	if n.Config.File != "" {
		conf += " from " + n.Config.File
	}
	t.line("config", conf)
	if n.Config.Error != "" {
		t.line("", fmt.Sprintf("RELOAD FAILED %s ago; previous config still active: %s", display.Age(now.Sub(n.Config.Failed)), n.Config.Error))
	}
	if b := n.Budget; b != nil {
		t.line("budget", fmt.Sprintf("%s of %s (%.0f%%)", display.Bytes(b.Usage), display.Bytes(b.Limit), 100*float64(b.Usage)/float64(max(1, b.Limit))))
	}
	for i, reader := range health.Readers(n) {
		t.line([]string{"readers", ""}[min(i, 1)], reader)
	}
	t.line("unread", "unreadLogBudget: "+health.Unread(n.Unread))
	if n.Backlog.Files > 0 {
		t.line("backlog", fmt.Sprintf("%s, %s: pending compression or removal, still open for writing, or failed", display.Plural(n.Backlog.Files, "file"), display.Bytes(n.Backlog.Bytes)))
	}
	if n.Overflows > 0 || n.WatchErrors > 0 {
		t.line("inotify", fmt.Sprintf("%d queue overflows, %d errors: covered by the sweep (logwatch doctor checks the limits)", n.Overflows, n.WatchErrors))
	}
	if n.Skipped > 0 || n.Rejected > 0 {
		t.line("skipped", fmt.Sprintf("%s; rejected annotations: %d", display.Plural(n.Skipped, "log"), n.Rejected))
	}
	if n.Renamed > 0 {
		t.line("renamed", fmt.Sprintf("%s: no atomic exchange, so the live log is absent for an instant in each rotation (-o wide)", display.Plural(n.Renamed, "log")))
	}
}

// row is a container at a time.
type row struct {
	api.Container
	now time.Time
}

// columns are those of the containers' table.
var columns = []column{
	{"NAMESPACE", false, func(r row) string { return r.Namespace }},
	{"POD", false, func(r row) string { return r.Pod }},
	{"CONTAINER", false, func(r row) string { return r.Names.Container }},
	{"SIZE", false, func(r row) string { return display.Bytes(r.Size) }},
	{"LIMIT", false, func(r row) string { return limit(r.Limit, "off") }},
	{"FILES", false, func(r row) string { return strconv.Itoa(r.Files) }},
	{"TOTAL", false, func(r row) string { return display.Bytes(r.Total) }},
	{"LAG", false, func(r row) string { return health.Lag(r.Container) }},
	{"RATE", false, func(r row) string { return display.PerSecond(r.Rate) }},
	{"ROTATIONS", false, func(r row) string { return strconv.FormatUint(r.Rotations, 10) }},
	{"LAST", false, last(func(r row) string { return display.Age(r.now.Sub(r.LastRotation.Time)) })},
	{"OVERSHOOT", false, last(func(r row) string { return display.Bytes(r.LastRotation.Overshoot) })},
	{"CAUSE", true, last(func(r row) string {
		if r.Fallback != "" {
			return r.LastRotation.Cause + " (renamed: " + r.Fallback + ")"
		}
		return r.LastRotation.Cause
	})},
	{"STATE", true, func(r row) string { return health.State(r.Container) }},
	{"WAITING-FOR", true, func(r row) string { return health.Waiting(r.Container, r.now) }},
	{"MAX-TOTAL", true, func(r row) string { return limit(r.MaxTotal, "no limit") }},
	{"DIR", true, func(r row) string { return r.Dir }},
	{"POLICY", true, func(r row) string { return changed(r.Policy) }},
	{"ERROR", false, problem},
}

type column struct {
	title string
	wide  bool             // only in the wide format
	cell  func(row) string // "" is shown as none
}

// last is a cell about the last rotation.
func last(cell func(row) string) func(row) string {
	return func(r row) string {
		if r.LastRotation == nil {
			return ""
		}
		return cell(r)
	}
}

func limit(bytes int64, off string) string {
	if bytes <= 0 {
		return off
	}
	return display.Bytes(bytes)
}

// problem is the worst finding. Annotations have a table of their own.
func problem(r row) string {
	for _, f := range health.Container(r.Container) {
		switch {
		case f.Kind == health.Annotation:
		case f.Since.IsZero():
			return f.String()
		default:
			return display.Age(r.now.Sub(f.Since)) + " ago: " + f.String()
		}
	}
	return ""
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
