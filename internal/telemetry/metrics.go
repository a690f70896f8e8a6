package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "logwatch"

// Values of the label result of logwatch_rotations_total.
const (
	ResultRotated    = "rotated"
	ResultReopened   = "reopened"          // the live log was missing and exists again
	ResultNotDue     = "not_due"           // rotated in the meantime, by the runtime or an operator
	ResultNotRunning = "not_running"       // the container has stopped
	ResultNotRegular = "not_regular"       // the live log is a link or a device; skipped
	ResultRefused    = "refused"           // the runtime answered the reopen with an error
	ResultUnanswered = "unanswered"        // rotated, but the runtime has not reopened the log yet
	ResultUnknown    = "unknown_container" // the runtime does not identify the container
	ResultFailed     = "failed"            // any other error; retried
)

// Values of the label reason of logwatch_reopen_failures_total.
const (
	ReopenTimeout    = "timeout"     // no response before the deadline
	ReopenUnanswered = "unanswered"  // the runtime is unreachable, or reported success without reopening
	ReopenRefused    = "refused"     // the runtime answered with an error
	ReopenNotRunning = "not_running" // the container stopped in the meantime
)

// Values of the label reason of logwatch_rotation_fallbacks_total.
const (
	FallbackExchange = "exchange_unsupported" // the file system has no RENAME_EXCHANGE
	FallbackLease    = "lease_unsupported"    // file leases are off, so that a reopen cannot be proved
	FallbackNoSpace  = "no_space"             // ENOSPC or EDQUOT for the new live log
	FallbackCreate   = "create_failed"        // any other error creating the new live log
)

// Values of the label pool: the names of the worker pools.
const (
	PoolRotate   = "rotate"
	PoolPrune    = "prune"
	PoolCompress = "compress"
	PoolLookup   = "lookup"
)

// Metrics holds the counters and histograms of one agent. Use New.
type Metrics struct {
	Rotations         *prometheus.CounterVec // by cause and result
	RotationFallbacks *prometheus.CounterVec // by reason
	Overshoot         prometheus.Histogram   // bytes
	Rotation          prometheus.Histogram   // seconds
	Reaction          prometheus.Histogram   // seconds
	LateBytes         prometheus.Counter
	SplitRecords      prometheus.Counter
	ReopenFailures    *prometheus.CounterVec // by reason
	SweepSeconds      prometheus.Histogram
	SweepFinds        prometheus.Counter

	CompressedIn, CompressedOut prometheus.Counter     // bytes
	PrunedFiles, PrunedBytes    *prometheus.CounterVec // by reason
	CleanedFiles                prometheus.Counter
	ForcedInterval, ForcedGrace prometheus.Counter
	LeaseRefusals               prometheus.Counter
	UnreadPruned                *prometheus.CounterVec // bytes, by reader
	UnreadLinesPruned           prometheus.Counter
	HousekeepingErrors          *prometheus.CounterVec // by reason

	queueTime, workTime *prometheus.HistogramVec // by pool
}

