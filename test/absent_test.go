package test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
)

// rotations is how many rotations TestNeverAbsent waits for; 10000 for the figures in
// docs/POLICY.md.
var rotations = flag.Int("rotations", 300, "how many rotations TestNeverAbsent waits for")

// plain is strict without compression, whose temp files are events as well.
const plain = strict + "compression: {codec: none}\n"

// looks is what a process found that looks at a path as fast as it can.
type looks struct {
	all, absent, empty int
	files              int // how often another file was there
}

func (l *looks) add(o looks) {
	l.all, l.absent, l.empty, l.files = l.all+o.all, l.absent+o.absent, l.empty+o.empty, l.files+o.files
}

// TestNeverAbsent: a process that stats and opens the live logs as fast as it can finds
// them each time, whatever the number of rotations.
func TestNeverAbsent(t *testing.T) {
	onEachNode(t, func(t *testing.T, n node) {
		l := start(t, n, plain)
		seen, check := lookWhileRotating(t, n, l, *rotations)
		check()
		if fallbacks := fallbacksOf(l); fallbacks > 0 || seen.absent > 0 {
			t.Errorf("the live log was absent for %d of %d looks; %d rotations were renames", seen.absent, seen.all, fallbacks)
		}
	})
}

// TestFallback: with file leases off, the live log is renamed, which a warning and a
// metric report, and no line is lost. That it is absent in between shows that
// TestNeverAbsent would see it.
func TestFallback(t *testing.T) {
	onEachNode(t, func(t *testing.T, n node) {
		l := agenttest.NewDaemon(t, n.Endpoint(), n.PodLogsDir(), plain)
		url, _ := l.Listen()
		leasesOn := leasesOff(t)
		l.Start()
		base := url()
		seen, check := lookWhileRotating(t, n, l, 60)
		leasesOn()
		testutil.Eventually(t, "the metric", func() bool { // the last rotation may be in progress
			return strings.Contains(get(t, base+"/metrics"), fmt.Sprintf("logwatch_rotation_fallbacks_total{reason=%q} %d\n", "lease_unsupported", len(l.Rotated())))
		})
		check()
		done, fallbacks := len(l.Rotated()), fallbacksOf(l)
		if fallbacks != done || seen.absent == 0 {
			t.Errorf("%d of %d rotations were renames; the live log was absent for %d of %d looks", fallbacks, done, seen.absent, seen.all)
		}
		dirs := map[string]bool{}
		for _, r := range l.Rotated() {
			dirs[r.Due.Dir] = true
		}
		if warnings := l.Log.Count("rotating by rename"); warnings != len(dirs) {
			t.Errorf("%d warnings for %d containers", warnings, len(dirs))
		}
	})
}

// lookWhileRotating runs containers, and looks at their live logs, until there were so
// many rotations. check stops the agent, and fails the test unless each line is there
// once, in order.
func lookWhileRotating(t *testing.T, n node, l *agenttest.Daemon, want int) (seen looks, check func()) {
	t.Helper()
	const containers, recordBytes = 4, 160
	// Each look is a thread's, which the kernel schedules beside the agent's and the runtime's.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + containers))
	var cs []container
	var loads []workload
	for round := 0; len(l.Rotated()) < want; round++ {
		// Of 256 KiB each, and of more where the machine is slow.
		each := min((want-len(l.Rotated()))/containers+5, 250)
		var stops []func() looks
		for i := range containers {
			w := workload{name: fmt.Sprintf("looked-at-%d-%d", round, i), rate: 4e6, lines: uint64(each) * (256 << 10) / recordBytes}
			c := n.run(t, w)
			cs, loads = append(cs, c), append(loads, w)
			stops = append(stops, look(t, filepath.Join(n.PodLogsDir(), c.dir(), "0.log")))
		}
		for i, c := range cs[len(cs)-containers:] {
			c.wait(t)
			seen.add(stops[i]())
		}
	}
	done := len(l.Rotated())
	t.Logf("%d rotations; of %d looks at the live logs %d found none and %d an empty one; it was another file %d times",
		done, seen.all, seen.absent, seen.empty, seen.files)
	if seen.files < done/2 {
		t.Errorf("the path was another file %d times in %d rotations, so it was hardly looked at", seen.files, done)
	}
	return seen, func() {
		t.Helper()
		l.Stop()
		for i, c := range cs {
			all(t, n, c.dir(), loads[i].written())
		}
	}
}

