package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"strings"
	"testing"

	"github.com/spdx/tools-golang/json"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
)

// TestDescribesItself reads the test's own binary: every module that is linked in
// is there once, and the document is valid, and the same twice.
func TestDescribesItself(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	write := func() []byte {
		var out bytes.Buffer
		if err := run([]string{"-version", "1.2.3+4", "-created", "1700000000", self}, &out); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	text := write()
	if !bytes.Equal(text, write()) {
		t.Error("the same binary has two documents")
	}
	var doc spdx.Document
	if err := json.ReadInto(bytes.NewReader(text), &doc); err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(&doc); err != nil {
		t.Error(err)
	}
	if doc.CreationInfo.Created != "2023-11-14T22:13:20Z" {
		t.Errorf("created %s", doc.CreationInfo.Created)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"stdlib@" + strings.TrimPrefix(info.GoVersion, "go"): true}
	for _, m := range info.Deps {
		want[m.Path+"@"+m.Version] = true
	}
	if len(want) < 3 {
		t.Fatalf("the test binary has too few modules to show anything: %v", want)
	}
	if top := doc.Packages[0]; top.PackageVersion != "1.2.3+4" || len(top.PackageChecksums) != 1 {
		t.Errorf("the binary is described as %+v", top)
	}
	for _, p := range doc.Packages[1:] {
		name := p.PackageName + "@" + p.PackageVersion
		if !want[name] {
			t.Errorf("%s is not in the binary, or twice in the document", name)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not in the document: %v", want)
	}
}

func TestRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"usage":                      {},
		"read the build information": {"-version", "1", "main.go"},
	} {
		if err := run(args, os.Stderr); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want %q", args, err, name)
		}
	}
}
