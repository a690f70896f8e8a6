package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// fakeProc is a directory like /proc, of processes that do not exist.
type fakeProc struct {
	testing.TB
	dir string
}

// inFakeProc runs f with fake time and fake processes.
func inFakeProc(t *testing.T, f func(n *node, p fakeProc)) {
	t.Helper()
	logs := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := newFakeProc(t)
		f(&node{T: t, logs: logs, Tracker: New(Options{PodLogsDir: logs, Proc: p.dir, Timeout: timeout})}, p)
	})
}

func newFakeProc(t testing.TB) fakeProc {
	p := fakeProc{TB: t, dir: t.TempDir()}
	p.process("self", "logwatch")
	p.link("self/ns/pid", hostPIDs)
	p.process("1", "systemd")
	return p
}

func (p fakeProc) file(name, content string) {
	p.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.Fatal(err)
	}
}

func (p fakeProc) link(name, to string) {
	p.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.Fatal(err)
	}
	_ = os.Remove(path) // usually there is none
	if err := os.Symlink(to, path); err != nil {
		p.Fatal(err)
	}
}

// process adds a process.
func (p fakeProc) process(pid, command string) {
	p.Helper()
	p.file(pid+"/program", "")
	p.link(pid+"/exe", filepath.Join(p.dir, pid, "program"))
	p.link(pid+"/ns/mnt", "mnt:[1]")
	p.file(pid+"/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda rw\n")
	started, _ := strconv.Atoi(pid)
	p.file(pid+"/stat", fmt.Sprintf("%s (%s) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d"+
		" 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", pid, command, started))
	p.file(pid+"/fdinfo/none", "")
	if err := os.MkdirAll(filepath.Join(p.dir, pid, "fd"), 0o755); err != nil {
		p.Fatal(err)
	}
}

// write adds a descriptor that is open for writing.
func (p fakeProc) write(pid string, fd int, path string) {
	p.Helper()
	p.link(fmt.Sprintf("%s/fd/%d", pid, fd), path)
	p.file(fmt.Sprintf("%s/fdinfo/%d", pid, fd), "pos:\t0\nflags:\t0102001\nmnt_id:\t27\n")
}

// open adds a descriptor, as kernels before 5.14 show it.
func (p fakeProc) open(pid string, fd int, path string, pos int64) {
	p.Helper()
	p.link(fmt.Sprintf("%s/fd/%d", pid, fd), path)
	p.file(fmt.Sprintf("%s/fdinfo/%d", pid, fd), fmt.Sprintf("pos:\t%d\nflags:\t0100000\nmnt_id:\t27\n", pos))
}

func (p fakeProc) exit(pid string) {
	p.Helper()
	if err := os.RemoveAll(filepath.Join(p.dir, pid)); err != nil {
		p.Fatal(err)
	}
}

// TestIdleProcesses: a process without a log is scanned with each sweep at first, then at least
// once a minute, and another process with its PID at once.
func TestIdleProcesses(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		n.free = -1
		log := n.write(dirA, "0.log", 1000)
		p.process("10", "late")
		for range earlyScans + 1 {
			n.discover()
			time.Sleep(10 * time.Second)
		}
		p.open("10", 3, log, 1000)
		n.discover()
		n.mustTrack(0)
		time.Sleep(2*idlePause - 20*time.Second)
		n.discover()
		n.mustTrack(1)

		p.process("11", "early")
		for range earlyScans + 1 {
			n.discover()
			time.Sleep(10 * time.Second)
		}
		p.exit("11")
		p.process("11", "next")
		p.open("11", 3, log, 1000)
		n.discover()
		n.mustTrack(2)
	})
}

// TestRuntimeIsScannedSeldom: a process that writes logs has hundreds of descriptors. They
// are not listed with each sweep, even if there is time for it.
func TestRuntimeIsScannedSeldom(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		n.free = time.Hour
		log := n.write(dirA, "0.log", 1000)
		p.process("10", "containerd")
		p.write("10", 3, log)
		p.process("11", "sidecar")
		for range earlyScans + 1 {
			n.discover()
			time.Sleep(10 * time.Second)
		}
		p.open("10", 4, log, 1000)
		p.open("11", 4, log, 1000)
		n.discover()
		n.mustTrack(1)
		time.Sleep(2*idlePause - 20*time.Second)
		n.discover()
		n.mustTrack(2)
	})
}

