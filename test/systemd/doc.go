// Package systemd tests logwatch as an operator installs it: the packages that
// hack/package makes, under a real systemd with a real containerd.
//
// A machine is a systemd as process 1 in systemd-nspawn, on an overlay of this
// machine's root: what is written stays in memory and goes with it. It has a
// network and cgroups of its own, and the databases of dpkg and rpm begin empty.
// Nothing is mounted outside of its own mount namespace, so that nothing but
// empty cgroups and one empty directory can be left when the test is killed; the
// next run removes those.
package systemd
