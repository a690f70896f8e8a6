package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const explained = `
collectorProfile: vector
annotations:
  enabled: true
  ceilings: {maxSize: 100Mi}
overrides:
- match: {namespaces: [kube-*]}
  rotate: false
- match: {labels: "app in (web, api)"}
  maxFiles: 3
`

func TestCheckConfigExplain(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		args         []string
		want, err    string
	}{
		{
			name: "all sources", config: explained,
			args: []string{
				"--explain", "shop/web-1/app", "--labels", "app=web,x=y",
				"--annotations", "logwatch/max-size.app=1Gi,logwatch/max-files=10mb",
			},
			want: `NAME                   VALUE     SOURCE
rotate                 true      default
maxSize                100Mi     annotation logwatch/max-size.app (capped at 100Mi)
maxFiles               3         override 2
maxTotalSize           300Mi     maxSize × maxFiles
maxAge                 no limit  default
minRotationInterval    1s        profile vector
rotatedLogGracePeriod  1m5s      profile vector
compression.codec      gzip      default
compression.level      5         default

ANNOTATION             VALUE   RESULT
logwatch/max-size.app  "1Gi"   capped at 100Mi
logwatch/max-files     "10mb"  ignored: invalid number "10mb": use a whole number such as 5
`,
		},
		{
			name: "annotations turned off", config: "",
			args: []string{"--explain", "a/b/c", "--annotations", "logwatch/max-size=1Mi"},
			want: `NAME                   VALUE     SOURCE
rotate                 true      default
maxSize                10Mi      default
maxFiles               5         default
maxTotalSize           50Mi      maxSize × maxFiles
maxAge                 no limit  default
minRotationInterval    1s        default
rotatedLogGracePeriod  0s        default
compression.codec      gzip      default
compression.level      5         default

Annotations are disabled: set annotations.enabled: true
`,
		},
		{name: "two names", args: []string{"--explain", "a/b"}, err: `invalid container "a/b": use NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app`},
		{name: "no names", args: []string{"--explain", ""}, err: `invalid container "": use NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app`},
		{name: "an empty name", args: []string{"--explain", "a//c"}, err: `invalid container "a//c": use NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app`},
		{name: "labels for nothing", args: []string{"--labels", "a=b"}, err: `--labels and --annotations require --explain NAMESPACE/POD/CONTAINER`},
		{name: "a label without a value", args: []string{"--explain", "a/b/c", "--labels", "a"}, err: `invalid argument "a" for "--labels" flag: a must be formatted as key=value`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "logwatch.yaml")
			if err := os.WriteFile(file, []byte(tt.config), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd := newCommand()
			cmd.SetOut(&out)
			cmd.SetArgs(append([]string{"check-config", file}, tt.args...))
			message := ""
			if err := cmd.Execute(); err != nil {
				message = err.Error()
			}
			if message != tt.err {
				t.Errorf("error %q, want %q", message, tt.err)
			}
			for line := range strings.Lines(tt.want) { // there may be more fields
				if !strings.Contains(out.String(), line) {
					t.Errorf("got\n%s\nwant\n%s", out.String(), tt.want)
				}
			}
		})
	}
}

// TestCheckConfigWarns: a warning changes neither the output nor the exit code.
func TestCheckConfigWarns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte("overrides: [{match: {labels: a}, rotate: false}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, stderr bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&stderr)
	cmd.SetArgs([]string{"check-config", file})
	if err := cmd.ExecuteContext(t.Context()); err != nil || strings.Contains(out.String(), "warning") ||
		!strings.HasPrefix(stderr.String(), "warning: overrides[0] turns rotation off") {
		t.Errorf("%v\n%s\n%s", err, &out, &stderr)
	}
}
