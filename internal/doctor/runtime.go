package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/logwatch/logwatch/cri"
)

// runtimeAnswers is what the runtime says.
type runtimeAnswers struct {
	version string
	err     error // of the version: the runtime does not answer, or not CRI v1
	listErr error
	running []cri.Container
	took    time.Duration // of a list as each sweep has it
}

// askRuntime asks as the daemon does: whatever it needs to know once, then the
// one list of a sweep.
func (n *node) askRuntime(ctx context.Context) (a runtimeAnswers) {
	s := n.settings()
	endpoint, err := s.Endpoint()
	if err != nil {
		a.err = err
		return a
	}
	client, err := cri.Dial(endpoint, s.RuntimeRequestTimeout)
	if err != nil {
		a.err = err
		return a
	}
	defer client.Close() //nolint:errcheck // nothing is lost
	if a.version, a.err = client.Version(ctx); a.err != nil {
		return a
	}
	inventory := cri.NewInventory(client)
	if a.listErr = inventory.Refresh(ctx); a.listErr == nil {
		begin := time.Now()
		a.listErr = inventory.Refresh(ctx)
		a.took = time.Since(begin)
	}
	a.running = inventory.Running()
	return a
}

// otherSockets are of distributions that have their own runtime.
var otherSockets = []string{
	"/run/k3s/containerd/containerd.sock",
	"/run/k0s/containerd.sock",
	"/var/snap/microk8s/common/run/containerd.sock",
}

// unitOf is the service that makes a socket.
func unitOf(socket string) string {
	switch {
	case strings.Contains(socket, "k3s"):
		return "k3s"
	case strings.Contains(socket, "k0s"):
		return "k0sworker"
	case strings.Contains(socket, "microk8s"):
		return "snap.microk8s.daemon-containerd"
	case strings.Contains(socket, "crio"):
		return "crio"
	case strings.Contains(socket, "cri-dockerd"):
		return "cri-docker"
	}
	return "containerd"
}

