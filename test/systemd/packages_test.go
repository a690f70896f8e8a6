package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const (
	oldVersion = "1.0.0"
	newVersion = "1.1.0"
	packages   = "/srv" // where they are in the machine
)

// need skips the test if a program is missing; in CI it fails.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a real systemd is not for -short")
	}
	why := ""
	if os.Geteuid() != 0 {
		why = "a real systemd needs root to boot: sudo env \"PATH=$PATH\" go test ./test/systemd"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			why = p + " is not installed: apt-get install --no-install-recommends systemd-container iproute2 rpm"
		}
	}
	switch {
	case why == "":
	case os.Getenv("CI") == "true":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

// makePackages builds two versions, and copies them into the machine as old.deb,
// new.deb, old.rpm and new.rpm. The new deb also has another sample configuration.
func makePackages(t *testing.T, n *node) {
	t.Helper()
	if err := os.MkdirAll(n.path(packages), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, version := range map[string]string{"old": oldVersion, "new": newVersion} {
		dir := t.TempDir()
		cmd := exec.Command("../../hack/package", "deb", "rpm")
		cmd.Env = append(os.Environ(), "DIST="+dir, "ARCHES="+runtime.GOARCH, "VERSION="+version, "SOURCE_DATE_EPOCH=1700000000")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("hack/package: %v\n%s", err, out)
		}
		for _, kind := range []string{"deb", "rpm"} {
			found, err := filepath.Glob(filepath.Join(dir, "*."+kind))
			if err != nil || len(found) != 1 {
				t.Fatalf("hack/package made %v (%v), want one %s", found, err, kind)
			}
			n.copy(t, found[0], filepath.Join(packages, name+"."+kind))
		}
	}
	n.run(t, "sh", "-ec", `
		cd `+packages+`
		dpkg-deb --raw-extract new.deb new
		echo "# One more comment." >>new/etc/logwatch/logwatch.yaml
		dpkg-deb --build --root-owner-group -Znone new new.deb
		rm -r new`)
}

// installs: the package installs its files, and starts nothing.
func installs(t *testing.T, n *node) {
	n.run(t, "systemd-run", "--unit=kubelet", "sleep", "infinity")
	out := n.run(t, "dpkg", "--install", packages+"/old.deb")
	n.run(t, "systemctl", "stop", "kubelet")
	for _, want := range []string{"not started", "logwatch doctor", "systemctl enable --now logwatch", "kubelet is running on this node"} {
		if !strings.Contains(out, want) {
			t.Errorf("the install does not say %q:\n%s", want, out)
		}
	}
	if active := n.show(t, unit, "ActiveState"); active != "inactive" {
		t.Errorf("after the install it is %s", active)
	}
	if enabled := n.show(t, unit, "UnitFileState"); enabled != "disabled" {
		t.Errorf("after the install it is %s", enabled)
	}
	if n.config(t) != n.sample {
		t.Error("the configuration is not the sample")
	}
	if got := n.run(t, "logwatch", "version"); got != oldVersion {
		t.Errorf("version %s, want %s", got, oldVersion)
	}
	for _, name := range []string{
		"/usr/share/man/man1/logwatch.1.gz", "/usr/share/bash-completion/completions/logwatch",
		"/usr/share/doc/logwatch-kubernetes/copyright", "/usr/share/doc/logwatch-kubernetes/logwatch.spdx.json",
		"/usr/share/logwatch-kubernetes/90-logwatch.conf",
	} {
		if !n.exists(name) {
			t.Errorf("%s is missing", name)
		}
	}
	if out := n.run(t, "dpkg", "--verify", "logwatch-kubernetes"); out != "" {
		t.Errorf("dpkg --verify:\n%s", out)
	}
}

// upgrades: an upgrade while a container writes keeps the edited configuration.
func upgrades(t *testing.T, n *node) {
	l := n.load(t, "upgraded", 6*second)
	l.rotated(t)
	before, config := n.pid(t), n.config(t)
	n.run(t, "dpkg", "--install", "--force-confold", packages+"/new.deb")
	if n.pid(t) == before || n.show(t, unit, "ActiveState") != "active" {
		t.Error("the new version does not run")
	}
	if got := n.status(t).Node.Version; got != newVersion {
		t.Errorf("the version that runs is %s, want %s", got, newVersion)
	}
	if n.config(t) != config {
		t.Error("the upgrade has changed the configuration")
	}
	l.rotated(t)
	l.complete(t)
}

// upgradesBesideBadConfig: if the configuration is invalid for the new version, the old
// one keeps running.
func upgradesBesideBadConfig(t *testing.T, n *node) {
	config, before := n.config(t), n.pid(t)
	n.write(t, configFile, config+"\nunknown: true\n")
	out := n.run(t, "dpkg", "--install", "--force-confold", packages+"/new.deb")
	if !strings.Contains(out, "is invalid") || !strings.Contains(out, "systemctl restart logwatch") {
		t.Errorf("the upgrade does not say what is wrong:\n%s", out)
	}
	if n.pid(t) != before {
		t.Error("it was restarted")
	}
	l := n.load(t, "goes-on", 2*second)
	l.rotated(t)
	l.complete(t)
	n.write(t, configFile, config)
	n.run(t, "systemctl", "restart", unit)
}

// removes, and then purges: only the logs are left. After a failed removal, here because
// of another package, logwatch is running.
func removes(t *testing.T, n *node) {
	n.run(t, "sh", "-ec", `
		mkdir -p /srv/other/DEBIAN
		cd /srv/other/DEBIAN
		printf 'Package: logwatch\nVersion: 9\nArchitecture: all\nMaintainer: m\nDescription: d\nConflicts: logwatch-kubernetes\nReplaces: logwatch-kubernetes\nProvides: logwatch-kubernetes\n' >control
		printf '#!/bin/sh\nexit 1\n' >preinst
		chmod 755 preinst
		dpkg-deb --build --root-owner-group -Znone /srv/other /srv/other.deb
		systemctl enable --now logwatch`)
	if out, err := n.try("dpkg", "--install", "/srv/other.deb"); err == nil || !strings.Contains(out, "Stopping logwatch") {
		t.Errorf("the other package was installed, or did not replace this one: %v\n%s", err, out)
	}
	if active, enabled := n.show(t, unit, "ActiveState"), n.show(t, unit, "UnitFileState"); active != "active" || enabled != "enabled" {
		t.Errorf("after the failed removal it is %s and %s", active, enabled)
	}
	logs := n.run(t, "find", podLogsDir, "-type", "f")
	out := n.run(t, "dpkg", "--remove", "logwatch-kubernetes")
	if !strings.Contains(out, "containerLogMaxSize") {
		t.Errorf("the removal does not say what follows from it:\n%s", out)
	}
	if active := n.show(t, unit, "ActiveState"); active != "inactive" {
		t.Errorf("after the removal it is %s", active)
	}
	if !n.exists(configFile) {
		t.Error("the removal has taken the configuration")
	}
	n.run(t, "dpkg", "--purge", "logwatch-kubernetes")
	left := n.run(t, "find", "/etc", "/usr", "/run", "/var/lib", "-xdev", "-name", "*logwatch*")
	if left != "" {
		t.Errorf("the purge has left:\n%s", left)
	}
	if now := n.run(t, "find", podLogsDir, "-type", "f"); now != logs || logs == "" {
		t.Errorf("logs before:\n%s\nand after:\n%s", logs, now)
	}
}

// otherDisk: it works if podLogsDir is a link to another disk, with the rpm.
func otherDisk(t *testing.T, n *node) {
	// The link is relative: an absolute one would lead us, outside, into our own root.
	n.run(t, "sh", "-ec", `
		mkdir /data
		mount -t tmpfs data /data
		mv /var/log/pods /data/
		ln -s ../../data/pods /var/log/pods`)
	rpm := func(args ...string) string {
		t.Helper()
		// Debian's rpm does not know dpkg's packages, and requires these flags.
		return n.run(t, append([]string{"rpm", "--force-debian", "--nodeps"}, args...)...)
	}
	if out := rpm("--install", packages+"/old.rpm"); !strings.Contains(out, "not started") {
		t.Errorf("the install does not say that nothing was started:\n%s", out)
	}
	n.configure(t, "64Ki")
	n.run(t, "systemctl", "enable", "--now", unit)
	before := n.pid(t)
	l := n.load(t, "other-disk", 5*second)
	l.rotated(t)
	rpm("--upgrade", packages+"/new.rpm")
	if n.pid(t) == before || n.show(t, unit, "ActiveState") != "active" || n.status(t).Node.Version != newVersion {
		t.Error("the new version does not run")
	}
	if n.config(t) != edited(t, n.sample, "64Ki") {
		t.Error("the upgrade has changed the configuration")
	}
	l.complete(t)
	rpm("--erase", "logwatch-kubernetes")
	if active := n.show(t, unit, "ActiveState"); active != "inactive" {
		t.Errorf("after the removal it is %s", active)
	}
	if n.exists("/usr/bin/logwatch") || n.exists("/run/logwatch") || !n.exists(configFile+".rpmsave") {
		t.Error("the removal has left the program, or taken the edited configuration")
	}
}
