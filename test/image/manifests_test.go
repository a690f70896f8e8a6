package image

import (
	"maps"
	"net"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	"github.com/logwatch/logwatch/internal/config"
)

const (
	base       = "configs/daemonset/base"
	crio       = "configs/daemonset/overlays/crio"
	k3s        = "configs/daemonset/overlays/k3s"
	prometheus = "configs/daemonset/overlays/prometheus"
	openshift  = "configs/openshift"
)

// privileges are all privileges that a pod spec can have.
type privileges struct {
	mounts  map[string]string // path in the container: what is there
	network string
	user    int64
	selinux string
	// What follows is the same everywhere.
	seccomp                               corev1.SeccompProfileType
	readOnlyRoot, escalation, privileged  bool
	hostPID, hostIPC, shareProcesses      bool
	apiToken                              bool
	added, dropped                        []corev1.Capability
	initContainers, containers, ephemeral int
	devices                               int
}

// needed returns the privileges that logwatch needs: see docs/PRIVILEGES.md, and
// TestDaemonSet, which proves them.
func needed() privileges {
	return privileges{
		mounts: map[string]string{
			"/var/log/pods":   "host /var/log/pods Directory",
			"/run/containerd": "host /run/containerd Directory, read-only",
			"/etc/localtime":  "host /etc/localtime File, read-only",
			"/etc/logwatch":   "ConfigMap logwatch, read-only",
			"/run/logwatch":   "memory",
			// Shared by all logwatch instances of the node.
			"/run/logwatch/lock": "host /run/logwatch/lock DirectoryOrCreate",
		},
		network: "host", user: 0, selinux: "spc_t", seccomp: corev1.SeccompProfileTypeRuntimeDefault,
		readOnlyRoot: true, dropped: []corev1.Capability{"ALL"}, containers: 1,
	}
}

// TestManifests: the manifests of each way to install are valid, and give logwatch
// exactly the privileges that it needs.
func TestManifests(t *testing.T) {
	notShort(t)
	for folder, differs := range map[string]func(*privileges){
		base: func(*privileges) {},
		crio: onCRIO,
		k3s: func(p *privileges) {
			p.mounts["/run/containerd"] = "host /run/k3s/containerd Directory, read-only"
		},
		prometheus: func(p *privileges) { p.network = "pod" },
		openshift:  onCRIO,
	} {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			m, want := render(t, folder), needed()
			differs(&want)
			spec := m.daemonSet.Spec.Template.Spec
			if has := privilegesOf(t, spec); !reflect.DeepEqual(has, want) {
				t.Errorf("privileges = %+v\nwant         %+v", has, want)
			}
			checkObjects(t, m)
			checkConfig(t, m)
			checkScheduling(t, spec)
		})
	}
}

func onCRIO(p *privileges) {
	delete(p.mounts, "/run/containerd")
	p.mounts["/run/crio"] = "host /run/crio Directory, read-only"
}

func privilegesOf(t *testing.T, spec corev1.PodSpec) privileges {
	t.Helper()
	pod, c := spec.SecurityContext, spec.Containers[0]
	p := privileges{
		mounts: map[string]string{}, network: "pod",
		user: *pod.RunAsUser, selinux: pod.SELinuxOptions.Type, seccomp: pod.SeccompProfile.Type,
		readOnlyRoot: *c.SecurityContext.ReadOnlyRootFilesystem,
		escalation:   *c.SecurityContext.AllowPrivilegeEscalation,
		privileged:   *c.SecurityContext.Privileged,
		hostPID:      spec.HostPID, hostIPC: spec.HostIPC, shareProcesses: spec.ShareProcessNamespace != nil,
		apiToken: spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken,
		added:    c.SecurityContext.Capabilities.Add, dropped: c.SecurityContext.Capabilities.Drop,
		initContainers: len(spec.InitContainers), containers: len(spec.Containers), ephemeral: len(spec.EphemeralContainers),
		devices: len(c.VolumeDevices) + len(spec.ResourceClaims),
	}
	if spec.HostNetwork {
		p.network = "host"
	}
	// The container says nothing else about itself that would beat the pod's word.
	rest := *c.SecurityContext
	rest.ReadOnlyRootFilesystem, rest.AllowPrivilegeEscalation, rest.Privileged, rest.Capabilities = nil, nil, nil, nil
	if rest != (corev1.SecurityContext{}) {
		t.Errorf("the container's securityContext has more: %+v", rest)
	}
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			t.Fatalf("no volume %s", m.Name)
		}
		if m.MountPropagation != nil || m.SubPath != "" || m.SubPathExpr != "" {
			t.Errorf("%s: a mount with a propagation would bring in the node's, and one with a subPath is never updated", m.MountPath)
		}
		p.mounts[m.MountPath] = source(t, spec.Volumes[i])
		if m.ReadOnly {
			p.mounts[m.MountPath] += ", read-only"
		}
	}
	if len(spec.Volumes) != len(c.VolumeMounts) {
		t.Errorf("%d volumes for %d mounts", len(spec.Volumes), len(c.VolumeMounts))
	}
	return p
}

