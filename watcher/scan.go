package watcher

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// The scanner lists directories beside the loop, which must not wait for one
// with a million foreign files.

// request asks for one listing. Rel "" is podLogsDir, "pod" a pod's directory,
// "pod/container" a container's.
type request struct {
	rel   string
	cause Cause
	// same: a pod's directory is unchanged since it was last listed. It is not
	// listed again, but takes its turn.
	same bool
}

// stamp shows whether names in a directory were added or removed. The zero one differs
// from every other.
type stamp struct {
	modified int64 // Unix time in ns
	inode    uint64
}

type result struct {
	request
	err error
	// dirs are the directories in podLogsDir or in a pod's directory, each as a
	// rel.
	dirs []string
	// stamp is the directory's before it was listed; zero when that is too recent
	// to detect later whether anything has changed since.
	stamp stamp
	// list is what was found in a container's directory.
	list listing
}

// listing is what is in a container's directory.
type listing struct {
	// live is the live log's name: that of the highest restart count that any
	// log has, though a crash may have left it with only rotated logs. "" if
	// there are no logs.
	live string
	// otherBytes is the size of all logs but that. Foreign files do not count.
	otherBytes int64
	// stamp is the directory's, as in result.
	stamp stamp
	inode uint64 // the directory's
}

const (
	// maxEntries bounds the directories that are tracked in podLogsDir or in
	// one pod's directory: many times what a node can run.
	maxEntries = 10_000
	// clockTick is longer than the granularity of any file system's times: a
	// change within the same tick does not show.
	clockTick = 20 * time.Millisecond
)

type scanner struct {
	root     string
	requests chan request
	results  chan result
}

func newScanner(root string) *scanner {
	return &scanner{root: root, requests: make(chan request), results: make(chan result)}
}

// run serves requests one after the other until ctx is done.
func (s *scanner) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case req := <-s.requests:
			select {
			case s.results <- s.serve(req):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func (s *scanner) serve(req request) result {
	res := result{request: req}
	switch {
	case req.same:
	case depth(req.rel) == 2:
		res.list, res.err = s.logs(req.rel)
	default:
		res.stamp = s.stamp(req.rel)
		res.dirs, res.err = s.subdirs(req.rel)
	}
	return res
}

// stamp is a directory's; zero if it is not there.
func (s *scanner) stamp(rel string) stamp {
	var st unix.Stat_t
	if unix.Lstat(s.path(rel), &st) != nil {
		return stamp{}
	}
	return lasting(&st)
}

// lasting is the stamp in st; zero if it is so recent that another change might
// not show.
func lasting(st *unix.Stat_t) stamp {
	if m := st.Mtim.Nano(); time.Now().UnixNano()-m > int64(clockTick) {
		return stamp{m, st.Ino}
	}
	return stamp{}
}

func (s *scanner) path(rel string) string {
	if rel == "" {
		return s.root
	}
	return s.root + "/" + rel
}

func join(rel, name string) string {
	if rel == "" {
		return name
	}
	return rel + "/" + name
}

// subdirs lists the directories in one; links to directories are not among
// them.
func (s *scanner) subdirs(rel string) (dirs []string, err error) {
	f, err := openDir(s.path(rel), rel == "")
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	for {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, join(rel, e.Name()))
			}
		}
		if len(dirs) > maxEntries {
			return dirs[:maxEntries], errTooMany
		}
		if len(entries) == 0 || err != nil {
			return dirs, notEOF(err)
		}
	}
}

var errTooMany = errors.New("too many directories; the rest is left to the runtime's list of containers")

// logs lists a container's directory.
func (s *scanner) logs(rel string) (l listing, err error) {
	f, err := openDir(s.path(rel), false)
	if err != nil {
		return l, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return l, err
	}
	l.stamp, l.inode = lasting(&st), st.Ino
	var highest uint64
	var liveSize int64
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			n, ok := podlogs.ParseName(name)
			if !ok || unix.Fstatat(int(f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
			l.otherBytes += st.Size
			// Of 1.log and 01.log the former is the runtime's.
			if l.live == "" || n.Restart > highest || n.Restart == highest && len(n.Base) < len(l.live) {
				l.live, highest, liveSize = n.Base, n.Restart, 0
			}
			if name == l.live {
				liveSize = st.Size
			}
		}
		if len(names) == 0 || err != nil {
			l.otherBytes -= liveSize
			return l, notEOF(err)
		}
	}
}

func openDir(path string, followLink bool) (*os.File, error) {
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW
	if followLink { // podLogsDir itself, which the administrator chose
		flags &^= unix.O_NOFOLLOW
	}
	return os.OpenFile(path, flags, 0)
}

// depth is 0 for podLogsDir, 1 for a pod's directory, 2 for a container's, 3
// for a file in that.
func depth(rel string) int {
	if rel == "" {
		return 0
	}
	return strings.Count(rel, "/") + 1
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// isNotDir reports that a path is not a directory, or is a link to one.
func isNotDir(err error) bool { return errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) }
