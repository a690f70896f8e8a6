package podlogs

import (
	"errors"
	"fmt"
	"io"
)

// Logs returns all logs of a container, over all its restarts, oldest first. A
// generation that exists both uncompressed and compressed is returned once,
// uncompressed. Temp files and files that are not regular are left out.
func Logs(f FS, rel string) ([]File, error) {
	files, err := ListDir(f, rel, 0)
	if err != nil {
		return nil, err
	}
	var logs []File
	for _, f := range files {
		twice := len(logs) > 0 && f.Compressed() && logs[len(logs)-1].SameGeneration(f.Name)
		if f.Regular && f.Kind != Temp && !twice {
			logs = append(logs, f)
		}
	}
	return logs, nil
}

// OpenLog opens one of a container's logs for reading; a compressed log is
// decompressed. The content may be of any size: bound it if another program may
// have written it.
func OpenLog(f FS, rel, name string) (io.ReadCloser, error) {
	n, ok := ParseName(name)
	if !ok {
		return nil, fmt.Errorf("open %s/%q: not a log's name", rel, name)
	}
	d, err := f.OpenDir(rel)
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	h, _, err := OpenRegular(d, name)
	if err != nil || !n.Compressed() {
		return h, err
	}
	zr, err := n.Codec().NewDecoder(h)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s/%s: %w", rel, name, err), h.Close())
	}
	return decoded{zr, h}, nil
}

// decoded is a compressed log, read decompressed.
type decoded struct {
	io.ReadCloser
	h Handle
}

func (d decoded) Close() error { return errors.Join(d.ReadCloser.Close(), d.h.Close()) }
