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

// buildOnce builds a package into the cache of test programs, under a name that changes
// with it after the first dash.
func buildOnce(t *testing.T, name, dir, pkg string) string {
	t.Helper()
	program, _, _ := strings.Cut(name, "-") // by which logwatch knows it
	cached, err := containerd.Cached(t.Context(), name, func(s string) { t.Log(s) }, func(tmp string) error {
		args := []string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(tmp, program), pkg}
		return containerd.GoCommand(t.Context(), dir, args, "CGO_ENABLED=0")
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cached, program)
}