// New returns the metrics of an agent, registered with reg. state is called once per
// scrape and must not block for longer than a mutex takes.
func New(reg prometheus.Registerer, build Build, state func() State) *Metrics {
	m := &Metrics{
		Rotations: counters("rotations_total",
			"Total number of rotation attempts, by cause and result. Attempts with a result other than rotated or reopened changed nothing or are retried.",
			"cause", "result"),
		RotationFallbacks: counters("rotation_fallbacks_total",
			"Total number of rotations done by rename because the live log could not be exchanged atomically, by reason. The path of such a log is absent until the runtime reopens it.",
			"reason"),
		Overshoot: histogram("rotation_overshoot_bytes",
			"Bytes by which rotated logs exceed their limit once the runtime has closed them. Negative for a log that stayed below its limit, so the sum may decrease. Excludes rotations for age, disk pressure or an operator, which have no limit.",
			append([]float64{-16 << 20, -4 << 20, -1 << 20, -256 << 10, -64 << 10, -16 << 10, -4 << 10, 0},
				prometheus.ExponentialBuckets(1<<10, 4, 11)...)), // -16 MiB to 1 GiB
		Rotation: histogram("rotation_duration_seconds",
			"Time spent on a rotation, from its start until the new live log is in use, including the runtime's response. Excludes failed rotations and the time in the queue.",
			prometheus.ExponentialBuckets(0.0005, 2, 16)), // 0.5 ms to 16 s
		Reaction: histogram("rotation_reaction_seconds",
			"Time spent from finding a log due until the runtime writes to the new live log. Excludes the time for which logwatch left the log to grow on purpose, and rotations that were retried, waited for log readers, or were not found due by an event or a size check.",
			prometheus.ExponentialBuckets(0.0005, 2, 16)), // 0.5 ms to 16 s
		LateBytes: counter("rotation_late_bytes_total",
			"Total bytes that runtimes wrote to rotated logs after the exchange. A log reader that leaves the rotated log at once misses them."),
		SplitRecords: counter("rotation_split_records_total",
			"Total number of lines that a rotation split: the last record of a stream in a rotated log is partial (P), and the rest of the line is in the next log."),
		ReopenFailures: counters("reopen_failures_total", "Total number of failed ReopenContainerLog requests, by reason.", "reason"),
		SweepSeconds: histogram("sweep_duration_seconds",
			"Time spent on a sweep, from listing the runtime's containers to checking the last directory. Excludes sweeps after lost events or a reload.",
			prometheus.ExponentialBuckets(0.001, 2, 16)), // 1 ms to 33 s
		SweepFinds: counter("sweep_due_logs_total",
			"Total number of logs that a sweep, rather than an event, found due or missing. Includes all logs that are due at startup."),
		CompressedIn:  counter("compression_input_bytes_total", "Total bytes of rotated logs before compression."),
		CompressedOut: counter("compression_output_bytes_total", "Total bytes of compressed output."),
		PrunedFiles:   counters("pruned_files_total", "Total number of rotated logs pruned, by reason. Excludes logs of deleted containers.", "reason"),
		PrunedBytes:   counters("pruned_bytes_total", "Total bytes of rotated logs pruned, by reason. Excludes logs of deleted containers.", "reason"),
		CleanedFiles:  counter("orphaned_files_removed_total", "Total number of log files removed because their container was deleted (cleanRemovedContainers)."),
		ForcedInterval: counter("min_interval_overrides_total",
			"Total number of rotations earlier than minRotationInterval, done to keep a container's total size. Log shippers may have missed a rotated log."),
		ForcedGrace: counter("grace_period_overrides_total",
			"Total number of rotated logs pruned within rotatedLogGracePeriod, done to keep a total size. Log shippers may have missed lines."),
		UnreadPruned: counters("unread_bytes_pruned_total",
			"Total bytes of rotated logs pruned before a log reader had read them, by the reader's command; unknown for a process that cannot be seen.", "reader"),
		UnreadLinesPruned: counter("unread_lines_pruned_total",
			"Total number of log lines pruned before the slowest log reader of their container had read them."),
		LeaseRefusals: counter("busy_rotated_logs_total",
			"Total number of times that a rotated log was skipped because it was open for writing. The runtime keeps it open for milliseconds after a rotation."),
		HousekeepingErrors: counters("housekeeping_errors_total", "Total number of housekeeping runs that failed for at least one file, by reason. They are retried.", "reason"),
		queueTime: histograms("pool_queue_duration_seconds",
			"Time spent by a container in the queue of a pool before a worker picks it up.", prometheus.ExponentialBuckets(0.0005, 4, 10), "pool"), // 0.5 ms to 131 s
		workTime: histograms("pool_work_duration_seconds",
			"Time spent by a worker on a container.", prometheus.ExponentialBuckets(0.0005, 4, 10), "pool"),
	}
	m.createSeries()
	reg.MustRegister(m.Rotations, m.RotationFallbacks, m.Overshoot, m.Rotation, m.Reaction, m.LateBytes, m.SplitRecords, m.ReopenFailures, m.SweepSeconds, m.SweepFinds,
		m.CompressedIn, m.CompressedOut, m.PrunedFiles, m.PrunedBytes, m.CleanedFiles, m.ForcedInterval, m.ForcedGrace,
		m.LeaseRefusals, m.UnreadPruned, m.UnreadLinesPruned, m.HousekeepingErrors, m.queueTime, m.workTime, newStates(state), buildInfo(build))
	return m
}

// createSeries creates the series that exist from the start: without a zero before
// it, a first failure does not show as an increase.
func (m *Metrics) createSeries() {
	for _, reason := range []string{ReopenTimeout, ReopenUnanswered, ReopenRefused, ReopenNotRunning} {
		m.ReopenFailures.WithLabelValues(reason)
	}
	for _, reason := range []string{FallbackExchange, FallbackLease, FallbackNoSpace, FallbackCreate} {
		m.RotationFallbacks.WithLabelValues(reason)
	}
	for _, reason := range []string{"no_space", "other"} {
		m.HousekeepingErrors.WithLabelValues(reason)
	}
	for _, pool := range []string{PoolRotate, PoolPrune, PoolCompress, PoolLookup} {
		m.queueTime.WithLabelValues(pool)
		m.workTime.WithLabelValues(pool)
	}
}

// Expect creates the series of each cause and prune reason, at zero.
func (m *Metrics) Expect(causes, pruneReasons []string) {
	for _, c := range causes {
		for _, result := range []string{ResultRotated, ResultRefused, ResultUnanswered, ResultUnknown, ResultFailed} {
			m.Rotations.WithLabelValues(c, result)
		}
	}
	for _, r := range pruneReasons {
		m.PrunedFiles.WithLabelValues(r)
		m.PrunedBytes.WithLabelValues(r)
	}
}

// Worked observes one run of a pool's worker: the time in the queue before it, and
// the time it took.
func (m *Metrics) Worked(pool string, queued, worked time.Duration) {
	m.queueTime.WithLabelValues(pool).Observe(queued.Seconds())
	m.workTime.WithLabelValues(pool).Observe(worked.Seconds())
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// Each histogram is native, with classic buckets for servers that do not scrape
// native ones.
const (
	nativeFactor  = 1.1       // each bucket is at most 10% wider than the one before
	nativeBuckets = 100       // bounds the memory of one histogram
	nativeReset   = time.Hour // minimum time between resets to stay within nativeBuckets
)

func histogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: nativeBuckets, NativeHistogramMinResetDuration: nativeReset,
	}
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(histogramOpts(name, help, buckets))
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(histogramOpts(name, help, buckets), labels)
}
