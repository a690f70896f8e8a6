package config

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
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
	want.Patch = policy.Patch{
		"maxFiles": "7", // no flag: the file's
		"maxSize":  "30Mi", "minRotationInterval": "0s", "compression.codec": "none", "compression.level": "9",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestApplyLeavesItsArgument: the file's configuration is applied to again at a
// reload.
func TestApplyLeavesItsArgument(t *testing.T) {
	file, err := Parse("f.yaml", []byte("annotations: {ceilings: {maxFiles: 9}}"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFlags(t, "--container-log-max-files=7", "--annotations-ceilings-max-files=10")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Apply(file); err != nil || len(file.Patch) != 0 || file.Annotations.Ceilings["maxFiles"] != "9" {
		t.Errorf("got %+v, %v", file, err)
	}
}

// TestProfileFlag: a key that is written wins over the profile, wherever the two are.
func TestProfileFlag(t *testing.T) {
	for _, tt := range []struct {
		file, args      string
		interval, grace time.Duration
	}{
		{"", "--collector-profile=otel", 10 * time.Second, 10 * time.Second},
		{"collectorProfile: vector", "--collector-profile=otel", 10 * time.Second, 10 * time.Second},
		{"collectorProfile: vector", "--collector-profile=", time.Second, 0},
		{"collectorProfile: vector", "--min-rotation-interval=1s", time.Second, 65 * time.Second},
		{"collectorProfile: filebeat", "--min-rotation-interval=1s", time.Second, 30 * time.Second},
		{"collectorProfile: vector\nrotatedLogGracePeriod: 2s", "--rotated-log-grace-period=", time.Second, 65 * time.Second},
		{"minRotationInterval: 2s", "--collector-profile=otel", 2 * time.Second, 10 * time.Second},
	} {
		file, err := Parse("f.yaml", []byte(tt.file))
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseFlags(t, tt.args)
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.Apply(file)
		if err != nil {
			t.Fatal(err)
		}
		resolver, err := policy.New(c.Rules)
		if err != nil {
			t.Fatal(err)
		}
		if got := resolver.For(policy.Subject{}); got.MinInterval != tt.interval || got.Grace != tt.grace {
			t.Errorf("%q, %s: %v, %v", tt.file, tt.args, got.MinInterval, got.Grace)
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

// TestEveryKeyHasItsOwnVariable: two rows of the table that share a variable, or a
// flag without a usage, are a mistake.
func TestEveryKeyHasItsOwnVariable(t *testing.T) {
	texts := func(c Config) (list []string) {
		for _, k := range c.keys() {
			text := ""
			if v, ok := k.value.(setting.Value); ok {
				text = v.String()
			}
			list = append(list, text)
		}
		return list
	}
	candidates := []string{"12Mi", "70m", "7", "true", "false", "/srv/x", "127.0.0.1:1", "none", "otel", "debug", "json"}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	NewFlags(fs)
	for i, k := range new(Default()).keys() {
		flag := fs.Lookup(flagName(k.name))
		if _, ok := k.value.(setting.Value); !ok {
			if flag != nil {
				t.Errorf("%s, a list, has a flag", k.name)
			}
			continue
		}
		if flag == nil || flag.Usage == "" || flag.DefValue != texts(Default())[i] {
			t.Errorf("%s has the flag %+v", k.name, flag)
		}
		changed := false
		for _, text := range candidates {
			c := Default()
			if err := c.keys()[i].value.(setting.Value).Set(text); err != nil || texts(c)[i] == texts(Default())[i] {
				continue
			}
			changed = true
			for j, other := range texts(c) {
				if j != i && other != texts(Default())[j] {
					t.Errorf("%s set to %s: key %d is %q", k.name, text, j, other)
				}
			}
		}
		if !changed {
			t.Errorf("%s: no candidate fits", k.name)
		}
	}
}

// TestKeepStartupKeys: what only a start can change stays, and is reported if it
// differs.
func TestKeepStartupKeys(t *testing.T) {
	var changed Config
	goodFiles["all"](&changed)
	merged, ignored := changed.KeepStartupKeys(Default())
	want := []string{
		"containerRuntimeEndpoint", "podLogsDir", "compression.workers", "containerLogMaxWorkers", "containerLogMonitorInterval",
		"runtimeRequestTimeout", "logging.level", "logging.format", "metrics.listenAddress", "metrics.webConfigFile", "metrics.hostNames",
		"metrics.perContainer", "metrics.page", "controlSocket",
	}
	if !slices.Equal(ignored, want) {
		t.Errorf("ignored %q, want %q", ignored, want)
	}
	effective := Default()
	effective.Rules, effective.CleanRemovedContainers, effective.NodeLogBudget, effective.DiskPressure = changed.Rules, changed.CleanRemovedContainers, changed.NodeLogBudget, changed.DiskPressure
	effective.UnreadLogBudget, effective.LogReaders = changed.UnreadLogBudget, changed.LogReaders
	if !reflect.DeepEqual(merged, effective) {
		t.Errorf("got  %+v\nwant %+v", merged, effective)
	}
	if _, ignored := merged.KeepStartupKeys(Default()); ignored != nil {
		t.Errorf("ignored %q of what was kept", ignored)
	}
}

func TestBadFlags(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"--container-log-max-size=10m", `invalid argument "10m" for "--container-log-max-size" flag: invalid size "10m": m is a thousandth of a byte; use 10Mi or 10M`},
		{"--container-log-max-size=", `invalid argument "" for "--container-log-max-size" flag: must not be empty`},
		{"--container-log-max-size=0", `invalid argument "0" for "--container-log-max-size" flag: must be a positive size such as 10Mi, or -1 to disable rotation`},
		{"--container-log-max-files=1", `invalid argument "1" for "--container-log-max-files" flag: must be at least 2 (the live log and one rotated log), got 1`},
		{"--container-log-max-files=x", `invalid argument "x" for "--container-log-max-files" flag: invalid number "x": use a whole number such as 5`},
		{"--min-rotation-interval=1", `invalid argument "1" for "--min-rotation-interval" flag: invalid duration "1": use a number with a unit, such as 500ms, 10s or 5m`},
		{"--containerLogMaxAge", "unknown flag: --containerLogMaxAge"},
		{"--container-log-max-age=1s", `--container-log-max-age: must be at least 1m0s, or 0s for no limit, got 1s`},
		{"--collector-profile=x", `invalid argument "x" for "--collector-profile" flag: invalid value "x": must be one of alloy, datadog, filebeat, fluent-bit, fluentd, none, otel, vector, vlagent`},
		{"--pod-logs-dir=pods", `invalid argument "pods" for "--pod-logs-dir" flag: invalid path "pods": must be absolute, such as /var/log/pods`},
		{"--annotations-ceilings-max-files=2", `--annotations-ceilings-max-files: must be at least the value for all containers (5), got 2`},
		{"--metrics-page=maybe", `invalid argument "maybe" for "--metrics-page" flag: invalid value "maybe": must be true or false`},
		// A flag can make a value of the file wrong: then the key is named.
		{"--container-log-max-size=50Mi", `containerLogMaxTotalSize: must be at least containerLogMaxSize (50Mi), got 40Mi`},
	} {
		t.Run(tt.arg, func(t *testing.T) {
			file := Default()
			file.Patch["maxTotalSize"] = "40Mi"
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

// TestPodLogsDirIsClean: paths below podLogsDir are compared as text, so that another
// spelling of the directory would match no container.
func TestPodLogsDirIsClean(t *testing.T) {
	if c := Default(); c.PodLogsDir != filepath.Clean(c.PodLogsDir) {
		t.Errorf("the default is %s", c.PodLogsDir)
	}
	for _, dir := range []string{"/var/log/pods", "/var/log/pods/", "//var/log/pods", "/var/log/../log/pods", "/var/./log//pods/."} {
		file, err := Parse("f.yaml", []byte("podLogsDir: "+dir))
		if err != nil || file.PodLogsDir != "/var/log/pods" {
			t.Errorf("in a file, %s is %s, %v", dir, file.PodLogsDir, err)
		}
		f, err := parseFlags(t, "--pod-logs-dir", dir)
		if err != nil {
			t.Fatal(err)
		}
		c := Default()
		c.PodLogsDir = "/elsewhere"
		if c, err = f.Apply(c); err != nil || c.PodLogsDir != "/var/log/pods" {
			t.Errorf("as a flag, %s is %s, %v", dir, c.PodLogsDir, err)
		}
	}
}

// TestRotationByFlag: a size in a flag enables rotation that the file disables, and
// the reverse.
func TestRotationByFlag(t *testing.T) {
	for _, tt := range []struct {
		file, flag string
		want       int64
	}{{"-1", "20Mi", 20 << 20}, {"-1", "10Mi", 10 << 20}, {"20Mi", "-1", 0}} {
		c, err := Parse("f.yaml", []byte("containerLogMaxSize: "+tt.file))
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseFlags(t, "--container-log-max-size="+tt.flag)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = f.Apply(c); err != nil {
			t.Fatal(err)
		}
		resolver, err := policy.New(c.Rules)
		if err != nil {
			t.Fatal(err)
		}
		if p := resolver.For(policy.Subject{}); p.MaxSize != tt.want || p.Rotate != (tt.want > 0) {
			t.Errorf("%+v: got %+v", tt, p.Policy)
		}
	}
}
