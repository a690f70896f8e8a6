package rotator

import (
	"errors"
	"fmt"
	"io"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// Finished is a rotated log that no process has open for writing.
type Finished struct {
	// Size is in bytes. It includes what the runtime wrote after the exchange.
	Size  int64
	Inode uint64
	// Splits is the number of streams whose last record is partial: the rest of the
	// line is in the next log.
	Splits int
}

// Finished returns the final state of a rotated log, or ErrBusy while a process has it
// open for writing. It reads the last 32 KiB of the log, and may overlap with any other
// call.
func (r *Rotator) Finished(dirName, name string) (Finished, error) {
	n, ok := podlogs.ParseName(name)
	if !ok || n.Kind != podlogs.Rotated {
		return Finished{}, fmt.Errorf("%s/%q: not a rotated log's name", dirName, name)
	}
	d, err := r.fs.OpenDir(dirName)
	if err != nil {
		return Finished{}, err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	f, err := d.Open(name)
	if err != nil {
		return Finished{}, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	s, err := r.ensureClosed(d, f, n)
	if err != nil {
		return Finished{}, fmt.Errorf("%s/%s: %w", dirName, name, err)
	}
	splits, err := countSplits(f, s.Size)
	return Finished{Size: s.Size, Inode: s.Inode, Splits: splits}, err
}

// lastRecords is how much of the end of a log is read, in bytes: a record of each
// stream, which runtimes cut at 16 KiB.
const lastRecords = 32 << 10

// countSplits returns the number of streams whose last record is partial.
func countSplits(f io.ReaderAt, size int64) (splits int, err error) {
	from := max(0, size-lastRecords)
	records := crilog.NewReader(io.NewSectionReader(f, from, size-from))
	partial := map[string]bool{} // by stream
	for {
		record, err := records.Next()
		switch {
		case errors.Is(err, io.EOF):
			for _, p := range partial {
				if p {
					splits++
				}
			}
			return splits, nil
		case err == nil:
			partial[record.Stream] = record.Partial
		case !errors.Is(err, crilog.ErrMalformed) && !errors.Is(err, io.ErrUnexpectedEOF): // the first one is cut
			return 0, err
		}
	}
}
