package rotator

import (
	"io"
	"time"
)

// The seam between the rotator and the file system: the real one is below
// podLogsDir ([podLogs]), the tests put one before it that fails or stops at
// the k-th operation.

// fsys opens container directories.
type fsys interface {
	// OpenDir opens a container's directory, named relative to podLogsDir,
	// without following a link at any level.
	OpenDir(rel string) (dir, error)
}

// dir is an open container directory. Names are single path elements.
type dir interface {
	// Names yields every name in the directory until yield says false.
	Names(yield func(name string) bool) error
	// Stat does not follow links.
	Stat(name string) (stat, error)
	// Open opens a regular file for reading. It neither follows a link nor
	// blocks on a FIFO nor touches a device.
	Open(name string) (file, error)
	// Create makes a file that must not exist, with like's mode and owner, for
	// writing.
	Create(name string, like stat) (file, error)
	// Rename never replaces: it fails with fs.ErrExist when to is there.
	Rename(from, to string) error
	// Remove unlinks a name.
	Remove(name string) error
	// Sync makes renames and removals in the directory durable.
	Sync() error
	Close() error
}

// file is an open log file.
type file interface {
	io.Reader
	io.Writer
	Stat() (stat, error)
	// Writers reports whether somebody has the file open for writing. An error
	// that is not about the file itself is errUnproven: the kernel or the file
	// system does not tell.
	Writers() (bool, error)
	SetModTime(t time.Time) error
	Sync() error
	Close() error
}

// stat is the part of stat(2) that the rotator decides on.
type stat struct {
	Size     int64
	Links    uint64
	Regular  bool
	Dir      bool
	Mode     uint32 // permission bits, without setuid and the like
	UID, GID uint32
	Modified time.Time
	Changed  time.Time
}
