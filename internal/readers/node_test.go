package readers

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

const (
	timeout = time.Minute
	tick    = time.Millisecond
	dirA    = "ns_a_uid/c"
	dirB    = "ns_b_uid/c"
)

// node is a podLogsDir and a Tracker of it. Time is that of the synctest bubble, the processes are
// real ones, started before.
type node struct {
	*testing.T
	logs string
	*Tracker
}

// inBubble runs f with fake time.
func inBubble(t *testing.T, f func(n *node), children ...*child) {
	t.Helper()
	logs, proc := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := &node{T: t, logs: logs, Tracker: New(Options{PodLogsDir: logs, Proc: proc, Timeout: timeout})}
		n.scans = 2 // it runs for a while
		n.show("self", os.Getpid())
		for _, c := range children {
			c.t = t
			n.show(strconv.Itoa(c.cmd.Process.Pid), c.cmd.Process.Pid)
		}
		f(n)
	})
}

// show adds a real process to those that the Tracker sees: the machine's others cost time.
func (n *node) show(name string, pid int) {
	n.Helper()
	if err := os.Symlink("/proc/"+strconv.Itoa(pid), filepath.Join(n.proc, name)); err != nil {
		n.Fatal(err)
	}
}

// write appends to a file of a container and returns its path.
func (n *node) write(dir, name string, bytes int) string {
	n.Helper()
	path := filepath.Join(n.logs, dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		n.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		n.Fatal(err)
	}
	if _, err := f.Write(make([]byte, bytes)); err != nil {
		n.Fatal(err)
	}
	if err := f.Close(); err != nil {
		n.Fatal(err)
	}
	return path
}

// rotate exchanges dirA's live log with an empty one, and returns the rotated log.
func (n *node) rotate() string {
	n.Helper()
	live := filepath.Join(n.logs, dirA, "0.log")
	rotated := n.write(dirA, "0.log.20261121-100000", 0)
	if err := unix.Renameat2(unix.AT_FDCWD, live, unix.AT_FDCWD, rotated, unix.RENAME_EXCHANGE); err != nil {
		n.Fatal(err)
	}
	return rotated
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t).Ino
}

// discover has a sweep.
func (n *node) discover() {
	n.Helper()
	if err := n.Discover(n.Context()); err != nil {
		n.Fatal(err)
	}
}

// settle has two sweeps, between which a process can show that it stays.
func (n *node) settle() {
	n.Helper()
	n.discover()
	time.Sleep(10 * time.Second)
	n.discover()
}

// look returns the readers of a container, later than all before.
func (n *node) look(dir string) []Follower {
	time.Sleep(tick)
	return n.Followers(dir, 0)
}

// followers returns the commands of a container's readers.
func (n *node) followers(dir string) (commands []string) {
	for _, f := range n.look(dir) {
		c := f.Command
		if f.Dead {
			c += " dead"
		}
		if f.Expected {
			c += " expected"
		}
		commands = append(commands, c)
	}
	slices.Sort(commands)
	return commands
}

// expect fails the test unless these are the readers of a container.
func (n *node) expect(dir string, want ...string) {
	n.Helper()
	if got := n.followers(dir); !slices.Equal(got, want) {
		n.Fatalf("readers of %s: %q; want %q", dir, got, want)
	}
}

// one returns the only reader of a container.
func (n *node) one(dir string) Follower {
	n.Helper()
	f := n.look(dir)
	if len(f) != 1 {
		n.Fatalf("%d readers of %s: %+v", len(f), dir, f)
	}
	return f[0]
}

// position checks an offset.
func position(t testing.TB, positions map[uint64]int64, inode uint64, want int64) {
	t.Helper()
	if got, ok := positions[inode]; !ok || got != want {
		t.Errorf("offset %d, %v; want %d", got, ok, want)
	}
}
