package readers

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPositions: the positions of a reader that holds its files, over rotations and removals.
func TestPositions(t *testing.T) {
	c := start(t, program(t, "shipper"), 0)
	inBubble(t, func(n *node) {
		n.proc = "/proc" // with all its processes
		first := n.write(dirA, "0.log", 1000)
		firstInode := inode(n, first)
		c.do("open", first)
		c.do("read", first, 1000)
		n.discover()
		n.expect(dirA, "shipper") // for the time of the probation
		time.Sleep(span)
		n.expect(dirA, "shipper") // without another sweep
		since := time.Now()

		n.write(dirA, "0.log", 500)
		time.Sleep(5 * time.Second)
		if f := n.one(dirA); time.Since(f.Progress) != 5*time.Second+tick || f.PID != c.cmd.Process.Pid || f.Kubelet {
			n.Errorf("%+v", f)
		}
		c.do("read", first, 400)
		f := n.one(dirA)
		position(n, f.Positions, firstInode, 1400)
		if f.Progress != time.Now() || f.Since.After(since) {
			n.Errorf("%+v", f)
		}
		if f := n.Followers(dirA, time.Second); f[0].Positions[firstInode] != 1400 {
			n.Errorf("%+v", f)
		}
		c.do("read", first, 50)
		if f := n.Followers(dirA, time.Second); f[0].Positions[firstInode] != 1400 {
			n.Errorf("younger than asked for, and read again: %+v", f)
		}
		position(n, n.one(dirA).Positions, firstInode, 1450)

		rotated := n.rotate()
		n.write(dirA, "0.log", 300)
		time.Sleep(time.Second)
		f = n.one(dirA)
		position(n, f.Positions, firstInode, 1450)
		if len(f.Positions) != 1 || f.Rate < 440 || f.Rate > 450 { // in the last second
			n.Errorf("%+v", f)
		}
		c.do("open", first) // by the same name: the new live log
		c.do("read", first, 100)
		time.Sleep(time.Second)
		f = n.one(dirA)
		position(n, f.Positions, firstInode, 1450)
		position(n, f.Positions, inode(n, first), 100)

		if err := os.Remove(rotated); err != nil {
			n.Fatal(err)
		}
		n.discover()
		position(n, n.one(dirA).Positions, firstInode, 1450)
		if f := n.one(dirA); f.Rate < 100 || f.Rate > 450 {
			n.Errorf("%+v", f)
		}
		if s := n.Stats(); len(s.Readers) != 1 || s.Readers[0].LagBytes != 50+200 || s.Readers[0].Containers != 1 {
			n.Errorf("%+v", s)
		}
	}, c)
}

// TestNotReaders: processes that have logs open, and do not follow them.
func TestNotReaders(t *testing.T) {
	cat, idle, writer := start(t, program(t, "cat"), 0), start(t, program(t, "idle"), 0), start(t, program(t, "shipper"), 0)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ours := start(t, self, 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		empty := n.write(dirB, "0.log", 0)
		for _, c := range []*child{cat, idle, ours} {
			c.do("open", log)
			c.do("open", empty)
		}
		cat.do("read", log, 1000)
		ours.do("read", log, 1000)
		n.discover()
		cat.do("close", log)
		cat.do("close", empty)
		foreign := filepath.Join(n.TempDir(), dirA, "0.log") // another directory of the same layout
		if err := os.MkdirAll(filepath.Dir(foreign), 0o755); err != nil {
			n.Fatal(err)
		}
		if err := os.WriteFile(foreign, make([]byte, 10), 0o600); err != nil {
			n.Fatal(err)
		}
		writer.do("open", foreign)
		writer.do("read", foreign, 10)
		for range 6 {
			time.Sleep(10 * time.Second)
			n.discover()
			n.expect(dirA)
			n.expect(dirB)
		}
		n.mustTrack(1) // the idle one: it may begin to read
		if s := n.Stats(); len(s.Readers) > 0 {
			n.Errorf("%+v", s)
		}
	}, cat, idle, writer, ours)
}

// TestBehind: a process that is behind from the start counts as long as it advances and has the
// log open.
func TestBehind(t *testing.T) {
	c := start(t, program(t, "backup"), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", nearEnd+100_000)
		n.write(dirB, "0.log", 100)
		c.do("open", log)
		n.discover()
		time.Sleep(5 * time.Second)
		n.expect(dirA)
		c.do("read", log, 1000)
		n.expect(dirA, "backup")
		n.discover()
		n.expect(dirB) // it may be no more than a slow backup
		c.do("close", log)
		n.settle()
		n.expect(dirA)
	}, c)
}

