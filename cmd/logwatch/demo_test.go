package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/demo"
)

func TestDemoCommand(t *testing.T) {
	t.Setenv("TMPDIR", "/tmp") // short enough for a socket
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"demo", "--duration", "300ms", "--max-size", "128Ki", "--runtime", "crio"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"crio", "limit 128Ki", "rotated at once", "lost 0", "proven"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestDemoFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--runtime", "docker"}, {"--max-size", "1Ki"}, {"--max-size", "big"}, {"--duration", "-1s"}, {"surplus"},
	} {
		cmd := newCommand()
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&bytes.Buffer{})
		cmd.SetArgs(append([]string{"demo", "--duration", "1ms"}, args...))
		if err := cmd.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestStyle(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want demo.Style
	}{
		{map[string]string{"LANG": "en_US.UTF-8"}, demo.Style{Color: true, Unicode: true}},
		{map[string]string{"LANG": "C.utf8", "NO_COLOR": "1"}, demo.Style{Unicode: true}},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "C"}, demo.Style{Color: true}},
		{nil, demo.Style{Color: true}},
	} {
		if got := styleOf(func(key string) string { return c.env[key] }); got != c.want {
			t.Errorf("%v: %+v", c.env, got)
		}
	}
}

func TestNoTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // nothing was written
	if size, _ := terminal(file, os.Getenv); size != nil {
		t.Error("a file passes for a terminal")
	}
	if size, _ := terminal(&bytes.Buffer{}, os.Getenv); size != nil {
		t.Error("a buffer passes for a terminal")
	}
}