// look stats and opens a path in turn, until the function that it returns is called.
func look(t *testing.T, path string) (stop func() looks) {
	end, result := make(chan struct{}), make(chan looks, 1)
	go func() {
		var l looks
		var last uint64
		for {
			select {
			case <-end:
				result <- l
				return
			default:
			}
			l.all++
			switch st, err := lookOnce(path, l.all%2 == 0); {
			case errors.Is(err, unix.ENOENT):
				l.absent++
			case err != nil:
				t.Error(err)
			default:
				if st.Size == 0 {
					l.empty++
				}
				if last != 0 && st.Ino != last {
					l.files++
				}
				last = st.Ino
			}
		}
	}()
	stop = sync.OnceValue(func() looks { close(end); return <-result })
	t.Cleanup(func() { stop() })
	return stop
}

func lookOnce(path string, open bool) (st unix.Stat_t, err error) {
	if !open {
		return st, unix.Lstat(path, &st)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return st, err
	}
	return st, errors.Join(unix.Fstat(fd, &st), unix.Close(fd))
}

func fallbacksOf(l *agenttest.Daemon) (count int) {
	for _, r := range l.Rotated() {
		if r.Fallback != nil {
			count++
		}
	}
	return count
}

// leasesOff turns file leases off for the whole machine, until restore is called or the
// test ends. Another process restores them, even if this one is killed: its standard
// input ends then.
func leasesOff(t *testing.T) (restore func()) {
	t.Helper()
	needRoot(t)
	cmd := exec.Command("sh", "-ec", `trap "" INT TERM HUP; old=$(cat $0); echo 0 >$0; echo off; cat >/dev/null; echo $old >$0`, "/proc/sys/fs/leases-enable")
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true} // not for the terminal's signals
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
	restore = sync.OnceFunc(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(restore)
	if _, err := io.ReadFull(out, make([]byte, len("off\n"))); err != nil {
		t.Fatalf("leases cannot be turned off: %v", err)
	}
	return restore
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it is read to its end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestEventsOfRotation: a reader of the container's directory sees the events that
// docs/POLICY.md lists.
func TestEventsOfRotation(t *testing.T) {
	onEachNode(t, func(t *testing.T, n node) {
		w := workload{name: "watched", lines: 8000, rate: 1e6}
		c := n.run(t, w)
		events := watchNames(t, filepath.Join(n.PodLogsDir(), c.dir()))
		l := start(t, n, plain)
		c.wait(t)
		l.Stop()
		var want []string
		for _, r := range l.Rotated() {
			want = append(want, "CREATE "+r.To, "MOVED 0.log to "+r.To, "MOVED "+r.To+" to 0.log")
			if strings.HasSuffix(t.Name(), "conmon") {
				want = append(want, "CREATE 0.log.tmp", "MOVED 0.log.tmp to 0.log")
			}
		}
		got := events() // a rotation that the container's end interrupts comes last
		if len(want) == 0 || len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		all(t, n, c.dir(), w.written())
	})
}

// watchNames watches the names in a directory with inotify(7). The function that it
// returns lists the events so far; MOVED is an IN_MOVED_FROM with its IN_MOVED_TO.
func watchNames(t *testing.T, dir string) (events func() []string) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	})
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVE|unix.IN_DELETE); err != nil {
		t.Fatal(err)
	}
	return func() (list []string) {
		t.Helper()
		var from string
		var fromCookie uint32
		for buf := make([]byte, 64<<10); ; {
			size, err := unix.Read(fd, buf)
			if errors.Is(err, unix.EAGAIN) {
				return list
			}
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at < size; {
				mask, cookie := binary.NativeEndian.Uint32(buf[at+4:]), binary.NativeEndian.Uint32(buf[at+8:])
				end := at + unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[at+12:]))
				name := strings.TrimRight(string(buf[at+unix.SizeofInotifyEvent:end]), "\x00")
				at = end
				switch {
				case mask&unix.IN_MOVED_FROM != 0:
					from, fromCookie = name, cookie
				case mask&unix.IN_MOVED_TO != 0 && cookie == fromCookie:
					list = append(list, "MOVED "+from+" to "+name)
				case mask&unix.IN_CREATE != 0:
					list = append(list, "CREATE "+name)
				default:
					list = append(list, fmt.Sprintf("%#x %s", mask, name))
				}
			}
		}
	}
}
