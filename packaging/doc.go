// Package packaging has the contents of the packages that hack/package builds, and
// their tests. test/systemd installs, upgrades and removes them.
package packaging
