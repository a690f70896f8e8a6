package config

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/policy"
)

// TestSampleExamples: the commented examples of the sample are valid.
// The examples are the comments that are indented by three spaces.
func TestSampleExamples(t *testing.T) {
	data, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	table := make(map[string][2]string)
	for line := range strings.Lines(string(data)) {
		text, ok := strings.CutPrefix(line, "#   ")
		if f := strings.Fields(text); ok && len(f) > 2 && slices.Contains(policy.Profiles(), f[0]) {
			table[f[0]] = [2]string{f[1], f[2]}
		} else if ok && (example.Len() > 0 || text == "overrides:\n") {
			example.WriteString(text)
		}
	}
	c, err := Parse("example", []byte(example.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Overrides) != 2 || len(c.Overrides[0].Match.Namespaces) != 2 {
		t.Errorf("got %+v", c.Overrides)
	}
	if names := slices.Sorted(maps.Keys(table)); !slices.Equal(names, policy.Profiles()) {
		t.Errorf("the sample has the profiles %q, want %q", names, policy.Profiles())
	}
	for name, has := range table {
		resolver, err := policy.New(policy.Rules{CollectorProfile: name})
		if err != nil {
			t.Fatal(err)
		}
		p := resolver.For(policy.Subject{})
		want := policy.Patch{"minRotationInterval": has[0], "rotatedLogGracePeriod": has[1]}
		resolver, err = policy.New(policy.Rules{Patch: want})
		if err != nil {
			t.Fatal(err)
		}
		if q := resolver.For(policy.Subject{}); p.Policy != q.Policy {
			t.Errorf("the sample has %v for %s, want %v and %v", has, name, p.MinInterval, p.Grace)
		}
	}
}
