package policy_test

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/policy"
)

func resolver(t testing.TB, yaml string) *policy.Resolver {
	t.Helper()
	cfg, err := config.Parse("test", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	r, err := policy.New(cfg.Rules)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// show has what differs from want's keys only: "field=value (source)".
func show(e policy.Effective, fields string) string {
	var out []string
	for _, f := range e.Fields() {
		if strings.Contains(" "+fields+" ", " "+f.Name+" ") {
			out = append(out, fmt.Sprintf("%s=%s (%s)", f.Name, f.Value, f.Source))
		}
	}
	return strings.Join(out, "\n")
}

const everything = "rotate maxSize maxFiles maxTotalSize maxAge minRotationInterval rotatedLogGracePeriod compression.codec compression.level"

func TestWithoutOverrides(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"defaults", "", `
rotate=true (default)
maxSize=10Mi (default)
maxFiles=5 (default)
maxTotalSize=50Mi (maxSize × maxFiles)
maxAge=no limit (default)
minRotationInterval=1s (default)
rotatedLogGracePeriod=0s (default)
compression.codec=gzip (default)
compression.level=5 (default)`},
		{"all written", `
containerLogMaxSize: 20Mi
containerLogMaxFiles: 3
containerLogMaxTotalSize: 25Mi
containerLogMaxAge: 14d
collectorProfile: vector
minRotationInterval: 1s
rotatedLogGracePeriod: 0s
compression: {codec: none, level: 9}`, `
rotate=true (flag/file)
maxSize=20Mi (flag/file)
maxFiles=3 (flag/file)
maxTotalSize=25Mi (flag/file)
maxAge=336h0m0s (flag/file)
minRotationInterval=1s (flag/file)
rotatedLogGracePeriod=0s (flag/file)
compression.codec=none (flag/file)
compression.level=9 (flag/file)`},
		{"profile", "{collectorProfile: datadog, minRotationInterval: 3s, containerLogMaxSize: -1}", `
rotate=false (flag/file)
maxSize=no limit (flag/file)
maxFiles=5 (default)
maxTotalSize=no limit (flag/file)
maxAge=no limit (default)
minRotationInterval=3s (flag/file)
rotatedLogGracePeriod=1m5s (profile datadog)
compression.codec=gzip (default)
compression.level=5 (default)`},
	} {
		got := show(resolver(t, tt.yaml).For(policy.Subject{}), everything)
		if got != strings.TrimSpace(tt.want) {
			t.Errorf("%s: got\n%s\nwant%s", tt.name, got, tt.want)
		}
	}
}

