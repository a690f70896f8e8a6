// Package verify reads all logs of a container and checks that each numbered
// line (package numbered) is there once, in order, over plain and compressed
// files together. Tests and the demo use it.
//
// It blocks for as long as reading takes, in flat memory, and must not run
// while the logs are being rotated.
package verify

import (
	"errors"
	"fmt"
	"io"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/numbered"
	"github.com/logwatch/logwatch/rotator"
)

// Result is what was found in a container's logs.
type Result struct {
	numbered.Report
	Logs []rotator.Log
	// Bytes is the size of all logs on disk.
	Bytes int64
	// PendingBytes are of lines that were begun and not ended.
	PendingBytes int
}

// Container checks the logs in a container's directory, named relative to
// podLogsDir. An error is one of reading; what is wrong with the lines stands in
// the result.
func Container(podLogsDir, dir string) (Result, error) {
	r := rotator.New(rotator.Options{PodLogsDir: podLogsDir})
	var res Result
	var err error
	if res.Logs, err = r.Logs(dir); err != nil {
		return res, err
	}
	var joiner crilog.Joiner
	var checker numbered.Checker
	for _, l := range res.Logs {
		res.Bytes += l.Size
		if err := read(r, dir, l.Path, &joiner, &checker); err != nil {
			return res, fmt.Errorf("%s/%s: %w", dir, l.Path, err)
		}
	}
	res.Report, res.PendingBytes = checker.Report(), joiner.Pending()
	return res, nil
}

func read(r *rotator.Rotator, dir, name string, joiner *crilog.Joiner, checker *numbered.Checker) (err error) {
	f, err := r.OpenLog(dir, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := crilog.NewReader(f)
	for {
		line, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if content, whole := joiner.Add(line); whole {
			checker.Add(content)
		}
	}
}
