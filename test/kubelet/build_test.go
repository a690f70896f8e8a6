package kubelet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/logwatch/logwatch/test/containerd"
)

// buildKubelet returns the path of a kubelet, which is built if the cache lacks the one
// of build/go.mod.
func buildKubelet(t *testing.T) string {
	t.Helper()
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join("build", name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(content)
	}
	name := "kubelet-" + hex.EncodeToString(sum.Sum(nil)[:8])
	dir, err := containerd.Cached(t.Context(), name, logTo(t), func(dir string) error {
		args := []string{"build", "-ldflags=-s -w", "-o", filepath.Join(dir, "kubelet"), "k8s.io/kubernetes/cmd/kubelet"}
		if err := containerd.GoCommand(t.Context(), "build", args, "CGO_ENABLED=0"); err != nil {
			return fmt.Errorf("build kubelet: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "kubelet")
}

func logTo(t *testing.T) func(string) { return func(s string) { t.Log(s) } }
