package linecheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// Result is what was found in a container's logs.
type Result struct {
	Report
	Logs []podlogs.File
	// Bytes is the size of all logs on disk.
	Bytes int64
}

// Container checks the logs in a container's directory, named relative to
// podLogsDir. An error is one of reading; what is wrong with the lines stands in
// the result.
func Container(podLogsDir, dir string) (Result, error) {
	logs := podlogs.At(podLogsDir)
	var res Result
	var err error
	if res.Logs, err = podlogs.Logs(logs, dir); err != nil {
		return res, err
	}
	var joiner crilog.Joiner
	var lines checked
	for _, l := range res.Logs {
		res.Bytes += l.Size
		if err := read(logs, dir, l.Name.String(), &joiner, &lines); err != nil {
			return res, fmt.Errorf("%s/%s: %w", dir, l.Name.String(), err)
		}
	}
	for _, line := range joiner.Rest() { // a container may end without a newline
		lines.checker.Add(line)
	}
	res.Report = lines.checker.Report()
	return res, nil
}

// checked feeds lines to the checker, but for the end of a line whose beginning
// was pruned with the file before.
type checked struct {
	checker Checker
	begun   map[string]bool // by stream
}

func (c *checked) add(stream string, content []byte) {
	first := !c.begun[stream]
	if first {
		if c.begun == nil {
			c.begun = map[string]bool{}
		}
		c.begun[stream] = true
	}
	if first && !bytes.HasPrefix(content, []byte(stream+" 0")) {
		return
	}
	c.checker.Add(content)
}

func read(logs podlogs.FS, dir, name string, joiner *crilog.Joiner, lines *checked) (err error) {
	f, err := podlogs.OpenLog(logs, dir, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	records := crilog.NewReader(f)
	for {
		line, err := records.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if content, whole := joiner.Add(line); whole {
			lines.add(line.Stream, content)
		}
	}
}
