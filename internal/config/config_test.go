package config

import (
	"encoding/json"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// goodFiles is what testdata/*.good.yaml changes of the defaults.
var goodFiles = map[string]func(*Config){
	"empty":                 func(*Config) {},
	"comment":               func(*Config) {},
	"marker":                func(*Config) {},
	"section-commented-out": func(c *Config) { c.PodLogsDir = "/srv/pods" },
	"path-endpoint":         func(c *Config) { c.ContainerRuntimeEndpoint = "/run/containerd/containerd.sock" },
	"octal-number":          func(c *Config) { c.ContainerLogMaxWorkers = 2 },
	"size-number":           func(c *Config) { c.ContainerLogMaxSize = mustSize("1048576") },
	"size-off":              func(c *Config) { c.ContainerLogMaxSize = mustSize("-1") },
	"size-off-number":       func(c *Config) { c.ContainerLogMaxSize = mustSize("-1") },
	"slow-timeout":          func(c *Config) { c.RuntimeRequestTimeout = duration(2 * time.Minute) },
	"servers-off":           func(c *Config) { c.Metrics.ListenAddress, c.ControlSocket = "", "" },
	"json": func(c *Config) {
		c.ContainerLogMaxSize = mustSize("5M")
		c.Compression.Level = 1
	},
	"anchor": func(c *Config) {
		c.MinRotationInterval = duration(2 * time.Second)
		c.RotatedLogGracePeriod = duration(2 * time.Second)
	},
	"days": func(c *Config) {
		c.ContainerLogMaxAge = duration(336 * time.Hour)
		c.RotatedLogGracePeriod = duration(24 * time.Hour)
	},
	"profile": func(c *Config) {
		c.CollectorProfile = "vector"
		c.MinRotationInterval = Duration{time.Second, true}
		c.RotatedLogGracePeriod = Duration{65 * time.Second, true}
	},
	"profile-explicit": func(c *Config) {
		c.CollectorProfile = "datadog"
		c.MinRotationInterval = duration(time.Second)
		c.RotatedLogGracePeriod = Duration{65 * time.Second, true}
	},
	"profile-empty-keys": func(c *Config) {
		c.CollectorProfile = "filebeat"
		c.MinRotationInterval = Duration{12 * time.Second, true}
		c.RotatedLogGracePeriod = Duration{30 * time.Second, true}
	},
	"overrides-commented-out": func(*Config) {},
	"override-anchor": func(c *Config) {
		c.Overrides = []Override{
			{Match: Match{Pods: []string{"a", "b"}}, MaxSize: mustSize("1Mi")},
			{Match: Match{Containers: []string{"a", "b"}}, MaxSize: mustSize("1Mi")},
		}
	},
	"override-total": func(c *Config) {
		c.ContainerLogMaxTotalSize = mustSize("15Mi")
		c.Overrides = []Override{{Match: Match{Pods: []string{"a"}}, MaxSize: mustSize("20Mi")}}
	},
	"all": func(c *Config) {
		*c = Config{
			ContainerRuntimeEndpoint:    "unix:///run/crio/crio.sock",
			PodLogsDir:                  "/srv/pods",
			ContainerLogMaxSize:         mustSize("100Mi"),
			ContainerLogMaxFiles:        2,
			ContainerLogMaxTotalSize:    mustSize("1Gi"),
			ContainerLogMaxAge:          duration(14 * 24 * time.Hour),
			ContainerLogMaxWorkers:      1,
			ContainerLogMonitorInterval: duration(time.Second),
			CollectorProfile:            "otel",
			MinRotationInterval:         duration(0),
			RotatedLogGracePeriod:       duration(5 * time.Minute),
			RuntimeRequestTimeout:       duration(100 * time.Millisecond),
			Compression:                 Compression{Codec: CodecNone, Level: 9, Workers: 2},
			Logging:                     Logging{Level: "debug", Format: FormatJSON},
			Metrics:                     Metrics{ListenAddress: "[::1]:9999", WebConfigFile: "/etc/logwatch/web.yaml", PerContainer: true},
			ControlSocket:               "/srv/logwatch.sock",
			Annotations: Annotations{Enabled: true, Ceilings: Ceilings{
				MaxSize:               mustSize("200Mi"),
				MaxFiles:              4,
				MaxTotalSize:          mustSize("2Gi"),
				MaxAge:                duration(15 * 24 * time.Hour),
				MinRotationInterval:   duration(7 * time.Second),
				RotatedLogGracePeriod: duration(6 * time.Minute),
			}},
			Overrides: []Override{
				{
					Match: Match{
						Namespaces: []string{"kube-system", "007"},
						Pods:       []string{"web-*", "db-[0-9]"},
						Containers: []string{"app"},
						Labels:     "tier in (edge, core), !canary",
					},
					MaxSize:               mustSize("1Gi"),
					MaxFiles:              new(3),
					MaxTotalSize:          mustSize("3Gi"),
					MaxAge:                new(duration(30 * 24 * time.Hour)),
					MinRotationInterval:   new(duration(2 * time.Second)),
					RotatedLogGracePeriod: new(duration(0)),
					Compression:           OverrideCompression{Codec: new(CodecGzip), Level: new(1)},
				},
				{Match: Match{Labels: "logs=by-hand"}, Rotate: new(false)},
				{Match: Match{Containers: []string{"app"}}},
			},
		}
	},
}

func TestGoodFiles(t *testing.T) {
	paths := glob(t, "testdata/*.good.yaml")
	if len(paths) != len(goodFiles) {
		t.Errorf("%d files, %d expectations: every file needs one", len(paths), len(goodFiles))
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".good.yaml")
		t.Run(name, func(t *testing.T) {
			change, ok := goodFiles[name]
			if !ok {
				t.Fatal("no expectation in goodFiles")
			}
			want := Default()
			change(&want)
			got, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestBadFiles compares each error with the "# want:" lines at the file's
// beginning, one for each line of the error. FILE there stands for the path.
func TestBadFiles(t *testing.T) {
	for _, path := range glob(t, "testdata/*.bad.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				w, ok := strings.CutPrefix(line, "# want: ")
				if !ok {
					break
				}
				want = append(want, strings.Replace(strings.TrimSpace(w), "FILE", path, 1))
			}
			got, err := Load(path)
			if err == nil {
				t.Fatalf("no error, want %q", want)
			}
			if w := strings.Join(want, "\n"); err.Error() != w {
				t.Errorf("got  %v\nwant %v", err, w)
			}
			if !reflect.DeepEqual(got, Config{}) {
				t.Errorf("a bad file gave %+v, want nothing", got)
			}
		})
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	return paths
}

func TestLoadMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !os.IsNotExist(unwrapAll(err)) || !strings.Contains(err.Error(), "for the defaults") {
		t.Errorf("Load = %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}

const sample = "../../configs/logwatch.yaml"

func TestSampleEqualsDefaults(t *testing.T) {
	got, err := Load(sample)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("got  %+v\nwant %+v", got, Default())
	}
}

// TestSampleIsComplete: without its comments the sample is, key by key and in
// order, what Marshal writes; and each key stands below a comment.
func TestSampleIsComplete(t *testing.T) {
	data, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Marshal(Default())
	if err != nil {
		t.Fatal(err)
	}
	var keys strings.Builder
	commented := false
	for line := range strings.Lines(string(data)) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "#"):
			commented = true
			continue
		case trimmed == "":
			commented = false
			continue
		case !commented && !strings.HasSuffix(trimmed, ":"): // a section's keys are explained, not the section
			t.Errorf("no comment above %q", trimmed)
		}
		commented = false
		keys.WriteString(line)
	}
	if keys.String() != string(want) {
		t.Errorf("the sample's keys:\n%s\nMarshal of the defaults:\n%s", keys.String(), want)
	}
}