func source(t *testing.T, v corev1.Volume) string {
	t.Helper()
	switch {
	case v.HostPath != nil && v.HostPath.Type != nil:
		return "host " + v.HostPath.Path + " " + string(*v.HostPath.Type)
	case v.ConfigMap != nil:
		return "ConfigMap " + v.ConfigMap.Name
	case v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumMemory:
		return "memory"
	}
	t.Errorf("volume %s is none that is known here: %+v", v.Name, v.VolumeSource)
	return ""
}

// checkObjects: names and labels match, and nothing has API permissions.
func checkObjects(t *testing.T, m manifests) {
	t.Helper()
	namespace := m.namespace.Name
	for what, is := range map[string]string{
		"ServiceAccount": m.serviceAccount.Namespace, "ConfigMap": m.configMap.Namespace, "DaemonSet": m.daemonSet.Namespace,
	} {
		if is != namespace {
			t.Errorf("the %s is in namespace %q, want %q", what, is, namespace)
		}
	}
	if level := m.namespace.Labels["pod-security.kubernetes.io/enforce"]; level != "privileged" {
		t.Errorf("the namespace enforces %q: hostPath volumes need privileged", level)
	}
	spec := m.daemonSet.Spec.Template.Spec
	if spec.ServiceAccountName != m.serviceAccount.Name || *m.serviceAccount.AutomountServiceAccountToken {
		t.Errorf("service account %s, want %s without a token", spec.ServiceAccountName, m.serviceAccount.Name)
	}
	for what, labels := range map[string]map[string]string{
		"pods": m.daemonSet.Spec.Template.Labels, "DaemonSet": m.daemonSet.Labels, "ConfigMap": m.configMap.Labels,
	} {
		if !maps.Equal(labels, m.daemonSet.Spec.Selector.MatchLabels) {
			t.Errorf("labels of the %s = %v, want the DaemonSet's selector", what, labels)
		}
	}
	if m.configMap.Name != "logwatch" {
		t.Errorf("the ConfigMap is called %s: with a new name each time, a change restarts all pods", m.configMap.Name)
	}
	if m.role != nil && (len(m.role.Rules) != 1 || m.role.Rules[0].APIGroups[0] != "security.openshift.io") {
		t.Errorf("rules = %v, want the use of the SCC alone", m.role.Rules)
	}
}

