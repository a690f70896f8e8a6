package config

import (
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestSampleExamples: what the sample shows in comments can be used as it is.
// The examples are the comments that are indented by three spaces.
func TestSampleExamples(t *testing.T) {
	data, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	table := make(map[string]profile)
	for line := range strings.Lines(string(data)) {
		text, ok := strings.CutPrefix(line, "#   ")
		if f := strings.Fields(text); ok && len(f) > 2 && profiles[f[0]].name != "" {
			table[f[0]] = profile{f[0], parsed(t, f[1]), parsed(t, f[2])}
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
	table[""] = profiles[""] // in the keys' own comments
	if !reflect.DeepEqual(table, profiles) {
		t.Errorf("the sample's table of profiles: %v\nwant %v", table, profiles)
	}
}

func parsed(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d.Duration
}

func TestWith(t *testing.T) {
	for _, tt := range []struct {
		name        string
		total       string
		o           Override
		size, bytes int64
	}{
		{"nothing", "", Override{}, 10 << 20, 50 << 20},
		{"size", "", Override{MaxSize: mustSize("1Mi")}, 1 << 20, 5 << 20},
		{"size over a total for all", "15Mi", Override{MaxSize: mustSize("1Mi")}, 1 << 20, 5 << 20},
		{"size and total", "15Mi", Override{MaxSize: mustSize("1Mi"), MaxTotalSize: mustSize("2Mi")}, 1 << 20, 2 << 20},
		{"files", "", Override{MaxFiles: new(2)}, 10 << 20, 20 << 20},
		{"files under a total for all", "15Mi", Override{MaxFiles: new(7)}, 10 << 20, 15 << 20},
		{"off", "", Override{Rotate: new(false)}, -1, -1},
		{"off, with a total for all", "15Mi", Override{Rotate: new(false)}, -1, 15 << 20},
	} {
		c := Default()
		c.ContainerLogMaxTotalSize = mustSize(tt.total)
		got := c.With(tt.o)
		if got.MaxSizeBytes() != tt.size || got.MaxTotalSizeBytes() != tt.bytes || got.Overrides != nil {
			t.Errorf("%s: size %d, total %d", tt.name, got.MaxSizeBytes(), got.MaxTotalSizeBytes())
		}
	}
}

func TestSizeOf(t *testing.T) {
	for bytes, want := range map[int64]string{10 << 20: "10Mi", 1 << 30: "1Gi", 1000: "1k", 1<<20 + 1: "1048577", -1: "-1", math.MaxInt64: "9223372036854775807"} {
		if got := SizeOf(bytes); got.String() != want || got.Bytes() != bytes {
			t.Errorf("%d: %q", bytes, got)
		}
	}
}

// TestProfiles: they take effect, and keep to the shippers' own times.
func TestProfiles(t *testing.T) {
	for name, p := range profiles {
		c := Default()
		c.CollectorProfile = name
		c.applyProfile()
		if err := c.Validate(); err != nil || c.MinRotationInterval.Duration != p.minRotationInterval || c.RotatedLogGracePeriod.Duration != p.rotatedLogGracePeriod {
			t.Errorf("%s: %v, %v, %v", name, c.MinRotationInterval, c.RotatedLogGracePeriod, err)
		}
	}
	for _, name := range []string{"vector", "datadog"} {
		if got := profiles[name].rotatedLogGracePeriod; got < 65*time.Second {
			t.Errorf("%s finds or holds logs for 60 s: grace %v", name, got)
		}
	}
	for _, name := range []string{"filebeat", "datadog", "vlagent"} {
		if got := profiles[name].minRotationInterval; got <= 10*time.Second {
			t.Errorf("%s looks each 10 s: interval %v", name, got)
		}
	}
}

func TestDays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"14d": 336 * time.Hour, "0d": 0, "106751d": 106751 * 24 * time.Hour,
		"106752d": -1, "-1d": -1, "1.5d": -1, "1d12h": -1, "d": -1, "+1d": -1, "1 d": -1, "1e9d": -1,
	} {
		got, err := ParseDuration(text)
		if err == nil == (want < 0) || err == nil && got.Duration != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
