package agent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/testutil"
)

const waits = `"message":"another logwatch instance holds the lock`

// holdLock locks a directory from another process, as any user that may read it can.
func holdLock(t *testing.T, dir string) (pid int) {
	t.Helper()
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} { // the test's own
		must(t, os.Chmod(d, 0o755))
	}
	cmd := exec.Command("flock", "--exclusive", dir, "sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait() // killed
	})
	testutil.Eventually(t, "the lock", func() bool {
		f, err := os.Open(dir)
		must(t, err)
		defer f.Close() //nolint:errcheck // opened to be locked
		return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
	})
	return cmd.Process.Pid
}

// TestForeignLock: a process that may only read podLogsDir locks it, which does not
// stop logwatch.
func TestForeignLock(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	pid := holdLock(t, n.Runtime.PodLogsDir())
	n.Start()
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.WaitRotations(2)
	if n.Log.Count("another process holds a lock on podLogsDir") != 1 ||
		n.Log.Count(`"pid":`+strconv.Itoa(pid)+`,"command":"flock --exclusive `) != 1 {
		t.Error("the holder is not logged, with its command")
	}
	c.Exit()
	n.Stop()
	n.Check(c)
}

// TestSecondLogwatch: a second one waits until the first has ended, says for what, and
// stays alive.
func TestSecondLogwatch(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *agenttest.Daemon){
		"the same": func(*testing.T, *agenttest.Daemon) {},
		"another path": func(t *testing.T, d *agenttest.Daemon) {
			d.Options.Config.PodLogsDir = link(t, d.Options.Config.PodLogsDir)
		},
		"without flock": func(t *testing.T, d *agenttest.Daemon) { holdLock(t, d.Options.Config.PodLogsDir) },
		"another socket": func(t *testing.T, d *agenttest.Daemon) {
			d.Options.Config.ControlSocket = filepath.Join(t.TempDir(), "s.sock")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := agenttest.New(t, fake.Options{}, agenttest.Small)
			second := agenttest.NewDaemon(t, n.Runtime.Endpoint(), n.Runtime.PodLogsDir(), agenttest.Small)
			second.Options.Config.ControlSocket = n.Options.Config.ControlSocket
			change(t, second)
			n.Start()
			n.WaitSweeps(1)
			second.Start()
			second.WaitLog(waits, 1)
			n.WaitSweeps(2)
			if second.Log.Count("sweep ended") > 0 || second.Log.Count(`"pid":`+strconv.Itoa(os.Getpid())) != 1 {
				t.Error("it does not wait, or does not name the first")
			}
			n.Stop()
			second.WaitSweeps(1)
			second.Stop()
			if left := agenttest.List(t, filepath.Join(filepath.Dir(n.Options.Config.ControlSocket), "lock")); left != "" {
				t.Errorf("left: %s", left)
			}
		})
	}
}

// link returns another path of a directory.
func link(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, path))
	return path
}

// TestAnswersWhileLocked: what waits for the lock is healthy, is not ready, and says
// why.
func TestAnswersWhileLocked(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	n.Start()
	n.WaitSweeps(1)
	second := agenttest.NewDaemon(t, n.Runtime.Endpoint(), n.Runtime.PodLogsDir(), agenttest.Small)
	url, socket := second.Listen()
	second.Start()
	base := url()
	second.WaitLog(waits, 1)
	if s, err := api.NewClient(socket).Status(t.Context(), api.Names{}, false); err != nil || !strings.Contains(s.Node.Waiting, "(process "+strconv.Itoa(os.Getpid())+": ") {
		t.Errorf("%+v, %v", s.Node, err)
	}
	if code, body := fetch(t, base+"/healthz"); code != 200 {
		t.Errorf("healthz: %d %s", code, body)
	}
	if code, body := fetch(t, base+"/readyz"); code != 503 || !strings.Contains(body, "another logwatch instance") {
		t.Errorf("readyz: %d %s", code, body)
	}
}