// TestListOfSections: the keys of a list's elements are checked as all others,
// and have their own lines.
func TestListOfSections(t *testing.T) {
	type element struct {
		Match struct {
			Namespace string `json:"namespace"`
		} `json:"match"`
		Size  Size `json:"size"`
		Files int  `json:"files,omitempty"`
	}
	for data, want := range map[string]string{
		"list:\n- size: 1Mi\n- match: {namespace: a}\n  size: 2": "f:4: list[1].size",
		"list: # none\n": "f:1: list[1].size",
		"list:\n- size: 1Mi\n- match:\n    namspace: a\n": `f:4: unknown key "list[1].match.namspace": did you mean "namespace"?`,
		"list:\n- Size: 1Mi\n":                            `f:2: unknown key "list[0].Size": did you mean "size"?`,
		"list:\n- size: 1Mi\n  size: 2Mi\n":               `f:3: yaml: key "size" already set in map`,
		"list:\n- files: 1\n-\n  files:\n":                `f:4: list[1].files: there is no value: write one, or remove the key for the default`,
		"list:\n- files: 1\n- files: x\n":                 "f:3: list[1].files: must be a whole number without quotes, such as 5: got string",
		"list: {files: 1}\n":                              "f:1: list: must be a list: got object",
	} {
		var to struct {
			List []element `json:"list"`
		}
		src := source{"f", make(map[string]int)}
		got := ""
		if err := src.decode([]byte(data), &to); err != nil {
			got = err.Error()
		} else {
			got = src.at("list[1].size")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\ngot  %s\nwant %s", data, got, want)
		}
	}
}