// TestStopped: a reader that does not progress counts until the timeout, and again once it
// progresses.
func TestStopped(t *testing.T) {
	c := start(t, program(t, "shipper"), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		n.expect(dirA, "shipper")
		c.signal(syscall.SIGSTOP)
		n.write(dirA, "0.log", 1000)
		stopped := time.Now()
		for time.Since(stopped) < timeout-10*time.Second {
			time.Sleep(10 * time.Second)
			n.discover()
			if f := n.one(dirA); f.Progress.After(stopped) {
				n.Fatalf("progress %v after it was stopped", f.Progress.Sub(stopped))
			}
		}
		time.Sleep(11 * time.Second)
		n.expect(dirA)
		c.signal(syscall.SIGCONT)
		c.do("read", log, 10)
		n.expect(dirA, "shipper")
	}, c)
}

// TestRestarted: a reader that was killed counts until another of its kind has the live log open.
func TestRestarted(t *testing.T) {
	path := program(t, "shipper")
	c, other := start(t, path, 0), start(t, program(t, "other"), 0)
	var second *child
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		first := inode(n, log)
		for _, c := range []*child{c, other} {
			c.do("open", log)
			c.do("read", log, 1000)
		}
		n.settle()
		n.write(dirA, "0.log", 1000)
		c.kill()
		n.write(dirB, "0.log", 1000)
		time.Sleep(time.Second)
		n.expect(dirA, "other", "shipper dead")
		n.expect(dirB, "other expected", "shipper dead expected")
		n.discover()
		for _, f := range n.look(dirA) {
			if f.Dead {
				position(n, f.Positions, first, 1000)
			}
		}
		if err := unix.Nanosleep(&unix.Timespec{Nsec: 2e7}, nil); err != nil { // a process's start is known to a clock tick
			n.Fatal(err)
		}
		second = start(t, path, 0)
		n.show(strconv.Itoa(second.cmd.Process.Pid), second.cmd.Process.Pid)
		time.Sleep(10 * time.Second)
		n.discover()
		n.expect(dirA, "other", "shipper dead")
		rotated := n.rotate()
		second.do("open", rotated)
		n.discover()
		n.expect(dirA, "other", "shipper", "shipper dead")
		second.do("open", log)
		n.discover()
		n.expect(dirA, "other", "shipper") // at once: its command is that of a reader
		n.expect(dirB, "other expected", "shipper expected")
		second.do("read", rotated, 2000)
		n.expect(dirA, "other", "shipper")

		other.kill()
		n.discover()
		time.Sleep(timeout - tick)
		n.expect(dirA, "other dead", "shipper")
		n.expect(dirA, "shipper")
		n.discover()
		n.expect(dirA, "shipper")
	}, c, other)
}

// TestZombie: a reader that has exited is dead, though its parent has not waited for it.
func TestZombie(t *testing.T) {
	c := start(t, program(t, "shipper"), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		c.signal(syscall.SIGKILL)
		if err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			n.Fatal(err)
		}
		n.discover()
		if s := n.Stats(); len(s.Readers) != 1 || !s.Readers[0].Dead {
			n.Errorf("%+v", s)
		}
		n.expect(dirA, "shipper dead")
	}, c)
}

// TestInodeUsedAgain: no position of a removed file is taken for that of a new one.
func TestInodeUsedAgain(t *testing.T) {
	c := start(t, program(t, "shipper"), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		n.write(dirA, "0.log.20261121-100000", 1)
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		was := inode(n, log)
		c.kill()
		n.discover()
		position(n, n.one(dirA).Positions, was, 1000)
		for range 100 { // ext4 uses the inode again at once, others may not
			if err := os.Remove(log); err != nil {
				n.Fatal(err)
			}
			if n.write(dirA, "0.log", 1000); inode(n, log) == was {
				break
			}
		}
		n.Logf("inode %d after %d", inode(n, log), was)
		if f := n.one(dirA); len(f.Positions) > 0 {
			n.Errorf("%+v", f)
		}
	}, c)
}

// TestKubelet: kubectl logs -f shows for as long as it lasts.
func TestKubelet(t *testing.T) {
	c := start(t, program(t, "kubelet"), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		n.write(dirB, "0.log", 1000)
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		if f := n.one(dirA); !f.Kubelet {
			n.Errorf("%+v", f)
		}
		n.expect(dirB)
		c.do("close", log)
		n.settle()
		n.expect(dirA)
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		n.expect(dirA, "kubelet")
		c.kill()
		n.expect(dirA)
	}, c)
}