// mustTrack checks the number of processes with an open log.
func (n *node) mustTrack(want int) {
	n.Helper()
	if got := len(n.tracked); got != want {
		n.Fatalf("%d processes have a log open, want %d", got, want)
	}
}

// TestPIDUsedAgain: another process with the PID of a reader is not taken for it.
func TestPIDUsedAgain(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		log := n.write(dirA, "0.log", 1000)
		p.process("10", "shipper")
		p.open("10", 3, log, 1000)
		n.settle()
		n.expect(dirA, "shipper")
		p.exit("10")
		p.process("10", "cat")
		p.open("10", 3, log, 0)
		n.expect(dirA, "shipper dead")
		n.settle()
		n.expect(dirA, "shipper dead")
		n.mustTrack(2)
	})
}

// TestFilesBound: what is kept of a process that has very many files open.
func TestFilesBound(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		p.process("10", "hoarder")
		for i := range maxFiles + 10 {
			p.open("10", i, n.write(fmt.Sprintf("ns_%d_uid/c", i/100), fmt.Sprintf("%d.log", i%100), 1), 1)
		}
		n.settle()
		if got := len(n.tracked[0].open); got != maxFiles {
			n.Errorf("%d files", got)
		}
		if n.Stats().Exact {
			n.Error("not all files are kept, and that is exact")
		}
	})
}

// TestSpaces: processes whose mount namespace has no part of podLogsDir are skipped.
func TestSpaces(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		log := n.write(dirA, "0.log", 1000)
		p.file("self/mountinfo", "1 0 8:1 /r / rw - ext4 /dev/sda rw\n2 1 8:2 /p"+n.logs+" "+n.logs+" rw - ext4 /dev/sdb rw\n")
		for i, tc := range []struct {
			mounts string
			sees   bool
		}{
			{"1 0 8:1 / / rw - overlay overlay rw\n", false},
			{"1 0 8:2 /p /data rw - ext4 /dev/sdb rw\n", true},
			{"1 0 8:2 /p" + n.logs + " /logs rw - ext4 /dev/sdb rw\n", true},
			{"1 0 8:2 /p" + n.logs + "/" + dirA + " /logs rw - ext4 /dev/sdb rw\n", true},
			{"1 0 8:2 /p" + n.logs + "2 /logs rw - ext4 /dev/sdb rw\n", false},
			{"1 0 8:2 / / rw - ext4 /dev/sdb rw\n", true},
			{"not a mount", true},
		} {
			pid := strconv.Itoa(100 + i)
			p.process(pid, "shipper")
			p.link(pid+"/ns/mnt", fmt.Sprintf("mnt:[%d]", 100+i))
			p.file(pid+"/mountinfo", tc.mounts)
			p.open(pid, 3, log, 0)
			n.discover()
			if tracked := n.tracked; (len(tracked) == 1 && tracked[0].pid == 100+i) != tc.sees {
				n.Errorf("%s: %d processes", tc.mounts, len(tracked))
			}
			p.exit(pid)
			n.discover()
		}
	})
}

