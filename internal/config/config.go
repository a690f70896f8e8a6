package config

import (
	"math"
	"time"
)

// Values of Compression.Codec.
const (
	CodecGzip = "gzip"
	CodecZstd = "zstd"
	CodecNone = "none"
)

// Values of Logging.Format. FormatAuto is console on a terminal, json otherwise.
const (
	FormatAuto    = ""
	FormatConsole = "console"
	FormatJSON    = "json"
)

// Config is the whole configuration. The tags are the keys of the file; the
// order of the fields is that of the sample file.
type Config struct {
	// ContainerRuntimeEndpoint is the CRI socket; "" looks for one, see Endpoint.
	ContainerRuntimeEndpoint string `json:"containerRuntimeEndpoint"`
	// PodLogsDir is kubelet's podLogsDir, absolute.
	PodLogsDir string `json:"podLogsDir"`
	// ContainerLogMaxSize is the limit of a live log; negative: no rotation.
	ContainerLogMaxSize Size `json:"containerLogMaxSize"`
	// ContainerLogMaxFiles is how many files a container may have, the live log
	// counted, as kubelet counts.
	ContainerLogMaxFiles int `json:"containerLogMaxFiles"`
	// ContainerLogMaxTotalSize is the limit of a container's files together;
	// unset: MaxSize × MaxFiles, see MaxTotalSizeBytes.
	ContainerLogMaxTotalSize Size `json:"containerLogMaxTotalSize"`
	// ContainerLogMaxAge is the age of its newest line past which a rotated log is
	// not kept, and of its oldest past which a live log is rotated; 0: no limit.
	ContainerLogMaxAge Duration `json:"containerLogMaxAge"`
	// ContainerLogMaxWorkers is how many rotations may run at once.
	ContainerLogMaxWorkers int `json:"containerLogMaxWorkers"`
	// ContainerLogMonitorInterval is the time between two sweeps.
	ContainerLogMonitorInterval Duration `json:"containerLogMonitorInterval"`
	// CollectorProfile is a log shipper whose needs are the defaults of the next
	// two; "": none is named. Parse and Flags.Apply put them in place.
	CollectorProfile string `json:"collectorProfile"`
	// MinRotationInterval is the least time between two rotations of one log;
	// 0: rotate whenever it is at its limit. One that is not set holds its
	// default all the same.
	MinRotationInterval Duration `json:"minRotationInterval"`
	// RotatedLogGracePeriod is the least age of a rotated log that is compressed
	// or removed. One that is not set holds its default all the same.
	RotatedLogGracePeriod Duration `json:"rotatedLogGracePeriod"`
	// CleanRemovedContainers: remove the logs of containers that are gone from
	// the runtime, as kubelet does unless its rotation is off.
	CleanRemovedContainers bool `json:"cleanRemovedContainers"`
	// NodeLogBudget is the most bytes that all logs together take; unset: no
	// limit.
	NodeLogBudget Size         `json:"nodeLogBudget"`
	DiskPressure  DiskPressure `json:"diskPressure"`
	// RuntimeRequestTimeout is the deadline of one call to the runtime.
	RuntimeRequestTimeout Duration `json:"runtimeRequestTimeout"`

	Compression Compression `json:"compression"`
	Logging     Logging     `json:"logging"`
	Metrics     Metrics     `json:"metrics"`
	// ControlSocket is the absolute path of the socket that commands ask the
	// daemon through; "": none.
	ControlSocket string `json:"controlSocket"`

	Annotations Annotations `json:"annotations"`
	// Overrides are for some containers; the first that matches one holds.
	Overrides []Override `json:"overrides"`
}

// Compression is how rotated logs are compressed.
type Compression struct {
	Codec   string `json:"codec"`   // CodecGzip, CodecZstd or CodecNone
	Level   int    `json:"level"`   // 1 (fastest) to 9 (smallest)
	Workers int    `json:"workers"` // files compressed at once
}

