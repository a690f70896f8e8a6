package config

import (
	"regexp"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the command line's part of the configuration.
type Flags struct{ fs *pflag.FlagSet }

// NewFlags adds a flag for every key but lists to fs. Parsing fs reports text that cannot
// be read; Apply reports values that cannot be.
func NewFlags(fs *pflag.FlagSet) *Flags {
	c := Default()
	c.bind(fs)
	return &Flags{fs}
}

// Apply returns c with the flags that were set on the command line put over it,
// and no others: a flag beats the file, a flag's default does not. The error
// names flags and keys, one a line.
func (f *Flags) Apply(c Config) (Config, error) {
	over := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.bind(over)
	var err error
	f.fs.Visit(func(flag *pflag.Flag) {
		if err == nil && over.Lookup(flag.Name) != nil {
			err = over.Set(flag.Name, flag.Value.String())
		}
	})
	c.applyProfile()
	if err == nil {
		err = c.validate(func(key string) string {
			if name := flagName(key); over.Changed(name) {
				return "--" + name
			}
			return key
		})
	}
	if err != nil {
		return Config{}, err
	}
	return c, nil
}

// bind adds flags to fs that change c and have c's values as their defaults. A
// test compares them with the struct's keys.
func (c *Config) bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.ContainerRuntimeEndpoint, "container-runtime-endpoint", c.ContainerRuntimeEndpoint, "CRI socket of the container runtime (default: the first that exists of the usual ones)")
	fs.StringVar(&c.PodLogsDir, "pod-logs-dir", c.PodLogsDir, "directory of the pods' logs, as in kubelet's configuration")
	fs.TextVar(&c.ContainerLogMaxSize, "container-log-max-size", c.ContainerLogMaxSize, "rotate a live log at this `size`; negative: no rotation")
	fs.IntVar(&c.ContainerLogMaxFiles, "container-log-max-files", c.ContainerLogMaxFiles, "files of a container, the live log counted")
	fs.TextVar(&c.ContainerLogMaxTotalSize, "container-log-max-total-size", c.ContainerLogMaxTotalSize, "`size` of a container's files together (default: maximum size × maximum files)")
	fs.TextVar(&c.ContainerLogMaxAge, "container-log-max-age", c.ContainerLogMaxAge, "age (a `duration`, such as 14d) past which rotated logs go and live logs are rotated; 0s: no limit")
	fs.IntVar(&c.ContainerLogMaxWorkers, "container-log-max-workers", c.ContainerLogMaxWorkers, "rotations at once")
	fs.TextVar(&c.ContainerLogMonitorInterval, "container-log-monitor-interval", c.ContainerLogMonitorInterval, "time (a `duration`) between two sweeps over all logs")
	fs.StringVar(&c.CollectorProfile, "collector-profile", c.CollectorProfile, "log shipper that the next two suit by default: "+strings.Join(profileNames(), ", "))
	fs.TextVar(&c.MinRotationInterval, "min-rotation-interval", c.MinRotationInterval, "least `duration` between two rotations of a log; 0s: always rotate at the limit (default: the profile's, or 1s)")
	fs.TextVar(&c.RotatedLogGracePeriod, "rotated-log-grace-period", c.RotatedLogGracePeriod, "least age (a `duration`) of a rotated log that is compressed or removed (default: the profile's, or 0s)")
	fs.BoolVar(&c.CleanRemovedContainers, "clean-removed-containers", c.CleanRemovedContainers, "remove the logs of containers that are gone from the runtime, for a kubelet whose own rotation is off")
	fs.TextVar(&c.NodeLogBudget, "node-log-budget", c.NodeLogBudget, "`size` of all logs together (default: no limit)")
	disk := &c.DiskPressure
	fs.IntVar(&disk.HighThresholdPercent, "disk-pressure-high-threshold-percent", disk.HighThresholdPercent, "remove logs when the disk is fuller than this; 0: off")
	fs.IntVar(&disk.LowThresholdPercent, "disk-pressure-low-threshold-percent", disk.LowThresholdPercent, "… until it is no fuller than this")
	fs.IntVar(&disk.InodesHighThresholdPercent, "disk-pressure-inodes-high-threshold-percent", disk.InodesHighThresholdPercent, "the same for its inodes; 0: off")
	fs.IntVar(&disk.InodesLowThresholdPercent, "disk-pressure-inodes-low-threshold-percent", disk.InodesLowThresholdPercent, "… until no more are used than this")
	fs.TextVar(&c.RuntimeRequestTimeout, "runtime-request-timeout", c.RuntimeRequestTimeout, "deadline (a `duration`) of a call to the runtime; above 4s a hanging call may outlive the shutdown")
	fs.StringVar(&c.Compression.Codec, "compression-codec", c.Compression.Codec, "how to compress rotated logs: "+strings.Join(codecs, ", "))
	fs.IntVar(&c.Compression.Level, "compression-level", c.Compression.Level, "1 (fastest) to 9 (smallest)")
	fs.IntVar(&c.Compression.Workers, "compression-workers", c.Compression.Workers, "files compressed at once")
	fs.StringVar(&c.Logging.Level, "logging-level", c.Logging.Level, "least severity that is logged: "+strings.Join(levels, ", "))
	fs.StringVar(&c.Logging.Format, "logging-format", c.Logging.Format, "json or console (default: console on a terminal, json otherwise)")
	c.Metrics.bind(fs)
	fs.StringVar(&c.ControlSocket, "control-socket", c.ControlSocket, "path of the socket for status and rotate; empty: none")
	c.Annotations.bind(fs)
}

