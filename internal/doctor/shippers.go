package doctor

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/policy"
)

// shipper is a log shipper that runs.
type shipper struct {
	name    string // of its program
	profile string // collectorProfile's name for it
	pid     int
}

// shipperOf tells by a process's program, and where that says little by its
// arguments.
func (n *node) shipperOf(p process) (profile string) {
	has := func(part string) bool {
		return slices.ContainsFunc(p.args, func(a string) bool { return strings.Contains(a, part) })
	}
	name := p.program()
	switch {
	case name == "fluent-bit" || name == "calyptia-fluent-bit":
		return "fluent-bit"
	case name == "fluentd" || name == "td-agent" || (strings.HasPrefix(name, "ruby") && (has("fluentd") || has("td-agent"))):
		return "fluentd"
	case name == "vector":
		return "vector"
	case name == "filebeat" || name == "agentbeat" || name == "elastic-agent":
		return "filebeat"
	case name == "alloy" || name == "grafana-agent" || name == "promtail":
		return "alloy"
	case strings.HasPrefix(name, "otelcol") || strings.HasSuffix(name, "otel-collector") || name == "opentelemetry-collector":
		return "otel"
	case strings.HasPrefix(name, "vlagent"):
		return "vlagent"
	case name == "agent" && len(p.args) > 0: // Datadog's; others are called so too
		exe, _ := os.Readlink(n.path("proc", strconv.Itoa(p.PID), "exe")) // "": it cannot be seen
		if strings.Contains(exe, "datadog-agent") || strings.Contains(p.args[0], "datadog-agent") {
			return "datadog"
		}
	}
	return ""
}

// needs are what a profile has for its two keys.
func needs(profile string) (interval, grace time.Duration) {
	p := policies(policy.Rules{CollectorProfile: profile})[0]
	return p.MinInterval, p.Grace
}

// policies are that of all containers and those of the overrides.
func policies(r policy.Rules) []policy.Policy {
	resolver, err := policy.New(r)
	if err != nil { // the settings are valid
		return []policy.Policy{policy.Default()}
	}
	return resolver.Policies()
}

func checkShippers(_ context.Context, n *node) Check {
	var running []shipper
	for _, p := range n.processes() {
		if profile := n.shipperOf(p); profile != "" && !slices.ContainsFunc(running, func(s shipper) bool { return s.profile == profile }) {
			running = append(running, shipper{p.program(), profile, p.PID})
		}
	}
	if len(running) == 0 {
		if n.isolated() {
			return n.onlyOwn(skip("no log shipper can be seen"))
		}
		return okay("no log shipper that has a profile runs here")
	}
	slices.SortFunc(running, func(a, b shipper) int { return cmp.Compare(a.profile, b.profile) })
	var interval, grace time.Duration
	names := make([]string, 0, len(running))
	why := make([]string, 0, len(running))
	for _, s := range running {
		i, g := needs(s.profile)
		interval, grace = max(interval, i), max(grace, g)
		names = append(names, s.name)
		why = append(why, text("%s (process %d) needs %v and %v", s.name, s.pid, i, g))
	}
	s := n.settings()
	p := policies(s.Rules)[0]
	detail := "minRotationInterval and rotatedLogGracePeriod: " + strings.Join(why, "; ") + "."
	var pairs, short []string
	if d := p.MinInterval; d < interval {
		short = append(short, text("minRotationInterval is %v, and should be %v", d, interval))
		pairs = append(pairs, "minRotationInterval", interval.String())
	}
	if d := p.Grace; d < grace {
		short = append(short, text("rotatedLogGracePeriod is %v, and should be %v", d, grace))
		pairs = append(pairs, "rotatedLogGracePeriod", grace.String())
	}
	if len(short) > 0 {
		if len(running) == 1 && s.Patch["minRotationInterval"]+s.Patch["rotatedLogGracePeriod"] == "" {
			pairs = []string{"collectorProfile", running[0].profile}
		}
		return warn("%s may miss lines: %s", names, strings.Join(short, "; ")).because("%s", detail).
			because("A shipper that has not looked between two rotations never reads what lay between. The needs are those of its own defaults.").
			do(n.set(pairs...))
	}
	return n.overridesFor(names, interval, grace, detail)
}

// overridesFor looks at what holds for some containers, and at the codec.
func (n *node) overridesFor(names []string, interval, grace time.Duration, detail string) Check {
	s := n.settings()
	list := policies(s.Rules)
	for i, at := range list[1:] {
		if at.Rotate && (at.MinInterval < interval || at.Grace < grace) {
			return warn("%s may miss lines of the containers of override %d", names, i+1).
				because("It has minRotationInterval %v and rotatedLogGracePeriod %v, and should have %v and %v.",
					at.MinInterval, at.Grace, interval, grace).because("%s", detail).
				mend("${EDITOR:-vi} %s # overrides", cmp.Or(s.file, usualFiles[0]))
		}
	}
	if list[0].Codec == policy.CodecZstd {
		return warn("%s may read .zst files as text", names).
			because("compression.codec is zstd, which shippers that read *.log* do not know.").
			mend("${EDITOR:-vi} %s # compression.codec: gzip", cmp.Or(s.file, usualFiles[0]))
	}
	return okay("%s can follow: minRotationInterval %v, rotatedLogGracePeriod %v", names, list[0].MinInterval, list[0].Grace).
		because("%s", detail)
}
