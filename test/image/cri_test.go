package image

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/test/containerd"
)

// host maps volumes to paths of the node, by hostPath or by the name of a ConfigMap. A
// hostPath that is not in it is used unchanged.
type host struct {
	paths      map[string]string
	configMaps map[string]string
	scratch    string // for emptyDirs
}

// container converts the pod's container to CRI, as kubelet does. Mounts of paths in
// moved have the new path in the container, too.
func (h host) container(t *testing.T, spec corev1.PodSpec, moved map[string]string) containerd.ContainerSpec {
	t.Helper()
	c := spec.Containers[0]
	mounts := make([]containerd.Mount, 0, len(c.VolumeMounts))
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		mount := containerd.Mount{HostPath: h.source(t, spec.Volumes[i]), ContainerPath: m.MountPath, ReadOnly: m.ReadOnly}
		if to, ok := moved[m.MountPath]; ok {
			mount.ContainerPath = to
		}
		mounts = append(mounts, mount)
	}
	return containerd.ContainerSpec{
		Name: c.Name, Image: c.Image, Args: c.Args, Mounts: mounts,
		Edit: func(config *runtimeapi.ContainerConfig) {
			config.Command = c.Command
			config.Linux.Resources = &runtimeapi.LinuxContainerResources{
				CpuShares:          c.Resources.Requests.Cpu().MilliValue() * 1024 / 1000,
				MemoryLimitInBytes: c.Resources.Limits.Memory().Value(),
			}
			secure(config.Linux.SecurityContext, spec, c)
		},
	}
}

// secure converts the security contexts of a pod and its container, as kubelet does.
func secure(to *runtimeapi.LinuxContainerSecurityContext, spec corev1.PodSpec, c corev1.Container) {
	pod, own := spec.SecurityContext, c.SecurityContext
	to.Privileged = *own.Privileged
	to.ReadonlyRootfs = *own.ReadOnlyRootFilesystem
	to.NoNewPrivs = !*own.AllowPrivilegeEscalation
	to.RunAsUser = &runtimeapi.Int64Value{Value: *pod.RunAsUser}
	to.RunAsGroup = &runtimeapi.Int64Value{Value: *pod.RunAsGroup}
	to.SelinuxOptions = &runtimeapi.SELinuxOption{Type: pod.SELinuxOptions.Type}
	to.Capabilities = &runtimeapi.Capability{}
	for _, capability := range own.Capabilities.Drop {
		to.Capabilities.DropCapabilities = append(to.Capabilities.DropCapabilities, string(capability))
	}
	for _, capability := range own.Capabilities.Add {
		to.Capabilities.AddCapabilities = append(to.Capabilities.AddCapabilities, string(capability))
	}
	if pod.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault {
		to.Seccomp = &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
	}
	// procMount: Default.
	to.MaskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
	to.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// source returns a volume's path on the node, and checks the type of a hostPath.
func (h host) source(t *testing.T, v corev1.Volume) string {
	t.Helper()
	switch {
	case v.HostPath != nil:
		path := v.HostPath.Path
		if to, ok := h.paths[path]; ok {
			path = to
		}
		if *v.HostPath.Type == corev1.HostPathDirectoryOrCreate {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if isDir := *v.HostPath.Type != corev1.HostPathFile; info.IsDir() != isDir {
			t.Fatalf("%s is no %s", path, *v.HostPath.Type)
		}
		return path
	case v.ConfigMap != nil:
		return h.configMaps[v.ConfigMap.Name]
	case v.EmptyDir != nil:
		path := filepath.Join(h.scratch, v.Name)
		if err := os.Mkdir(path, 0o777); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
		return path
	}
	t.Fatalf("volume %s: %+v", v.Name, v.VolumeSource)
	return ""
}

// configMap is the volume of a ConfigMap, as kubelet's atomic writer creates it: files
// are links into ..data, and ..data is a link to a directory, which is replaced.
type configMap struct {
	t       *testing.T
	dir     string
	version int
}

func newConfigMap(t *testing.T, data map[string]string) *configMap {
	t.Helper()
	m := &configMap{t: t, dir: t.TempDir()}
	for name := range data {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.write(data)
	return m
}

// write replaces the data with one rename, then removes the old data.
func (m *configMap) write(data map[string]string) {
	m.t.Helper()
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	m.version++
	link := filepath.Join(m.dir, "..data")
	old, _ := os.Readlink(link) // none at first
	name := "..2026_01_01_00_00_00." + strconv.Itoa(m.version)
	must(os.Mkdir(filepath.Join(m.dir, name), 0o755))
	for file, content := range data {
		must(os.WriteFile(filepath.Join(m.dir, name, file), []byte(content), 0o644))
	}
	must(os.Symlink(name, link+"_tmp"))
	must(os.Rename(link+"_tmp", link))
	if old != "" {
		must(os.RemoveAll(filepath.Join(m.dir, old)))
	}
}