// TestExpected: readers of other containers are expected for a new one, for a while, unless they
// follow few.
func TestExpected(t *testing.T) {
	c, tail := start(t, program(t, "shipper"), 0), start(t, program(t, "tail"), 0)
	inBubble(t, func(n *node) {
		for i := range 3 {
			log := n.write("ns_"+strconv.Itoa(i)+"_uid/c", "0.log", 1000)
			for _, c := range []*child{c, tail}[:2-min(i, 1)] {
				c.do("open", log)
				c.do("read", log, 1000)
			}
		}
		n.settle()
		n.expect("ns_0_uid/c", "shipper", "tail")
		n.expect("ns_1_uid/c", "shipper")
		log := n.write(dirA, "0.log", 1000)
		n.expect(dirA, "shipper expected")
		time.Sleep(time.Second)
		c.do("open", log)
		n.expect(dirA, "shipper")
		c.do("close", log) // it has opened one: it is not expected again
		n.settle()
		n.expect(dirA, "shipper")
		time.Sleep(timeout)
		n.expect(dirA)

		n.write(dirB, "0.log", 1000)
		n.expect(dirB, "shipper expected")
		time.Sleep(timeout + 1)
		n.expect(dirB)
	}, c, tail)
}

// TestExchangesDescriptors: a reader that opens its files again at each poll has them open all the
// time.
func TestExchangesDescriptors(t *testing.T) {
	c := start(t, program(t, "otelcol"), 0)
	inBubble(t, func(n *node) {
		var logs []string
		for i := range 20 {
			log := n.write("ns_"+strconv.Itoa(i)+"_uid/c", "0.log", 1000)
			logs = append(logs, log)
			c.do("open", log)
			c.do("read", log, 1000)
		}
		n.settle()
		for range 5 {
			for _, log := range logs {
				c.do("reopen", log)
				n.write(strings.TrimPrefix(filepath.Dir(log), n.logs+"/"), "0.log", 100)
				c.do("read", log, 50)
			}
			for i, log := range logs {
				time.Sleep(relistPause)
				f := n.one("ns_" + strconv.Itoa(i) + "_uid/c")
				if size, err := os.Stat(log); err != nil || f.Positions[inode(n, log)] != size.Size()-(size.Size()-1000)/2 {
					n.Fatalf("%+v, %v", f, err)
				}
			}
		}
	}, c)
}

// TestManyDescriptors: a reader with 10,000 descriptors of one log, and one with more than are read.
func TestManyDescriptors(t *testing.T) {
	c := start(t, program(t, "shipper"), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		c.do("many", log, 10_000)
		n.discover()
		position(n, n.one(dirA).Positions, inode(n, log), 1000)
		if got := len(n.tracked[0].byFD); got != 10_001 {
			n.Errorf("%d descriptors", got)
		}
		for _, f := range n.tracked[0].open {
			if len(f.fds) != maxFDs {
				n.Errorf("%d descriptors are read each time", len(f.fds))
			}
		}
		exact := n.Stats()
		c.do("many", n.write(dirB, "0.log", 0), maxDescriptors-10_000)
		n.discover()
		if s := n.Stats(); s.Exact || s.Unreadable != exact.Unreadable+1 {
			n.Errorf("more descriptors than are read, and %+v", s)
		}
	}, c)
}

// TestOtherNamespace: a reader in another mount namespace has the logs under another path.
func TestOtherNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting requires root")
	}
	c := start(t, program(t, "shipper"), unix.CLONE_NEWNS)
	elsewhere := t.TempDir()
	inBubble(t, func(n *node) {
		n.write(dirA, "0.log", 1000)
		c.do("mount", n.logs, elsewhere)
		c.do("open", filepath.Join(elsewhere, dirA, "0.log"))
		c.do("read", filepath.Join(elsewhere, dirA, "0.log"), 1000)
		n.settle()
		n.expect(dirA, "shipper")
	}, c)
}

// TestHidden: processes that must not be looked into, or are not shown at all.
func TestHidden(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting requires root")
	}
	shipper, c := start(t, program(t, "shipper"), 0), start(t, program(t, "lookout"), unix.CLONE_NEWNS)
	logs, proc := t.TempDir(), t.TempDir()
	n := &node{T: t, logs: logs}
	shipper.do("open", n.write(dirA, "0.log", 1))
	c.do("hidepid", proc)
	c.do("drop")
	got := c.do("discover", "/proc", logs)
	if !strings.HasPrefix(got, "exact=false unreadable=") || strings.HasSuffix(got, "=0") {
		t.Error(got)
	}
	if got := c.do("discover", proc, logs); !strings.HasPrefix(got, "exact=false") {
		t.Error(got)
	}
}

// TestIgnored: commands of the list do not count, and do as soon as they are off it.
func TestIgnored(t *testing.T) {
	c := start(t, program(t, "shipper"), 0)
	inBubble(t, func(n *node) {
		n.Configure([]string{"shipper"}, timeout)
		log := n.write(dirA, "0.log", 1000)
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		n.expect(dirA)
		if s := n.Stats(); len(s.Readers) > 0 {
			n.Errorf("%+v", s)
		}
		n.Configure(nil, timeout)
		n.expect(dirA, "shipper")
	}, c)
}
