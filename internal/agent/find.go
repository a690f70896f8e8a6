package agent

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Find returns the process ID of the daemon that works on a podLogsDir: the one
// that holds its lock, as /proc/locks has it (see proc_locks(5)).
func Find(podLogsDir string) (pid int, err error) {
	var st unix.Stat_t
	if err := unix.Stat(podLogsDir, &st); err != nil {
		return 0, fmt.Errorf("find the daemon: podLogsDir %s: %w", podLogsDir, err)
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0, fmt.Errorf("find the daemon: %w", err)
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
	return 0, errors.New("no logwatch works on " + podLogsDir + ": start it, or name its configuration with --config")
}

// holds reports whether a process has a file open.
func holds(pid int, file unix.Stat_t) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // what cannot be seen is not known
	return slices.ContainsFunc(fds, func(fd string) bool {
		var st unix.Stat_t
		return unix.Stat(fd, &st) == nil && st.Dev == file.Dev && st.Ino == file.Ino
	})
}
