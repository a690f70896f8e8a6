package config

import (
	"fmt"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
)

// Values of Logging.Format. FormatAuto is console on a terminal, json otherwise.
const (
	FormatAuto    = ""
	FormatConsole = "console"
	FormatJSON    = "json"
)

// Config is the whole configuration. keys describes its fields.
type Config struct {
	policy.Rules
	ContainerRuntimeEndpoint    string // "": see Endpoint
	PodLogsDir                  string
	ContainerLogMaxWorkers      int
	ContainerLogMonitorInterval time.Duration
	CleanRemovedContainers      bool
	UnreadLogBudget             int64 // bytes; 0: none
	LogReaders                  LogReaders
	NodeLogBudget               int64 // bytes; 0: no limit
	DiskPressure                DiskPressure
	RuntimeRequestTimeout       time.Duration
	Compression                 Compression
	Logging                     Logging
	Metrics                     Metrics
	ControlSocket               string // "": none
}

// DiskPressure has percentages of the file system of podLogsDir: above a high
// threshold, logs are removed until usage is below the low one; 0: off.
type DiskPressure struct {
	HighThresholdPercent, LowThresholdPercent             int
	InodesHighThresholdPercent, InodesLowThresholdPercent int
}

// LogReaders are the processes that follow logs.
type LogReaders struct {
	Ignore  string        // commands, separated by commas
	Timeout time.Duration // of one that died or does not read
}

// Ignored returns the commands that are not readers.
func (l LogReaders) Ignored() []string {
	return strings.FieldsFunc(l.Ignore, func(r rune) bool { return r == ',' || r == ' ' })
}

// Compression is how compressions run; the policy has what they do.
type Compression struct{ Workers int }

// Logging is the daemon's own log.
type Logging struct{ Level, Format string }

// Metrics is the HTTP server of metrics and health.
type Metrics struct {
	ListenAddress string // host:port; "": no server
	WebConfigFile string // TLS and basic authentication; "": neither
	HostNames     string // further ones that a loopback address answers to, with commas
	PerContainer  bool
	Page          bool
}

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		Rules: policy.Rules{
			Patch: policy.Patch{},
			// Disabled: the author of a pod's annotations is not the node's administrator.
			Annotations: policy.Annotations{Ceilings: policy.Patch{}},
			Overrides:   []policy.Override{},
		},
		PodLogsDir:                  "/var/log/pods",  // kubelet's default
		ContainerLogMaxWorkers:      4,                // more than a small node's cores: a rotation waits for the runtime
		ContainerLogMonitorInterval: 10 * time.Second, // kubelet's default; events do the fast part
		UnreadLogBudget:             1 << 30,          // two minutes of a shipper's outage at 8 MB/s
		LogReaders:                  LogReaders{Timeout: 5 * time.Minute},
		// Short, since a hanging reopen holds a rotation worker, and the daemon has 5 s
		// to exit. A healthy runtime takes milliseconds.
		RuntimeRequestTimeout: 3 * time.Second,
		Compression:           Compression{Workers: 1}, // leaves the other cores to the workload
		Logging:               Logging{Level: "info"},
		Metrics:               Metrics{ListenAddress: "127.0.0.1:9790", Page: true}, // not for other hosts, see webConfigFile
		ControlSocket:         "/run/logwatch/logwatch.sock",                        // in systemd's RuntimeDirectory
	}
}

// key is a row of the table that the file, the flags and the documentation are
// derived from. Its value is a setting.Value, *[]string or *[]policy.Override; only
// the first has a flag.
type key struct {
	name  string // nested ones with dots: logging.level
	usage string // of the flag
	start bool   // takes effect at a start only, not on reload
	value any
}

