package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/testutil"
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
	for _, want := range []string{"(crio), limit 128Ki\n", " rotations in ", "\nProven: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestDemoExitCode: a log that is removed while the demo runs makes it end with 1.
func TestDemoExitCode(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "lwd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil { // not empty: the demo left something
			t.Error(err)
		}
	})
	t.Setenv("TMPDIR", dir)
	stdout, stderr := os.Stdout, os.Stderr
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	if os.Stdout, err = os.Create(filepath.Join(t.TempDir(), "out")); err != nil {
		t.Fatal(err)
	}
	os.Stderr = os.Stdout
	code := make(chan int, 1) // two logs are compressed in 2 s, or in many more on a busy machine
	go func() { code <- run([]string{"demo", "--duration", "30s", "--max-size", "64Ki"}) }()
	testutil.Eventually(t, "two compressed logs", func() bool {
		logs, err := filepath.Glob(dir + "/*/pods/shop_payments_*/payments/0.log.*.gz")
		if err != nil {
			t.Fatal(err)
		}
		return len(logs) > 1 && os.Remove(logs[1]) == nil
	})
	got := <-code
	out, err := os.ReadFile(os.Stdout.Name())
	if err != nil {
		t.Fatal(err)
	}
	if got != 1 || !strings.Contains(string(out), "\npayments: ") || !strings.Contains(string(out), " missing, ") || !strings.HasSuffix(string(out), "\nlogwatch: demo: not every line was found once and in order\n") {
		t.Errorf("exit code %d\n%s", got, out)
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
		want style
	}{
		{map[string]string{"LANG": "en_US.UTF-8"}, style{Color: true, Unicode: true}},
		{map[string]string{"LANG": "C.utf8", "NO_COLOR": "1"}, style{Unicode: true}},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "C"}, style{Color: true}},
		{nil, style{Color: true}},
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
