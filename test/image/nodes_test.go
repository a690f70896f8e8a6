package image

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/logwatch/logwatch/internal/policy"
)

// backstop has the keys of kubelet's configuration that are set.
type backstop struct {
	ContainerLogMaxSize         string          `json:"containerLogMaxSize"`
	ContainerLogMonitorInterval metav1.Duration `json:"containerLogMonitorInterval"`
}

// check: it is valid for kubelet, with limits far above logwatch's.
func (b backstop) check(t *testing.T) {
	t.Helper()
	size, err := resource.ParseQuantity(b.ContainerLogMaxSize)
	if err != nil {
		t.Fatal(err)
	}
	if limit := policy.Default().MaxSize; size.Value() < 50*limit {
		t.Errorf("containerLogMaxSize %v, want far above logwatch's %d bytes (and never negative: kubelet then cleans nothing)", &size, limit)
	}
	// kubelet refuses an interval below 3 s.
	if interval := b.ContainerLogMonitorInterval.Duration; interval < 10*time.Minute {
		t.Errorf("containerLogMonitorInterval %v, want one that does not meet logwatch's rotations", interval)
	}
}

// TestKubeletDropIn: kubelet accepts the file in its --config-dir.
func TestKubeletDropIn(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "configs", "kubelet", "*"))
	if err != nil || len(paths) != 1 || filepath.Ext(paths[0]) != ".conf" {
		t.Fatalf("files = %v (%v): kubelet reads those alone that end in .conf", paths, err)
	}
	var conf struct {
		metav1.TypeMeta `json:",inline"`
		backstop        `json:",inline"`
	}
	strict(t, readFile(t, paths[0]), &conf)
	if conf.TypeMeta != (metav1.TypeMeta{APIVersion: "kubelet.config.k8s.io/v1beta1", Kind: "KubeletConfiguration"}) {
		t.Errorf("type = %v", conf.TypeMeta)
	}
	conf.check(t)
}

const mcoAPI = "machineconfiguration.openshift.io/v1"

// TestKubeletConfig: OpenShift gets the same backstop.
func TestKubeletConfig(t *testing.T) {
	var drop struct {
		metav1.TypeMeta `json:",inline"`
		backstop        `json:",inline"`
	}
	strict(t, file(t, "configs/kubelet/90-logwatch.conf"), &drop)
	var cr struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			MachineConfigPoolSelector metav1.LabelSelector `json:"machineConfigPoolSelector"`
			KubeletConfig             backstop             `json:"kubeletConfig"`
		} `json:"spec"`
	}
	strict(t, file(t, "configs/openshift/kubeletconfig.yaml"), &cr)
	if cr.TypeMeta != (metav1.TypeMeta{APIVersion: mcoAPI, Kind: "KubeletConfig"}) || len(cr.Spec.MachineConfigPoolSelector.MatchLabels) != 1 {
		t.Errorf("KubeletConfig = %+v", cr)
	}
	if cr.Spec.KubeletConfig != drop.backstop {
		t.Errorf("kubeletConfig = %+v, want the drop-in's %+v", cr.Spec.KubeletConfig, drop.backstop)
	}
}

// machineConfig has the parts of an Ignition 3 configuration that are used.
type machineConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Config struct {
			Ignition struct {
				Version string `json:"version"`
			} `json:"ignition"`
			Storage struct {
				Files []struct {
					Path      string `json:"path"`
					Mode      int    `json:"mode"`
					Overwrite bool   `json:"overwrite"`
					Contents  struct {
						Source string `json:"source"`
					} `json:"contents"`
				} `json:"files"`
			} `json:"storage"`
			Systemd struct {
				Units []struct {
					Name     string `json:"name"`
					Enabled  bool   `json:"enabled"`
					Contents string `json:"contents"`
				} `json:"units"`
			} `json:"systemd"`
		} `json:"config"`
	} `json:"spec"`
}

// TestMachineConfig: the service has the configuration and the privileges of the
// DaemonSet.
func TestMachineConfig(t *testing.T) {
	mc := strict(t, file(t, "configs/openshift/machineconfig.yaml"), &machineConfig{})
	if mc.TypeMeta != (metav1.TypeMeta{APIVersion: mcoAPI, Kind: "MachineConfig"}) || mc.Labels["machineconfiguration.openshift.io/role"] != "worker" {
		t.Errorf("type %v, labels %v", mc.TypeMeta, mc.Labels)
	}
	ignition := mc.Spec.Config
	if !regexp.MustCompile(`^3\.\d+\.0$`).MatchString(ignition.Ignition.Version) {
		t.Errorf("Ignition %s, want 3.x.0", ignition.Ignition.Version)
	}
	if len(ignition.Storage.Files) != 1 || len(ignition.Systemd.Units) != 1 {
		t.Fatalf("%d files and %d units, want one each", len(ignition.Storage.Files), len(ignition.Systemd.Units))
	}
	f := ignition.Storage.Files[0]
	conf := string(file(t, base+"/logwatch.yaml"))
	if got, err := url.PathUnescape(strings.TrimPrefix(f.Contents.Source, "data:,")); err != nil || got != conf {
		t.Errorf("%s (%v) is\n%s\nwant %s/logwatch.yaml: data:,%s", f.Path, err, got, base, url.PathEscape(conf))
	}
	if f.Path != "/etc/logwatch/logwatch.yaml" || f.Mode != 0o644 || !f.Overwrite {
		t.Errorf("file = %+v", f)
	}
	unit := ignition.Systemd.Units[0]
	if unit.Name != "logwatch.service" || !unit.Enabled {
		t.Errorf("unit %s, enabled: %v", unit.Name, unit.Enabled)
	}
	checkUnit(t, unit.Contents)
}

