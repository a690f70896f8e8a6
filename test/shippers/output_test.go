package shippers

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
)

// output is what has arrived at a shipper's output.
type output struct {
	t       *testing.T
	path    string
	parse   parser
	offsets map[uint64]int64 // by inode: of the first line that was not read
	damaged int              // lines that cannot be parsed
	found   map[string]*linecheck.Checker
}

func newOutput(t *testing.T, path string, s shipper) *output {
	return &output{t: t, path: path, parse: s.parser(), offsets: map[uint64]int64{}, found: map[string]*linecheck.Checker{}}
}

// read reads what has arrived since the last call. Filebeat begins another file when it is
// restarted.
func (o *output) read() {
	o.t.Helper()
	o.readFile(o.path + ".1")
	o.readFile(o.path)
}

func (o *output) readFile(path string) {
	o.t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		o.t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	info, err := f.Stat()
	if err != nil {
		o.t.Fatal(err)
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	offset := o.offsets[inode]
	// No further: it may grow faster than it is read.
	for lines := bufio.NewReaderSize(io.NewSectionReader(f, offset, info.Size()-offset), 1<<20); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil { // it may not be whole yet
			return
		}
		o.offsets[inode] += int64(len(line))
		if o.parse(bytes.TrimSuffix(line, []byte{'\n'}), o.add) != nil {
			o.damaged++
		}
	}
}

func (o *output) add(pod string, line []byte) {
	c := o.found[pod]
	if c == nil {
		c = &linecheck.Checker{}
		o.found[pod] = c
	}
	c.Add(line)
}

// last returns the highest number that has arrived of a container.
func (o *output) last(w writer) uint64 {
	if c := o.found[w.name]; c != nil {
		return c.Report().Streams[crilog.Stdout].Last
	}
	return 0
}

// totals compares what has arrived of a container with what it wrote.
func (o *output) totals(w writer) linecheck.Totals {
	c := o.found[w.name]
	if c == nil {
		c = &linecheck.Checker{}
	}
	return c.Report().Totals(map[string]uint64{crilog.Stdout: w.lines})
}

// quiet is how long nothing arrives at the output before what is missing counts as lost:
// longer than any of the shippers waits before it looks for new logs.
const quiet = 20 * time.Second

// wait blocks until all lines have arrived, or nothing has for a while.
func (o *output) wait(ws []writer) (sum linecheck.Totals) {
	o.t.Helper()
	for last := time.Now(); time.Since(last) < quiet; time.Sleep(100 * time.Millisecond) {
		o.read()
		before := sum.Found
		sum = linecheck.Totals{}
		for _, w := range ws {
			sum = sum.Add(o.totals(w))
		}
		if sum.Found == sum.Written {
			break
		}
		if sum.Found != before {
			last = time.Now()
		}
	}
	sum.Corrupt += uint64(o.damaged)
	return sum
}

// missing is how many lines have not arrived.
func missing(sum linecheck.Totals) uint64 { return sum.Written - sum.Found }
