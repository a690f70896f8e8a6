package telemetry

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is the agent's state at a scrape. Counters start at zero with the agent.
type State struct {
	Events, Checks, Overflows, WatchErrors, Sweeps uint64

	Hot, Cold int64 // container directories polled on a timer, and watched with inotify

	Pools []Pool

	// BacklogFiles and BacklogBytes count the rotated logs that are pending although
	// housekeeping has tried them.
	BacklogFiles, BacklogBytes int64

	Skipped int    // running containers that are not rotated now
	Waiting int    // containers whose rotation waits for a log reader now
	Rejects uint64 // annotations

	RuntimeReachable bool
	LastSweep        time.Time // zero: no sweep has ended
	ReloadFailed     bool      // the most recent reload
	Loaded           time.Time // the active configuration

	// Budget is nodeLogBudget in bytes; 0: none. Usage is the size of all logs.
	Budget, Usage int64

	// UnreadBudget is unreadLogBudget in bytes, and Borrowed what all containers have
	// beyond their own totals.
	UnreadBudget, Borrowed int64
	// ReaderLag is what each log reader has not read, in bytes, by its command.
	ReaderLag map[string]int64
}

// Pool is the state of one worker pool.
type Pool struct {
	Name            string
	Queued, Running int
	Limit           int // workers
	Done            uint64
}

// Build identifies the agent's build.
type Build struct{ Version, Revision string }

// buildInfo returns the gauge that carries the build as labels, as Prometheus' own programs have it.
func buildInfo(b Build) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Build information. The value is always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": runtime.Version(), "goos": runtime.GOOS, "goarch": runtime.GOARCH},
	})
	g.Set(1)
	return g
}

// states is the Collector of a State.
type states struct {
	read func() State
	all  []reading
	pool []poolReading
	lag  *prometheus.Desc
}

type reading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(State) (v float64, ok bool) // not ok: no sample
	label []string
}

type poolReading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(Pool) float64
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