// checkUnit compares podman's flags with needed for CRI-O.
func checkUnit(t *testing.T, unit string) {
	t.Helper()
	unit = strings.ReplaceAll(unit, "\\\n", " ")
	_, start, _ := strings.Cut(unit, "\nExecStart=")
	start, _, _ = strings.Cut(start, "\n")
	args := strings.Fields(start)
	image := slices.Index(args, "${IMAGE}")
	if image < 0 || !slices.Equal(args[image+1:], []string{"run", "--config=/etc/logwatch/logwatch.yaml"}) {
		t.Fatalf("ExecStart = %v", args)
	}
	want := needed()
	onCRIO(&want)
	flags := []string{
		"--network=host", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--user=0:0",
		"--security-opt=no-new-privileges", "--security-opt=label=type:" + want.selinux,
	}
	delete(want.mounts, "/run/logwatch/lock") // in the node's /run/logwatch, which the service has
	for path, is := range want.mounts {
		// What the pod has of kubelet, the service has of the node.
		volume := "--volume=" + path + ":" + path
		if strings.HasSuffix(is, "read-only") {
			volume += ":ro"
		}
		flags = append(flags, volume)
	}
	harmless := regexp.MustCompile(`^--(name|replace|rm|pull|authfile|log-driver|cgroups|sdnotify)(=|$)`)
	for _, arg := range args[2:image] {
		if !slices.Contains(flags, arg) && !harmless.MatchString(arg) {
			t.Errorf("podman run has %s, which the DaemonSet has not", arg)
		}
	}
	for _, flag := range flags {
		if !slices.Contains(args, flag) {
			t.Errorf("podman run lacks %s", flag)
		}
	}
}

// TestSCC: it allows exactly what the pods have, and the pods may use it.
func TestSCC(t *testing.T) {
	notShort(t)
	m := render(t, openshift)
	want, s := privilegesOf(t, m.daemonSet.Spec.Template.Spec), m.scc
	if s.AllowHostNetwork != (want.network == "host") || !s.AllowHostDirVolumePlugin || s.AllowHostPorts || s.AllowHostIPC || s.AllowHostPID ||
		s.AllowPrivilegedContainer || *s.AllowPrivilegeEscalation || *s.DefaultAllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem {
		t.Errorf("SCC = %+v, for pods with %+v", s, want)
	}
	if len(s.AllowedCapabilities)+len(s.DefaultAddCapabilities) > 0 || !slices.Equal(s.RequiredDropCapabilities, want.dropped) {
		t.Errorf("capabilities = %v, %v, %v", s.AllowedCapabilities, s.DefaultAddCapabilities, s.RequiredDropCapabilities)
	}
	if !slices.Equal(s.SeccompProfiles, []string{"runtime/default"}) || !slices.Equal(s.Volumes, []string{"configMap", "emptyDir", "hostPath"}) {
		t.Errorf("seccomp %v, volumes %v", s.SeccompProfiles, s.Volumes)
	}
	if len(s.Users)+len(s.Groups) > 0 {
		t.Errorf("users %v, groups %v: the RoleBinding says who", s.Users, s.Groups)
	}
	rule := m.role.Rules[0]
	if !slices.Equal(rule.Verbs, []string{"use"}) || !slices.Equal(rule.ResourceNames, []string{s.Name}) || !slices.Equal(rule.Resources, []string{"securitycontextconstraints"}) {
		t.Errorf("rule = %+v", rule)
	}
	subject := rbacv1.Subject{Kind: "ServiceAccount", Name: m.serviceAccount.Name, Namespace: m.serviceAccount.Namespace}
	if b := m.roleBinding; b.RoleRef.Name != m.role.Name || len(b.Subjects) != 1 || b.Subjects[0] != subject || b.Namespace != m.role.Namespace {
		t.Errorf("RoleBinding = %+v", b)
	}
	if selector, ok := m.namespace.Annotations["openshift.io/node-selector"]; !ok || selector != "" {
		t.Error("the cluster's default node selector would keep it from some nodes")
	}
}
