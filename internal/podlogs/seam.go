package podlogs

import (
	"io"
	"time"
)

// FS is the seam to the file system: it opens container directories. [At]
// returns the real one; tests wrap it to fail or stop at the k-th operation.
type FS interface {
	// OpenDir opens a container's directory, named relative to podLogsDir,
	// without following a link at any level.
	OpenDir(rel string) (Dir, error)
}

// Dir is an open container directory. Names are single path elements.
type Dir interface {
	// Names yields every name in the directory until yield says false. A directory that
	// was removed has none.
	Names(yield func(name string) bool) error
	// Stat does not follow links. The name "." is the directory itself.
	Stat(name string) (Stat, error)
	// Open opens a regular file for reading. It neither follows a link nor
	// blocks on a FIFO nor touches a device.
	Open(name string) (Handle, error)
	// Create creates a file for writing, with like's mode and owner. It fails with
	// fs.ErrExist if the name is taken.
	Create(name string, like Stat) (Handle, error)
	// Rename never replaces a file: it fails with fs.ErrExist if to exists.
	Rename(from, to string) error
	// Exchange swaps two files in one step, so that neither name is ever absent.
	Exchange(a, b string) error
	// Remove unlinks a name.
	Remove(name string) error
	// Sync makes renames and removals in the directory durable.
	Sync() error
	Close() error
}

// Handle is an open log file.
type Handle interface {
	io.Reader
	io.ReaderAt
	io.Writer
	Stat() (Stat, error)
	// OpenForWrite reports whether any process has the file open for writing.
	// ErrLeaseUnsupported: the kernel or the file system does not report it.
	OpenForWrite() (bool, error)
	// InUse reports whether the file is open beside this handle, in any process.
	// ErrLeaseUnsupported as for OpenForWrite.
	InUse() (bool, error)
	SetModTime(t time.Time) error
	// Truncate removes the content. Processes that have the file open see its end.
	Truncate() error
	Sync() error
	Close() error
}

// ID identifies a file among all others, those included that get its inode later.
type ID struct {
	Device, Inode uint64
	// Born is the time of creation as a Unix timestamp in ns; 0: unknown.
	Born int64
}

// Stat is the part of statx(2) that decisions depend on.
type Stat struct {
	ID
	Size     int64
	Links    uint64
	Regular  bool
	Dir      bool
	Mode     uint32 // permission bits, without setuid and the like
	UID, GID uint32
	Modified time.Time
	Changed  time.Time
	Accessed time.Time
}

// IsRead reports whether a process has read a file since it was created, and lately compared
// with its last write. False where the file system keeps no access times.
func (s Stat) IsRead() bool {
	return s.Born != 0 && s.Accessed.After(time.Unix(0, s.Born)) && s.Accessed.After(s.Modified.Add(-maxReadAge))
}

// maxReadAge is how long before the last write a file that is followed was read. relatime,
// the default of mount(8), updates the access time with the first read after each write.
const maxReadAge = 30 * time.Second