func TestOverrides(t *testing.T) {
	r := resolver(t, `
containerLogMaxTotalSize: 40Mi
collectorProfile: otel
overrides:
- match: {namespaces: [kube-*, ops], containers: [proxy]}
  maxSize: 1Mi
- match: {namespaces: [kube-*]}
  rotate: false
- match: {pods: ["db-[0-9]"], labels: "tier in (edge, core), !canary"}
  maxFiles: 9
  maxAge: 14d
  minRotationInterval: 0s
  rotatedLogGracePeriod: 1m
  compression: {codec: none}
- match: {labels: "tier"}
  maxSize: 30Mi
  maxTotalSize: 30Mi
  compression: {level: 1}
- match: {pods: [plain]}
- match: {pods: ["*"], namespaces: [last]}
  maxFiles: 2
`)
	type labels = map[string]string
	for _, tt := range []struct {
		name, fields, want string
		s                  policy.Subject
	}{
		{
			"the first of two that match", "maxSize maxTotalSize rotate", "rotate=true (default)\nmaxSize=1Mi (override 1)\nmaxTotalSize=5Mi (maxSize × maxFiles)",
			policy.Subject{Namespace: "kube-system", Container: "proxy"},
		},
		{"a second glob", "maxSize", "maxSize=1Mi (override 1)", policy.Subject{Namespace: "ops", Container: "proxy"}},
		{"all lists must fit", "maxSize", "maxSize=10Mi (default)", policy.Subject{Namespace: "ops", Container: "app"}},
		{
			"off", "rotate maxSize maxTotalSize", "rotate=false (override 2)\nmaxSize=no limit (override 2)\nmaxTotalSize=40Mi (flag/file)",
			policy.Subject{Namespace: "kube-system", Container: "app"},
		},
		{
			"labels and pods", everything,
			"rotate=true (default)\nmaxSize=10Mi (default)\nmaxFiles=9 (override 3)\nmaxTotalSize=40Mi (flag/file)\nmaxAge=336h0m0s (override 3)\nminRotationInterval=0s (override 3)\nrotatedLogGracePeriod=1m0s (override 3)\ncompression.codec=none (override 3)\ncompression.level=5 (default)",
			policy.Subject{Pod: "db-1", Labels: labels{"tier": "core"}},
		},
		{
			"a label that must not be", "maxSize maxTotalSize compression.level minRotationInterval",
			"maxSize=30Mi (override 4)\nmaxTotalSize=30Mi (override 4)\nminRotationInterval=10s (profile otel)\ncompression.level=1 (override 4)",
			policy.Subject{Pod: "db-1", Labels: labels{"tier": "core", "canary": ""}},
		},
		{"an exception with nothing of its own", "maxFiles", "maxFiles=5 (default)", policy.Subject{Namespace: "last", Pod: "plain"}},
		{"the last", "maxFiles", "maxFiles=2 (override 6)", policy.Subject{Namespace: "last", Pod: "x"}},
		{"odd labels", "maxFiles", "maxFiles=2 (override 6)", policy.Subject{Namespace: "last", Pod: "x", Labels: labels{"": "", "a b\x00": "\xff"}}},
	} {
		if got := show(r.For(tt.s), tt.fields); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestNewRejectsInvalidRules(t *testing.T) {
	if _, err := policy.New(policy.Rules{Overrides: []policy.Override{{}}}); err == nil || !strings.Contains(err.Error(), "overrides[0].match") {
		t.Errorf("got %v", err)
	}
}

// TestPatchesAreChecked: a patch that was not written by its values is checked too.
func TestPatchesAreChecked(t *testing.T) {
	bad := policy.Patch{"maxsize": "1Mi", "maxFiles": "1", "maxTotalSize": "x"}
	_, err := policy.New(policy.Rules{
		Patch: bad, Annotations: policy.Annotations{Ceilings: bad},
		Overrides: []policy.Override{{Match: policy.Match{Pods: []string{"a"}}, Patch: bad}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{
		"containerLogMaxFiles: must be at least 2", "containerLogMaxTotalSize: invalid size", "maxsize: unknown field",
		"annotations.ceilings.maxFiles: ", "annotations.ceilings.maxsize: unknown", "overrides[0].maxFiles: ", "overrides[0].maxsize: unknown",
	} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("no %q in\n%v", key, err)
		}
	}
}

// TestForIsIndependent: what a caller does with one answer is not in the next.
func TestForIsIndependent(t *testing.T) {
	r := resolver(t, "annotations: {enabled: true}")
	s := policy.Subject{Annotations: map[string]string{"logwatch/max-size": "1Mi", "logwatch/max-files": "x"}}
	first := r.For(s)
	want := maps.Clone(first.Sources)
	clear(first.Sources)
	first.Rejected[0] = policy.RejectedAnnotation{}
	if again := r.For(s); !maps.Equal(again.Sources, want) || again.Rejected[0] == (policy.RejectedAnnotation{}) {
		t.Errorf("got %+v", again)
	}
	if plain := r.For(policy.Subject{}); plain.Sources["maxSize"] != policy.FromDefault {
		t.Errorf("got %+v", plain)
	}
}

// TestProfiles: they take effect, and keep to the shippers' own times.
func TestProfiles(t *testing.T) {
	of := func(name string) policy.Policy {
		return resolver(t, "collectorProfile: "+name).For(policy.Subject{}).Policy
	}
	for _, name := range policy.Profiles() {
		if e := resolver(t, "collectorProfile: "+name).For(policy.Subject{}); e.Sources["minRotationInterval"] != "profile "+name || e.Sources["rotatedLogGracePeriod"] != "profile "+name {
			t.Errorf("%s: %v", name, e.Sources)
		}
	}
	for _, name := range []string{"vector", "datadog"} {
		if got := of(name).Grace; got < 65*time.Second {
			t.Errorf("%s finds or holds logs for 60 s: grace %v", name, got)
		}
	}
	for _, name := range []string{"filebeat", "datadog", "vlagent"} {
		if got := of(name).MinInterval; got <= 10*time.Second {
			t.Errorf("%s checks every 10 s: interval %v", name, got)
		}
	}
}

func TestNeedsPod(t *testing.T) {
	for yaml, want := range map[string]bool{
		"": false,
		"overrides: [{match: {namespaces: [a]}}]":                                  false,
		"overrides: [{match: {namespaces: [a]}}, {match: {pods: [a], labels: a}}]": true,
		"annotations: {enabled: true}":                                             true,
		"annotations: {ceilings: {maxFiles: 9}}":                                   false,
	} {
		if got := resolver(t, yaml).NeedsPod(); got != want {
			t.Errorf("%s: got %v", yaml, got)
		}
	}
}

// TestPolicies: a size of an override brings its own total, files do not.
func TestPolicies(t *testing.T) {
	r := resolver(t, `
containerLogMaxTotalSize: 15Mi
overrides:
- {match: {pods: [a]}, maxSize: 1Mi}
- {match: {pods: [a]}, maxSize: 1Mi, maxTotalSize: 2Mi}
- {match: {pods: [a]}, maxFiles: 7}
- {match: {pods: [a]}, rotate: false}`)
	for i, want := range [][2]int64{{10 << 20, 15 << 20}, {1 << 20, 5 << 20}, {1 << 20, 2 << 20}, {10 << 20, 15 << 20}, {0, 15 << 20}} {
		if p := r.Policies()[i]; p.MaxSize != want[0] || p.MaxTotalSize != want[1] || p.Rotate != (p.MaxSize > 0) {
			t.Errorf("%d: got %+v, want %d", i, p, want)
		}
	}
	for yaml, want := range map[string]int64{
		"": 50 << 20, "containerLogMaxFiles: 2": 20 << 20, "containerLogMaxSize: -1": 0, "containerLogMaxSize: 7Ei": math.MaxInt64,
		"{containerLogMaxSize: 1, containerLogMaxFiles: 9223372036854775807}": math.MaxInt64,
	} {
		if got := resolver(t, yaml).Policies()[0].MaxTotalSize; got != want {
			t.Errorf("%s: total %d, want %d", yaml, got, want)
		}
	}
}

func BenchmarkFor(b *testing.B) {
	var yaml strings.Builder
	yaml.WriteString("annotations: {enabled: true}\noverrides:\n")
	for i := range 50 {
		fmt.Fprintf(&yaml, "- match: {namespaces: ['team-%d-*'], labels: 'app in (a, b)'}\n", i)
	}
	r := resolver(b, yaml.String())
	s := policy.Subject{"shop", "web-7d9f", "app", map[string]string{"app": "a"}, map[string]string{"logwatch/max-size": "1Mi"}}
	b.ReportAllocs()
	for b.Loop() {
		r.For(s)
	}
}

// TestWarnings: a pod's author chooses its labels, names and annotations, so an override
// that gives more has to match a namespace.
func TestWarnings(t *testing.T) {
	for yaml, want := range map[string]string{
		"overrides: [{match: {labels: logs=by-hand}, rotate: false}]":                                     "overrides[0] turns rotation off for any pod",
		"overrides: [{match: {labels: logs=by-hand, namespaces: [backup]}, rotate: false}]":               "",
		"overrides: [{match: {labels: logs=by-hand, namespaces: ['*']}, rotate: false}]":                  "overrides[0] turns rotation off",
		"overrides: [{match: {namespaces: [a]}, maxSize: 1Gi}, {match: {pods: [web-*]}, maxSize: 100Mi}]": "overrides[1] raises maxSize, raises maxTotalSize for",
		"overrides: [{match: {labels: a}, maxFiles: 6}]":                                                  "overrides[0] raises maxFiles, raises maxTotalSize",
		"overrides: [{match: {containers: [app]}, maxTotalSize: 60Mi}]":                                   "overrides[0] raises maxTotalSize for",
		"{containerLogMaxAge: 14d, overrides: [{match: {labels: a}, maxAge: 0s}]}":                        "overrides[0] raises maxAge",
		"overrides: [{match: {labels: a}, rotatedLogGracePeriod: 65s}]":                                   "overrides[0] raises rotatedLogGracePeriod",
		"overrides: [{match: {labels: a}, maxSize: 1Mi, maxFiles: 9}]":                                    "overrides[0] raises maxFiles for",
		"overrides: [{match: {labels: a}, maxSize: 1Mi, maxAge: 14d, compression: {codec: none}}]":        "",
		"{containerLogMaxSize: -1, overrides: [{match: {labels: a}, rotate: false}]}":                     "",
	} {
		c, err := config.Parse("test.yaml", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		got := c.Warnings()
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want)) {
			t.Errorf("%s: %q, want %q", yaml, got, want)
		}
	}
}
