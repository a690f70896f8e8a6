package agent

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/config"
)

// locks keep a second logwatch from a podLogsDir. See docs/CRASH-SAFETY.md.
//
// The lock file decides. Only root can open it, in a directory that host and pod
// share, and it is for the directory's device and inode, whatever its path. The lock
// on podLogsDir itself is for a logwatch with another lock file. Every process that
// may read the directory can hold that one, so it counts only if the holder is proved
// to be a logwatch.
type locks struct {
	path string   // of the lock file
	file *os.File // nil: not held
	dir  *os.File // podLogsDir; nil: not held
}

// lock waits until no other logwatch works on podLogsDir, which dir is, or ctx ends.
// Others are kept from it until release.
func (a *agent) lock(ctx context.Context, dir *os.File) (*locks, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return nil, fmt.Errorf("podLogsDir: %w", err)
	}
	socket := cmp.Or(a.o.Config.ControlSocket, config.Default().ControlSocket)
	l := &locks{path: filepath.Join(filepath.Dir(socket), "lock", fmt.Sprintf("%x-%d", st.Dev, st.Ino)), dir: dir}
	_ = waitFor(ctx, func() (bool, error) { // no error comes from it
		return (l.file != nil || a.lockFile(l)) && a.lockDir(l), nil
	})
	return l, nil
}

// lockFile tries to lock the lock file. Without the right to create it, logwatch does
// without.
func (a *agent) lockFile(l *locks) bool {
	f, err := openLock(l.path)
	if err != nil {
		a.warn.Do("lock", func() {
			a.log.Warn().Err(err).Msg("no lock file beside controlSocket: a second logwatch on podLogsDir may not be noticed")
		})
		return true
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		a.waitsForLock(f, l.path)
		_ = f.Close() // nothing was written
		return false
	}
	if !isAt(f, l.path) { // removed by the holder before, at its end
		_ = f.Close() // as above
		return false
	}
	l.file = f
	return true
}

// openLock opens the lock file, and creates its directory if only the last two are
// missing.
func openLock(path string) (*os.File, error) {
	dir := filepath.Dir(path)
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Mkdir(d, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
}

func isAt(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, named)
}

// lockDir tries to lock podLogsDir. A holder that is not proved to be a logwatch is
// logged and passed over.
func (a *agent) lockDir(l *locks) bool {
	if unix.Flock(int(l.dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		return true
	}
	pid, err := lockHolder(l.dir)
	if err == nil && isLogwatch(pid) {
		a.waitsForLock(l.dir, a.o.Config.PodLogsDir)
		return false
	}
	a.warn.Do("foreign lock", func() {
		a.log.Warn().Int("pid", pid).Str("command", commandOf(pid)).Str("podLogsDir", a.o.Config.PodLogsDir).
			Msg("another process holds a lock on podLogsDir; it is not logwatch; continuing")
	})
	return true
}

// waitsForLock reports the holder of a lock, once.
func (a *agent) waitsForLock(f *os.File, path string) {
	pid, _ := lockHolder(f) // 0: in another PID namespace
	err := fmt.Errorf("another logwatch instance holds the lock %s (process %d: %s)", path, pid, commandOf(pid))
	if pid == 0 {
		err = fmt.Errorf("another logwatch instance holds the lock %s (on the host or in a pod, invisible from here)", path)
	}
	a.waitsFor(err)
	a.warn.Do("locked", func() {
		a.log.Warn().Int("pid", pid).Str("command", commandOf(pid)).Str("lock", path).
			Msg("another logwatch instance holds the lock on podLogsDir; waiting until it ends: two at once lose lines")
		a.o.Notify("READY=1\nSTATUS=" + oneLine(err))
	})
}

// release removes the lock file and unlocks. The file is removed while it is locked,
// so that it is this one.
func (l *locks) release() {
	if l == nil {
		return
	}
	if l.file != nil {
		_ = os.Remove(l.path) // what stays is locked by the next start
		_ = l.file.Close()    // nothing was written
	}
	_ = l.dir.Close() // opened to be locked
}

// isLogwatch reports whether a process runs this program as root or as this user,
// which no unprivileged process can pretend.
func isLogwatch(pid int) bool {
	proc := fmt.Sprintf("/proc/%d", pid)
	var st unix.Stat_t
	if unix.Stat(proc, &st) != nil || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return false
	}
	theirs, err := os.Stat(proc + "/exe")
	if err != nil {
		return false
	}
	ours, err := os.Stat("/proc/self/exe")
	return err == nil && os.SameFile(ours, theirs)
}

// commandOf is the command line of a process; "" if unknown.
func commandOf(pid int) string {
	const most = 200 // bytes; it may be long
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(string(line[:min(len(line), most)]), "\x00", " "))
}

// Find returns the process ID of the holder of the lock on a podLogsDir: usually the
// daemon that works on it.
func Find(podLogsDir string) (pid int, err error) {
	f, err := os.OpenFile(podLogsDir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0, fmt.Errorf("find the daemon: podLogsDir: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened to be stat'ed
	pid, err = lockHolder(f)
	switch {
	case err != nil:
		return 0, fmt.Errorf("find the daemon: %w", err)
	case pid == 0:
		return 0, errors.New("no logwatch works on " + podLogsDir + ": start it, or name its configuration with --config")
	}
	return pid, nil
}

// lockHolder returns the process that holds the flock of a file, as /proc/locks has it
// (see proc_locks(5)); 0: none that this PID namespace has.
func lockHolder(file *os.File) (pid int, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return 0, err
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0, err
	}
	defer f.Close()       //nolint:errcheck // opened for reading
	dev := uint64(st.Dev) //nolint:unconvert // its type differs between architectures
	device, inode := fmt.Sprintf("%02x:%02x:", unix.Major(dev), unix.Minor(dev)), fmt.Sprint(st.Ino)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 708 08:01:131 0 EOF
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], ":"+inode) {
			continue
		}
		pid, err := strconv.Atoi(fields[4])
		// On btrfs the lock's device is the file system's, and stat's the subvolume's.
		if err == nil && pid > 0 && (fields[5] == device+inode || holds(pid, st)) {
			return pid, nil
		}
	}
	return 0, nil
}

// holds reports whether a process has a file open.
func holds(pid int, file unix.Stat_t) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // what cannot be seen is not known
	return slices.ContainsFunc(fds, func(fd string) bool {
		var st unix.Stat_t
		return unix.Stat(fd, &st) == nil && st.Dev == file.Dev && st.Ino == file.Ino
	})
}
