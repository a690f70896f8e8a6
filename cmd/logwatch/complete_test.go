package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/api"
)

func TestCompleteParts(t *testing.T) {
	var all []api.Container
	for _, n := range [][3]string{
		{"shop", "web-1", "app"},
		{"shop", "web-1", "proxy"},
		{"shop", "web-2", "app"},
		{"kube-system", "dns", "dns"},
		{"shop", "a\x1b[2J", "app"},
		{"shop", "a b", "app"},
		{"shop", "$(reboot)", "app"},
		{"shop", "`id`", "app"},
	} {
		all = append(all, api.Container{Names: api.Names{Namespace: n[0], Pod: n[1], Container: n[2]}})
	}
	for typed, want := range map[string][]string{
		"":               {"kube-system/", "shop/"},
		"sh":             {"shop/"},
		"shop/":          {"shop/web-1", "shop/web-2"},
		"shop/web-1/":    {"shop/web-1/app", "shop/web-1/proxy"},
		"shop/web-1/p":   {"shop/web-1/proxy"},
		"shop/web-1/p/":  nil,
		"other/":         nil,
		"kube-system/dn": {"kube-system/dns"},
	} {
		if got := parts(all, typed); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

// TestCompletions: each shell takes its script, and bash completes with it.
func TestCompletions(t *testing.T) {
	for _, shell := range []struct{ name, check string }{{"bash", "-n"}, {"zsh", "-n"}, {"fish", "--no-execute"}} {
		t.Run(shell.name, func(t *testing.T) {
			var script bytes.Buffer
			cmd := newCommand()
			cmd.SetOut(&script)
			cmd.SetArgs([]string{"completion", shell.name})
			if err := cmd.Execute(); err != nil {
				t.Fatal(err)
			}
			path, err := exec.LookPath(shell.name)
			if err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skipf("%s is not installed (see hack/test-deps)", shell.name)
			}
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, script.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(path, shell.check, file).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	for _, tt := range []struct{ line, want string }{{"sta", "status"}, {"status -o w", "wide"}, {"che", "check-config"}} {
		var out bytes.Buffer
		cmd := newCommand()
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"__complete"}, strings.Fields(tt.line)...))
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s<tab>: %s", tt.line, out.String())
		}
	}
}
