package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

var (
	codecs  = []string{CodecGzip, CodecNone}
	levels  = []string{"trace", "debug", "info", "warn", "error"}
	formats = []string{FormatAuto, FormatConsole, FormatJSON}
)

const (
	// Below this a sweep over every log would itself be load. Events, not
	// sweeps, make logwatch fast.
	leastMonitorInterval = time.Second
	// Below this a healthy runtime on a busy node would be taken for a dead one.
	leastRequestTimeout = 100 * time.Millisecond
)

// Validate reports every value that cannot be, as "key: what to do", one a line.
func (c Config) Validate() error {
	return c.validate(func(key string) string { return key })
}

// validate is Validate with keys as the operator knows them: by a line, a flag.
func (c Config) validate(named func(key string) string) error {
	var errs []error
	add := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", named(key), fmt.Sprintf(format, args...)))
	}
	atLeast := func(key string, got, least int, why string) {
		if got < least {
			add(key, "%d is too small: must be at least %d (%s)", got, least, why)
		}
	}
	noShorter := func(key string, got Duration, least time.Duration) {
		if got.Duration < least {
			add(key, "%v is too short: must be at least %v", got, least)
		}
	}
	oneOf := func(key, got string, allowed []string) {
		if !slices.Contains(allowed, got) {
			add(key, "%q is none of %s", got, quoted(allowed))
		}
	}

	if _, err := socketPath(c.ContainerRuntimeEndpoint); err != nil {
		add("containerRuntimeEndpoint", "%v", err)
	}
	if !filepath.IsAbs(c.PodLogsDir) {
		add("podLogsDir", "%q is not an absolute path: write one that begins with /, such as /var/log/pods", c.PodLogsDir)
	}
	c.validateSizes(add)
	atLeast("containerLogMaxFiles", c.ContainerLogMaxFiles, 2, "the live log and one rotated log")
	atLeast("containerLogMaxWorkers", c.ContainerLogMaxWorkers, 1, "rotations at once")
	noShorter("containerLogMonitorInterval", c.ContainerLogMonitorInterval, leastMonitorInterval)
	noShorter("minRotationInterval", c.MinRotationInterval, 0)
	noShorter("rotatedLogGracePeriod", c.RotatedLogGracePeriod, 0)
	noShorter("runtimeRequestTimeout", c.RuntimeRequestTimeout, leastRequestTimeout)
	oneOf("compression.codec", c.Compression.Codec, codecs)
	if l := c.Compression.Level; l < 1 || l > 9 {
		add("compression.level", "%d is out of range: must be 1 (fastest) to 9 (smallest)", l)
	}
	atLeast("compression.workers", c.Compression.Workers, 1, "to compress nothing set codec to none")
	oneOf("logging.level", c.Logging.Level, levels)
	oneOf("logging.format", c.Logging.Format, formats)
	return errors.Join(errs...)
}

func (c Config) validateSizes(add func(key, format string, args ...any)) {
	size, total := c.ContainerLogMaxSize, c.ContainerLogMaxTotalSize
	if size.Bytes() == 0 {
		add("containerLogMaxSize", "must not be 0 or empty: write a size such as 10Mi, or -1 for no rotation")
	}
	switch {
	case !total.IsSet():
	case total.Bytes() <= 0:
		add("containerLogMaxTotalSize", "%v is too small: write a size, or leave the key out for containerLogMaxSize × containerLogMaxFiles", total)
	case total.Bytes() < size.Bytes():
		// Room for two generations would be kinder to shippers, but one is what
		// can be held: with less, a live log is over the total before it is due.
		add("containerLogMaxTotalSize", "%v is less than containerLogMaxSize (%v): must be at least as large, better twice", total, size)
	}
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(q, ", ")
}
