package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/logwatch/logwatch/internal/doctor"
)

func doctorOf(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&b)
	cmd.SetArgs(append([]string{"doctor"}, args...))
	err = cmd.ExecuteContext(t.Context())
	return b.String(), err
}

// TestDoctor: this machine may have problems, but can be checked; an invalid
// configuration is a failure, and the exit code shows it.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := write("bad.yaml", "containerLogMaxFiles: 1\n")
	out, err := doctorOf(t, "--config", bad)
	if err == nil || !strings.Contains(err.Error(), "checks failed") {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"fail config            " + bad, "containerLogMaxFiles: must be at least 2", "${EDITOR:-vi} +1 " + bad, " failed, ", "Start with config: "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colors without a terminal")
	}

	out, err = doctorOf(t, "-o", "json", "--config", bad)
	var r doctor.Report
	if derr := json.Unmarshal([]byte(out), &r); derr != nil {
		t.Fatalf("%v\n%s", derr, out)
	}
	if err == nil || r.Fail == 0 || r.Checks[0].Name != "config" || r.Checks[0].Status != doctor.Fail {
		t.Errorf("%v %+v", err, r)
	}
	for _, args := range [][]string{{"-o", "xml"}, {"surplus"}, {"--unknown"}} {
		if out, err := doctorOf(t, args...); err == nil || out != "" {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

// TestDoctorOnATerminal: colors, unless NO_COLOR is set, and no more columns than
// there are, except for commands.
func TestDoctorOnATerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TERM", "xterm")
	for _, noColor := range []string{"", "1"} {
		t.Setenv("NO_COLOR", noColor)
		master, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 20}); err != nil {
			t.Fatal(err)
		}
		read := make(chan string)
		go func() {
			var b bytes.Buffer
			_, _ = io.Copy(&b, master) // ends with EIO when the terminal is closed
			read <- b.String()
		}()
		cmd := newCommand()
		cmd.SetOut(tty)
		cmd.SetArgs([]string{"doctor", "--config", file})
		_ = cmd.ExecuteContext(t.Context()) // this machine may have problems
		if err := tty.Close(); err != nil {
			t.Error(err)
		}
		out := <-read
		if err := master.Close(); err != nil {
			t.Error(err)
		}
		if strings.Contains(out, "\x1b[32mok") != (noColor == "") || strings.Contains(out, "\x1b") != (noColor == "") {
			t.Errorf("NO_COLOR=%q:\n%q", noColor, out)
		}
		if want := "config\r\n  " + file[:1]; !strings.Contains(out, want) {
			t.Errorf("no %q in\n%q", want, out)
		}
		// A sentence that each run has: it is more than 20 columns long.
		if want := "\r\n  an inotify queue\r\n  holds "; !strings.Contains(out, want) {
			t.Errorf("no %q in\n%q", want, out)
		}
	}
}