func checkSocket(ctx context.Context, n *node) Check {
	s := n.settings()
	kubelets := strings.TrimPrefix(n.kubelet().Endpoint, "unix://")
	endpoint, err := s.Endpoint()
	if err != nil {
		c := fail("no container runtime was found").because("%v", err)
		for _, path := range append([]string{kubelets}, otherSockets...) {
			if path != "" && n.exists(path) {
				return c.because("There is %s.", path).do(n.set("containerRuntimeEndpoint", "unix://"+path))
			}
		}
		unit := "containerd"
		if n.unitFile("crio.service") != "" {
			unit = "crio"
		}
		return c.do(n.ctl("enable --now", unit))
	}
	socket := strings.TrimPrefix(endpoint, "unix://")
	st, err := os.Stat(socket)
	switch {
	case n.blind(err):
		return n.unseen(socket, err)
	case err != nil:
		return fail("there is no runtime's socket at %s", socket).because("%v", err).do(n.ctl("restart", unitOf(socket)))
	case st.Mode().Type() != os.ModeSocket:
		return fail("%s is no socket", socket).
			because("containerRuntimeEndpoint names it. Empty, it is the first of the usual ones.").
			do(n.set("containerRuntimeEndpoint", `""`))
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	switch {
	case n.blind(err):
		return n.unseen(socket, err)
	case errors.Is(err, unix.ECONNREFUSED):
		return fail("nobody listens on %s", socket).
			because("The runtime that made it is gone.").do(n.ctl("restart", unitOf(socket)))
	case err != nil:
		return fail("%s cannot be connected to", socket).because("%v", err).do(n.ctl("restart", unitOf(socket)))
	}
	_ = conn.Close() // nothing was said
	if kubelets != "" && !sameFile(n.path(kubelets), socket) {
		return fail("kubelet's runtime is at %s, and logwatch's at %s", kubelets, socket).
			because("Containers of another runtime are not rotated.").
			do(n.set("containerRuntimeEndpoint", "unix://"+kubelets))
	}
	return okay("%s accepts connections", socket)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return filepath.Clean(a) == filepath.Clean(b)
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

var withoutCRI = regexp.MustCompile(`(?m)^\s*disabled_plugins\s*=\s*\[[^\]]*"(io\.containerd\.grpc\.v1\.)?cri"`)

func checkRuntime(ctx context.Context, n *node) Check {
	s, a := n.settings(), n.runtime()
	endpoint, err := s.Endpoint()
	if err != nil {
		return skip("there is no runtime to ask: see runtime-socket") // one failure for one cause
	}
	socket := strings.TrimPrefix(endpoint, "unix://")
	unit := unitOf(socket)
	if a.err != nil {
		if err := connect(ctx, socket); n.blind(err) {
			return n.unseen(socket, err)
		} else if err != nil {
			return skip("nobody answers there: see runtime-socket")
		}
	}
	switch {
	case grpcstatus.Code(a.err) == codes.Unimplemented:
		c := fail("what listens on %s does not speak CRI v1", socket).because("%v", a.err)
		const conf = "/etc/containerd/config.toml"
		if data, err := read(n.path(conf)); err == nil && unit == "containerd" && withoutCRI.Match(data) {
			return c.because("%s disables containerd's CRI plugin, as Docker's packages do.", conf).
				do(command("sed -i -E "+quote(`/^\s*disabled_plugins/s/"(io\.containerd\.grpc\.v1\.)?cri"\s*,?\s*//`)+" "+conf+" && ") + n.ctl("restart", unit))
		}
		return c.because("containerd has it from 1.6 on, and CRI-O from 1.20.").do(n.ctl("status", unit))
	case a.err != nil:
		return fail("the runtime does not answer").because("%v", a.err).
			because("Nothing is rotated until it does.").do(n.logs(unit))
	case a.listErr != nil:
		return fail("%s answers, but does not list its containers", a.version).because("%v", a.listErr).
			because("A sweep that fails finds no new containers.").do(n.logs(unit))
	}
	summary := fmt.Sprintf("answers; lists %s that run in %v", plural(len(a.running), "container"), a.took.Round(time.Millisecond/10))
	if limit := s.RuntimeRequestTimeout; a.took > limit/2 {
		return warn("%s %s", a.version, summary).
			because("A call may take %v (runtimeRequestTimeout); beyond that, a rotation is given up and tried again later.", limit).
			mend("crictl --runtime-endpoint %s ps --all --quiet | wc -l # many that have exited make lists slow", endpoint)
	}
	return okay("%s %s", a.version, summary)
}

func connect(ctx context.Context, socket string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// checkLogPaths compares where the runtime writes with where logwatch looks.
func checkLogPaths(_ context.Context, n *node) Check {
	s, a := n.settings(), n.runtime()
	if a.err != nil || a.listErr != nil {
		return skip("the runtime does not say where its containers log: see runtime")
	}
	var silent, elsewhere []string
	dirs := map[string]bool{}
	for _, c := range a.running {
		name := c.Namespace + "/" + c.Pod + "/" + c.Name
		switch {
		case c.LogPath == "":
			silent = append(silent, name)
		case !strings.HasPrefix(c.LogPath, filepath.Clean(s.PodLogsDir)+"/"):
			elsewhere = append(elsewhere, name+" ("+c.LogPath+")")
			dirs[filepath.Dir(filepath.Dir(filepath.Dir(c.LogPath)))] = true
		}
	}
	switch {
	case len(elsewhere) > 0:
		c := fail("the logs of %d of %s are outside of podLogsDir (%s)", len(elsewhere), plural(len(a.running), "container"), s.PodLogsDir).
			because("What is outside is not rotated: %s.", some(elsewhere))
		if len(dirs) == 1 {
			for dir := range dirs {
				return c.do(n.set("podLogsDir", quote(dir)))
			}
		}
		return c.mend("crictl inspect --output go-template --template '{{.status.logPath}}' $(crictl ps --quiet)")
	case len(silent) > 0:
		return warn("%s without a log's path", plural(len(silent), "container")).
			because("The runtime writes no file for %s: there is nothing to rotate.", some(silent)).
			mend("crictl ps # those were not started by kubelet, or their log driver writes elsewhere")
	case len(a.running) == 0:
		return okay("no container runs yet")
	}
	return okay("the logs of all containers that run (%d) are below %s", len(a.running), s.PodLogsDir)
}
