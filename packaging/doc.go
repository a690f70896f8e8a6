// Package packaging holds what hack/package makes packages of, and the tests of
// what comes out. That they install, upgrade and go away as they should is shown by
// test/systemd.
package packaging
