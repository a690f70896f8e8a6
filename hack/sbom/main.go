package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, w io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	version := flags.String("version", "", "the `version` of the binary")
	created := flags.Int64("created", 0, "when it was built, as a Unix `timestamp`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *version == "" {
		return errors.New("usage: sbom -version VERSION [-created TIMESTAMP] BINARY")
	}
	doc, err := describe(flags.Arg(0), *version, time.Unix(*created, 0))
	if err != nil {
		return err
	}
	return json.Write(doc, w, json.Indent("  "))
}

const (
	unknown = "NOASSERTION"
	// license is this project's own.
	license = "Apache-2.0"
)

// describe reads the binary at path.
func describe(path, version string, created time.Time) (*spdx.Document, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the build information: %w", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	name, arch := filepath.Base(path), setting(info, "GOARCH")

	top := module("binary", info.Main.Path, version, info.Main.Path)
	top.PackageName = name
	top.PackageFileName = name
	top.PrimaryPackagePurpose = "APPLICATION"
	top.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: digest}}
	top.PackageLicenseConcluded, top.PackageLicenseDeclared = license, license
	top.PackageComment = fmt.Sprintf("%s/%s, built by %s", setting(info, "GOOS"), arch, info.GoVersion)
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: fmt.Sprintf("%s-%s-%s", name, version, arch),
		// A name that is unique to this binary, and always the same for it.
		DocumentNamespace: fmt.Sprintf("https://%s/spdx/%s", info.Main.Path, digest),
		CreationInfo: &spdx.CreationInfo{
			Created:  created.UTC().Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "logwatch-hack-sbom"}},
		},
		Packages:      []*spdx.Package{top},
		Relationships: []*spdx.Relationship{relation("DOCUMENT", "DESCRIBES", top.PackageSPDXIdentifier)},
	}
	parts := []*spdx.Package{module("stdlib", "stdlib", strings.TrimPrefix(info.GoVersion, "go"), "https://go.dev/dl/")}
	for i, m := range info.Deps { // in the order of their paths
		m = cmp.Or(m.Replace, m)
		part := module(common.ElementID(fmt.Sprintf("module-%d", i+1)), m.Path, m.Version, "https://proxy.golang.org/"+m.Path)
		if part.PackageComment, err = checksum(m); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	for _, p := range parts {
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, relation(top.PackageSPDXIdentifier, "CONTAINS", p.PackageSPDXIdentifier))
	}
	return doc, nil
}

// module describes a Go module as a package of SPDX, with the name by which vulnerability
// scanners find it (https://github.com/package-url/purl-spec).
func module(id common.ElementID, path, version, from string) *spdx.Package {
	return &spdx.Package{
		PackageName: path, PackageVersion: version, PackageSPDXIdentifier: id,
		PackageDownloadLocation: from,
		PackageLicenseConcluded: unknown, PackageLicenseDeclared: unknown, PackageCopyrightText: unknown,
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: "PACKAGE-MANAGER", RefType: "purl", Locator: "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B"),
		}},
	}
}

// checksum returns the checksum of a module in go.sum. It covers the names and
// checksums of the module's files, for which SPDX has no algorithm.
func checksum(m *debug.Module) (string, error) {
	b64, ok := strings.CutPrefix(m.Sum, "h1:")
	raw, err := base64.StdEncoding.DecodeString(b64)
	if !ok || err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("module %s has no checksum (%q): build without a vendor directory, and without replacing modules by directories", m.Path, m.Sum)
	}
	return "go.sum: " + m.Sum, nil
}

func relation(a common.ElementID, kind string, b common.ElementID) *spdx.Relationship {
	return &spdx.Relationship{
		RefA: common.MakeDocElementID("", string(a)), RefB: common.MakeDocElementID("", string(b)), Relationship: kind,
	}
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return unknown
}