func TestJSONRoundTrip(t *testing.T) {
	data, err := json.Marshal(Default())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"containerLogMaxSize":"10Mi"`) {
		t.Errorf("sizes are not text: %s", data)
	}
	var got Config
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	got.applyProfile()
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("got  %+v\nwant %+v", got, Default())
	}
}

func TestMaxTotalSizeBytes(t *testing.T) {
	for _, tt := range []struct {
		size, total string
		files       int
		want        int64
	}{
		{"10Mi", "", 5, 50 << 20},
		{"10Mi", "15Mi", 5, 15 << 20},
		{"-1", "", 5, -1},
		{"-1", "15Mi", 5, 15 << 20}, // rotation is off, the promise to the disk is not
		{"7Ei", "", 5, math.MaxInt64},
		{"1", "", math.MaxInt, math.MaxInt64},
	} {
		c := Default()
		c.ContainerLogMaxSize, c.ContainerLogMaxTotalSize = mustSize(tt.size), mustSize(tt.total)
		c.ContainerLogMaxFiles = tt.files
		if got := c.MaxTotalSizeBytes(); got != tt.want {
			t.Errorf("%+v: got %d", tt, got)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"/run/a.sock":        "unix:///run/a.sock",
		"unix:///run/a.sock": "unix:///run/a.sock",
	} {
		c := Default()
		c.ContainerRuntimeEndpoint = endpoint
		if got, err := c.Endpoint(); got != want || err != nil {
			t.Errorf("%q: got %q, %v", endpoint, got, err)
		}
	}
}

func TestFirstSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "sock") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	missing, file, socket := dir+"/none", dir+"/file", dir+"/socket"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := firstSocket([]string{missing, file}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("no socket there: %v, want an error with the paths", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := firstSocket([]string{missing, file, socket}); got != socket || err != nil {
		t.Errorf("got %q, %v, want the socket", got, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzParse: Parse never panics, and what it takes survives Marshal.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", sample} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, s := range []string{"a: &x [*x]", "*x", "? [a]\n: b", "\xff\xfe", "podLogsDir: \"/\\0\"", "podLogsDir: \"/\\x7f\"", "podLogsDir: \"/\\u2028\\ufeff<&\"", "containerLogMaxSize: 1e18", "logging: &l {level: &l info}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yaml", data)
		if err != nil {
			return
		}
		out, err := Marshal(c)
		if err != nil && strings.Contains(err.Error(), "control characters") {
			return // JSON has some as they are, YAML must not
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again.yaml", out)
		if err != nil {
			t.Fatalf("%v of\n%s", err, out)
		}
		if !reflect.DeepEqual(again, c) {
			t.Errorf("got  %+v\nwant %+v\nfrom\n%s", again, c, out)
		}
	})
}
