package containerd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// configData fills the templates below. All paths are below Dir.
type configData struct {
	Dir, Socket, Image, Runc string
}

// commonConfig is the part for all versions. Everything with a default outside of Dir
// is moved into it, to not interfere with another containerd.
//
// The native snapshotter copies the one small layer and needs only a bind mount: it
// works where overlayfs does not, such as on an overlay.
const commonConfig = `
root = {{printf "%s/root" .Dir | printf "%q"}}
state = {{printf "%s/state" .Dir | printf "%q"}}

[grpc]
  address = {{.Socket | printf "%q"}}

[plugins."io.containerd.internal.v1.opt"]
  path = {{printf "%s/opt" .Dir | printf "%q"}}
`

// configV3 is for containerd 2. NRI's socket has a fixed path on the host.
const configV3 = `version = 3` + commonConfig + `
[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = {{.Image | printf "%q"}}

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  cdi_spec_dirs = []
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = [{{printf "%s/cni/bin" .Dir | printf "%q"}}]
  conf_dir = {{printf "%s/cni/conf" .Dir | printf "%q"}}
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = {{.Runc | printf "%q"}}
  Root = {{printf "%s/runc" .Dir | printf "%q"}}
  SystemdCgroup = false
`

// configV2 is for containerd 1.x.
const configV2 = `version = 2` + commonConfig + `
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {{.Image | printf "%q"}}
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = {{printf "%s/cni/bin" .Dir | printf "%q"}}
  conf_dir = {{printf "%s/cni/conf" .Dir | printf "%q"}}
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = {{.Runc | printf "%q"}}
  Root = {{printf "%s/runc" .Dir | printf "%q"}}
  SystemdCgroup = false
`

// writeConfig writes config.toml into data.Dir.
func writeConfig(ctx context.Context, containerd string, data configData) (string, error) {
	text, err := makeConfig(ctx, containerd, data)
	if err != nil {
		return "", err
	}
	path := filepath.Join(data.Dir, "config.toml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("write containerd's configuration: %w", err)
	}
	return path, nil
}

// makeConfig returns config.toml in the format for the program at containerd.
func makeConfig(ctx context.Context, containerd string, data configData) ([]byte, error) {
	major, err := majorVersion(ctx, containerd)
	if err != nil {
		return nil, err
	}
	text := configV3
	if major < 2 {
		text = configV2
	}
	var buf bytes.Buffer
	if err := template.Must(template.New("config").Parse(text)).Execute(&buf, data); err != nil {
		return nil, fmt.Errorf("generate containerd's configuration: %w", err)
	}
	return buf.Bytes(), nil
}

// majorVersion parses "containerd <package> [v]<version> <revision>" from --version.
func majorVersion(ctx context.Context, containerd string) (int, error) {
	out, err := exec.CommandContext(ctx, containerd, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("run %s --version: %w", containerd, err)
	}
	if fields := strings.Fields(string(out)); len(fields) >= 3 {
		major, _, _ := strings.Cut(strings.TrimPrefix(fields[2], "v"), ".")
		if n, err := strconv.Atoi(major); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s --version printed %q: want \"containerd <package> <version>\"; is it containerd?", containerd, out)
}
