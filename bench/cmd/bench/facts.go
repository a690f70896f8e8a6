package main

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/bench/internal/measure"
	"github.com/logwatch/logwatch/bench/internal/subject"
)

// build builds the programs that are compared. logwatch is built in its own
// module, with the versions that it ships with.
func build(ctx context.Context, root, bin string) (subject.Tools, error) {
	t := subject.Tools{Logwatch: filepath.Join(bin, "logwatch"), KubeletRotator: filepath.Join(bin, "kubelet-rotator")}
	t.Logrotate, t.S6Log = subject.Find("logrotate"), subject.Find("s6-log")
	for _, p := range []struct{ dir, pkg, out string }{
		{root, "./cmd/logwatch", t.Logwatch},
		{filepath.Join(root, "bench"), "./kubelet-rotator", t.KubeletRotator},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", p.out, p.pkg)
		cmd.Dir = p.dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return t, fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
		}
	}
	return t, nil
}

// machine describes the machine by its hardware only.
func machine(dir string) map[string]string {
	m := map[string]string{"cores": fmt.Sprint(runtime.NumCPU()), "arch": runtime.GOARCH}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		m["kernel"] = unix.ByteSliceToString(u.Release[:])
	}
	if v := field("/proc/cpuinfo", "model name"); v != "" {
		m["CPU"] = v
	}
	if v := field("/proc/meminfo", "MemTotal"); v != "" {
		m["memory"] = v
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil {
		m["file system"] = fileSystem(st.Type)
	}
	return m
}

func fileSystem(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return fmt.Sprintf("%#x", magic)
}

// field returns the value of the first "key   : value" in a file.
func field(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // opened for reading
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func versions(ctx context.Context, root string, env *measure.Env) map[string]string {
	v := map[string]string{"Go": runtime.Version(), "runtime": "containerd v2.4.2 (test/containerd) where a measure does not say embedded"}
	if env.Embedded {
		v["runtime"] = "embedded"
	}
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	v["logwatch"] = git("rev-parse", "--short=12", "HEAD")
	// The benchmark's own files do not change what is measured.
	if git("status", "--porcelain", "--", ".", ":!bench") != "" {
		v["logwatch"] += " with changes"
	}
	if info, err := buildinfo.ReadFile(env.Tools.KubeletRotator); err == nil {
		for _, d := range info.Deps {
			if d.Path == "k8s.io/kubernetes" {
				v["kubelet"] = d.Version
			}
		}
	}
	if env.Tools.S6Log != "" { // it has no option for its version
		out, _ := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${Version}", "s6").Output()
		v["s6"] = string(out)
	}
	v["logrotate"] = "not installed"
	if env.Tools.Logrotate != "" {
		out, _ := exec.CommandContext(ctx, env.Tools.Logrotate, "--version").CombinedOutput()
		first, _, _ := strings.Cut(string(out), "\n")
		v["logrotate"] = strings.TrimPrefix(first, "logrotate ")
	}
	return v
}