func newStates(read func() State) *states {
	s := &states{read: read}
	logs := desc("tracked_logs", "Current number of tracked container log directories: polled on a timer, or watched with inotify.", "state")
	s.all = []reading{
		count("inotify_events_total", "Total number of events delivered by inotify.", func(s State) uint64 { return s.Events }),
		count("inotify_overflows_total", "Total number of inotify queue overflows. Each is followed by a sweep; raise fs.inotify.max_queued_events.", func(s State) uint64 { return s.Overflows }),
		count("inotify_errors_total", "Total number of inotify errors, including directories that could not be watched. The sweep checks those; raise fs.inotify.max_user_watches.", func(s State) uint64 { return s.WatchErrors }),
		count("size_checks_total", "Total number of size checks of live logs.", func(s State) uint64 { return s.Checks }),
		count("sweeps_total", "Total number of sweeps started, including those after lost events or a reload.", func(s State) uint64 { return s.Sweeps }),
		{logs, prometheus.GaugeValue, always(func(s State) float64 { return float64(s.Hot) }), []string{"polled"}},
		{logs, prometheus.GaugeValue, always(func(s State) float64 { return float64(s.Cold) }), []string{"watched"}},
		gauge("housekeeping_backlog_files", "Current number of rotated logs that could not be compressed or pruned when last tried. Excludes logs in their grace period or waiting for a worker.", func(s State) float64 { return float64(s.BacklogFiles) }),
		gauge("housekeeping_backlog_bytes", "Current size of the rotated logs counted by logwatch_housekeeping_backlog_files.", func(s State) float64 { return float64(s.BacklogBytes) }),
		gauge("waiting_containers", "Current number of containers whose rotation waits for a log reader. Their live logs may exceed their limits.", func(s State) float64 { return float64(s.Waiting) }),
		gauge("skipped_containers", "Current number of running containers whose logs are not rotated because their log path is missing, a link, or outside podLogsDir.", func(s State) float64 { return float64(s.Skipped) }),
		count("annotations_rejected_total", "Total number of pod annotations that were ignored, or capped at their ceiling.", func(s State) uint64 { return s.Rejects }),
		gauge("runtime_up", "Whether the container runtime responded to the last request to list containers (1) or not (0).", func(s State) float64 { return truth(s.RuntimeReachable) }),
		gauge("last_sweep_timestamp_seconds", "Unix timestamp of the end of the last sweep; 0 before the first.", func(s State) float64 { return seconds(s.LastSweep) }),
		gauge("config_last_reload_successful", "Whether the last configuration reload succeeded (1) or failed (0). 1 before the first reload.", func(s State) float64 { return truth(!s.ReloadFailed) }),
		gauge("config_last_reload_success_timestamp_seconds", "Unix timestamp of the load of the active configuration.", func(s State) float64 { return seconds(s.Loaded) }),
		{desc("node_log_budget_bytes", "Current nodeLogBudget. Absent without a budget."), prometheus.GaugeValue, func(s State) (float64, bool) { return float64(s.Budget), s.Budget > 0 }, nil},
		{desc("node_log_bytes", "Current size of all container logs on the node. Absent without a nodeLogBudget."), prometheus.GaugeValue, func(s State) (float64, bool) { return float64(s.Usage), s.Budget > 0 }, nil},
	}
	s.all = append(s.all,
		gauge("unread_log_budget_bytes", "Current unreadLogBudget: disk space beyond the containers' totals for logs that log readers have not read.", func(s State) float64 { return float64(s.UnreadBudget) }),
		gauge("unread_log_borrowed_bytes", "Current disk space that containers take beyond their totals for logs that log readers have not read.", func(s State) float64 { return float64(s.Borrowed) }))
	s.lag = desc("reader_lag_bytes", "Current number of bytes that log readers have not read of the logs that they have open, by the reader's command.", "reader")
	s.pool = []poolReading{
		{desc("pool_depth", "Current number of containers in the queue of a pool.", "pool"), prometheus.GaugeValue, func(p Pool) float64 { return float64(p.Queued) }},
		{desc("pool_active_workers", "Current number of busy workers.", "pool"), prometheus.GaugeValue, func(p Pool) float64 { return float64(p.Running) }},
		{desc("pool_workers", "Maximum number of concurrent workers.", "pool"), prometheus.GaugeValue, func(p Pool) float64 { return float64(p.Limit) }},
		{desc("pool_jobs_completed_total", "Total number of jobs completed.", "pool"), prometheus.CounterValue, func(p Pool) float64 { return float64(p.Done) }},
	}
	return s
}

func always(f func(State) float64) func(State) (float64, bool) {
	return func(s State) (float64, bool) { return f(s), true }
}

func gauge(name, help string, f func(State) float64) reading {
	return reading{desc(name, help), prometheus.GaugeValue, always(f), nil}
}

func count(name, help string, f func(State) uint64) reading {
	return reading{desc(name, help), prometheus.CounterValue, always(func(s State) float64 { return float64(f(s)) }), nil}
}

// Describe implements prometheus.Collector.
func (s *states) Describe(ch chan<- *prometheus.Desc) {
	for i, r := range s.all {
		if i == 0 || r.desc != s.all[i-1].desc {
			ch <- r.desc
		}
	}
	for _, r := range s.pool {
		ch <- r.desc
	}
	ch <- s.lag
}

// Collect implements prometheus.Collector.
func (s *states) Collect(ch chan<- prometheus.Metric) {
	now := s.read()
	for _, r := range s.all {
		if v, ok := r.value(now); ok {
			ch <- prometheus.MustNewConstMetric(r.desc, r.kind, v, r.label...)
		}
	}
	for reader, lag := range now.ReaderLag {
		ch <- prometheus.MustNewConstMetric(s.lag, prometheus.GaugeValue, float64(lag), reader)
	}
	for _, p := range now.Pools {
		for _, r := range s.pool {
			ch <- prometheus.MustNewConstMetric(r.desc, r.kind, r.value(p), p.Name)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
