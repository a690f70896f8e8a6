package config

import (
	"math"
	"time"
)

// Values of Compression.Codec.
const (
	CodecGzip = "gzip"
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
	// ContainerLogMaxWorkers is how many rotations may run at once.
	ContainerLogMaxWorkers int `json:"containerLogMaxWorkers"`
	// ContainerLogMonitorInterval is the time between two sweeps.
	ContainerLogMonitorInterval Duration `json:"containerLogMonitorInterval"`
	// MinRotationInterval is the least time between two rotations of one log;
	// 0: rotate whenever it is at its limit.
	MinRotationInterval Duration `json:"minRotationInterval"`
	// RotatedLogGracePeriod is the least age of a rotated log that is compressed.
	RotatedLogGracePeriod Duration `json:"rotatedLogGracePeriod"`
	// RuntimeRequestTimeout is the deadline of one call to the runtime.
	RuntimeRequestTimeout Duration `json:"runtimeRequestTimeout"`

	Compression Compression `json:"compression"`
	Logging     Logging     `json:"logging"`
}

// Compression is how rotated logs are compressed.
type Compression struct {
	Codec   string `json:"codec"`   // CodecGzip or CodecNone
	Level   int    `json:"level"`   // 1 (fastest) to 9 (smallest)
	Workers int    `json:"workers"` // files compressed at once
}

// Logging is about the daemon's own log.
type Logging struct {
	Level  string `json:"level"`  // trace, debug, info, warn or error
	Format string `json:"format"` // FormatAuto, FormatConsole or FormatJSON
}

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		PodLogsDir:                  "/var/log/pods",            // kubelet's default
		ContainerLogMaxSize:         mustSize("10Mi"),           // kubelet's default
		ContainerLogMaxFiles:        5,                          // kubelet's default
		ContainerLogMaxWorkers:      4,                          // a rotation waits for the runtime, it does not compute: more than the cores of a small node
		ContainerLogMonitorInterval: Duration{10 * time.Second}, // kubelet's default; events do the fast part
		MinRotationInterval:         Duration{time.Second},      // log shippers poll about once a second, and must see each generation
		RotatedLogGracePeriod:       Duration{0},                // the newest rotated log stays plain anyhow
		// Short, since a reopen that hangs holds a rotation worker, and since the
		// daemon has 5 s to exit. A healthy runtime takes milliseconds.
		RuntimeRequestTimeout: Duration{3 * time.Second},
		Compression: Compression{
			Codec:   CodecGzip,
			Level:   5, // what the gzip library takes as its default
			Workers: 1, // leaves the other cores to the workload
		},
		Logging: Logging{Level: "info", Format: FormatAuto},
	}
}

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
