package linecheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// Result is what a container's logs contain.
type Result struct {
	Report
	Logs  []podlogs.File // oldest first
	Bytes int64          // size of all logs on disk
	// Splits counts the lines that a rotation cut: rotated logs whose last record of
	// a stream is partial, once for each stream.
	Splits int
}

// Container checks the logs in a container's directory, which is named relative to
// podLogsDir. The error is one of listing or reading; what is wrong with the lines
// is in the result.
func Container(podLogsDir, dir string) (Result, error) {
	logs := podlogs.At(podLogsDir)
	var res Result
	var err error
	if res.Logs, err = podlogs.Logs(logs, dir); err != nil {
		return res, err
	}
	var l lines
	for _, log := range res.Logs {
		res.Bytes += log.Size
		partial, err := l.read(logs, dir, log.Name.String())
		if err != nil {
			return res, fmt.Errorf("%s/%s: %w", dir, log.Name, err)
		}
		if log.Kind != podlogs.Live {
			res.Splits += partial
		}
	}
	for _, line := range l.joiner.Rest() { // a container may end without a newline
		l.checker.Add(line)
	}
	res.Report = l.checker.Report()
	return res, nil
}

// lines feeds a checker with the lines of logs, except for the end of a line whose
// beginning was pruned with the log before.
type lines struct {
	joiner  crilog.Joiner
	checker Checker
	begun   map[string]bool // by stream: a line has been seen
}

// read adds the lines of one log and returns the number of streams whose last
// record is partial.
func (l *lines) read(logs podlogs.FS, dir, name string) (partial int, err error) {
	f, err := podlogs.OpenLog(logs, dir, name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	records := crilog.NewReader(f)
	last := map[string]bool{} // by stream: the last record is partial
	for {
		record, err := records.Next()
		switch {
		case errors.Is(err, io.EOF):
			for _, p := range last {
				if p {
					partial++
				}
			}
			return partial, nil
		case err != nil:
			return 0, err
		}
		last[record.Stream] = record.Partial
		if content, whole := l.joiner.Add(record); whole {
			l.add(record.Stream, content)
		}
	}
}

func (l *lines) add(stream string, content []byte) {
	if !l.begun[stream] {
		if l.begun == nil {
			l.begun = map[string]bool{}
		}
		l.begun[stream] = true
		if !bytes.HasPrefix(content, []byte(stream+" 0")) {
			return
		}
	}
	l.checker.Add(content)
}
