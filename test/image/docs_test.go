package image

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/config"
)

// TestKubernetesDocs: the overlay of docs/KUBERNETES.md is valid, and the files that it
// refers to exist.
func TestKubernetesDocs(t *testing.T) {
	text := string(file(t, "docs/KUBERNETES.md"))
	for _, path := range regexp.MustCompile(`\b(?:configs|hack)/[a-z0-9/._-]*[a-z]`).FindAllString(text, -1) {
		if strings.HasPrefix(path, "configs/daemonset/overlays/mine") {
			continue // the reader's own
		}
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Errorf("docs/KUBERNETES.md: %v", err)
		}
	}
	notShort(t)
	_, own, ok := strings.Cut(text, "```yaml\n")
	own, _, closed := strings.Cut(own, "```")
	if !ok || !closed {
		t.Fatal("docs/KUBERNETES.md has no overlay")
	}
	own = strings.NewReplacer("../../base", "BASE", "../../components", "COMPONENTS").Replace(own)
	checkOwn(t, own)
	// "with `resources: [../../../openshift]` and without `components`"
	own = strings.Replace(own, "[BASE]", "[BASE/../../openshift]", 1)
	checkOwn(t, regexp.MustCompile(`(?m)^components:.*$`).ReplaceAllString(own, ""))
}

func checkOwn(t *testing.T, own string) {
	t.Helper()
	m := render(t, overlay(t, own, map[string]string{"logwatch.yaml": "containerLogMaxSize: 20Mi\n"}))
	want := needed()
	onCRIO(&want)
	spec := m.daemonSet.Spec.Template.Spec
	if has := privilegesOf(t, spec); !reflect.DeepEqual(has, want) {
		t.Errorf("privileges = %+v\nwant         %+v", has, want)
	}
	if image := spec.Containers[0].Image; image != "registry.example.com/logwatch:v1" {
		t.Errorf("image = %s", image)
	}
	cfg, err := config.Parse("ConfigMap", []byte(m.configMap.Data["logwatch.yaml"]))
	if err != nil || cfg.Patch["maxSize"] != "20Mi" || m.configMap.Name != "logwatch" {
		t.Errorf("ConfigMap %s: %v, %v", m.configMap.Name, cfg.Patch, err)
	}
}
