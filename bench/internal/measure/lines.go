package measure

import (
	"errors"
	"fmt"
	"io"

	"github.com/logwatch/logwatch/bench/internal/subject"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// Lines counts the lines of all containers.
type Lines struct {
	Written, Found, Lost, Doubled, Pruned, Disordered, Corrupt uint64
	Splits                                                     int    // lines that a rotation split, in the files that are left
	First                                                      string // the first fault
}

// why describes what is wrong in one line; "": nothing.
func (l Lines) why() string {
	if l.Lost+l.Doubled+l.Disordered+l.Corrupt == 0 {
		return ""
	}
	return fmt.Sprintf("of %d lines %d lost, %d doubled, %d out of order, %d damaged; %s",
		l.Written, l.Lost, l.Doubled, l.Disordered, l.Corrupt, l.First)
}

// count reads all logs of the containers. Lines before the first one that is
// there were pruned, if there are as many files as pruning leaves; otherwise
// they are lost.
func count(podLogsDir string, written map[string]uint64, p subject.Policy) (Lines, error) {
	var sum Lines
	for dir, lines := range written {
		res, err := linecheck.Container(podLogsDir, dir)
		if errors.Is(err, crilog.ErrMalformed) || errors.Is(err, io.ErrUnexpectedEOF) {
			res, err = tolerant(podLogsDir, dir)
		}
		if err != nil {
			return sum, err
		}
		sum.Written += lines
		sum.Splits += res.Splits
		r := res.Streams[crilog.Stdout]
		good := r.Lines - r.Doubled
		sum.Found += good
		sum.Doubled += r.Doubled
		sum.Disordered += r.OutOfOrder
		sum.Corrupt += r.Corrupt + res.Streams[""].Corrupt
		missing := lines - min(lines, good)
		pruned := min(missing, res.Pruned())
		// Two fewer than allowed: the total size may have pruned as well, and the
		// runtime may not have opened the next log yet.
		if len(res.Logs) < min(2, p.MaxFiles-2) {
			pruned = 0
		}
		sum.Pruned += pruned
		sum.Lost += missing - pruned
		if sum.First == "" && (missing > pruned || r.FirstBad != "") {
			sum.First = fmt.Sprintf("%s: %d files, lines %d to %d of %d, first: %s", dir, len(res.Logs), r.First, r.Last, lines, r.FirstBad)
		}
	}
	return sum, nil
}

// tolerant is linecheck.Container for logs with damaged records: they are counted,
// and reading continues after them.
func tolerant(podLogsDir, dir string) (res linecheck.Result, err error) {
	r := podlogs.At(podLogsDir)
	if res.Logs, err = podlogs.Logs(r, dir); err != nil {
		return res, err
	}
	var checker linecheck.Checker
	var damaged uint64
	for _, l := range res.Logs {
		f, err := podlogs.OpenLog(r, dir, l.Name.String())
		if err != nil {
			return res, err
		}
		n, err := readTolerant(f, &checker)
		damaged += n
		if err = errors.Join(err, f.Close()); err != nil {
			return res, err
		}
	}
	res.Report = checker.Report()
	none := res.Streams[""]
	none.Corrupt += damaged
	res.Streams[""] = none
	return res, nil
}

// readTolerant needs no joiner: the benchmark's lines are shorter than what
// runtimes cut.
func readTolerant(from io.Reader, checker *linecheck.Checker) (damaged uint64, err error) {
	records := crilog.NewReader(from)
	for {
		line, err := records.Next()
		switch {
		case err == nil:
			checker.Add(line.Content)
		case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, crilog.ErrMalformed):
			damaged++
		case errors.Is(err, io.EOF):
			return damaged, nil
		default:
			return damaged, err
		}
	}
}
