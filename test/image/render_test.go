package image

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/yaml"
)

// podMonitor and scc are the parts that the manifests use of types of other modules.
type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector            metav1.LabelSelector `json:"selector"`
		JobLabel            string               `json:"jobLabel"`
		PodMetricsEndpoints []struct {
			Port        string `json:"port"`
			Interval    string `json:"interval"`
			Relabelings []struct {
				SourceLabels []string `json:"sourceLabels"`
				TargetLabel  string   `json:"targetLabel"`
				Action       string   `json:"action"`
				Regex        string   `json:"regex"`
			} `json:"relabelings"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

type scc struct {
	metav1.TypeMeta                 `json:",inline"`
	metav1.ObjectMeta               `json:"metadata"`
	AllowHostDirVolumePlugin        bool                `json:"allowHostDirVolumePlugin"`
	AllowHostNetwork                bool                `json:"allowHostNetwork"`
	AllowHostPorts                  bool                `json:"allowHostPorts"`
	AllowHostIPC                    bool                `json:"allowHostIPC"`
	AllowHostPID                    bool                `json:"allowHostPID"`
	AllowPrivilegedContainer        bool                `json:"allowPrivilegedContainer"`
	AllowPrivilegeEscalation        *bool               `json:"allowPrivilegeEscalation"`
	DefaultAllowPrivilegeEscalation *bool               `json:"defaultAllowPrivilegeEscalation"`
	ReadOnlyRootFilesystem          bool                `json:"readOnlyRootFilesystem"`
	AllowedCapabilities             []corev1.Capability `json:"allowedCapabilities"`
	DefaultAddCapabilities          []corev1.Capability `json:"defaultAddCapabilities"`
	RequiredDropCapabilities        []corev1.Capability `json:"requiredDropCapabilities"`
	RunAsUser                       strategy            `json:"runAsUser"`
	SELinuxContext                  strategy            `json:"seLinuxContext"`
	FSGroup                         strategy            `json:"fsGroup"`
	SupplementalGroups              strategy            `json:"supplementalGroups"`
	SeccompProfiles                 []string            `json:"seccompProfiles"`
	Volumes                         []string            `json:"volumes"`
	Priority                        *int32              `json:"priority"`
	Users                           []string            `json:"users"`
	Groups                          []string            `json:"groups"`
}

type strategy struct {
	Type string `json:"type"`
}

// manifests is the output of kustomize for a directory.
type manifests struct {
	text           []byte
	namespace      *corev1.Namespace
	serviceAccount *corev1.ServiceAccount
	configMap      *corev1.ConfigMap
	daemonSet      *appsv1.DaemonSet
	networkPolicy  *networkingv1.NetworkPolicy
	role           *rbacv1.Role
	roleBinding    *rbacv1.RoleBinding
	podMonitor     *podMonitor
	scc            *scc
}

// kustomize builds the tool and returns its path, so that its output has none of Go's,
// such as downloads of modules.
func kustomize(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "tool", "-n", "kustomize")
	cmd.Dir = filepath.Join(root, "hack", "tools")
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	path, err := cmd.Output()
	if err != nil {
		t.Fatalf("go tool -n kustomize: %v\n%s", err, &stderr)
	}
	return strings.TrimSpace(string(path))
}

// render builds a directory, relative to the project's, and decodes the output
// strictly: unknown and duplicate keys are errors, and so are warnings.
func render(t *testing.T, directory string) manifests {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(kustomize(t), "build", filepath.Join(root, directory))
	cmd.Stderr = &stderr
	m := manifests{}
	var err error
	if m.text, err = cmd.Output(); err != nil || stderr.Len() > 0 {
		t.Fatalf("kustomize build %s: %v\n%s", directory, err, &stderr)
	}
	for document := range bytes.SplitSeq(m.text, []byte("\n---\n")) {
		m.add(t, document)
	}
	return m
}

func (m *manifests) add(t *testing.T, document []byte) {
	t.Helper()
	var is metav1.TypeMeta
	if err := yaml.Unmarshal(document, &is); err != nil {
		t.Fatal(err)
	}
	switch is.APIVersion + " " + is.Kind {
	case "monitoring.coreos.com/v1 PodMonitor":
		once(t, &m.podMonitor, strict(t, document, &podMonitor{}))
		return
	case "security.openshift.io/v1 SecurityContextConstraints":
		once(t, &m.scc, strict(t, document, &scc{}))
		return
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, rbacv1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	object, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode(document, nil, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	switch o := object.(type) {
	case *corev1.Namespace:
		once(t, &m.namespace, o)
	case *corev1.ServiceAccount:
		once(t, &m.serviceAccount, o)
	case *corev1.ConfigMap:
		once(t, &m.configMap, o)
	case *appsv1.DaemonSet:
		once(t, &m.daemonSet, o)
	case *networkingv1.NetworkPolicy:
		once(t, &m.networkPolicy, o)
	case *rbacv1.Role:
		once(t, &m.role, o)
	case *rbacv1.RoleBinding:
		once(t, &m.roleBinding, o)
	default:
		t.Errorf("a %s: the manifests need no such thing", is.Kind)
	}
}

func once[T any](t *testing.T, at **T, object *T) {
	t.Helper()
	if *at != nil {
		t.Errorf("two %T", object)
	}
	*at = object
}

func strict[T any](t *testing.T, document []byte, into *T) *T {
	t.Helper()
	if err := yaml.UnmarshalStrict(document, into); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return into
}
