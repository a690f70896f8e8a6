package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// logTree is a podLogsDir with a pod of two containers, one of which was restarted.
func logTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"shop_web-1_u1/app/0.log.20260101-000000.gz": "01Z stdout F one\n2026-01-01T00:00:02Z stdout P tw\n",
		"shop_web-1_u1/app/0.log":                    "03Z stderr F three\n2026-01-01T00:00:04Z stdout F o\n",
		"shop_web-1_u1/app/1.log":                    "06Z stdout F \x1b[2Jsix\n",
		"shop_web-1_u1/init/0.log":                   "05Z stdout F five\n",
	} {
		data := []byte("2026-01-01T00:00:" + text)
		if filepath.Ext(name) == ".gz" {
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			_, err := w.Write(data)
			if err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			data = packed.Bytes()
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLogs(t *testing.T) {
	root := logTree(t)
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte("podLogsDir: "+root), 0o600); err != nil {
		t.Fatal(err)
	}
	const app = "one\nthree\ntwo\n\\x1b[2Jsix\n"
	for _, tt := range []struct{ args, out, err string }{
		{"shop/web-1/app", app, ""},
		{"shop/web-1/app --config " + file + " --pod-logs-dir=", app, ""},
		{"shop/web-1", "[app] one\n[app] three\n[app] two\n[init] five\n[app] \\x1b[2Jsix\n", ""},
		{"shop/web-1 --prefix=false", "one\nthree\ntwo\nfive\n\\x1b[2Jsix\n", ""},
		{"shop/web-1/init --prefix --color always", "\x1b[96m[init]\x1b[0m five\n", ""},
		{"shop/web-1/app --raw-escapes --tail 1", "\x1b[2Jsix\n", ""},
		{"shop/web-1/app --tail 2 --timestamps", "2026-01-01T00:00:02Z two\n2026-01-01T00:00:06Z \\x1b[2Jsix\n", ""},
		{"shop/web-1/app --previous --stream stdout", "one\ntwo\n", ""},
		{"shop/web-1/app --grep ^t[wx]o$", "two\n", ""},
		{"shop/web-1/app --since-time 2026-01-01T01:00:03+01:00", "three\n\\x1b[2Jsix\n", ""},
		{"shop/web-1/app --since 1m", "", ""},
		{
			"shop/web-1/app -o json --grep two",
			`{"time":"2026-01-01T00:00:02Z","stream":"stdout","namespace":"shop","pod":"web-1","container":"app","restart":0,"file":"0.log","log":"two"}` + "\n", "",
		},
		{"shop/none", "", "no logs of shop/none below " + root + ": is the pod on this node? ls " + root},
		{"shop/web-1/no", "", `shop/web-1 has no container "no": it has app, init`},
		{"shop", "", `"shop" is a namespace: specify a pod in it, as shop/POD`},
		{"shop/web-1/app --tail -5", "", "invalid --tail -5; use a number of lines, or -1 for all"},
		{"shop/web-1/app -p -f", "", "--previous and --follow exclude each other: a restart that has ended logs nothing more"},
		{"shop/web-1/app --stream stdin", "", `invalid --stream "stdin"; must be one of stdout, stderr`},
		{"shop/web-1/app -o xml", "", `invalid --output "xml"; must be one of raw, json`},
		{"shop/web-1/app --color red", "", `invalid --color "red"; must be one of auto, always, never`},
		{"shop/web-1/app --since yesterday", "", `invalid --since "yesterday"; use a duration such as 90s, 5m or 3h`},
		{"shop/web-1/app --since 1h --since-time 2026-01-01T01:00:03Z", "", "--since and --since-time exclude each other"},
		{"shop/web-1/app --since-time now", "", `invalid --since-time "now"; use a time such as 2026-03-29T02:00:00Z or 2026-03-29T04:00:00+02:00`},
		{"shop/web-1/app --grep (", "", "invalid --grep: error parsing regexp: missing closing ): `(`: see https://github.com/google/re2/wiki/Syntax"},
		{"shop/web-1 --pod-logs-dir /none", "", "logs: open /none: no such file or directory: specify the directory with --pod-logs-dir, or the daemon's file with --config"},
	} {
		t.Run(strings.ReplaceAll(tt.args, "/", "_"), func(t *testing.T) {
			args := append([]string{"logs"}, strings.Fields(tt.args)...)
			if !strings.Contains(tt.args, "--pod-logs-dir") {
				args = append(args, "--pod-logs-dir", root)
			}
			var out, warnings bytes.Buffer
			cmd := newCommand()
			cmd.SetOut(&out)
			cmd.SetErr(&warnings)
			cmd.SetArgs(args)
			message := ""
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				message = fmt.Sprint(err)
			}
			if message != tt.err || out.String() != tt.out || warnings.String() != "" {
				t.Errorf("error %q, want %q; output\n%q\nwant\n%q\nnotes %s", message, tt.err, out.String(), tt.out, warnings.String())
			}
		})
	}
}

func TestLogsCompletion(t *testing.T) {
	root := logTree(t)
	for begun, want := range map[string]string{
		"s": "shop/", "shop/": "shop/web-1", "shop/web-1/": "shop/web-1/app\nshop/web-1/init",
	} {
		var out bytes.Buffer
		cmd := newCommand()
		cmd.SetOut(&out)
		cmd.SetArgs([]string{"__complete", "logs", "--pod-logs-dir", root, begun})
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		// Behind the last one come the directives: no files, no blank.
		if got, _, _ := strings.Cut(out.String(), "\n:6\n"); got != want {
			t.Errorf("%q: %q, want %q", begun, out.String(), want)
		}
	}
}

func TestLogsColor(t *testing.T) {
	env := map[string]string{}
	getenv := func(key string) string { return env[key] }
	if wantsColor("auto", &bytes.Buffer{}, getenv) || !wantsColor("always", &bytes.Buffer{}, getenv) || wantsColor("never", os.Stdout, getenv) {
		t.Error("color without a terminal, or none with --color always")
	}
}

func TestLogsSince(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if at, err := (&logsFlags{since: "90m"}).from(now); err != nil || !at.Equal(now.Add(-90*time.Minute)) {
		t.Errorf("%v, %v", at, err)
	}
}

// TestLogsWithoutRoot: another user is asked to run it as root.
func TestLogsWithoutRoot(t *testing.T) {
	if os.Getenv("LOGWATCH_TEST_ROOT") != "" { // the process below
		cmd := newCommand()
		cmd.SetErr(os.Stdout)
		cmd.SetArgs([]string{"logs", "shop/web-1/app", "--pod-logs-dir", os.Getenv("LOGWATCH_TEST_ROOT")})
		fmt.Println("error:", cmd.Execute())
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("another user's logs need root to create")
	}
	root := logTree(t)
	readable := func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	}
	for path, want := range map[string]string{
		root:                              "specify the directory",
		root + "/shop_web-1_u1":           "",
		root + "/shop_web-1_u1/app":       "",
		root + "/shop_web-1_u1/app/0.log": "",
		root + "/shop_web-1_u1/app/1.log": "three\n", // of 0.log, which all may read
	} {
		// All is open to all; only path is root's alone.
		for dir := filepath.Dir(root); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := filepath.WalkDir(root, readable); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLogsWithoutRoot$")
		cmd.Env = append(os.Environ(), "LOGWATCH_TEST_ROOT="+root)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "permission denied: run as root") || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}
