package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/podlogs"
)

var runtimeChecks = []check{
	{"runtime-socket", checkSocket, []need{needConfig}},
	{"runtime", checkRuntime, []need{needConfig}},
	{"log-paths", checkLogPaths, []need{needConfig}},
}

// runtimeAnswers is what the runtime answers.
type runtimeAnswers struct {
	endpoint, socket string
	noEndpoint       error
	version          string
	err              error // of the version: no answer, or not CRI v1
	listErr          error
	running          []cri.Container
	took             time.Duration // of a list as in each sweep
}

// askRuntime calls what the daemon calls: the version, the containers, then the
// one list of a sweep.
func (n *node) askRuntime(ctx context.Context) (a runtimeAnswers) {
	s := n.settings()
	if a.endpoint, a.noEndpoint = s.Endpoint(); a.noEndpoint != nil {
		a.err = a.noEndpoint
		return a
	}
	a.socket = strings.TrimPrefix(a.endpoint, "unix://")
	var client *cri.Client
	if client, a.err = cri.Dial(a.endpoint, s.RuntimeRequestTimeout); a.err != nil {
		return a
	}
	defer client.Close() //nolint:errcheck // nothing is lost
	if a.version, a.err = client.Version(ctx); a.err != nil {
		return a
	}
	inventory := cri.NewInventory(client)
	if a.listErr = inventory.RefreshAll(ctx); a.listErr == nil {
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

// unitOf returns the service that listens on a socket.
func unitOf(socket string) string {
	for _, u := range []struct{ part, unit string }{
		{"k3s", "k3s"},
		{"k0s", "k0sworker"},
		{"microk8s", "snap.microk8s.daemon-containerd"},
		{"crio", "crio"},
		{"cri-dockerd", "cri-docker"},
	} {
		if strings.Contains(socket, u.part) {
			return u.unit
		}
	}
	return "containerd"
}

func checkSocket(ctx context.Context, n *node) Check {
	kubelets := strings.TrimPrefix(n.kubelet().Endpoint, "unix://")
	endpoint, err := n.settings().Endpoint()
	if err != nil {
		c := found(Fail, "no container runtime was found").detail("%v", err)
		for _, path := range append([]string{kubelets}, otherSockets...) {
			if path != "" && n.exists(path) {
				return c.detail("%s exists.", path).run(n.set("containerRuntimeEndpoint: unix://" + path))
			}
		}
		if n.unitFile("crio.service") != "" {
			return c.run(systemctl("enable --now", "crio"))
		}
		return c.run(systemctl("enable --now", "containerd"))
	}
	socket := strings.TrimPrefix(endpoint, "unix://")
	st, err := os.Stat(socket)
	notSocket := err == nil && st.Mode().Type() != os.ModeSocket
	if err == nil && !notSocket {
		_, err = peerOf(ctx, socket)
	}
	switch {
	case notSocket:
		return found(Fail, "%s is not a socket", socket).
			detail("containerRuntimeEndpoint names it. If that is empty, the first of the usual sockets is used.").
			run(n.set(`containerRuntimeEndpoint: ""`))
	case errors.Is(err, unix.ECONNREFUSED):
		return found(Fail, "no process listens on %s", socket).
			detail("The runtime that created it has ended.").run(systemctl("restart", unitOf(socket)))
	case err != nil:
		return found(Fail, "cannot connect to %s", socket).cause(err).run(systemctl("restart", unitOf(socket)))
	case kubelets != "" && !sameFile(n.path(kubelets), socket):
		return found(Fail, "kubelet's runtime is at %s, and logwatch's at %s", kubelets, socket).
			detail("Containers of another runtime are not rotated.").
			run(n.set("containerRuntimeEndpoint: unix://" + kubelets))
	}
	return found(OK, "%s accepts connections", socket)
}

var withoutCRI = regexp.MustCompile(`(?m)^\s*disabled_plugins\s*=\s*\[[^\]]*"(io\.containerd\.grpc\.v1\.)?cri"`)

func checkRuntime(ctx context.Context, n *node) Check {
	a := n.runtime()
	if a.err != nil { // one failure for one cause
		if _, err := peerOf(ctx, a.socket); err != nil {
			c := found(Skip, "no runtime can be reached: see runtime-socket")
			c.err = err
			return c
		}
	}
	unit := unitOf(a.socket)
	switch {
	case grpcstatus.Code(a.err) == codes.Unimplemented:
		c := found(Fail, "the process that listens on %s does not support CRI v1", a.socket).detail("%v", a.err)
		const conf = "/etc/containerd/config.toml"
		if data, err := read(n.path(conf)); err == nil && unit == "containerd" && withoutCRI.Match(data) {
			return c.detail("%s disables containerd's CRI plugin, as Docker's packages do.", conf).
				fix("sed -i -E %s %s && %s", `/^\s*disabled_plugins/s/"(io\.containerd\.grpc\.v1\.)?cri"\s*,?\s*//`, conf, systemctl("restart", unit))
		}
		return c.detail("containerd supports it from 1.6 on, and CRI-O from 1.20.").run(systemctl("status --no-pager", unit))
	case a.err != nil:
		return found(Fail, "the runtime does not answer").cause(a.err).
			detail("Rotation is suspended until it does.").run(logsOf(unit))
	case a.listErr != nil:
		return found(Fail, "%s answers, but does not list its containers", a.version).detail("%v", a.listErr).
			detail("A sweep that fails finds no new containers.").run(logsOf(unit))
	}
	c := found(OK, "%s answers; lists %s in %v", a.version, display.Plural(len(a.running), "running container"), a.took.Round(time.Millisecond/10))
	if limit := n.settings().RuntimeRequestTimeout; a.took > limit/2 {
		c.Status = Warn
		return c.detail("A call may take %v (runtimeRequestTimeout); after that, a rotation fails and is retried later.", limit).
			fix("crictl --runtime-endpoint %s ps --all --quiet | wc -l # many exited containers make lists slow", a.endpoint)
	}
	return c
}

// checkLogPaths compares where the runtime writes with podLogsDir.
func checkLogPaths(_ context.Context, n *node) Check {
	s, a := n.settings(), n.runtime()
	if a.err != nil || a.listErr != nil {
		return found(Skip, "the runtime does not list its containers: see runtime")
	}
	var silent, elsewhere []string
	dirs := map[string]bool{}
	for _, c := range a.running {
		name := c.Namespace + "/" + c.Pod + "/" + c.Name
		switch _, _, err := podlogs.SplitPath(filepath.Clean(s.PodLogsDir), c.LogPath); {
		case errors.Is(err, podlogs.ErrNoPath):
			silent = append(silent, name)
		case errors.Is(err, podlogs.ErrOutside):
			elsewhere = append(elsewhere, name+" ("+c.LogPath+")")
			dirs[filepath.Dir(filepath.Dir(filepath.Dir(c.LogPath)))] = true
		}
	}
	switch {
	case len(elsewhere) > 0:
		c := found(Fail, "the logs of %d of %s are outside of podLogsDir (%s)", len(elsewhere), display.Plural(len(a.running), "running container"), s.PodLogsDir).
			detail("These are not rotated: %s.", firstFew(elsewhere))
		if len(dirs) > 1 {
			return c.fix("crictl inspect --output go-template --template '{{.status.logPath}}' $(crictl ps --quiet)")
		}
		for dir := range dirs {
			c = c.run(n.set("podLogsDir: " + dir))
		}
		return c
	case len(silent) > 0:
		return found(Warn, "%s without a log path", display.Plural(len(silent), "container")).
			detail("The runtime writes no log file for %s.", firstFew(silent)).
			fix("crictl ps # these were not started by kubelet, or their log driver writes elsewhere")
	case len(a.running) == 0:
		return found(OK, "there are no running containers yet")
	}
	return found(OK, "the logs of all running containers (%d) are below %s", len(a.running), s.PodLogsDir)
}
