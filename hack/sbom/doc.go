// Command sbom writes the software bill of materials of a Go binary, as SPDX 2.3
// in JSON: what is really linked into it, from the build information that Go puts
// there, with the versions and the checksums of go.sum.
//
//	sbom -version 1.2.3 -created 1700000000 bin/logwatch >logwatch.spdx.json
//
// Equal binaries, versions and times give equal bytes. The licenses of modules are
// not in a binary, and are listed as unknown.
package main