// keys are the whole table for c, in the order of the sample file.
func (c *Config) keys() []key {
	disk, metrics := &c.DiskPressure, &c.Metrics
	list := []key{
		{"containerRuntimeEndpoint", "CRI socket of the container runtime (default: the first existing of the usual ones)", true, setting.Text(&c.ContainerRuntimeEndpoint, checkEndpoint)},
		{"podLogsDir", "directory of the pods' logs, as in kubelet's configuration", true, setting.Path(&c.PodLogsDir)},
		{"collectorProfile", "log shipper whose needs are the defaults of the rotation interval and the grace period: " + strings.Join(policy.Profiles(), ", "), false, setting.Text(&c.CollectorProfile, setting.OneOf(policy.Profiles()...)).Optional()},
	}
	for _, f := range policy.Fields {
		if f.Key != "" {
			list = append(list, key{f.Key, f.Usage, false, c.Patch.Key(f)})
		}
	}
	list = append(list, []key{
		{"compression.workers", "number of concurrent compressions", true, setting.Int(&c.Compression.Workers, 1, math.MaxInt, " (to disable compression set the codec to none)")},
		{"containerLogMaxWorkers", "number of concurrent rotations", true, setting.Int(&c.ContainerLogMaxWorkers, 1, math.MaxInt, "")},
		// Below a second a sweep over all logs would itself be load.
		{"containerLogMonitorInterval", "time between two sweeps over all logs", true, setting.Duration(&c.ContainerLogMonitorInterval, time.Second)},
		// Below 100 ms a healthy runtime on a busy node would be taken for a dead one.
		{"runtimeRequestTimeout", "deadline of a call to the runtime; above 4s a hanging call may outlive the shutdown", true, setting.Duration(&c.RuntimeRequestTimeout, 100*time.Millisecond)},
		{"cleanRemovedContainers", "remove the logs of containers that the runtime has removed, for a kubelet whose own rotation is off", false, setting.Bool(&c.CleanRemovedContainers)},
		{"unreadLogBudget", "disk space beyond the containers' totals for logs that log readers have not read; 0: none", false, setting.SizeOrZero(&c.UnreadLogBudget)},
		{"logReaders.ignore", "commands of processes that are not waited for, separated by commas", false, setting.Text(&c.LogReaders.Ignore).Optional()},
		{"logReaders.timeout", "how long logs are kept for a log reader that died or stopped reading", false, setting.Duration(&c.LogReaders.Timeout, time.Second)},
		{"nodeLogBudget", "maximum size of all logs together (default: no limit)", false, setting.Size(&c.NodeLogBudget).Optional()},
		{"diskPressure.highThresholdPercent", "remove logs when more than this percentage of the disk is used; 0: off", false, percent(&disk.HighThresholdPercent)},
		{"diskPressure.lowThresholdPercent", "remove logs until no more than this percentage is used", false, percent(&disk.LowThresholdPercent)},
		{"diskPressure.inodesHighThresholdPercent", "the same for inodes; 0: off", false, percent(&disk.InodesHighThresholdPercent)},
		{"diskPressure.inodesLowThresholdPercent", "the same for inodes", false, percent(&disk.InodesLowThresholdPercent)},
		{"logging.level", "minimum level: trace, debug, info, warn or error", true, setting.Text(&c.Logging.Level, setting.OneOf("trace", "debug", "info", "warn", "error"))},
		{"logging.format", "json or console (default: console on a terminal, json otherwise)", true, setting.Text(&c.Logging.Format, setting.OneOf(FormatConsole, FormatJSON)).Optional()},
		{"metrics.listenAddress", "`host:port` of metrics and health; empty: disabled", true, setting.Text(&metrics.ListenAddress, checkAddress)},
		{"metrics.webConfigFile", "Prometheus web configuration `file`, for TLS and basic authentication", true, setting.Text(&metrics.WebConfigFile)},
		{"metrics.hostNames", "further host `names`, with commas, that a loopback address answers to", true, setting.Text(&metrics.HostNames, checkHostNames)},
		{"metrics.perContainer", "serve metrics of each container too", true, setting.Bool(&metrics.PerContainer)},
		{"metrics.page", "serve the page at /, which shows containers' names, paths and errors", true, setting.Bool(&metrics.Page)},
		{"controlSocket", "path of the socket for status, rotate and other commands; empty: none", true, setting.Text(&c.ControlSocket, checkControlSocket)},
		{"annotations.enabled", "let pods choose their own limits with annotations", false, setting.Bool(&c.Annotations.Enabled)},
	}...)
	for _, f := range policy.Fields {
		if f.Ceiling != "" {
			list = append(list, key{"annotations.ceilings." + f.Name, f.Ceiling, false, c.Annotations.Ceilings.Ceiling(f)})
		}
	}
	return append(list, key{"overrides", "", false, &c.Overrides})
}

// overrideKeys are the table of an override.
func overrideKeys(o *policy.Override) []key {
	list := []key{
		{name: "match.namespaces", value: &o.Match.Namespaces},
		{name: "match.pods", value: &o.Match.Pods},
		{name: "match.containers", value: &o.Match.Containers},
		{name: "match.labels", value: setting.Text(&o.Match.Labels, policy.CheckSelector)},
	}
	for _, f := range policy.Fields {
		list = append(list, key{name: f.Name, value: o.Patch.Value(f)})
	}
	return list
}

func percent(at *int) setting.Value { return setting.Int(at, 0, 99, " percent") }

func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if _, bad := strconv.ParseUint(port, 10, 16); s != "" && (err != nil || bad != nil) {
		return fmt.Errorf("invalid address %q: use host:port, such as 127.0.0.1:9790 or [::]:9790, or leave it empty for none", s)
	}
	return nil
}

func checkHostNames(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		if s != "" && (name == "" || strings.ContainsAny(name, " \t\n:/*")) {
			return fmt.Errorf("invalid host name %q: use names without ports, such as logs.example,node7.example", name)
		}
	}
	return nil
}

func checkControlSocket(s string) error {
	if s != "" && !filepath.IsAbs(s) {
		return fmt.Errorf("invalid path %q: must be absolute, or empty for none", s)
	}
	return checkSocketLength(s)
}

// Validate reports the values that do not fit each other, one a line. Each is valid
// by itself in a Config that was read.
func (c Config) Validate() error {
	errs := problems{named: strings.Clone}
	_, err := errs.result(c)
	return err
}

// check is Validate, one value at a time.
func (c Config) check(report func(name string, err error)) {
	c.Rules.Validate(report)
	for _, t := range []struct {
		name      string
		high, low int
	}{
		{"highThresholdPercent", c.DiskPressure.HighThresholdPercent, c.DiskPressure.LowThresholdPercent},
		{"inodesHighThresholdPercent", c.DiskPressure.InodesHighThresholdPercent, c.DiskPressure.InodesLowThresholdPercent},
	} {
		if (t.high != 0 || t.low != 0) && (t.low == 0 || t.low >= t.high) {
			report("diskPressure."+t.name, fmt.Errorf("must be above the low threshold (%d), which must be above 0, got %d", t.low, t.high))
		}
	}
}

// KeepStartupKeys returns c with the values of old for the keys that take effect at
// a start only, and the names of those that differ.
func (c Config) KeepStartupKeys(old Config) (merged Config, ignored []string) {
	was := old.keys()
	for i, k := range c.keys() {
		if v, ok := k.value.(setting.Value); ok && k.start {
			if before, ok := was[i].value.(setting.Value); ok && v.String() != before.String() {
				ignored = append(ignored, k.name)
				_ = v.Set(before.String()) // it was valid
			}
		}
	}
	return c, ignored
}