// TestExact: what must be readable and visible for an exact result.
func TestExact(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(n *node, p fakeProc)
		want   bool
	}{
		"all":            {func(*node, fakeProc) {}, true},
		"hidden":         {func(_ *node, p fakeProc) { p.exit("1") }, false},
		"own namespace":  {func(_ *node, p fakeProc) { p.link("self/ns/pid", "pid:[4026532000]") }, false},
		"kernel threads": {func(_ *node, p fakeProc) { p.file("2/stat", "2 (kthreadd) S 0\n") }, true},
		"kind": {func(n *node, p fakeProc) { // the runtime is in the same PID namespace
			p.link("self/ns/pid", "pid:[4026532000]")
			p.process("10", "containerd")
			p.open("10", 3, n.write(dirA, "0.log", 1), 0)
			p.file("10/fdinfo/3", "pos:\t0\nflags:\t0102001\nmnt_id:\t27\nino:\t"+
				strconv.FormatUint(inode(n, filepath.Join(n.logs, dirA, "0.log")), 10)+"\n")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeProc(t, func(n *node, p fakeProc) {
				tc.change(n, p)
				n.discover()
				n.discover()
				if s := n.Stats(); s.Exact != tc.want || s.Unreadable > 0 {
					n.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestLogOf: paths of logs, in any mount namespace, and others.
func TestLogOf(t *testing.T) {
	for link, want := range map[string]string{
		"/var/log/pods/ns_a_uid/c/0.log":                    "ns_a_uid/c 0.log false true",
		"/host/ns_a_uid/c/12.log.20261121-100000":           "ns_a_uid/c 12.log.20261121-100000 false true",
		"/var/log/pods/ns_a_uid/c/0.log (deleted)":          "ns_a_uid/c 0.log true true",
		"/var/log/pods/ns_a_uid/c/0.log.20261121-100000.gz": "ns_a_uid/c 0.log.20261121-100000.gz false true",
		"/var/log/pods/ns_a_uid/c/0.log2":                   " 0.log2 false false",
		"/c/0.log":                                          "",
		"//c/0.log":                                         "",
		"/a//0.log":                                         "",
		"0.log":                                             "",
		"socket:[123]":                                      "",
		"anon_inode:[eventpoll]":                            "",
		"/var/log/pods/ns_a_uid/c/0.log (deleted) (deleted)":         "",
		"/var/log/containers/a_ns_c-0123456789.log":                  "",
		"/var/log/pods/ns_a_uid/c/0.log.20261121-100000.tmp":         "ns_a_uid/c 0.log.20261121-100000.tmp false true",
		"/var/log/pods/ns_a_uid/c/99999999999999999999999999999.log": "",
	} {
		dir, name, deleted, ok := logOf(link)
		if got := fmt.Sprint(dir, " ", name, " ", deleted, " ", ok); ok != (want != "" && want[0] != ' ') || ok && got != want {
			t.Errorf("%s: %s; want %s", link, got, want)
		}
	}
}

// TestNewestLive: the live log is that of the newest restart, found again only when the directory has
// changed.
func TestNewestLive(t *testing.T) {
	n := &node{T: t, logs: t.TempDir()}
	n.Tracker = New(Options{PodLogsDir: n.logs, Proc: "/proc"})
	if v := n.Tracker.look(dirA); v.live.Inode != 0 {
		t.Errorf("%+v", v)
	}
	for _, name := range []string{"9.log", "9.log.20261121-100000", "10.log", "11.log.20261121-100000", "notes"} {
		n.write(dirA, name, 1)
	}
	old := time.Now().Add(-time.Hour)
	for range 2 {
		if err := os.Chtimes(filepath.Join(n.logs, dirA), old, old); err != nil {
			t.Fatal(err)
		}
		if v := n.Tracker.look(dirA); v.live.Inode != inode(t, filepath.Join(n.logs, dirA, "10.log")) || !v.settled {
			t.Errorf("%+v", v)
		}
	}
	n.write(dirA, "11.log", 1)
	for range 2 { // its time is now: it is not kept
		if v := n.Tracker.look(dirA); v.live.Inode != inode(t, filepath.Join(n.logs, dirA, "11.log")) {
			t.Errorf("%+v", v)
		}
		n.write(dirA, "11.log", 1)
	}
	for i, name := range []string{"11.log", "12.log"} {
		n.write(dirA, name, 1)
		if err := os.Chtimes(filepath.Join(n.logs, dirA), old, old); err != nil {
			t.Fatal(err)
		}
		if v := n.Tracker.look(dirA); v.live.Inode != inode(t, filepath.Join(n.logs, dirA, "11.log")) {
			t.Errorf("after %d: the directory was listed though its time has not changed", i)
		}
	}
}

// TestOlderContinuesNothing: only a younger process takes a dead one's place, since two collectors may
// have the same command.
func TestOlderContinuesNothing(t *testing.T) {
	for dies, want := range map[string][]string{"10": {"fluent-bit"}, "11": {"fluent-bit", "fluent-bit dead"}} {
		inFakeProc(t, func(n *node, p fakeProc) {
			log := n.write(dirA, "0.log", 1000)
			for _, pid := range []string{"10", "11"} {
				p.process(pid, "fluent-bit")
				p.open(pid, 3, log, 1000)
			}
			n.settle()
			p.exit(dies)
			n.expect(dirA, want...)
		})
	}
}

// TestOtherInstance: a process that has run beside another of its command for long does not take its
// place, also if it is younger.
func TestOtherInstance(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		log := n.write(dirA, "0.log", 1000)
		for _, pid := range []string{"10", "11"} {
			p.process(pid, "fluent-bit")
			p.open(pid, 3, log, 1000)
		}
		n.settle()
		time.Sleep(maxHandover)
		n.discover()
		p.exit("10")
		n.expect(dirA, "fluent-bit", "fluent-bit dead")
		p.process("12", "fluent-bit")
		p.open("12", 3, log, 1000)
		n.discover()
		n.expect(dirA, "fluent-bit", "fluent-bit")
	})
}

// TestQuietContainersAreFollowed: a reader that has closed the logs of quiet containers is expected to
// open a new one's.
func TestQuietContainersAreFollowed(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		p.process("10", "filebeat")
		for i := range 12 {
			p.open("10", 3+i, n.write("ns_"+strconv.Itoa(i)+"_uid/c", "0.log", 1000), 1000)
		}
		n.settle()
		for fd := range 8 {
			if err := os.Remove(filepath.Join(p.dir, "10/fd", strconv.Itoa(3+fd))); err != nil {
				n.Fatal(err)
			}
		}
		n.discover()
		n.discover()
		n.write(dirA, "0.log", 1000)
		n.discover()
		n.expect(dirA, "filebeat expected")
		if r := n.Stats().Readers[0]; r.Containers != 4 {
			n.Errorf("%d containers", r.Containers)
		}
	})
}

// TestSeveralDescriptors: of several descriptors of a file the lowest counts, save one in its head.
func TestSeveralDescriptors(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		log := n.write(dirA, "0.log", 20_000)
		p.process("10", "rsyslogd")
		p.open("10", 3, log, 512)
		p.open("10", 4, log, 20_000)
		n.settle()
		position(n, n.one(dirA).Positions, inode(n, log), 20_000)
		p.open("10", 5, log, 10_000)
		n.discover()
		position(n, n.one(dirA).Positions, inode(n, log), 10_000)
		for _, fd := range []string{"4", "5"} {
			if err := os.Remove(filepath.Join(p.dir, "10/fd", fd)); err != nil {
				n.Fatal(err)
			}
		}
		n.discover()                                              // what is left is not for reading
		position(n, n.one(dirA).Positions, inode(n, log), 10_000) // one list may miss a descriptor
		n.discover()
		f := n.one(dirA)
		position(n, f.Closed, inode(n, log), 10_000)
		if len(f.Positions) > 0 {
			n.Errorf("%+v", f)
		}
	})
}

