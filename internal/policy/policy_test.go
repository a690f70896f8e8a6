package policy

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/config"
)

func resolver(t testing.TB, yaml string) *Resolver {
	t.Helper()
	cfg, err := config.Parse("test", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// show has what differs from want's keys only: "field=value (source)".
func show(e Effective, fields string) string {
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
		got := show(resolver(t, tt.yaml).For(Subject{}), everything)
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
		s                  Subject
	}{
		{
			"the first of two that match", "maxSize maxTotalSize rotate", "rotate=true (default)\nmaxSize=1Mi (override 1)\nmaxTotalSize=5Mi (maxSize × maxFiles)",
			Subject{Namespace: "kube-system", Container: "proxy"},
		},
		{"a second glob", "maxSize", "maxSize=1Mi (override 1)", Subject{Namespace: "ops", Container: "proxy"}},
		{"all lists must fit", "maxSize", "maxSize=10Mi (default)", Subject{Namespace: "ops", Container: "app"}},
		{
			"off", "rotate maxSize maxTotalSize", "rotate=false (override 2)\nmaxSize=no limit (override 2)\nmaxTotalSize=40Mi (flag/file)",
			Subject{Namespace: "kube-system", Container: "app"},
		},
		{
			"labels and pods", everything,
			"rotate=true (default)\nmaxSize=10Mi (default)\nmaxFiles=9 (override 3)\nmaxTotalSize=40Mi (flag/file)\nmaxAge=336h0m0s (override 3)\nminRotationInterval=0s (override 3)\nrotatedLogGracePeriod=1m0s (override 3)\ncompression.codec=none (override 3)\ncompression.level=5 (default)",
			Subject{Pod: "db-1", Labels: labels{"tier": "core"}},
		},
		{
			"a label that must not be", "maxSize maxTotalSize compression.level minRotationInterval",
			"maxSize=30Mi (override 4)\nmaxTotalSize=30Mi (override 4)\nminRotationInterval=10s (profile otel)\ncompression.level=1 (override 4)",
			Subject{Pod: "db-1", Labels: labels{"tier": "core", "canary": ""}},
		},
		{"an exception with nothing of its own", "maxFiles", "maxFiles=5 (default)", Subject{Namespace: "last", Pod: "plain"}},
		{"the last", "maxFiles", "maxFiles=2 (override 6)", Subject{Namespace: "last", Pod: "x"}},
		{"odd labels", "maxFiles", "maxFiles=2 (override 6)", Subject{Namespace: "last", Pod: "x", Labels: labels{"": "", "a b\x00": "\xff"}}},
	} {
		if got := show(r.For(tt.s), tt.fields); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestNewRefusesWhatIsNotValid(t *testing.T) {
	cfg := config.Default()
	cfg.Overrides = []config.Override{{}}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "overrides[0].match") {
		t.Errorf("got %v", err)
	}
}

// TestForIsIndependent: what a caller does with one answer is not in the next.
func TestForIsIndependent(t *testing.T) {
	r := resolver(t, "annotations: {enabled: true}")
	s := Subject{Annotations: map[string]string{"logwatch/max-size": "1Mi", "logwatch/max-files": "x"}}
	first := r.For(s)
	want := maps.Clone(first.Sources)
	clear(first.Sources)
	first.Rejects[0] = Reject{}
	if again := r.For(s); !maps.Equal(again.Sources, want) || again.Rejects[0] == (Reject{}) {
		t.Errorf("got %+v", again)
	}
	if plain := r.For(Subject{}); plain.Sources[maxSize] != fromDefault {
		t.Errorf("got %+v", plain)
	}
}

func BenchmarkFor(b *testing.B) {
	var yaml strings.Builder
	yaml.WriteString("annotations: {enabled: true}\noverrides:\n")
	for i := range 50 {
		fmt.Fprintf(&yaml, "- match: {namespaces: ['team-%d-*'], labels: 'app in (a, b)'}\n", i)
	}
	r := resolver(b, yaml.String())
	s := Subject{"shop", "web-7d9f", "app", map[string]string{"app": "a"}, map[string]string{"logwatch/max-size": "1Mi"}}
	b.ReportAllocs()
	for b.Loop() {
		r.For(s)
	}
}
