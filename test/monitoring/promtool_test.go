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

// patience is what building promtool takes at most: a few minutes the first time.
const patience = 15 * time.Minute

// promtoolPath is promtool as hack/tools/go.mod has it, built once and then from
// Go's cache.
var promtoolPath = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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

// promtool runs it and returns what it printed.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("building promtool is not for -short")
	}
	path, err := promtoolPath()
	if err != nil {
		needs(t, err.Error())
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}

// needs skips for want of something; in CI, where nobody reads a skip, it fails.
func needs(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// checkExprs has promtool parse expressions, each as a rule.
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
