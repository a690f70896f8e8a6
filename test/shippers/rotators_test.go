package shippers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rotator is a program that rotates logs beside a shipper.
type rotator struct {
	name string
	// start runs it on a node; dir is for its files.
	start func(t *testing.T, n *node, dir string) *process
}

// rotators are the rows of the matrix.
var rotators = []rotator{
	{"logwatch", logwatch("")},
	{"logwatch without CAP_SYS_PTRACE", logwatch("", "setpriv", "--bounding-set=-sys_ptrace")},
	{"logwatch without readers", logwatch(noReaders)},
	{"logwatch without readers, renaming", logwatch(noReaders, os.Args[0], noExchange)},
	{"kubelet", startKubelet},
}

// noReaders lets logwatch wait for no shipper.
const noReaders = "unreadLogBudget: 0\nlogReaders: {ignore: \"otelcol,rsyslogd,filebeat\"}\n"

func logwatch(yaml string, before ...string) func(*testing.T, *node, string) *process {
	return func(t *testing.T, n *node, dir string) *process {
		return startLogwatch(t, n, dir, noSocket+yaml, before...)
	}
}

const noSocket = "controlSocket: \"\"\n"

// build builds a package of a module, once for each test process: the go command caches.
func build(t *testing.T, module, pkg, path string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, pkg)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// startLogwatch runs logwatch with additional configuration in YAML; before is a command
// that runs it.
func startLogwatch(t *testing.T, n *node, dir, yaml string, before ...string) *process {
	t.Helper()
	yaml += fmt.Sprintf("\ncontainerRuntimeEndpoint: %q\npodLogsDir: %q\n", n.endpoint, n.podLogsDir)
	yaml += "logging: {format: json, level: debug}\nmetrics: {listenAddress: \"\"}\n"
	file := filepath.Join(dir, "logwatch.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(before, build(t, "../..", "./cmd/logwatch", filepath.Join(dir, "logwatch")), "run", "--config", file)
	p := newProcess(t, filepath.Join(dir, "logwatch.log"), args...)
	p.start("sweep ended")
	return p
}

// startKubelet runs kubelet's own log manager with its defaults.
func startKubelet(t *testing.T, n *node, dir string) *process {
	t.Helper()
	binary := build(t, "../../bench", "./kubelet-rotator", filepath.Join(dir, "kubelet-rotator"))
	p := newProcess(t, filepath.Join(dir, "kubelet.log"), binary, "-endpoint="+n.endpoint)
	p.start("rotating")
	return p
}

// noExchange runs the command after it without RENAME_EXCHANGE, as on a file system that
// lacks it.
const noExchange = "-run-without-exchange"

// runWithoutExchange replaces this process by a command whose calls of renameat2 with
// RENAME_EXCHANGE fail with EINVAL, by a seccomp filter.
func runWithoutExchange(command []string) error {
	runtime.LockOSThread() // the filter is this thread's, which execve keeps
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		result = unix.BPF_RET | unix.BPF_K
		number = 0          // offset in struct seccomp_data
		flags  = 16 + 4*8   // of the fifth argument's lower half
		errno  = 0x00050000 // SECCOMP_RET_ERRNO
		allow  = 0x7fff0000 // SECCOMP_RET_ALLOW
	)
	filter := []unix.SockFilter{
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_RENAMEAT2, Jf: 3},
		{Code: load, K: flags},
		{Code: equal, K: unix.RENAME_EXCHANGE, Jf: 1},
		{Code: result, K: errno | uint32(unix.EINVAL)},
		{Code: result, K: allow},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("set a seccomp filter: %w", err)
	}
	return errors.Join(errors.New("execve"), unix.Exec(command[0], command, os.Environ()))
}
