package rotator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Log is one of a container's logs.
type Log struct {
	File
	// Path is the file's name in the container's directory.
	Path string
}

// Logs returns all logs of a container, over all its restarts, oldest first: a
// generation that is there both plain and compressed once, plain. It heeds
// nothing but files named as logs, and leaves out what is no regular file.
func (r *Rotator) Logs(dirName string) ([]Log, error) {
	d, err := r.fs.OpenDir(dirName)
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	defer d.Close() //nolint:errcheck // opened for reading
	files, err := list(d, 0)
	if err != nil {
		return nil, fmt.Errorf("logs: list %s: %w", dirName, err)
	}
	var logs []Log
	for _, f := range files {
		twice := len(logs) > 0 && f.packed() && logs[len(logs)-1].sameGeneration(f.Name)
		if f.Plain && f.Kind != Temp && !twice {
			logs = append(logs, Log{File: f, Path: f.Name.String()})
		}
	}
	return logs, nil
}

// OpenLog opens one of a container's logs for reading; a compressed one is
// read decompressed. The reader is as large as what it reads says: whoever
// reads one that he did not make should bound it.
func (r *Rotator) OpenLog(dirName, name string) (io.ReadCloser, error) {
	n, ok := ParseName(name)
	if !ok {
		return nil, fmt.Errorf("open %s/%q: not a log's name", dirName, name)
	}
	d, err := r.fs.OpenDir(dirName)
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	f, _, err := openPlain(d, name)
	if err != nil {
		return nil, err
	}
	if !n.packed() {
		return f, nil
	}
	zr, err := newDecoder(n.Kind, f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s/%s: %w", dirName, name, err), f.Close())
	}
	return packedFile{zr, f}, nil
}

// Clean removes all logs of one container that does not run any more: the live
// log named log and its rotated ones. A file that somebody still writes stays,
// and is an error. It returns the names that it removed.
func (r *Rotator) Clean(ctx context.Context, dirName, log string) ([]string, error) {
	d, err := r.fs.OpenDir(dirName)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("clean: %w", err)
	}
	defer d.Close()                                          //nolint:errcheck // opened for reading
	found := slices.SortedFunc(names(d, &err), Name.compare) // oldest first, the live log last
	if err != nil {
		return nil, fmt.Errorf("clean: list %s: %w", dirName, err)
	}
	var removed []string
	var errs []error
	for _, n := range found {
		if n.Base != log || ctx.Err() != nil {
			continue
		}
		switch err := r.remove(d, n); {
		case err == nil:
			removed = append(removed, n.String())
		case !isGone(err):
			errs = append(errs, fmt.Errorf("clean %s/%s: %w", dirName, n, err))
		}
	}
	return removed, errors.Join(append(errs, ctx.Err())...)
}
