package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// systemctl is a systemd that manages one unit, in the files of $STATE.
const systemctl = `#!/bin/sh
echo "$@" >>"$STATE/calls"
is() { [ -e "$STATE/$1" ]; }
case "$*" in
is-enabled*) is enabled ;;
"is-active --quiet kubelet.service") false ;;
is-active*) if is active; then echo active; else echo inactive; false; fi ;;
disable*) rm -f "$STATE/enabled"; case "$*" in *--now*) rm -f "$STATE/active" ;; esac ;;
enable*) touch "$STATE/enabled" ;;
start* | restart*) touch "$STATE/active" ;;
show*ActiveState*) if is active; then echo active; else echo inactive; fi ;;
show*ExecStart*)
	echo "{ path=/usr/bin/logwatch ; argv[]=/usr/bin/logwatch run --config /etc/other.yaml ; ignore_errors=no ; pid=7 }" ;;
esac
`

// scripts runs a command in this directory, beside that systemd, with the maintainer
// scripts' /run. It returns the output and the calls of systemctl.
func scripts(t *testing.T, state, command string) (out, calls string) {
	t.Helper()
	need(t, "unshare")
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(systemctl), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", "mount -t tmpfs run /run; mkdir -p /run/systemd/system\n"+command)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "STATE="+state)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, text)
	}
	called, err := os.ReadFile(filepath.Join(state, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), string(called)
}

func is(t *testing.T, state string, want ...string) {
	t.Helper()
	for _, name := range []string{"active", "enabled"} {
		_, err := os.Stat(filepath.Join(state, name))
		if wanted := strings.Contains(strings.Join(want, " "), name); wanted != (err == nil) {
			t.Errorf("%s: %v, want %v", name, err == nil, wanted)
		}
	}
}

func set(t *testing.T, state string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(state, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRemovalFails: dpkg runs prerm, fails, and runs postinst abort-remove: the service
// is as before.
func TestRemovalFails(t *testing.T) {
	for _, was := range [][]string{{"active", "enabled"}, {"active"}, {"enabled"}, {}} {
		t.Run(strings.Join(was, "+"), func(t *testing.T) {
			state := t.TempDir()
			set(t, state, was...)
			scripts(t, state, "sh prerm remove in-favour logwatch 9; sh postinst abort-remove in-favour logwatch 9; [ ! -e /run/logwatch* ]")
			is(t, state, was...)
		})
	}
	t.Run("in prerm", func(t *testing.T) {
		state := t.TempDir()
		set(t, state, "active", "enabled")
		scripts(t, state, "! sh prerm remove >&-")
		is(t, state, "active", "enabled")
	})
	t.Run("not", func(t *testing.T) {
		state := t.TempDir()
		set(t, state, "active", "enabled")
		scripts(t, state, "sh prerm remove; sh postrm remove; [ ! -e /run/logwatch* ]")
		is(t, state)
	})
}

// TestUpgradeChecksTheUnitsFile: the configuration that a drop-in sets is checked.
func TestUpgradeChecksTheUnitsFile(t *testing.T) {
	state := t.TempDir()
	set(t, state, "active")
	out, calls := scripts(t, state, "sh postinst configure 1.0.0")
	// There is no /usr/bin/logwatch, so no configuration is valid.
	if !strings.Contains(out, "/etc/other.yaml is invalid") || strings.Contains(calls, "\nrestart") {
		t.Errorf("%s\n%s", out, calls)
	}
}

// TestTestDeps: a directory of a program's package is not the program.
func TestTestDeps(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"bash", "grep"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"id": "echo 1000", "zsh": "", "dpkg": `[ "$2" = tzdata ] && echo "Status: install ok installed" || echo "Status: deinstall ok config-files"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	missing := func() string {
		cmd := exec.Command(filepath.Join(bin, "bash"), "../hack/test-deps")
		cmd.Env = []string{"PATH=" + bin}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := missing(); strings.Contains(out, "zsh") || strings.Contains(out, "tzdata") || !strings.Contains(out, "fonts-dejavu-core") {
		t.Errorf("with zsh and tzdata: %s", out)
	}
	if err := os.Remove(filepath.Join(bin, "zsh")); err != nil {
		t.Fatal(err)
	}
	if out := missing(); !strings.Contains(out, "zsh") {
		t.Errorf("without zsh: %s", out)
	}
}
