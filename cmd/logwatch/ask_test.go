package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/server"
	"github.com/logwatch/logwatch/internal/testutil"
)

// answers is a daemon that has an answer.
type answers struct{ results []api.Result }

func (answers) Status(_ context.Context, which api.Names, _ bool) api.Status {
	s := api.Status{Node: api.Node{Version: "v9"}, Containers: []api.Container{}}
	if c := (api.Container{Names: api.Names{Namespace: "shop", Pod: "web\x1b[2J", Container: "app"}}); which.Matches(c.Names) {
		s.Containers = append(s.Containers, c)
	}
	return s
}

func (a answers) Rotate(_ context.Context, which api.Names) (<-chan api.Result, int, error) {
	out := make(chan api.Result, len(a.results))
	for _, r := range a.results {
		if which.Matches(r.Names) {
			out <- r
		}
	}
	return out, len(out), nil
}

func (answers) Reload(context.Context) error { return errors.New("line 3: unknown key") }

func TestAskTheDaemon(t *testing.T) {
	dir, err := os.MkdirTemp("", "logwatch") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	socket, file, off := filepath.Join(dir, "s.sock"), filepath.Join(dir, "a.yaml"), filepath.Join(dir, "off.yaml")
	for name, text := range map[string]string{file: "controlSocket: " + socket, off: `controlSocket: ""`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	web := api.Names{Namespace: "shop", Pod: "web", Container: "a\nb"}
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() {
		d := answers{[]api.Result{
			{Names: web, Result: api.Rotated, To: "0.log.20260102-030405", Size: 10 << 20, Seconds: 0.0021},
			{Names: api.Names{Namespace: "shop", Pod: "db", Container: "c"}, Result: api.Empty},
			{Names: api.Names{Namespace: "shop", Pod: "bad", Container: "c"}, Result: api.Failed, Error: "no\x1b"},
		}}
		server.Run(ctx, server.Options{
			ControlSocket: socket, Log: zerolog.Nop(), Snapshot: d.Status, Rotate: d.Rotate, Reload: d.Reload,
			Healthy: func(context.Context) error { return nil },
			Ready:   func(context.Context) error { return errors.New("the first sweep has not ended yet") },
		})
	})
	defer g.Wait()
	defer cancel()
	testutil.Eventually(t, "the daemon to listen", func() bool {
		_, err := api.NewClient(socket).Status(t.Context(), api.Names{}, false)
		return err == nil
	})

	none := filepath.Join(dir, "none.sock")
	for _, tt := range []struct{ args, out, err string }{
		{"status", `web\x1b[2J`, ""},
		{"status shop", `web\x1b[2J`, ""},
		{"status shop/none", "No running containers.", "no running container matches shop/none on this node: `logwatch status` lists all"},
		{"status -o json", `"pod": "web\u001b[2J"`, ""},
		{"status -o yaml", "version: v9\n", ""},
		{"status -o xml", "", `invalid output format "xml": must be one of table, wide, json, yaml`},
		{"status a/b/c/d", "", `invalid name "a/b/c/d": use NAMESPACE, NAMESPACE/POD or NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app`},
		{"status /b", "", `invalid name "/b": use NAMESPACE, NAMESPACE/POD or NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app`},
		{"status --config " + file, "web", ""},
		{"status --config " + off, "", off + ` has controlSocket: "": give it a path, such as /run/logwatch/logwatch.sock, and restart the daemon`},
		{"status --control-socket=", "", `invalid --control-socket "": must be the path of the daemon's socket, such as /run/logwatch/logwatch.sock`},
		{"status --control-socket " + none, "", "no daemon answers at " + none + ": is it running? systemctl status logwatch; if it has another controlSocket, name its file with --config"},
		{"rotate shop/web", `shop/web/a\nb: rotated 10Mi to 0.log.20260102-030405 in 2.1ms` + "\n", ""},
		{"rotate shop/db", "shop/db/c: empty, left unchanged\n", ""},
		{"rotate --all", "shop/bad/c: FAILED: no\\x1b\n1 of 3 rotated\n", "1 of 3 rotations failed: see above, and `logwatch status`"},
		{"rotate shop/none", "", "no running container matches shop/none on this node: `logwatch status` lists all"},
		{"rotate shop", "", `"shop" is a namespace: specify a pod in it, as shop/POD`},
		{"rotate", "", "specify NAMESPACE/POD[/CONTAINER] or --all"},
		{"rotate --all shop/web", "", "specify NAMESPACE/POD[/CONTAINER] or --all"},
		{"reload --config " + file, "", "reload: the daemon: line 3: unknown key"},
		{"reload --config " + off, "", off + ` has controlSocket: "": give it a path, such as /run/logwatch/logwatch.sock, and restart the daemon`},
		{"status --check healthy", "healthy\n", ""},
		{"status --check ready", "", "the daemon: the first sweep has not ended yet"},
		{"status --check live", "", `invalid --check "live"; must be one of ready, healthy`},
		{"status --check ready --control-socket " + none, "", "no daemon answers at " + none + ": is it running? systemctl status logwatch; if it has another controlSocket, name its file with --config"},
	} {
		t.Run(strings.ReplaceAll(tt.args, "/", "_"), func(t *testing.T) {
			args := strings.Fields(tt.args)
			if !strings.Contains(tt.args, "--con") {
				args = append(args, "--control-socket", socket)
			}
			var out bytes.Buffer
			cmd := newCommand()
			cmd.SetOut(&out)
			cmd.SetArgs(args)
			message := ""
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				message = fmt.Sprint(err)
			}
			if message != tt.err || !strings.Contains(out.String(), tt.out) {
				t.Errorf("error %q, want %q; output\n%s\nwant\n%s", message, tt.err, out.String(), tt.out)
			}
		})
	}
}

