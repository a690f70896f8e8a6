package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestTopRefuses: what cannot be is refused before anything is drawn. Package top's
// tests run the command on terminals.
func TestTopRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":                "top needs a terminal: `logwatch status` prints the same, once",
		"--interval 50ms": "invalid interval 50ms: must be at least 100ms",
		"a//b":            `invalid name "a//b": use NAMESPACE, NAMESPACE/POD or NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app`,
	} {
		cmd := newCommand()
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetArgs(append([]string{"top"}, strings.Fields(args)...))
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != want {
			t.Errorf("top %s: %v, want %s", args, err, want)
		}
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // nothing was written
	if err := drawable(file, os.Getenv); err == nil {
		t.Error("a file passes for a terminal")
	}
}
