package packaging

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const version = "1.2.3~rc.1"

// need skips without these programs; in CI it fails.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		why := p + " is not installed: apt-get install --no-install-recommends dpkg rpm shellcheck"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// pack builds all packages of the checkout at root, and returns their paths by name.
func pack(t *testing.T, root, umask string, env ...string) map[string]string {
	t.Helper()
	dist := t.TempDir()
	for _, old := range []string{"logwatch-kubernetes_1.2.3_arm64.deb", "logwatch-1.2.3~rc.1+1.g123-linux-amd64.tar.gz"} {
		if err := os.WriteFile(filepath.Join(dist, old), nil, 0o600); err != nil { // of other versions
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", `umask "$0"; exec "$@"`, umask, filepath.Join(root, "hack/package"), "deb", "rpm", "tarball")
	cmd.Env = append(os.Environ(), "DIST="+dist, "VERSION="+version, "SOURCE_DATE_EPOCH=1700000000")
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("hack/package: %v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dist, "*"))
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	for _, f := range files {
		made[filepath.Base(f)] = f
	}
	return made
}

// TestPackages builds everything twice, the second time in another directory and
// environment, and checks the contents.
func TestPackages(t *testing.T) {
	if testing.Short() {
		t.Skip("packages are built for both architectures, twice, with tools from the Go module proxy")
	}
	// Copies, so that changes of the checkout in the meantime have no effect.
	here, elsewhere := filepath.Join(t.TempDir(), "here"), filepath.Join(t.TempDir(), "else", "where")
	copyTree(t, "..", here)
	copyTree(t, here, elsewhere)
	made := pack(t, here, "022")
	var want []string
	for _, arch := range [][2]string{{"amd64", "x86_64"}, {"arm64", "aarch64"}} {
		want = append(want,
			"logwatch-kubernetes_"+version+"_"+arch[0]+".deb",
			"logwatch-kubernetes-"+version+"-1."+arch[1]+".rpm",
			"logwatch-"+version+"-linux-"+arch[0]+".tar.gz",
			"logwatch-"+version+"-linux-"+arch[0]+".spdx.json")
	}
	want = append(want, "SHA256SUMS")
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(made)); !slices.Equal(got, want) {
		t.Fatalf("made %q\nwant %q", got, want)
	}
	t.Run("Equal", func(t *testing.T) { equal(t, made, elsewhere) })
	t.Run("Sums", func(t *testing.T) {
		cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
		cmd.Dir = filepath.Dir(made["SHA256SUMS"])
		out, err := cmd.CombinedOutput()
		if err != nil || bytes.Count(out, []byte(": OK\n")) != len(made)-1 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("Deb", func(t *testing.T) { deb(t, made["logwatch-kubernetes_"+version+"_arm64.deb"]) })
	t.Run("RPM", func(t *testing.T) { rpm(t, made["logwatch-kubernetes-"+version+"-1.x86_64.rpm"]) })
	t.Run("Tarball", func(t *testing.T) { tarball(t, made["logwatch-"+version+"-linux-amd64.tar.gz"]) })
}

func equal(t *testing.T, made map[string]string, elsewhere string) {
	again := pack(t, elsewhere, "077", "TZ=Asia/Kolkata", "LC_ALL=C.UTF-8", "GOARCH=arm64", "GOFLAGS=", "GOAMD64=v3")
	for name, path := range made {
		a, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(again[name])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("two builds of %s differ: %d and %d bytes", name, len(a), len(b))
		}
	}
}

// copyTree copies the sources as a tarball has them: other times, other permissions,
// no git.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", "bin", "dist"}, rel) {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), content, 0o600|info.Mode().Perm()&0o100)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// installed are files of both the deb and the rpm.
var installed = []string{
	"/usr/bin/logwatch", "/usr/lib/systemd/system/logwatch.service", "/etc/logwatch/logwatch.yaml",
	"/usr/share/man/man1/logwatch.1.gz", "/usr/share/man/man1/logwatch-run.1.gz",
	"/usr/share/bash-completion/completions/logwatch", "/usr/share/fish/vendor_completions.d/logwatch.fish",
	"/usr/share/doc/logwatch-kubernetes/README.md", "/usr/share/doc/logwatch-kubernetes/PRIVILEGES.md",
	"/usr/share/doc/logwatch-kubernetes/logwatch.spdx.json", "/usr/share/logwatch-kubernetes/90-logwatch.conf",
}

func deb(t *testing.T, path string) {
	need(t, "dpkg-deb")
	root := t.TempDir()
	run(t, "dpkg-deb", "--raw-extract", path, root)
	for _, name := range slices.Concat(installed, []string{
		"/usr/share/zsh/vendor-completions/_logwatch", "/usr/share/doc/logwatch-kubernetes/copyright",
	}) {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	if got := read(t, filepath.Join(root, "DEBIAN/conffiles")); got != "/etc/logwatch/logwatch.yaml\n" {
		t.Errorf("conffiles: %q", got)
	}
	for field, want := range map[string]string{"Version": version, "Architecture": "arm64", "Conflicts": "logwatch", "Depends": ""} {
		if got := strings.TrimSpace(run(t, "dpkg-deb", "--field", path, field)); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	static(t, filepath.Join(root, "usr/bin/logwatch"), elf.EM_AARCH64)
	if info, err := os.Stat(filepath.Join(root, "usr/bin/logwatch")); err != nil || info.Mode() != 0o755 || info.ModTime().Unix() != 1700000000 {
		t.Errorf("the program: %v, %v", info, err)
	}
}

func rpm(t *testing.T, path string) {
	need(t, "rpm")
	names := strings.Fields(run(t, "rpm", "-qlp", path))
	for _, name := range slices.Concat(installed, []string{
		"/usr/share/zsh/site-functions/_logwatch", "/usr/share/licenses/logwatch-kubernetes/LICENSE",
	}) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in it", name)
		}
	}
	if got := run(t, "rpm", "-qcp", path); got != "/etc/logwatch/logwatch.yaml\n" {
		t.Errorf("configuration files: %q", got)
	}
	if got := run(t, "rpm", "-qp", "--queryformat", "%{NAME} %{VERSION} %{ARCH} %{BUILDHOST} %{CONFLICTS}", path); got != "logwatch-kubernetes "+version+" x86_64 reproducible logwatch" {
		t.Errorf("it says it is %s", got)
	}
	if got := run(t, "rpm", "--checksig", "--nosignature", path); !strings.HasSuffix(got, "digests OK\n") {
		t.Errorf("its checksums: %s", got)
	}
}

func tarball(t *testing.T, path string) {
	root := t.TempDir()
	run(t, "tar", "-xzf", path, "-C", root)
	top := filepath.Join(root, "logwatch-"+version+"-linux-amd64")
	for _, name := range []string{
		"logwatch", "LICENSE", "README.md", "CHANGELOG.md", "configs/logwatch.service", "configs/logwatch.yaml",
		"docs/ARCHITECTURE.md", "man/logwatch.1", "completions/logwatch.zsh", "logwatch.spdx.json",
	} {
		if _, err := os.Stat(filepath.Join(top, name)); err != nil {
			t.Error(err)
		}
	}
	static(t, filepath.Join(top, "logwatch"), elf.EM_X86_64)
	if !strings.Contains(read(t, filepath.Join(top, "logwatch.spdx.json")), fmt.Sprintf("%q", version)) {
		t.Error("the bill of materials is of another version")
	}
}

// static checks that the program is for this machine and statically linked.
func static(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if f.Machine != machine {
		t.Errorf("it is for %v, want %v", f.Machine, machine)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Error("it is not static")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestVersion: each version sorts after the one before it.
func TestVersion(t *testing.T) {
	need(t, "git", "dpkg")
	repo := t.TempDir()
	if err := os.Mkdir(filepath.Join(repo, "hack"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(repo, "hack/version")
	if err := os.WriteFile(script, []byte(read(t, "../hack/version")), 0o755); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) string {
		t.Helper()
		args = append([]string{"-C", repo, "-c", "user.name=n", "-c", "user.email=e", "-c", "tag.gpgSign=false", "-c", "commit.gpgSign=false"}, args...)
		return strings.TrimSpace(run(t, "git", args...))
	}
	t.Setenv("VERSION", "")
	t.Setenv("GIT_COMMITTER_DATE", "2026-01-02T23:59:58-05:00") // the next day in UTC
	git("init", "--quiet")
	git("add", ".")
	last := "0.0.0~"
	is := func(want string) {
		t.Helper()
		got := strings.TrimSpace(run(t, script))
		if got != want {
			t.Errorf("version %s, want %s", got, want)
		}
		if err := exec.Command("dpkg", "--compare-versions", last, "lt", got).Run(); err != nil {
			t.Errorf("%s does not come after %s: %v", got, last, err)
		}
		last = got
	}
	commit := func() string {
		git("commit", "--quiet", "--allow-empty", "--message=m")
		return git("rev-parse", "--short=12", "HEAD")
	}
	is("0.0.0~git20260103045958." + commit())
	t.Setenv("GIT_COMMITTER_DATE", "2026-01-02T23:59:59-05:00") // whatever its commit's name
	is("0.0.0~git20260103045959." + commit())
	git("tag", "v1.2.0-rc.1")
	is("1.2.0~rc.1")
	is("1.2.0~rc.1+1.g" + commit())
	git("tag", "v1.2.0")
	is("1.2.0")
	if err := os.WriteFile(filepath.Join(repo, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	is("1.2.0+0.dirty")
	is("1.2.0+1.g" + commit() + ".dirty")

	t.Setenv("VERSION", "1-2")
	if out, err := exec.Command(script).CombinedOutput(); err == nil || !strings.Contains(string(out), "only letters") {
		t.Errorf("1-2 is a version: %v, %s", err, out)
	}
}

func TestShellcheck(t *testing.T) {
	need(t, "shellcheck")
	run(t, "shellcheck", "postinst", "prerm", "postrm", "../hack/package", "../hack/version", "../hack/test-deps", "../hack/fresh-machine")
}