// checkConfig: the ConfigMap is a valid configuration, and its paths are mounted in the
// pod.
func checkConfig(t *testing.T, m manifests) {
	t.Helper()
	c := m.daemonSet.Spec.Template.Spec.Containers[0]
	if c.Image != imageName || c.Command != nil || !slices.Equal(c.Args[:3], []string{"run", "--config", "/etc/logwatch/logwatch.yaml"}) {
		t.Errorf("it runs %s %v %v, want %s with its own entrypoint", c.Image, c.Command, c.Args, imageName)
	}
	cfg, err := config.Parse("ConfigMap", []byte(m.configMap.Data["logwatch.yaml"]))
	if err != nil || len(m.configMap.Data) != 1 {
		t.Fatalf("%v, %d files", err, len(m.configMap.Data))
	}
	if !reflect.DeepEqual(cfg, config.Default()) {
		t.Errorf("the ConfigMap changes defaults: %+v", cfg)
	}
	paths := map[string]bool{}
	for _, mount := range c.VolumeMounts {
		paths[mount.MountPath] = true
	}
	if run := filepath.Dir(cfg.ControlSocket); !paths[cfg.PodLogsDir] || !paths[run] || !paths[filepath.Join(run, "lock")] {
		t.Errorf("mounts = %v, want %s and the directories of control socket and lock", paths, cfg.PodLogsDir)
	}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags := config.NewFlags(fs)
	if err := fs.Parse(c.Args[3:]); err != nil {
		t.Fatal(err)
	}
	if cfg, err = flags.Apply(cfg); err != nil {
		t.Fatal(err)
	}
	address := cfg.Metrics.ListenAddress
	if cfg.Metrics.Page != strings.HasPrefix(address, "127.") {
		t.Errorf("the page is %t at %s: it is for the node alone", cfg.Metrics.Page, address)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	// Not by HTTP: another process may have the port.
	for check, probe := range map[string]*corev1.Probe{"healthy": c.LivenessProbe, "ready": c.ReadinessProbe} {
		if want := (corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/logwatch", "status", "--check", check}}}); !reflect.DeepEqual(probe.ProbeHandler, want) {
			t.Errorf("probe %+v, want %+v", probe.ProbeHandler, want)
		}
	}
	// It waits itself for three sweeps before it is unhealthy because a loop is stuck.
	if l := c.LivenessProbe; l.FailureThreshold*l.PeriodSeconds < 60 {
		t.Errorf("restarted after %d failures of %d s: too soon for a node that is merely busy", l.FailureThreshold, l.PeriodSeconds)
	}
	for _, p := range c.Ports {
		if strconv.Itoa(int(p.ContainerPort)) != port || p.HostPort != 0 || p.HostIP != "" {
			t.Errorf("port %+v, want %s in the pod", p, port)
		}
	}
}

// checkScheduling: it runs on every Linux node, is evicted last, and has time to stop.
func checkScheduling(t *testing.T, spec corev1.PodSpec) {
	t.Helper()
	if len(spec.Tolerations) != 1 || spec.Tolerations[0] != (corev1.Toleration{Operator: corev1.TolerationOpExists}) {
		t.Errorf("tolerations = %v, want of everything", spec.Tolerations)
	}
	if spec.PriorityClassName != "system-node-critical" || !maps.Equal(spec.NodeSelector, map[string]string{"kubernetes.io/os": "linux"}) {
		t.Errorf("priority class %s, nodes %v", spec.PriorityClassName, spec.NodeSelector)
	}
	if *spec.TerminationGracePeriodSeconds < 6 {
		t.Errorf("%d s to stop: logwatch takes up to 5", *spec.TerminationGracePeriodSeconds)
	}
	r := spec.Containers[0].Resources
	if cpu, ok := r.Limits[corev1.ResourceCPU]; ok {
		t.Errorf("a CPU limit of %v: a throttled logwatch rotates late", &cpu)
	}
	if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().Cmp(*r.Requests.Memory()) < 0 {
		t.Errorf("resources = %+v", r)
	}
}

// TestComponents: components that make sense together can be combined.
func TestComponents(t *testing.T) {
	notShort(t)
	folder := overlay(t, `
resources: [BASE]
components: [COMPONENTS/crio, COMPONENTS/utc, COMPONENTS/prometheus]
`, nil)
	m, want := render(t, folder), needed()
	onCRIO(&want)
	delete(want.mounts, "/etc/localtime")
	want.network = "pod"
	if has := privilegesOf(t, m.daemonSet.Spec.Template.Spec); !reflect.DeepEqual(has, want) {
		t.Errorf("privileges = %+v\nwant         %+v", has, want)
	}
	checkConfig(t, m)
}

// TestReadersComponent: it adds the processes of the node and one capability, on
// OpenShift too, and nothing else.
func TestReadersComponent(t *testing.T) {
	notShort(t)
	for _, folder := range []string{"BASE", "BASE/../../openshift"} {
		m, want := render(t, overlay(t, "resources: ["+folder+"]\ncomponents: [COMPONENTS/readers]\n", nil)), needed()
		if folder != "BASE" {
			onCRIO(&want)
			if scc := m.scc; !scc.AllowHostPID || !slices.Equal(scc.AllowedCapabilities, []corev1.Capability{"SYS_PTRACE"}) {
				t.Errorf("SecurityContextConstraints = %+v", scc)
			}
		}
		want.hostPID, want.added = true, []corev1.Capability{"SYS_PTRACE"}
		if has := privilegesOf(t, m.daemonSet.Spec.Template.Spec); !reflect.DeepEqual(has, want) {
			t.Errorf("%s: privileges = %+v\nwant         %+v", folder, has, want)
		}
	}
}

// TestPrometheus: the scraped port is served, and only Prometheus has access.
func TestPrometheus(t *testing.T) {
	notShort(t)
	m := render(t, prometheus)
	pods, port := m.daemonSet.Spec.Selector.MatchLabels, m.daemonSet.Spec.Template.Spec.Containers[0].Ports[0]
	endpoint := m.podMonitor.Spec.PodMetricsEndpoints[0]
	if drop := endpoint.Relabelings[1]; drop.Action != "labeldrop" || !regexp.MustCompile("^(?:"+drop.Regex+")$").MatchString("pod") {
		t.Errorf("relabelings = %+v: the pod's own labels hide those of each container's metrics", endpoint.Relabelings)
	}
	if endpoint.Port != port.Name || !maps.Equal(m.podMonitor.Spec.Selector.MatchLabels, pods) || m.podMonitor.Namespace != m.daemonSet.Namespace {
		t.Errorf("PodMonitor = %+v, want port %s of %v", m.podMonitor.Spec, port.Name, pods)
	}
	if job := m.daemonSet.Spec.Template.Labels[m.podMonitor.Spec.JobLabel]; job != "logwatch" {
		t.Errorf("job = %q", job)
	}
	p := m.networkPolicy
	if len(p.Spec.Ingress) != 1 || len(p.Spec.Ingress[0].From) != 1 || len(p.Spec.Egress) != 0 || len(p.Spec.PolicyTypes) != 2 ||
		p.Spec.Ingress[0].Ports[0].Port.IntVal != port.ContainerPort || !maps.Equal(p.Spec.PodSelector.MatchLabels, pods) || p.Namespace != m.daemonSet.Namespace {
		t.Errorf("NetworkPolicy = %+v", p.Spec)
	}
}
