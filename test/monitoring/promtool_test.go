package monitoring

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// buildTimeout is for building promtool, which takes a few minutes the first time.
const buildTimeout = 15 * time.Minute

// promtoolPath returns the promtool of hack/tools/go.mod. Go's cache keeps the build.
var promtoolPath = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "-C", "../../hack/tools", "tool", "-n", "promtool")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build promtool (it needs the Go module proxy the first time): %w\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
})

// promtool runs promtool and returns its output.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return promtoolInput(t, "", args...)
}

// promtoolInput runs promtool with text as its standard input.
func promtoolInput(t *testing.T, text string, args ...string) (string, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("building promtool takes too long for -short")
	}
	path, err := promtoolPath()
	if err != nil {
		needs(t, err.Error())
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// needs skips the test because a program is missing. In CI it fails.
func needs(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// checkExprs checks that promtool accepts the expressions.
func checkExprs(t *testing.T, exprs []string) {
	t.Helper()
	var f ruleFile
	for i, e := range exprs {
		f.Groups = append(f.Groups, ruleGroup{Name: fmt.Sprint(i), Rules: []alert{{Record: "x", Expr: e}}})
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	writeYAML(t, file, f)
	if out, err := promtool(t, "check", "rules", file); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func writeYAML(t *testing.T, file string, v any) {
	t.Helper()
	content, err := yaml.Marshal(v)
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