// DiskPressure is about the file system that podLogsDir is on: over a high
// threshold, logs are removed until it is below the low one. In per cent used; 0:
// off.
type DiskPressure struct {
	HighThresholdPercent       int `json:"highThresholdPercent"`
	LowThresholdPercent        int `json:"lowThresholdPercent"`
	InodesHighThresholdPercent int `json:"inodesHighThresholdPercent"`
	InodesLowThresholdPercent  int `json:"inodesLowThresholdPercent"`
}

// Logging is about the daemon's own log.
type Logging struct {
	Level  string `json:"level"`  // trace, debug, info, warn or error
	Format string `json:"format"` // FormatAuto, FormatConsole or FormatJSON
}

// Metrics is about the HTTP server with the daemon's metrics and health.
type Metrics struct {
	ListenAddress string `json:"listenAddress"` // host:port; "": no server
	// WebConfigFile is a Prometheus exporter's web configuration, for TLS and
	// basic authentication; "": neither.
	WebConfigFile string `json:"webConfigFile"`
	PerContainer  bool   `json:"perContainer"` // series for each container too
	Page          bool   `json:"page"`         // the page at /, which shows containers' names
}

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		PodLogsDir:                  "/var/log/pods",            // kubelet's default
		ContainerLogMaxSize:         mustSize("10Mi"),           // kubelet's default
		ContainerLogMaxFiles:        5,                          // kubelet's default
		ContainerLogMaxAge:          duration(0),                // kubelet has no such limit: nothing goes that it would have kept
		ContainerLogMaxWorkers:      4,                          // a rotation waits for the runtime, it does not compute: more than the cores of a small node
		ContainerLogMonitorInterval: duration(10 * time.Second), // kubelet's default; events do the fast part
		MinRotationInterval:         profiles[""].interval(),
		RotatedLogGracePeriod:       profiles[""].grace(),
		// Short, since a reopen that hangs holds a rotation worker, and since the
		// daemon has 5 s to exit. A healthy runtime takes milliseconds.
		RuntimeRequestTimeout: duration(3 * time.Second),
		Compression: Compression{
			Codec:   CodecGzip,
			Level:   5, // what the gzip library takes as its default
			Workers: 1, // leaves the other cores to the workload
		},
		Logging: Logging{Level: "info", Format: FormatAuto},
		// Not for other hosts: who opens it to them should look at webConfigFile.
		Metrics:       Metrics{ListenAddress: "127.0.0.1:9790", Page: true},
		ControlSocket: "/run/logwatch/logwatch.sock", // in systemd's RuntimeDirectory
		Annotations: Annotations{
			Enabled: false, // who may write a pod's annotations is not who runs the node
			// No ceiling: a pod may ask for less than it has, not for more.
			Ceilings: Ceilings{
				MaxAge:                Duration{unset: true},
				MinRotationInterval:   Duration{unset: true},
				RotatedLogGracePeriod: Duration{unset: true},
			},
		},
		Overrides: []Override{}, // not nil, so that it is written as a list
	}
}

func duration(d time.Duration) Duration { return Duration{Duration: d} }

// MaxSizeBytes is the limit of a live log in bytes. Negative: rotation is off.
func (c Config) MaxSizeBytes() int64 { return c.ContainerLogMaxSize.Bytes() }

// MaxTotalSizeBytes is the limit, in bytes, of a container's files together.
// Negative: no limit, which is so when rotation is off and no total is set.
func (c Config) MaxTotalSizeBytes() int64 {
	if c.ContainerLogMaxTotalSize.IsSet() {
		return c.ContainerLogMaxTotalSize.Bytes()
	}
	size, files := c.MaxSizeBytes(), int64(c.ContainerLogMaxFiles)
	switch {
	case size < 0:
		return -1
	case files > 0 && size > math.MaxInt64/files:
		return math.MaxInt64
	}
	return size * files
}
