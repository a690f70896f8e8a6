package shippers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/test/containerd"
)

// buildOTel builds the collector of ./otelcol.
func buildOTel(t *testing.T) string {
	t.Helper()
	hash := sha256.New()
	hash.Write([]byte(runtime.Version()))
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join("otelcol", name))
		if err != nil {
			t.Fatal(err)
		}
		hash.Write(content)
	}
	return buildOnce(t, "otelcol-"+hex.EncodeToString(hash.Sum(nil)[:8]), "otelcol", ".")
}

// buildModule builds a package in a module of the module proxy, with that module's own
// go.mod, which may replace others.
func buildModule(t *testing.T, module, version, pkg string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module+"@"+version).Output()
	if err != nil {
		t.Fatalf("download %s: %v\n%s", module, err, out)
	}
	var download struct{ Dir string }
	if err := json.Unmarshal(out, &download); err != nil {
		t.Fatal(err)
	}
	return buildOnce(t, filepath.Base(pkg)+"-"+version, download.Dir, pkg)
}

// promtailModule builds Promtail from a module of its own, since the replacements in a
// dependency's go.mod do not count; these are Loki's, as far as Promtail needs them.
const promtailModule = `module promtail

go 1.24

require github.com/grafana/loki/v3 v3.5.1

replace (
	github.com/Azure/azure-sdk-for-go => github.com/Azure/azure-sdk-for-go v68.0.0+incompatible
	github.com/Azure/azure-storage-blob-go => github.com/MasslessParticle/azure-storage-blob-go v0.14.1-0.20240322194317-344980fda573
	github.com/gocql/gocql => github.com/grafana/gocql v0.0.0-20200605141915-ba5dc39ece85
	github.com/grafana/regexp => github.com/grafana/regexp v0.0.0-20240518133315-a468a5bfb3bc
	github.com/hashicorp/consul => github.com/hashicorp/consul v1.20.5
	github.com/hashicorp/memberlist => github.com/grafana/memberlist v0.3.1-0.20220714140823-09ffed8adbbe
	github.com/influxdata/go-syslog/v3 => github.com/leodido/go-syslog/v4 v4.2.0
	github.com/thanos-io/objstore => github.com/grafana/objstore v0.0.0-20250210100727-533688b5600d
)
`

// buildPromtail builds Promtail.
func buildPromtail(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(promtailModule), 0o600); err != nil {
		t.Fatal(err)
	}
	return buildOnce(t, "promtail-v3.5.1", dir, "-mod=mod", "github.com/grafana/loki/v3/clients/cmd/promtail")
}

// buildOnce builds a package, which flags may precede, into the cache of test programs, under a name that changes
// with it after the first dash.
func buildOnce(t *testing.T, name, dir string, pkg ...string) string {
	t.Helper()
	program, _, _ := strings.Cut(name, "-") // by which logwatch knows it
	cached, err := containerd.Cached(t.Context(), name, func(s string) { t.Log(s) }, func(tmp string) error {
		args := []string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(tmp, program)}
		args = append(args, pkg...)
		return containerd.GoCommand(t.Context(), dir, args, "CGO_ENABLED=0")
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cached, program)
}
