package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/testutil"
)

// TestReadme runs the commands of the README's section Install on a new Debian that has
// only systemd and a runtime with one pod.
func TestReadme(t *testing.T) {
	need(t, "systemd-nspawn", "nsenter", "unshare", "mmdebstrap")
	commands := installSection(t)
	dist := filepath.Join(t.TempDir(), "dist")
	make := exec.Command("sh", "-ec", commands[0])
	make.Dir = "../.."
	make.Env = append(os.Environ(), "DIST="+dist)
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands[0], err, out)
	}

	root := filepath.Join(t.TempDir(), "root")
	debstrap := exec.Command("mmdebstrap", "--quiet", "--variant=apt", "--include=systemd,systemd-sysv,dbus", codename(t), root)
	if out, err := debstrap.CombinedOutput(); err != nil {
		t.Fatalf("create a Debian: %v\n%s", err, out)
	}
	n := newNode(t, root)
	for _, file := range []string{"/etc/hosts", "/etc/resolv.conf"} { // an installer's; the runtime reads them
		n.write(t, file, "")
	}
	n.run(t, "systemctl", "start", "containerd")
	n.attach(t)
	l := n.load(t, "web", 5*time.Second)

	if err := os.Mkdir(n.path("/dist"), 0o755); err != nil {
		t.Fatal(err)
	}
	made, err := filepath.Glob(dist + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range made {
		n.copy(t, file, "/dist/"+filepath.Base(file))
	}
	for _, command := range commands[1:] {
		t.Logf("# %s\n%s", command, n.run(t, "sh", "-ec", command))
	}

	testutil.Eventually(t, "the pod to be known", func() bool { return len(n.status(t).Containers) == 1 })
	if out := n.run(t, "logwatch", "rotate", "--all"); !strings.Contains(out, "rotated") {
		t.Errorf("logwatch rotate: %s", out)
	}
	if l.complete(t) < 2 {
		t.Error("it was not rotated")
	}
}

// installSection returns the commands of the README's section Install. The first runs in
// the checkout, the others on the node.
func installSection(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Install\n")
	_, block, _ := strings.Cut(section, "\n```sh\n")
	block, _, ok := strings.Cut(block, "\n```")
	lines := strings.Split(block, "\n")
	if !ok || len(lines) < 4 || lines[0] != "make deb" {
		t.Fatalf("the README's section Install has other commands than this test knows: %q", lines)
	}
	return lines
}

// codename returns the release of this machine's Debian or Ubuntu: its programs, such as
// containerd, must run there.
func codename(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return name
		}
	}
	t.Fatal("/etc/os-release has no VERSION_CODENAME")
	return ""
}
