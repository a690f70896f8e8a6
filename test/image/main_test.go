package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// root is the project's directory.
const root = "../.."

// imageName is the image's name in hack/image and the manifests.
const imageName = "localhost/logwatch:latest"

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir) // the temporary directory's to clean up
		}
		os.Exit(code)
	}))
}

// need skips the test; in CI it fails.
func need(t *testing.T, ok bool, why string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	need(t, os.Geteuid() == 0, "a real containerd needs root to mount and to make cgroups: sudo env \"PATH=$PATH\" go test ./test/image")
}

func needBuildah(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("buildah")
	need(t, err == nil, "buildah is not installed: apt-get install --no-install-recommends buildah")
}

// notShort skips, with -short, what may have to download Go modules.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("not for -short: programs are built for it")
	}
}

// file returns the content of a file of the project.
func file(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
