package telemetry

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what the daemon is like at a scrape. Numbers that only grow are since
// its start.
type State struct {
	Events, Checks, Overflows, WatchErrors, Sweeps uint64

	Hot, Cold int64 // container directories

	Pools []Pool

	// What housekeeping has to do and cannot, or failed to.
	BacklogFiles, BacklogBytes int64

	Refused, Rejects uint64

	RuntimeReachable bool
	LastSweep        time.Time // zero: there was none
	// ReloadFailed is of the last one; Loaded is when the configuration that is
	// in force was loaded.
	ReloadFailed bool
	Loaded       time.Time

	// Budget is the node's, in bytes; 0: none. Usage is what the last count found.
	Budget, Usage int64
}

// Pool is one worker pool now.
type Pool struct {
	Name            string
	Queued, Running int
	Limit           int // workers
	Done            uint64
}

// Build is what the daemon was built from.
type Build struct{ Version, Revision string }

// buildInfo is always 1, as of all Prometheus' own programs.
func buildInfo(b Build) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the labels say what runs.",
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
}

type reading struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(State) (v float64, ok bool) // not ok: there is none now
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
	logs := desc("logs", "Containers' log directories that are followed: hot ones are looked at on a timer, cold ones with events.", "state")
	s.all = []reading{
		count("inotify_events_total", "Events that inotify delivered.", func(s State) uint64 { return s.Events }),
		count("log_checks_total", "Times that a live log's size was looked at.", func(s State) uint64 { return s.Checks }),
		count("inotify_overflows_total", "Times that inotify's event queue overflowed. A sweep follows at once; raise fs.inotify.max_queued_events.", func(s State) uint64 { return s.Overflows }),
		count("watch_errors_total", "Directories that inotify could not watch, and its other errors. The sweep covers them, more slowly; raise fs.inotify.max_user_watches.", func(s State) uint64 { return s.WatchErrors }),
		count("sweeps_total", "Sweeps begun, those after lost events and reloads included.", func(s State) uint64 { return s.Sweeps }),
		{logs, prometheus.GaugeValue, always(func(s State) float64 { return float64(s.Hot) }), []string{"hot"}},
		{logs, prometheus.GaugeValue, always(func(s State) float64 { return float64(s.Cold) }), []string{"cold"}},
		gauge("housekeeping_backlog_files", "Rotated logs that are to be compressed or removed, and could not be when last tried. Without those that wait for their grace period, or for a worker.", func(s State) float64 { return float64(s.BacklogFiles) }),
		gauge("housekeeping_backlog_bytes", "Bytes of the rotated logs in logwatch_housekeeping_backlog_files.", func(s State) float64 { return float64(s.BacklogBytes) }),
		count("refused_logs_total", "Containers whose logs are not rotated: their path is outside of podLogsDir, is a link, or is none.", func(s State) uint64 { return s.Refused }),
		count("policy_rejects_total", "Annotations of pods that were ignored, or cut to their ceilings.", func(s State) uint64 { return s.Rejects }),
		gauge("runtime_reachable", "1 if the container runtime answered when last asked, else 0.", func(s State) float64 { return truth(s.RuntimeReachable) }),
		gauge("last_sweep_timestamp_seconds", "When the last sweep ended, in seconds since 1970; 0 if there was none.", func(s State) float64 { return seconds(s.LastSweep) }),
		gauge("config_last_reload_successful", "1 if the last reload of the configuration succeeded, or there was none, else 0.", func(s State) float64 { return truth(!s.ReloadFailed) }),
		gauge("config_last_reload_success_timestamp_seconds", "When the configuration in force was loaded, in seconds since 1970.", func(s State) float64 { return seconds(s.Loaded) }),
		{desc("node_budget_bytes", "What all logs together may take (nodeLogBudget). Absent without a budget."), prometheus.GaugeValue, func(s State) (float64, bool) { return float64(s.Budget), s.Budget > 0 }, nil},
		{desc("node_usage_bytes", "What all logs together take, as of the last count and with what was rotated since. Absent without a nodeLogBudget, for they are not counted then."), prometheus.GaugeValue, func(s State) (float64, bool) { return float64(s.Usage), s.Budget > 0 }, nil},
	}
	s.pool = []poolReading{
		{desc("pool_queued", "Jobs that wait for a worker, at most one a container.", "pool"), prometheus.GaugeValue, func(p Pool) float64 { return float64(p.Queued) }},
		{desc("pool_running", "Jobs that run now.", "pool"), prometheus.GaugeValue, func(p Pool) float64 { return float64(p.Running) }},
		{desc("pool_workers", "The most jobs that run at once.", "pool"), prometheus.GaugeValue, func(p Pool) float64 { return float64(p.Limit) }},
		{desc("pool_jobs_total", "Jobs that were done.", "pool"), prometheus.CounterValue, func(p Pool) float64 { return float64(p.Done) }},
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
}

// Collect implements prometheus.Collector.
func (s *states) Collect(ch chan<- prometheus.Metric) {
	now := s.read()
	for _, r := range s.all {
		if v, ok := r.value(now); ok {
			ch <- prometheus.MustNewConstMetric(r.desc, r.kind, v, r.label...)
		}
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
