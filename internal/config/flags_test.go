package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func parseFlags(t *testing.T, args ...string) (*Flags, error) {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := NewFlags(fs)
	return f, fs.Parse(args)
}

func TestFlagBeatsFile(t *testing.T) {
	file, err := Parse("f.yaml", []byte("containerLogMaxSize: 20Mi\ncontainerLogMaxFiles: 7\nlogging: {format: json}\n"))
	if err != nil {
		t.Fatal(err)
	}
	// The format is set to what is its default: it was set nevertheless.
	f, err := parseFlags(t, "--container-log-max-size=30Mi", "--min-rotation-interval", "0s", "--compression-codec=none", "--compression-level=9", "--logging-format=")
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Apply(file)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.ContainerLogMaxFiles = 7 // no flag: the file's
	want.ContainerLogMaxSize = mustSize("30Mi")
	want.MinRotationInterval = duration(0 * time.Second)
	want.Compression.Codec = CodecNone
	want.Compression.Level = 9
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestProfileFlag: whatever says which profile, a key that was written wins.
func TestProfileFlag(t *testing.T) {
	for _, tt := range []struct {
		file, args      string
		interval, grace Duration
	}{
		{"", "--collector-profile=otel", Duration{10 * time.Second, true}, Duration{10 * time.Second, true}},
		{"collectorProfile: vector", "--collector-profile=otel", Duration{10 * time.Second, true}, Duration{10 * time.Second, true}},
		{"collectorProfile: vector", "--collector-profile=", Duration{time.Second, true}, Duration{0, true}},
		{"collectorProfile: vector", "--min-rotation-interval=1s", duration(time.Second), Duration{65 * time.Second, true}},
		{"collectorProfile: vector\nrotatedLogGracePeriod: 2s", "--rotated-log-grace-period=", Duration{time.Second, true}, Duration{65 * time.Second, true}},
		{"minRotationInterval: 2s", "--collector-profile=otel", duration(2 * time.Second), Duration{10 * time.Second, true}},
	} {
		file, err := Parse("f.yaml", []byte(tt.file))
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseFlags(t, tt.args)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Apply(file)
		if err != nil || got.MinRotationInterval != tt.interval || got.RotatedLogGracePeriod != tt.grace {
			t.Errorf("%q, %s: %+v, %+v, %v", tt.file, tt.args, got.MinRotationInterval, got.RotatedLogGracePeriod, err)
		}
	}
}

func TestNoFlagsChangeNothing(t *testing.T) {
	f, err := parseFlags(t)
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	goodFiles["all"](&c)
	if got, err := f.Apply(c); !reflect.DeepEqual(got, c) || err != nil {
		t.Errorf("got %+v, %v\nwant %+v", got, err, c)
	}
}

// TestEveryKeyIsAFlag: a key without a flag, a flag that is bound to another
// key's field, or one without a usage, is a mistake in bind.
func TestEveryKeyIsAFlag(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	var c Config
	goodFiles["all"](&c) // no two values of one type are alike
	c.ContainerLogMaxWorkers, c.Compression.Workers = 3, 6
	c.bind(fs)
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := json.Unmarshal(data, &values); err != nil {
		t.Fatal(err)
	}
	count := 0
	var compare func(prefix string, values map[string]any)
	compare = func(prefix string, values map[string]any) {
		for key, value := range values {
			if section, ok := value.(map[string]any); ok {
				compare(prefix+key+".", section)
				continue
			}
			if _, ok := value.([]any); ok {
				continue // no flag for a list
			}
			count++
			flag := fs.Lookup(flagName(prefix + key))
			if flag == nil {
				t.Errorf("no flag --%s", flagName(prefix+key))
				continue
			}
			if want := fmt.Sprint(value); flag.DefValue != want {
				t.Errorf("--%s: %q, want the field of %s%s: %q", flag.Name, flag.DefValue, prefix, key, want)
			}
			if flag.Usage == "" {
				t.Errorf("--%s has no usage", flag.Name)
			}
		}
	}
	compare("", values)
	fs.VisitAll(func(*pflag.Flag) { count-- })
	if count != 0 {
		t.Errorf("%d more keys than flags", count)
	}
	for _, name := range []string{"container-log-max-total-size", "pod-logs-dir", "logging-level"} {
		if fs.Lookup(name) == nil {
			t.Errorf("no flag --%s", name)
		}
	}
}

func TestBadFlags(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"--container-log-max-size=10m", `invalid argument "10m" for "--container-log-max-size" flag: "10m" is in thousandths of a byte: write 10Mi or 10M`},
		{"--container-log-max-size=", `--container-log-max-size: must not be 0 or empty: write a size such as 10Mi, or -1 for no rotation`},
		{"--container-log-max-files=1", `--container-log-max-files: 1 is too small: must be at least 2 (the live log and one rotated log)`},
		{"--container-log-max-files=x", `invalid argument "x" for "--container-log-max-files" flag: strconv.ParseInt: parsing "x": invalid syntax`},
		{"--min-rotation-interval=1", `invalid argument "1" for "--min-rotation-interval" flag: "1" is no duration: write a number and its unit, such as 500ms, 10s or 5m`},
		{"--containerLogMaxAge", "unknown flag: --containerLogMaxAge"},
		{"--container-log-max-age=1s", `--container-log-max-age: 1s is too short: must be at least 1m0s, or 0s for no limit`},
		{"--collector-profile=x", `--collector-profile: "x" is none of "alloy", "datadog", "filebeat", "fluent-bit", "fluentd", "none", "otel", "vector", "vlagent"`},
		{"--annotations-ceilings-max-files=1", `--annotations-ceilings-max-files: 1 is below containerLogMaxFiles (5), which every container has: write at least that, or leave the ceiling out`},
		// A flag can make a value of the file wrong: then the key is named.
		{"--container-log-max-size=50Mi", `containerLogMaxTotalSize: 40Mi is less than containerLogMaxSize (50Mi): must be at least as large, better twice`},
	} {
		t.Run(tt.arg, func(t *testing.T) {
			file := Default()
			file.ContainerLogMaxTotalSize = mustSize("40Mi")
			f, err := parseFlags(t, tt.arg)
			if err == nil {
				_, err = f.Apply(file)
			}
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %v", err, tt.want)
			}
		})
	}
}
