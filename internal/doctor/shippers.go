package doctor

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/config"
)

var shipperChecks = []check{{"shippers", checkShippers, []need{needConfig}}}

// shippers are the log shippers that have a profile, by what they run: the name of
// the program, the arguments, the executable.
var shippers = []struct {
	profile string // collectorProfile's name
	runs    *regexp.Regexp
}{
	{"fluent-bit", regexp.MustCompile(`^(calyptia-)?fluent-bit `)},
	{"fluentd", regexp.MustCompile(`^(fluentd|td-agent) |^ruby\S* .*(fluentd|td-agent)`)},
	{"vector", regexp.MustCompile(`^vector `)},
	{"filebeat", regexp.MustCompile(`^(filebeat|agentbeat|elastic-agent) `)},
	{"alloy", regexp.MustCompile(`^(alloy|grafana-agent|promtail) `)},
	{"otel", regexp.MustCompile(`^(otelcol\S*|\S*otel-collector|opentelemetry-collector) `)},
	{"vlagent", regexp.MustCompile(`^vlagent`)},
	{"datadog", regexp.MustCompile(`^agent .*datadog-agent`)},
}

// shipperOf returns the profile for a process; "": none.
func shipperOf(p process) (profile string) {
	exe, _ := p.Executable() // "": it cannot be read
	runs := p.program() + " " + strings.Join(append(slices.Clone(p.args), exe), " ")
	for _, s := range shippers {
		if s.runs.MatchString(runs) {
			return s.profile
		}
	}
	return ""
}

// profileOf returns a profile's two keys.
func profileOf(profile string) (interval, grace time.Duration) {
	c, err := config.Parse("", []byte("collectorProfile: "+profile))
	if err != nil { // a test covers the table
		return 0, 0
	}
	return c.MinRotationInterval.Duration, c.RotatedLogGracePeriod.Duration
}

func checkShippers(_ context.Context, n *node) Check {
	running := map[string]bool{}
	var interval, grace time.Duration
	var names, why []string
	for _, p := range n.processes() {
		profile := shipperOf(p)
		if profile == "" || running[profile] {
			continue
		}
		running[profile] = true
		i, g := profileOf(profile)
		interval, grace = max(interval, i), max(grace, g)
		names = append(names, p.program())
		why = append(why, text("%s (process %d) needs %v and %v", p.program(), p.PID, i, g))
	}
	switch {
	case len(names) == 0 && n.isolated():
		return n.orHidden(found(Skip, "no log shipper can be seen"))
	case len(names) == 0:
		return found(OK, "no log shipper that has a profile runs here")
	}
	slices.Sort(names)
	joined, s := strings.Join(names, ", "), n.settings()
	evidence := "minRotationInterval and rotatedLogGracePeriod: " + strings.Join(why, "; ") + "."
	var lines, short []string
	for _, key := range []struct {
		name         string
		have, wanted time.Duration
	}{
		{"minRotationInterval", s.MinRotationInterval.Duration, interval},
		{"rotatedLogGracePeriod", s.RotatedLogGracePeriod.Duration, grace},
	} {
		if key.have < key.wanted {
			short = append(short, text("%s is %v, and should be %v", key.name, key.have, key.wanted))
			lines = append(lines, key.name+": "+key.wanted.String())
		}
	}
	if len(short) > 0 {
		if len(running) == 1 && !s.MinRotationInterval.IsSet() && !s.RotatedLogGracePeriod.IsSet() {
			for profile := range running {
				lines = []string{"collectorProfile: " + profile}
			}
		}
		return found(Warn, "%s may miss lines: %s", joined, strings.Join(short, "; ")).detail("%s", evidence).
			detail("A log shipper that does not check between two rotations never reads the file between them. These are the needs of its defaults.").
			run(n.set(lines...))
	}
	return n.shipperOverrides(joined, interval, grace).detail("%s", evidence)
}

// shipperOverrides checks what applies to some containers only, and the codec.
func (n *node) shipperOverrides(joined string, interval, grace time.Duration) Check {
	s := n.settings()
	for i, o := range s.Overrides {
		at := s.With(o)
		if at.MaxSizeBytes() > 0 && (at.MinRotationInterval.Duration < interval || at.RotatedLogGracePeriod.Duration < grace) {
			return found(Warn, "%s may miss lines of the containers of override %d", joined, i+1).
				detail("It has minRotationInterval %v and rotatedLogGracePeriod %v, and should have %v and %v.",
					at.MinRotationInterval.Duration, at.RotatedLogGracePeriod.Duration, interval, grace).
				fix("${EDITOR:-vi} %s # overrides", s.fileOrInstalled())
		}
	}
	if s.Compression.Codec == config.CodecZstd {
		return found(Warn, "%s may read .zst files as text", joined).
			detail("compression.codec is zstd, which log shippers that read *.log* do not support.").
			fix("${EDITOR:-vi} %s # compression.codec: gzip", s.fileOrInstalled())
	}
	return found(OK, "%s can keep up: minRotationInterval %v, rotatedLogGracePeriod %v", joined, s.MinRotationInterval.Duration, s.RotatedLogGracePeriod.Duration)
}
