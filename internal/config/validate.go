package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	codecs  = []string{CodecGzip, CodecZstd, CodecNone}
	levels  = []string{"trace", "debug", "info", "warn", "error"}
	formats = []string{FormatAuto, FormatConsole, FormatJSON}
)

const (
	// Below this a sweep over every log would itself be load. Events, not
	// sweeps, make logwatch fast.
	leastMonitorInterval = time.Second
	// Below this a healthy runtime on a busy node would be taken for a dead one.
	leastRequestTimeout = 100 * time.Millisecond
	// An age is found by the sweep, and a live log is rotated for it: below a few
	// sweeps it could not be held, and would rotate logs that have next to nothing.
	leastMaxAge = time.Minute
)

// Validate reports every value that cannot be, as "key: what to do", one a line.
func (c Config) Validate() error {
	return c.validate(func(key string) string { return key })
}

// validate is Validate with keys as the operator knows them: by a line, a flag.
func (c Config) validate(named func(key string) string) error {
	p := problems{named: named}
	if _, err := socketPath(c.ContainerRuntimeEndpoint); err != nil {
		p.add("containerRuntimeEndpoint", "%v", err)
	}
	if !filepath.IsAbs(c.PodLogsDir) {
		p.add("podLogsDir", "%q is not an absolute path: write one that begins with /, such as /var/log/pods", c.PodLogsDir)
	}
	p.notEmpty("containerLogMaxAge", &c.ContainerLogMaxAge)
	p.validatePolicy(c)
	p.atLeast("containerLogMaxWorkers", c.ContainerLogMaxWorkers, 1, "rotations at once")
	if p.notEmpty("containerLogMonitorInterval", &c.ContainerLogMonitorInterval) {
		p.noShorter("containerLogMonitorInterval", c.ContainerLogMonitorInterval, leastMonitorInterval)
	}
	if _, ok := profiles[c.CollectorProfile]; !ok {
		p.oneOf("collectorProfile", c.CollectorProfile, profileNames())
	}
	if b := c.NodeLogBudget; b.IsSet() && b.Bytes() <= 0 {
		p.add("nodeLogBudget", "%v is too small: write a size such as 20Gi, or leave the key out for no limit", b)
	}
	p.thresholds("diskPressure.highThresholdPercent", c.DiskPressure.HighThresholdPercent, "lowThresholdPercent", c.DiskPressure.LowThresholdPercent)
	p.thresholds("diskPressure.inodesHighThresholdPercent", c.DiskPressure.InodesHighThresholdPercent, "inodesLowThresholdPercent", c.DiskPressure.InodesLowThresholdPercent)
	if p.notEmpty("runtimeRequestTimeout", &c.RuntimeRequestTimeout) {
		p.noShorter("runtimeRequestTimeout", c.RuntimeRequestTimeout, leastRequestTimeout)
	}
	p.atLeast("compression.workers", c.Compression.Workers, 1, "to compress nothing set codec to none")
	p.oneOf("logging.level", c.Logging.Level, levels)
	p.oneOf("logging.format", c.Logging.Format, formats)
	p.validateServers(c)
	p.validateCeilings(c)
	for i, o := range c.Overrides {
		p.validateOverride(c, o, fmt.Sprintf("overrides[%d]", i))
	}
	return errors.Join(p.errs...)
}

// validateServers looks at where the daemon listens.
func (p *problems) validateServers(c Config) {
	if address := c.Metrics.ListenAddress; address != "" {
		_, port, err := net.SplitHostPort(address)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			p.add("metrics.listenAddress", "%q is no address: write host:port, such as 127.0.0.1:9790 or [::]:9790, or leave it empty for none", address)
		}
	}
	switch path := c.ControlSocket; {
	case path == "":
	case !filepath.IsAbs(path):
		p.add("controlSocket", "%q is not an absolute path: write one that begins with /, or leave it empty for none", path)
	case len(path) > maxSocketPath:
		p.add("controlSocket", "%q is %d bytes long: the kernel takes at most %d", path, len(path), maxSocketPath)
	}
}

// validatePolicy looks at the keys that an override may have for its own.
func (p *problems) validatePolicy(c Config) {
	size, total := c.ContainerLogMaxSize, c.ContainerLogMaxTotalSize
	if size.Bytes() == 0 {
		p.add("containerLogMaxSize", "must not be 0 or empty: write a size such as 10Mi, or -1 for no rotation")
	}
	switch {
	case !total.IsSet():
	case total.Bytes() <= 0:
		p.add("containerLogMaxTotalSize", "%v is too small: write a size, or leave the key out for containerLogMaxSize × containerLogMaxFiles", total)
	case total.Bytes() < size.Bytes():
		// Room for two generations would be kinder to shippers, but one is what
		// can be held: with less, a live log is over the total before it is due.
		p.add("containerLogMaxTotalSize", "%v is less than containerLogMaxSize (%v): must be at least as large, better twice", total, size)
	}
	p.atLeast("containerLogMaxFiles", c.ContainerLogMaxFiles, 2, "the live log and one rotated log")
	age, grace := c.ContainerLogMaxAge, c.RotatedLogGracePeriod
	switch {
	case age.Duration == 0:
	case age.Duration < leastMaxAge:
		p.add("containerLogMaxAge", "%v is too short: must be at least %v, or 0s for no limit", age, leastMaxAge)
	case age.Duration < grace.Duration:
		p.add("containerLogMaxAge", "%v is less than rotatedLogGracePeriod (%v), in which nothing is removed: must be at least as long", age, grace)
	}
	p.noShorter("minRotationInterval", c.MinRotationInterval, 0)
	p.noShorter("rotatedLogGracePeriod", grace, 0)
	p.oneOf("compression.codec", c.Compression.Codec, codecs)
	if l := c.Compression.Level; l < 1 || l > 9 {
		p.add("compression.level", "%d is out of range: must be 1 (fastest) to 9 (smallest)", l)
	}
}

// thresholds come in pairs: where to begin freeing, and where to stop.
func (p *problems) thresholds(key string, high int, lowName string, low int) {
	switch {
	case high == 0 && low == 0:
	case high < 1 || high > 99:
		p.add(key, "%d is out of range: must be 1 to 99, or 0 with %s 0 for off", high, lowName)
	case low < 1 || low >= high:
		p.add(key, "%d must be above %s (%d), and that above 0", high, lowName, low)
	}
}

// problems are the values that cannot be.
type problems struct {
	named func(key string) string
	errs  []error
}

func (p *problems) add(key, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: %s", p.named(key), fmt.Sprintf(format, args...)))
}

func (p *problems) atLeast(key string, got, least int, why string) {
	if got < least {
		p.add(key, "%d is too small: must be at least %d (%s)", got, least, why)
	}
}

func (p *problems) noShorter(key string, got Duration, least time.Duration) {
	if got.Duration < least {
		p.add(key, "%v is too short: must be at least %v", got, least)
	}
}

// notEmpty is for durations that have no default to fall back to.
func (p *problems) notEmpty(key string, got *Duration) bool {
	if got == nil || got.IsSet() {
		return true
	}
	p.add(key, "must not be empty: write a number and its unit, such as 500ms, 10s or 5m")
	return false
}

func (p *problems) oneOf(key, got string, allowed []string) {
	if !slices.Contains(allowed, got) {
		p.add(key, "%q is none of %s", got, quoted(allowed))
	}
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(q, ", ")
}