// blocks is set for a process that is only there for its command line and the lock of
// a directory, if it is set to one.
const blocks = "LOGWATCH_TEST_BLOCKS"

func init() {
	dir := os.Getenv(blocks)
	if dir == "" {
		return
	}
	if f, err := os.Open(dir); err == nil {
		defer f.Close() //nolint:errcheck // ends with the process
		_ = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// TestReloadSignalsNoProcess: a process that holds the lock of podLogsDir is not taken
// for the daemon, whatever its name.
func TestReloadSignalsNoProcess(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(file, []byte("podLogsDir: "+dir+"\ncontrolSocket: "+dir+"/s.sock\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("/proc/self/exe", "run", "--config", file)
	holder.Args[0], holder.Env = "logwatch", []string{blocks + "=" + dir}
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the lock", func() bool {
		pid, _ := agent.Find(dir) // none yet
		return pid == holder.Process.Pid
	})
	cmd := newCommand()
	cmd.SetArgs([]string{"reload", "--config", file})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "no daemon answers") {
		t.Errorf("reload: %v", err)
	}
	if err := errors.Join(in.Close(), holder.Wait()); err != nil {
		t.Errorf("the holder of the lock ended: %v", err)
	}
}

// TestMainProcess: without flags, a unit's command uses the configuration that the
// unit's process runs with.
func TestMainProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(file, []byte("controlSocket: /none/file.sock\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ line, want string }{
		{"run --config " + file, "no daemon answers at /none/file.sock"},
		{"run --config=" + file + " --control-socket /none/flag.sock", "no daemon answers at /none/flag.sock"},
		{"run --no-such-flag", "is not a logwatch"},
	} {
		process := exec.Command("/proc/self/exe", strings.Fields(tt.line)...)
		process.Env = []string{blocks + "=1"}
		in, err := process.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		t.Setenv("MAINPID", fmt.Sprint(process.Process.Pid))
		cmd := newCommand()
		cmd.SetArgs([]string{"reload"})
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.line, err, tt.want)
		}
		if err := errors.Join(in.Close(), process.Wait()); err != nil {
			t.Error(err)
		}
	}
}
