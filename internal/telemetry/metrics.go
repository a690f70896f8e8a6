package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "logwatch"

// Results of a rotation, as the label has them.
const (
	ResultRotated    = "rotated"
	ResultReopened   = "reopened"    // the live log was missing, and is there again
	ResultNotDue     = "not_due"     // somebody else had rotated it
	ResultNotRunning = "not_running" // its container does not run any more
	ResultNotRegular = "not_regular" // a link or a device: refused
	ResultRefused    = "refused"     // the runtime does not reopen it
	ResultUnanswered = "unanswered"  // renamed, but not reopened yet
	ResultUnknown    = "unknown"     // the runtime does not say whose it is
	ResultFailed     = "failed"      // anything else; tried again
)

// Reasons of a failed reopen.
const (
	ReopenTimeout    = "timeout"     // the runtime has the request, and hangs
	ReopenUnanswered = "unanswered"  // nobody knows whether it was done
	ReopenRefused    = "refused"     // the runtime said that it did not do it
	ReopenNotRunning = "not_running" // the container was gone meanwhile
)

// Pools.
const (
	PoolRotations    = "rotations"
	PoolHousekeeping = "housekeeping"
)

// Metrics is what the daemon counts. Make it with New.
type Metrics struct {
	Rotations      *prometheus.CounterVec // by cause and result
	Overshoot      prometheus.Histogram   // in bytes
	Rotation       prometheus.Histogram   // in seconds
	ReopenFailures *prometheus.CounterVec // by reason
	SweepSeconds   prometheus.Histogram
	SweepFinds     prometheus.Counter

	CompressedIn, CompressedOut prometheus.Counter // bytes
	PrunedFiles, PrunedBytes    *prometheus.CounterVec
	CleanedFiles                prometheus.Counter
	ForcedInterval, ForcedGrace prometheus.Counter
	LeaseRefusals               prometheus.Counter
	HousekeepingErrors          *prometheus.CounterVec // by reason

	poolWait, poolRun *prometheus.HistogramVec
}

// New makes a daemon's metrics and registers them. state is called once a scrape;
// it may block for as long as a lock takes.
func New(reg prometheus.Registerer, build Build, state func() State) *Metrics {
	m := &Metrics{
		Rotations: counters("rotations_total",
			"Rotations tried, by what found the log due and what became of it. Those that result is not \"rotated\" changed nothing, or are tried again.",
			"cause", "result"),
		Overshoot: histogram("rotation_overshoot_bytes",
			"Bytes by which a log was over its limit when it was renamed. Without rotations for age, disk pressure or an operator, which have no limit to be over.",
			prometheus.ExponentialBuckets(1<<10, 4, 11)), // 1 KiB to 1 GiB
		Rotation: histogram("rotation_duration_seconds",
			"Time from the beginning of a rotation to its new live log being there, the runtime's part included. Without failed rotations and the wait for a worker.",
			prometheus.ExponentialBuckets(0.0005, 2, 16)), // 0.5 ms to 16 s
		ReopenFailures: counters("reopen_failures_total", "Requests to the runtime to reopen a log that did not succeed, by reason.", "reason"),
		SweepSeconds: histogram("sweep_duration_seconds",
			"Time that a sweep took, from asking the runtime for its containers to the last directory. Without sweeps after lost events or a reload.",
			prometheus.ExponentialBuckets(0.001, 2, 16)), // 1 ms to 33 s
		SweepFinds: counter("sweep_finds_total",
			"Logs found due, or missing, by a sweep and not by an event. At the start all that are due are."),
		CompressedIn:  counter("compression_input_bytes_total", "Bytes of rotated logs that were compressed."),
		CompressedOut: counter("compression_output_bytes_total", "Bytes that rotated logs have once compressed."),
		PrunedFiles:   counters("pruned_files_total", "Rotated logs that were removed, by reason. Without logs of removed containers.", "reason"),
		PrunedBytes:   counters("pruned_bytes_total", "Bytes of rotated logs that were removed, by reason. Without logs of removed containers.", "reason"),
		CleanedFiles:  counter("cleaned_files_total", "Logs that were removed since their container was (cleanRemovedContainers)."),
		ForcedInterval: counter("forced_rotations_total",
			"Rotations sooner than minRotationInterval after the last one, for the sake of the total size: log shippers may have missed a generation."),
		ForcedGrace: counter("forced_prunes_total",
			"Rotated logs that were removed within rotatedLogGracePeriod, for the sake of a total size: log shippers may have missed their ends."),
		LeaseRefusals: counter("lease_refusals_total",
			"Times that a rotated log was left alone because somebody had it open for writing. The runtime has, for milliseconds after a rotation."),
		HousekeepingErrors: counters("housekeeping_errors_total", "Housekeeping runs of a container that failed for some files, by reason. They are tried again.", "reason"),
		poolWait: histograms("pool_wait_seconds",
			"Time that a job waited for a worker. Of a job that was asked for again while it waited, from the last time.", prometheus.ExponentialBuckets(0.0005, 4, 10), "pool"),
		poolRun: histograms("pool_run_seconds", "Time that a job ran.", prometheus.ExponentialBuckets(0.0005, 4, 10), "pool"), // 0.5 ms to 131 s
	}
	// Series that are there from the beginning: without a 0 before it, a first
	// failure would not show as an increase.
	for _, reason := range []string{ReopenTimeout, ReopenUnanswered, ReopenRefused, ReopenNotRunning} {
		m.ReopenFailures.WithLabelValues(reason)
	}
	for _, reason := range []string{"no_space", "other"} {
		m.HousekeepingErrors.WithLabelValues(reason)
	}
	for _, pool := range []string{PoolRotations, PoolHousekeeping} {
		m.poolWait.WithLabelValues(pool)
		m.poolRun.WithLabelValues(pool)
	}
	reg.MustRegister(m.Rotations, m.Overshoot, m.Rotation, m.ReopenFailures, m.SweepSeconds, m.SweepFinds,
		m.CompressedIn, m.CompressedOut, m.PrunedFiles, m.PrunedBytes, m.CleanedFiles, m.ForcedInterval, m.ForcedGrace,
		m.LeaseRefusals, m.HousekeepingErrors, m.poolWait, m.poolRun, newStates(state), buildInfo(build))
	return m
}

// Expect has series there from the beginning, for each cause and reason to prune.
func (m *Metrics) Expect(causes, pruneReasons []string) {
	// A series that is not there before its first failure shows no increase by it.
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

// Timed returns job, with the time that it waits from now on and that it runs
// observed.
func (m *Metrics) Timed(pool string, job func(context.Context)) func(context.Context) {
	asked := time.Now()
	return func(ctx context.Context) {
		begin := time.Now()
		m.poolWait.WithLabelValues(pool).Observe(begin.Sub(asked).Seconds())
		job(ctx)
		m.poolRun.WithLabelValues(pool).Observe(time.Since(begin).Seconds())
	}
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// Native histograms beside classic buckets: whoever scrapes takes what he knows.
const (
	nativeFactor  = 1.1       // 10 % from one bucket to the next
	nativeBuckets = 100       // bounds the memory of one histogram
	nativeReset   = time.Hour // the least time before it may start anew for that
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
