package podlogs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// File is one of a container's log files, as a listing finds it.
type File struct {
	Name
	// Size is in bytes.
	Size int64
	// Changed is the inode's change time: the latest of its last write, its
	// rename and its last chmod. The age of a rotated log counts from it.
	Changed time.Time
	// Modified is the time of the last write; a compressed log has its source's.
	Modified time.Time
	// Regular is set for a regular file with one link. Anything else under a
	// log's name is never read.
	Regular bool
	Inode   uint64
}

var (
	// ErrNotRegular: a link, directory, FIFO or device under a log's name, or a
	// file with several links. It is never read.
	ErrNotRegular = errors.New("not a regular file")
	// ErrLeaseUnsupported: file leases are unavailable, so whether a file is open
	// for writing is unknown.
	ErrLeaseUnsupported = errors.New("cannot determine whether the file is open for writing")
)

// Names yields the log names in d, foreign ones left out, and sets *err if the
// listing ends early.
func Names(d Dir, err *error) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		*err = d.Names(func(s string) bool {
			n, ok := ParseName(s)
			return !ok || yield(n)
		})
	}
}

// List returns at most maxFiles log files in d (0: all), oldest first, each once.
// Directories are left out, whatever their names, and so are files that vanish
// during the listing. On an error it returns the files that it found as well.
func List(d Dir, maxFiles int) ([]File, error) {
	var files []File
	var listErr, statErr error
	for n := range Names(d, &listErr) {
		st, err := d.Stat(n.String())
		switch {
		case errors.Is(err, fs.ErrNotExist) || st.Dir:
			continue
		case err != nil:
			statErr = err // one is enough: a directory may have millions
			continue
		}
		// Each name is a separate string; one copy of the base is kept.
		if last := len(files) - 1; last >= 0 && files[last].Base == n.Base {
			n.Base = files[last].Base
		} else {
			n.Base = strings.Clone(n.Base)
		}
		files = append(files, File{Name: n, Size: st.Size, Changed: st.Changed, Modified: st.Modified, Regular: st.Regular && st.Links == 1, Inode: st.Inode})
		if len(files) == maxFiles {
			break
		}
	}
	slices.SortFunc(files, func(a, b File) int { return a.Compare(b.Name) })
	// A listing may return a name twice while other names come and go.
	files = slices.CompactFunc(files, func(a, b File) bool { return a.Name == b.Name })
	return files, errors.Join(listErr, statErr)
}

// ListDir lists a container's directory, named relative to podLogsDir; see List.
func ListDir(f FS, rel string, maxFiles int) ([]File, error) {
	d, err := f.OpenDir(rel)
	if err != nil {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	defer d.Close() //nolint:errcheck // opened for reading
	files, err := List(d, maxFiles)
	if err != nil {
		err = fmt.Errorf("list logs in %s: %w", rel, err)
	}
	return files, err
}

// OpenRegular opens a regular file that has one link. A second name may be
// outside podLogsDir: such a file's content must not be copied into a .gz.
func OpenRegular(d Dir, name string) (Handle, Stat, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, Stat{}, err
	}
	st, err := f.Stat()
	if err == nil && st.Links > 1 {
		err = fmt.Errorf("open %s: it has %d links: %w", name, st.Links, ErrNotRegular)
	}
	if err != nil {
		return nil, Stat{}, errors.Join(err, f.Close())
	}
	return f, st, nil
}

// The reasons why a container's log path cannot be rotated.
var (
	ErrNoPath  = errors.New("the runtime reports no log path")
	ErrOutside = errors.New("the log path is not below podLogsDir")
	ErrLayout  = errors.New("the log path is not <pod>/<container>/<restart>.log below podLogsDir")
)

// SplitPath splits a container's log path into its directory, relative to
// podLogsDir, and the live log's name. The error is ErrNoPath, ErrOutside or
// ErrLayout.
func SplitPath(podLogsDir, logPath string) (dir, log string, err error) {
	if logPath == "" {
		return "", "", ErrNoPath
	}
	rel, ok := strings.CutPrefix(logPath, strings.TrimSuffix(podLogsDir, "/")+"/")
	if !ok {
		return "", "", ErrOutside
	}
	dir, log = filepath.Dir(rel), filepath.Base(rel)
	if strings.Count(dir, "/") != 1 || !IsLive(log) {
		return "", "", ErrLayout
	}
	return dir, log, nil
}

// Owner is what a container's directory name says about the container:
// "<namespace>_<pod>_<uid>/<container>".
type Owner struct {
	Namespace, Pod, UID, Container string
}

// OwnerOf parses a container's directory name, relative to podLogsDir. Parts that
// are missing are empty.
func OwnerOf(dir string) Owner {
	pod, container, _ := strings.Cut(dir, "/")
	namespace, rest, _ := strings.Cut(pod, "_")
	name, uid, _ := strings.Cut(rest, "_")
	return Owner{Namespace: namespace, Pod: name, UID: uid, Container: container}
}

const (
	// maxDirs bounds the directories that are listed in podLogsDir, or in one
	// pod's: many times what a node can run.
	maxDirs = 10_000
	// batchSize bounds the memory that a directory with millions of entries takes.
	batchSize = 1024
)

// Pods returns the pods' directories in podLogsDir. Links are left out.
func Pods(podLogsDir string) ([]string, error) { return subdirs(podLogsDir, 0) }

// Containers returns the containers' directories in a pod's. Links are left out.
func Containers(podLogsDir, pod string) ([]string, error) {
	return subdirs(podLogsDir+"/"+pod, unix.O_NOFOLLOW)
}

// ContainerDirs returns the containers' directories below podLogsDir, relative to
// it. Links are not followed. Directories that cannot be listed are left out.
func ContainerDirs(podLogsDir string) (dirs []string) {
	pods, _ := Pods(podLogsDir)
	for _, pod := range pods {
		containers, _ := Containers(podLogsDir, pod)
		for _, container := range containers {
			dirs = append(dirs, pod+"/"+container)
		}
	}
	return dirs
}

// subdirs returns what it found before an error as well.
func subdirs(path string, flags int) (names []string, err error) {
	f, err := os.OpenFile(path, flags|unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	for err == nil && len(names) < maxDirs {
		var entries []fs.DirEntry
		entries, err = f.ReadDir(batchSize)
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