func (m *Metrics) bind(fs *pflag.FlagSet) {
	fs.StringVar(&m.ListenAddress, "metrics-listen-address", m.ListenAddress, "`host:port` to serve metrics and health on; empty: nowhere")
	fs.StringVar(&m.WebConfigFile, "metrics-web-config-file", m.WebConfigFile, "Prometheus exporter's web configuration `file`, for TLS and basic authentication")
	fs.BoolVar(&m.PerContainer, "metrics-per-container", m.PerContainer, "serve metrics of each container too")
	fs.BoolVar(&m.Page, "metrics-page", m.Page, "serve the page at /, which shows containers' names, paths and errors")
}

func (a *Annotations) bind(fs *pflag.FlagSet) {
	fs.BoolVar(&a.Enabled, "annotations-enabled", a.Enabled, "let pods choose limits of their own with annotations")
	const unset = " (default: what the container has without annotations)"
	top := &a.Ceilings
	fs.TextVar(&top.MaxSize, "annotations-ceilings-max-size", top.MaxSize, "the largest `size` of a live log that an annotation gets"+unset)
	fs.IntVar(&top.MaxFiles, "annotations-ceilings-max-files", top.MaxFiles, "the most files that an annotation gets; 0: what the container has without annotations")
	fs.TextVar(&top.MaxTotalSize, "annotations-ceilings-max-total-size", top.MaxTotalSize, "the largest total `size` that an annotation gets (default: the product of the two above, if either is set)")
	fs.TextVar(&top.MaxAge, "annotations-ceilings-max-age", top.MaxAge, "the greatest age (a `duration`) that an annotation gets"+unset)
	fs.TextVar(&top.MinRotationInterval, "annotations-ceilings-min-rotation-interval", top.MinRotationInterval, "the longest `duration` between rotations that an annotation gets"+unset)
	fs.TextVar(&top.RotatedLogGracePeriod, "annotations-ceilings-rotated-log-grace-period", top.RotatedLogGracePeriod, "the longest grace period (a `duration`) that an annotation gets"+unset)
}

var upper = regexp.MustCompile(`[A-Z]`)

// flagName is a key in kebab case: compression.codec → compression-codec.
func flagName(key string) string {
	return strings.ToLower(upper.ReplaceAllString(strings.ReplaceAll(key, ".", "-"), "-$0"))
}
