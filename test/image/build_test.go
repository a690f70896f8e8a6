package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// version is the version of the tests' image.
const version = "0.0.0+test"

// built is the image that the tests share; TestMain removes it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// archive returns the path of the image's archive, built once.
func archive(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "logwatch-image-"); built.err == nil {
			built.err = build(built.dir)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "logwatch-image.tar")
}

func build(dist string) error {
	cmd := exec.Command(filepath.Join(root, "hack", "image"))
	cmd.Env = append(os.Environ(), "DIST="+dist, "VERSION="+version, "SOURCE_DATE_EPOCH=1700000000", "IMAGE=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("hack/image: %w\n%s", err, out)
	}
	return nil
}

// TestReproducible: the same sources give the same image, to the last byte.
func TestReproducible(t *testing.T) {
	notShort(t)
	needBuildah(t)
	first, dist := readFile(t, archive(t)), t.TempDir()
	if err := build(dist); err != nil {
		t.Fatal(err)
	}
	if second := readFile(t, filepath.Join(dist, "logwatch-image.tar")); !bytes.Equal(first, second) {
		t.Errorf("two builds differ: %s and %s", index(t, first).Manifests[0].Digest, index(t, second).Manifests[0].Digest)
	}
	if left, _ := filepath.Glob(filepath.Join(dist, "*")); len(left) != 1 {
		t.Errorf("hack/image made %v, want the archive alone", left)
	}
}

// TestImage: the image has only the static program, its sample configuration and the
// license, for both architectures.
func TestImage(t *testing.T) {
	notShort(t)
	needBuildah(t)
	content := readFile(t, archive(t))
	top := index(t, content)
	// containerd and docker name the image after this.
	if name := top.Manifests[0].Annotations["io.containerd.image.name"]; name != imageName {
		t.Errorf("the archive's image is called %q, want %q", name, imageName)
	}
	var list ociIndex
	blob(t, content, top.Manifests[0].Digest, &list)
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if len(list.Manifests) != len(machines) {
		t.Fatalf("%d images, want %d", len(list.Manifests), len(machines))
	}
	for _, m := range list.Manifests {
		t.Run(m.Platform.Architecture, func(t *testing.T) {
			var manifest ociManifest
			blob(t, content, m.Digest, &manifest)
			var config ociConfig
			blob(t, content, manifest.Config.Digest, &config)
			config.Config.Env = nil // a PATH, which nothing uses
			want := ociConfig{Architecture: m.Platform.Architecture, OS: "linux", Created: "2023-11-14T22:13:20Z"}
			want.Config.User = "0:0"
			want.Config.Entrypoint = []string{"/logwatch"}
			want.Config.Cmd = []string{"run", "--config", "/etc/logwatch/logwatch.yaml"}
			want.Config.Labels = config.Config.Labels
			if !reflect.DeepEqual(config, want) {
				t.Errorf("config = %+v\nwant %+v", config, want)
			}
			labels := config.Config.Labels
			if labels["org.opencontainers.image.version"] != version || labels["org.opencontainers.image.licenses"] != "Apache-2.0" || len(labels) != 6 {
				t.Errorf("labels = %v", labels)
			}
			files := map[string][]byte{}
			for _, layer := range manifest.Layers {
				unpack(t, find(t, content, "blobs/sha256/"+strings.TrimPrefix(layer.Digest, "sha256:")), files)
			}
			if len(files) != 3 || !bytes.Equal(files["licenses/LICENSE"], file(t, "LICENSE")) ||
				!bytes.Equal(files["etc/logwatch/logwatch.yaml"], file(t, "configs/logwatch.yaml")) {
				t.Errorf("files = %v, want the program, configs/logwatch.yaml and LICENSE", keys(files))
			}
			checkProgram(t, files["logwatch"], machines[m.Platform.Architecture])
		})
	}
}

// checkProgram: the program is static, for its architecture, and has its version.
func checkProgram(t *testing.T, program []byte, machine elf.Machine) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if f.Machine != machine {
		t.Errorf("for %v, want %v", f.Machine, machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a %v: it needs libraries, which the image has not", p.Type)
		}
	}
	if (machine == elf.EM_X86_64) != (runtime.GOARCH == "amd64") {
		return // not this machine's
	}
	path := filepath.Join(t.TempDir(), "logwatch")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "version").CombinedOutput(); err != nil || !strings.Contains(string(out), version) {
		t.Errorf("logwatch version: %s (%v), want %s", out, err, version)
	}
}

// The parts of an OCI image layout that the test checks.
type (
	ociIndex struct {
		Manifests []struct {
			Digest      string            `json:"digest"`
			Annotations map[string]string `json:"annotations"`
			Platform    struct {
				Architecture string `json:"architecture"`
			} `json:"platform"`
		} `json:"manifests"`
	}
	ociManifest struct {
		Config struct {
			Digest string `json:"digest"`
		} `json:"config"`
		Layers []struct {
			Digest string `json:"digest"`
		} `json:"layers"`
	}
	ociConfig struct {
		Created      string `json:"created"`
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
		Config       struct {
			User       string            `json:"User"`
			Env        []string          `json:"Env"`
			Entrypoint []string          `json:"Entrypoint"`
			Cmd        []string          `json:"Cmd"`
			Labels     map[string]string `json:"Labels"`
		} `json:"config"`
	}
)

func index(t *testing.T, archive []byte) ociIndex {
	t.Helper()
	var i ociIndex
	decode(t, find(t, archive, "index.json"), &i)
	if len(i.Manifests) != 1 {
		t.Fatalf("%d images in the archive, want one", len(i.Manifests))
	}
	return i
}

func blob(t *testing.T, archive []byte, digest string, into any) {
	t.Helper()
	decode(t, find(t, archive, "blobs/sha256/"+strings.TrimPrefix(digest, "sha256:")), into)
}

func decode(t *testing.T, content []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
}

// find is one file of a tar.
func find(t *testing.T, archive []byte, name string) []byte {
	t.Helper()
	files := map[string][]byte{}
	untar(t, bytes.NewReader(archive), files)
	content, ok := files[name]
	if !ok {
		t.Fatalf("the archive has no %s", name)
	}
	return content
}

func unpack(t *testing.T, layer []byte, files map[string][]byte) {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	untar(t, r, files)
}

func untar(t *testing.T, r io.Reader, files map[string][]byte) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "./")] = content
		if mode := fs.FileMode(h.Mode).Perm(); h.Typeflag != tar.TypeReg || mode&0o022 != 0 || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s: type %c, mode %o, of %d:%d", h.Name, h.Typeflag, mode, h.Uid, h.Gid)
		}
	}
}

func keys[V any](m map[string]V) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
