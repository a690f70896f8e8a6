package kubelet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		for _, dir := range []string{"/var/lib/kubelet", "/var/log/containers"} {
			_ = os.Remove(dir) // isolate has created it, unless it is in use
		}
		os.Exit(code)
	}))
}

// hostname is kubelet's, which it appends to the names of static pods.
const hostname = "node"

// isolate runs a kubelet with private directories in place of those that no flag
// changes, and with files that have the kernel parameters that it wants in place of the
// machine's. Its arguments are a private directory and kubelet's command line.
const isolate = `
dir=$1
shift
cover() { # what the machine has, by what is in the private directory
	mkdir -p "$dir/host$1" "$1"
	mount --bind "$dir/host$1" "$1"
}
cover /var/lib/kubelet
cover /var/log/containers
mkdir "$dir/sysctl"
while read -r path value; do
	file=$dir/sysctl/${path##*/}
	echo "$value" >"$file"
	mount --bind "$file" "/proc/sys/$path"
done <<-END
	kernel/keys/root_maxbytes 25000000
	kernel/keys/root_maxkeys 1000000
	kernel/panic 10
	kernel/panic_on_oops 1
	vm/overcommit_memory 1
	vm/panic_on_oom 0
END
exec "$@"
`

// node is a private containerd with a kubelet beside it.
type node struct {
	*containerd.Containerd
	t      *testing.T
	dir    string // kubelet's
	url    string // of kubelet's server
	client *http.Client
}

// backstop has the directory of the drop-in that makes kubelet's rotation a backstop.
const backstop = "../../configs/kubelet"

// newNode starts containerd and kubelet. logs are keys of kubelet's configuration,
// added to those that let it run without a cluster. dropIns, if not empty, is its
// --config-dir.
func newNode(t *testing.T, logs, dropIns string) *node {
	t.Helper()
	needRoot(t)
	program := buildKubelet(t)
	tools, err := containerd.Build(t.Context(), logTo(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := containerd.Start(t.Context(), tools, containerd.Options{Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.LogTail())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	n := &node{Containerd: c, t: t, dir: filepath.Join(c.Dir(), "kubelet")}
	n.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, //nolint:gosec // kubelet's own certificate, on the loopback
	}}
	n.start(program, logs, dropIns)
	return n
}

// start runs kubelet until the test ends.
func (n *node) start(program, logs, dropIns string) {
	n.t.Helper()
	address := freeAddress(n.t)
	n.url = "https://" + address
	if err := os.MkdirAll(n.manifests(), 0o755); err != nil {
		n.t.Fatal(err)
	}
	config := filepath.Join(n.dir, "config.yaml")
	if err := os.WriteFile(config, []byte(n.config(address)+logs), 0o600); err != nil {
		n.t.Fatal(err)
	}
	log, err := os.Create(n.logPath())
	if err != nil {
		n.t.Fatal(err)
	}
	args := []string{
		"--mount", "sh", "-euc", isolate, "sh", n.dir, program, "--config=" + config, "--v=2",
		"--root-dir=" + filepath.Join(n.dir, "root"), "--cert-dir=" + filepath.Join(n.dir, "pki"), "--hostname-override=" + hostname,
	}
	if dropIns != "" {
		args = append(args, "--config-dir="+dropIns)
	}
	cmd := exec.Command("unshare", args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // its log says more
	}()
	n.t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // it may have ended
		<-exited
		if text := n.kubeletLog(); n.t.Failed() {
			n.t.Log("kubelet's log ends with:\n" + text[max(0, len(text)-8<<10):])
		}
		if err := log.Close(); err != nil {
			n.t.Error(err)
		}
	})
	testutil.Eventually(n.t, "kubelet to be healthy", func() bool {
		select {
		case <-exited:
			n.t.Fatal("kubelet has ended")
		default:
		}
		_, err := n.get("/healthz")
		return err == nil
	})
}

// config lets kubelet run without a cluster and not touch anything of the machine.
func (n *node) config(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf(`
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %s
healthzPort: 0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
registerNode: false
containerRuntimeEndpoint: %q
podLogsDir: %q
staticPodPath: %q
volumePluginDir: %q
cgroupDriver: cgroupfs
cgroupRoot: %q # removed with containerd's
cgroupsPerQOS: false
enforceNodeAllocatable: [none]
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
oomScoreAdj: 0
evictionHard: {nodefs.available: "0%%"} # for the machine's free space
imageGCHighThresholdPercent: 100
crashLoopBackOff: {maxContainerRestartPeriod: 1s}
`, port, n.Endpoint(), n.PodLogsDir(), n.manifests(), filepath.Join(n.dir, "plugins"), "/"+filepath.Base(n.Dir()))
}

func (n *node) manifests() string { return filepath.Join(n.dir, "manifests") }
func (n *node) logPath() string   { return filepath.Join(n.dir, "kubelet.log") }

// kubeletLog returns what kubelet has logged.
func (n *node) kubeletLog() string {
	text, err := os.ReadFile(n.logPath())
	if err != nil {
		n.t.Error(err)
	}
	return string(text)
}

// open requests a path of kubelet's server.
func (n *node) open(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return nil, fmt.Errorf("kubelet answers %s: %s", resp.Status, body)
	}
	return resp.Body, nil
}

func (n *node) get(path string) (string, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 10*time.Second)
	defer cancel()
	body, err := n.open(ctx, path)
	if err != nil {
		return "", err
	}
	defer body.Close() //nolint:errcheck // opened for reading
	text, err := io.ReadAll(body)
	return string(text), err
}

// logBytes returns the size of a container's logs as /stats/summary has it, or false if
// it does not have the container yet.
func (n *node) logBytes(pod string) (int64, bool) {
	n.t.Helper()
	text, err := n.get("/stats/summary")
	if err != nil {
		return 0, false
	}
	var summary struct {
		Pods []struct {
			PodRef     struct{ Name string }
			Containers []struct {
				Logs *struct{ UsedBytes *int64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &summary); err != nil {
		n.t.Fatal(err)
	}
	for _, p := range summary.Pods {
		if p.PodRef.Name == pod+"-"+hostname && len(p.Containers) == 1 && p.Containers[0].Logs != nil && p.Containers[0].Logs.UsedBytes != nil {
			return *p.Containers[0].Logs.UsedBytes, true
		}
	}
	return 0, false
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // closed to be free again
	return l.Addr().String()
}

// needRoot skips the test without root; in CI it fails.
func needRoot(t *testing.T) {
	t.Helper()
	const why = "kubelet and containerd need root: sudo env \"PATH=$PATH\" go test ./test/kubelet"
	switch {
	case testing.Short():
		t.Skip("a real kubelet is not for -short")
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}
