package doctor

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/policy"
)

var shipperChecks = []check{
	{"shippers", checkShippers, []need{needConfig}},
	{"log-readers", checkReaders, []need{needConfig, needAnswer}},
}

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
	p := policies(policy.Rules{CollectorProfile: profile})[0]
	return p.MinInterval, p.Grace
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
		return n.orHidden(found(Skip, "no log shipper is visible"))
	case len(names) == 0:
		return found(OK, "no known log shipper runs here")
	}
	slices.Sort(names)
	joined, s := strings.Join(names, ", "), n.settings()
	p := policies(s.Rules)[0]
	evidence := "minRotationInterval and rotatedLogGracePeriod: " + strings.Join(why, "; ") + "."
	var lines, tooShort []string
	for _, key := range []struct {
		name         string
		have, wanted time.Duration
	}{
		{"minRotationInterval", p.MinInterval, interval},
		{"rotatedLogGracePeriod", p.Grace, grace},
	} {
		if key.have < key.wanted {
			tooShort = append(tooShort, text("%s is %v, and should be %v", key.name, key.have, key.wanted))
			lines = append(lines, key.name+": "+key.wanted.String())
		}
	}
	if len(tooShort) > 0 {
		if len(running) == 1 && s.Patch["minRotationInterval"]+s.Patch["rotatedLogGracePeriod"] == "" {
			for profile := range running {
				lines = []string{"collectorProfile: " + profile}
			}
		}
		return found(Warn, "%s may miss lines: %s", joined, strings.Join(tooShort, "; ")).detail("%s", evidence).
			detail("A log shipper that does not scan between two rotations misses a whole file. These are the needs of its default settings.").
			run(n.set(lines...))
	}
	return n.shipperOverrides(joined, interval, grace).detail("%s", evidence)
}

// shipperOverrides checks the overrides and the codec.
func (n *node) shipperOverrides(joined string, interval, grace time.Duration) Check {
	s := n.settings()
	list := policies(s.Rules)
	for i, at := range list[1:] {
		if at.Rotate && (at.MinInterval < interval || at.Grace < grace) {
			return found(Warn, "%s may miss lines of the containers of override %d", joined, i+1).
				detail("It has minRotationInterval %v and rotatedLogGracePeriod %v, and should have %v and %v.",
					at.MinInterval, at.Grace, interval, grace).
				fix("${EDITOR:-vi} %s # overrides", s.fileOrInstalled())
		}
	}
	if c := podlogs.CodecNamed(list[0].Codec); c != nil && !c.Common {
		return found(Warn, "%s may read %s files as text", joined, c.Suffix).
			detail("compression.codec is %s, which log shippers that read *.log* do not support.", c.Name).
			fix("${EDITOR:-vi} %s # compression.codec: %s", s.fileOrInstalled(), podlogs.Gzip.Name)
	}
	return found(OK, "%s can keep up: minRotationInterval %v, rotatedLogGracePeriod %v", joined, list[0].MinInterval, list[0].Grace)
}

// policies returns the policy of all containers, then that of each override.
func policies(r policy.Rules) []policy.Policy {
	resolver, err := policy.New(r)
	if err != nil { // the settings are valid
		return []policy.Policy{policy.Default()}
	}
	return resolver.Policies()
}
