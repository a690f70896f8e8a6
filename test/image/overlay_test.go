package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// overlay writes an operator's kustomization and its files, and returns the directory
// for render. BASE, COMPONENTS and OVERLAYS stand for the directories in
// configs/daemonset.
func overlay(t *testing.T, kustomization string, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	project, err := filepath.Abs(root)
	if err == nil {
		project, err = filepath.EvalSymlinks(project)
	}
	if err != nil {
		t.Fatal(err)
	}
	// kustomize takes no absolute paths.
	to, err := filepath.Rel(dir, filepath.Join(project, "configs", "daemonset"))
	if err != nil {
		t.Fatal(err)
	}
	kustomization = strings.NewReplacer("BASE", to+"/base", "COMPONENTS", to+"/components", "OVERLAYS", to+"/overlays").Replace(kustomization)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	from, err := filepath.Rel(project, dir)
	if err != nil {
		t.Fatal(err)
	}
	return from
}
