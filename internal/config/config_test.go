package config

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/policy"
)

// goodFiles is what testdata/*.good.yaml changes of the defaults.
var goodFiles = map[string]func(*Config){
	"empty":                 func(*Config) {},
	"comment":               func(*Config) {},
	"marker":                func(*Config) {},
	"section-commented-out": func(c *Config) { c.PodLogsDir = "/srv/pods" },
	"path-endpoint":         func(c *Config) { c.ContainerRuntimeEndpoint = "/run/containerd/containerd.sock" },
	"pod-logs-dir-unclean":  func(*Config) {},
	"octal-number":          func(c *Config) { c.ContainerLogMaxWorkers = 2 },
	"size-number":           func(c *Config) { c.Patch["maxSize"] = "1Mi" },
	"size-off":              func(c *Config) { c.Patch["rotate"] = "false" },
	"size-off-number":       func(c *Config) { c.Patch["rotate"] = "false" },
	"slow-timeout":          func(c *Config) { c.RuntimeRequestTimeout = 2 * time.Minute },
	"servers-off":           func(c *Config) { c.Metrics.ListenAddress, c.ControlSocket = "", "" },
	"json": func(c *Config) {
		c.Patch = policy.Patch{"maxSize": "5M", "compression.level": "1"}
	},
	"anchor": func(c *Config) {
		c.Patch = policy.Patch{"minRotationInterval": "2s", "rotatedLogGracePeriod": "2s"}
	},
	"days": func(c *Config) {
		c.Patch = policy.Patch{"maxAge": "336h0m0s", "rotatedLogGracePeriod": "24h0m0s"}
	},
	"profile": func(c *Config) { c.CollectorProfile = "vector" },
	"profile-explicit": func(c *Config) {
		c.CollectorProfile = "datadog"
		c.Patch["minRotationInterval"] = "1s" // the default, but not the profile's
	},
	"profile-empty-keys":      func(c *Config) { c.CollectorProfile = "filebeat" },
	"overrides-commented-out": func(*Config) {},
	"override-anchor": func(c *Config) {
		c.Overrides = []policy.Override{
			{Match: policy.Match{Pods: []string{"a", "b"}}, Patch: policy.Patch{"maxSize": "1Mi"}},
			{Match: policy.Match{Containers: []string{"a", "b"}}, Patch: policy.Patch{"maxSize": "1Mi"}},
		}
	},
	"override-total": func(c *Config) {
		c.Patch["maxTotalSize"] = "15Mi"
		c.Overrides = []policy.Override{{Match: policy.Match{Pods: []string{"a"}}, Patch: policy.Patch{"maxSize": "20Mi"}}}
	},
	"all": func(c *Config) {
		*c = Config{
			ContainerRuntimeEndpoint:    "unix:///run/crio/crio.sock",
			PodLogsDir:                  "/srv/pods",
			ContainerLogMaxWorkers:      1,
			ContainerLogMonitorInterval: time.Second,
			RuntimeRequestTimeout:       100 * time.Millisecond,
			Compression:                 Compression{Workers: 2},
			CleanRemovedContainers:      true,
			UnreadLogBudget:             0,
			LogReaders:                  LogReaders{Ignore: "tail, cat", Timeout: 90 * time.Second},
			NodeLogBudget:               20 << 30,
			DiskPressure:                DiskPressure{90, 80, 70, 60},
			Logging:                     Logging{Level: "debug", Format: FormatJSON},
			Metrics:                     Metrics{ListenAddress: "[::1]:9999", WebConfigFile: "/etc/logwatch/web.yaml", HostNames: "logs.example,node7.example", PerContainer: true},
			ControlSocket:               "/srv/logwatch.sock",
			Rules: policy.Rules{
				CollectorProfile: "otel",
				Patch: policy.Patch{
					"maxSize": "100Mi", "maxFiles": "2", "maxTotalSize": "1Gi", "maxAge": "336h0m0s", "minRotationInterval": "0s",
					"rotatedLogGracePeriod": "5m0s", "compression.codec": "none", "compression.level": "9",
				},
				Annotations: policy.Annotations{Enabled: true, Ceilings: policy.Patch{
					"maxSize": "200Mi", "maxFiles": "4", "maxTotalSize": "2Gi", "maxAge": "360h0m0s", "minRotationInterval": "7s", "rotatedLogGracePeriod": "6m0s",
				}},
				Overrides: []policy.Override{
					{
						Match: policy.Match{
							Namespaces: []string{"kube-system", "007"},
							Pods:       []string{"web-*", "db-[0-9]"},
							Containers: []string{"app"},
							Labels:     "tier in (edge, core), !canary",
						},
						Patch: policy.Patch{
							"maxSize": "1Gi", "maxFiles": "3", "maxTotalSize": "3Gi", "maxAge": "720h0m0s", "minRotationInterval": "2s",
							"rotatedLogGracePeriod": "0s", "compression.codec": "gzip", "compression.level": "1",
						},
					},
					{Match: policy.Match{Labels: "logs=by-hand"}, Patch: policy.Patch{"rotate": "false"}},
					{Match: policy.Match{Containers: []string{"app"}}, Patch: policy.Patch{}},
				},
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
// beginning, one for each line of the error. FILE there stands for the path, CODECS
// for the codecs' names, and … at the end for any text.
func TestBadFiles(t *testing.T) {
	codecs := strings.Join(podlogs.CodecNames(false), ", ")
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
				want = append(want, strings.NewReplacer("FILE", path, "CODECS", codecs).Replace(strings.TrimSpace(w)))
			}
			got, err := Load(path)
			if err == nil {
				t.Fatalf("no error, want %q", want)
			}
			w := strings.Join(want, "\n")
			start, more := strings.CutSuffix(w, "…")
			if ok := err.Error() == w || more && strings.HasPrefix(err.Error(), start); !ok {
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

// TestListElements: an element of a list has its own line, and so have its keys.
func TestListElements(t *testing.T) {
	for data, want := range map[string]string{
		"overrides:\n- maxFiles: 3\n- match: {namespaces: [a]}\n  maxFiles: x":     `f:4: overrides[1].maxFiles: must be a whole number without quotes, such as 5, got "x"`,
		"overrides:\n- match:\n    namspaces: a\n":                                 "f:3: overrides[0].match.namspaces: unknown key: did you mean namespaces?",
		"overrides:\n- MaxSize: 1Mi\n":                                             "f:2: overrides[0].MaxSize: unknown key: did you mean maxSize?",
		"overrides:\n- maxSize: 1Mi\n  maxSize: 2Mi\n":                             "f:3: overrides[0].maxSize: duplicate key, first on line 2",
		"overrides:\n- maxFiles: 2\n-\n  maxFiles:\n":                              "f:4: overrides[1].maxFiles: there is no value: add one, or remove the key for the default",
		"overrides:\n- &o {match: {pods: [a]}}\n- *o\n- *o\n- {match: {pods: *x}}": "f: yaml: unknown anchor 'x' referenced",
	} {
		_, err := Parse("f", []byte(data))
		if err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", data, err, want)
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
	if got, err := firstSocket([]string{missing, file, socket}); got != scheme+socket || err != nil {
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
	for _, s := range []string{"a: &x [*x]", "*x", "? [a]\n: b", "\xff\xfe", "podLogsDir: \"/\\0\"", "podLogsDir: //a/../b/", "controlSocket: \"/a\\nb\"", "overrides: [{match: {pods: [\"yes\"]}}]", "podLogsDir: \"/\\x7f\"", "podLogsDir: \"/\\u2028\\ufeff<&\"", "containerLogMaxSize: 1e18", "logging: &l {level: &l info}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yaml", data)
		if err != nil {
			return
		}
		out, err := Marshal(c)
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
