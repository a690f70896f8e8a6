package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra/doc"
)

var manDir = flag.String("man", "", "write the man pages of all commands into this `directory`, which exists: hack/package does")

// writeManPages writes logwatch.1 and a page for each command. They have the date of
// SOURCE_DATE_EPOCH, so that builds of the same source are equal.
func writeManPages(t *testing.T, dir string) {
	t.Helper()
	root := newCommand()
	root.DisableAutoGenTag = true // it has today's date
	header := &doc.GenManHeader{Section: "1", Source: "logwatch " + versionText(), Manual: "logwatch"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
}

// TestManPages: there is one a command, and two runs make the same. The program itself does not
// need what makes them.
func TestManPages(t *testing.T) {
	if *manDir != "" {
		writeManPages(t, *manDir)
		return
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	dirs := []string{t.TempDir(), t.TempDir()}
	for _, dir := range dirs {
		writeManPages(t, dir)
	}
	for _, c := range newCommand().Commands() {
		if c.Hidden {
			continue
		}
		name := "logwatch-" + c.Name() + ".1"
		a, err := os.ReadFile(filepath.Join(dirs[0], name))
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := os.ReadFile(filepath.Join(dirs[1], name))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs, %v", name, err)
		}
		if !bytes.Contains(a, []byte(`"Nov 2023"`)) || !bytes.Contains(a, []byte(".SH SYNOPSIS")) {
			t.Errorf("%s:\n%s", name, a)
		}
	}
}