// TestLowestOfManyDescriptors: of more descriptors of a file than are read each time, the lowest is.
func TestLowestOfManyDescriptors(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		log := n.write(dirA, "0.log", 20_000)
		p.process("10", "shipper")
		p.open("10", 3, log, 20_000)
		n.settle()
		for fd := 4; fd < 4+2*maxFDs; fd++ {
			p.open("10", fd, log, int64(20_000-fd))
		}
		n.discover()
		lowest := 3 + 2*maxFDs
		position(n, n.one(dirA).Positions, inode(n, log), int64(20_000-lowest))
		p.open("10", lowest, log, 19_000)
		position(n, n.one(dirA).Positions, inode(n, log), 19_000)
	})
}

// TestLeft: a rotated log in which a reader does not advance, while it reads another, counts until the
// timeout.
func TestLeft(t *testing.T) {
	inFakeProc(t, func(n *node, p fakeProc) {
		log := n.write(dirA, "0.log", 1000)
		p.process("10", "shipper")
		p.open("10", 3, log, 500)
		rotated := inode(n, n.rotate())
		p.link("10/fd/3", filepath.Join(n.logs, dirA, "0.log.20261121-100000"))
		n.write(dirA, "0.log", 1000)
		p.open("10", 4, log, 1000)
		n.settle()
		position(n, n.one(dirA).Positions, rotated, 500)
		time.Sleep(timeout)
		f := n.one(dirA)
		position(n, f.Stalled, rotated, 500)
		position(n, f.Positions, inode(n, log), 1000)
		if at, ok := f.Open(rotated); at != 500 || !ok || len(f.Closed) > 0 {
			n.Errorf("open at %d: %v; %+v", at, ok, f)
		}
		p.open("10", 3, filepath.Join(n.logs, dirA, "0.log.20261121-100000"), 600)
		position(n, n.one(dirA).Positions, rotated, 600)
	})
}
