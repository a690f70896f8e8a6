package readers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv makes the test's program a process that opens and reads files as its standard input says.
const childEnv = "LOGWATCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		runChild()
		return
	}
	code := m.Run()
	if copied != "" {
		_ = os.RemoveAll(filepath.Dir(copied)) // what is left is in a temporary directory
	}
	os.Exit(code)
}

// runChild obeys one command a line, and answers each with a line.
func runChild() {
	runtime.LockOSThread() // capabilities are a thread's
	files := map[string]*os.File{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		answer, err := obey(files, words)
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Println(strings.ReplaceAll(answer, "\n", " "))
	}
}

func obey(files map[string]*os.File, words []string) (string, error) {
	arg := func(i int) string { return append(words, "", "", "")[i] }
	switch words[0] {
	case "open": // PATH
		f, err := os.Open(arg(1))
		files[arg(1)] = f
		return "", err
	case "many": // PATH COUNT
		for i := range number(arg(2)) {
			f, err := os.Open(arg(1))
			if err != nil {
				return "", err
			}
			files[arg(1)+strconv.Itoa(i)] = f
		}
		return "", nil
	case "read": // PATH BYTES
		n, err := io.CopyN(io.Discard, files[arg(1)], int64(number(arg(2))))
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return strconv.FormatInt(n, 10), err
	case "reopen": // PATH: exchanges the descriptor as OpenTelemetry's collector does
		old := files[arg(1)]
		pos, err := old.Seek(0, io.SeekCurrent)
		if err != nil {
			return "", err
		}
		next, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", old.Fd()))
		if err != nil {
			return "", err
		}
		if _, err := next.Seek(pos, io.SeekStart); err != nil {
			return "", err
		}
		files[arg(1)] = next
		return "", old.Close()
	case "close": // PATH
		return "", files[arg(1)].Close()
	case "mount": // FROM TO: in this process's mount namespace
		return "", unix.Mount(arg(1), arg(2), arg(3), map[bool]uintptr{true: unix.MS_BIND}[arg(3) == ""], "")
	case "hidepid": // PROC
		return "", unix.Mount("proc", arg(1), "proc", 0, "hidepid=2")
	case "drop": // CAP_SYS_PTRACE
		return "", drop(unix.CAP_SYS_PTRACE)
	case "discover": // PROC DIR
		tracker := New(Options{Proc: arg(1), PodLogsDir: arg(2), Timeout: time.Minute})
		err := tracker.Discover(context.Background())
		s := tracker.Stats()
		return fmt.Sprintf("exact=%v unreadable=%d", s.Exact, s.Unreadable), err
	}
	return "", fmt.Errorf("unknown command %q", words)
}

func number(s string) int { n, _ := strconv.Atoi(s); return n }

func drop(capability uint) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[capability/32].Effective &^= 1 << (capability % 32)
	data[capability/32].Permitted &^= 1 << (capability % 32)
	return unix.Capset(&header, &data[0])
}

// child is a process that opens and reads files.
type child struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

// program returns a copy of the test's program: a process of the same file is not a reader.
func program(t testing.TB, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), command)
	if err := os.Link(master(t), path); err != nil {
		t.Fatal(err)
	}
	return path
}

var copied string

// master is one copy, since its size is some MB.
func master(t testing.TB) string {
	t.Helper()
	if copied != "" {
		return copied
	}
	dir, err := os.MkdirTemp("", "logwatch-readers-")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	copied = filepath.Join(dir, "copy")
	if err := os.WriteFile(copied, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return copied
}

func start(t testing.TB, path string, flags uintptr) *child {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // killed
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// do has the child obey a command.
func (c *child) do(words ...any) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, words...); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error: ") {
		c.t.Fatalf("%v: %s %v", words, line, err)
	}
	return strings.TrimSpace(line)
}
