package agent

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHolds is about what lockHolder goes by where a lock's device is not stat's, as on
// btrfs.
func TestHolds(t *testing.T) {
	dir := t.TempDir()
	var st unix.Stat_t
	must(t, unix.Stat(dir, &st))
	if holds(os.Getpid(), st) {
		t.Error("no process has it open")
	}
	f, err := os.Open(dir)
	must(t, err)
	if !holds(os.Getpid(), st) {
		t.Error("this process has it open")
	}
	must(t, f.Close())
}

// TestBlocks blocks, as the process of TestIsLogwatch.
func TestBlocks(*testing.T) {
	if os.Getenv("BLOCKS") != "" {
		_, _ = os.Stdout.WriteString("x")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// TestIsLogwatch: neither a name nor another user's process proves a logwatch.
func TestIsLogwatch(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("starts a process of another user: run as root")
	}
	if !isLogwatch(os.Getpid()) {
		t.Error("this process is not one")
	}
	started := func(cmd *exec.Cmd, uid uint32) int {
		t.Helper()
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		cmd.Env = []string{"BLOCKS=1"}
		in, err := cmd.StdinPipe()
		must(t, err)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() {
			must(t, in.Close())
			_ = cmd.Wait()
		})
		_, err = io.WriteString(in, "x")
		must(t, err)
		_, err = io.ReadFull(out, make([]byte, 1)) // it has the program by now
		must(t, err)
		return cmd.Process.Pid
	}
	// As a copy, which another user may run.
	named := exec.Command("/bin/cat")
	named.Args[0] = "logwatch"
	if isLogwatch(started(named, 0)) {
		t.Error("a process whose name is logwatch is one")
	}
	if !isLogwatch(started(exec.Command("/proc/self/exe", "-test.run=^TestBlocks$"), 0)) {
		t.Error("another process of this program is not one")
	}
	if isLogwatch(started(exec.Command("/proc/self/exe", "-test.run=^TestBlocks$"), 65534)) {
		t.Error("another user's process is one")
	}
}
