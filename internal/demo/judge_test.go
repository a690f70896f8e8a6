package demo

import (
	"errors"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/linecheck"
)

func report(s linecheck.StreamReport) linecheck.Report {
	return linecheck.Report{Streams: map[string]linecheck.StreamReport{"stdout": s}}
}

// readBy is a reading back of lines 1 to 60 in a log that was pruned, and of
// keptLines in one that was not.
func readBy(s linecheck.StreamReport, keptLines uint64) readResult {
	return readResult{
		checked: checked{Report: report(s)},
		recent:  []perLog{{"old", map[string]uint64{"stdout": s.Lines - keptLines}}, {"new", map[string]uint64{"stdout": keptLines}}},
	}
}

func onDisk(s linecheck.StreamReport) checked {
	return checked{Names: []string{"new"}, Report: report(s)}
}

func TestJudge(t *testing.T) {
	tail := onDisk(linecheck.StreamReport{First: 61, Last: 100, Lines: 40})
	all := readBy(linecheck.StreamReport{First: 1, Last: 100, Lines: 100}, 40)
	cut := tail
	cut.Fragments = map[string]uint64{"stdout": 1}
	for _, c := range []struct {
		name    string
		disk    checked
		read    readResult
		want    Proof // figures only
		problem string
	}{
		{"pruned and read back", tail, all, Proof{Found: 40, Pruned: 60}, ""},
		{
			"a line cut by pruning", cut, readBy(linecheck.StreamReport{First: 1, Last: 100, Lines: 100}, 41),
			Proof{Found: 40, Pruned: 60},
			"",
		},
		{"all pruned", checked{}, all, Proof{Pruned: 100}, ""},
		{"reader too slow", tail, readResult{gaveUp: errors.New("slow")}, Proof{Found: 40, Pruned: 60}, ""},
		{
			"lost before it was pruned", tail, readBy(linecheck.StreamReport{First: 1, Last: 100, Lines: 97, Missing: 3}, 40),
			Proof{Found: 40, Pruned: 57, Lost: 3},
			"3 missing",
		},
		{
			"lost at the very front", tail, readBy(linecheck.StreamReport{First: 3, Last: 100, Lines: 98}, 40),
			Proof{Found: 40, Pruned: 58, Lost: 2},
			"2 lost at the front",
		},
		{
			"gone at the front of a log that was not pruned", onDisk(linecheck.StreamReport{First: 71, Last: 100, Lines: 30}), all,
			Proof{Found: 30, Pruned: 60, Lost: 10},
			"",
		},
		{
			"lost on disk", onDisk(linecheck.StreamReport{First: 61, Last: 100, Lines: 39, Missing: 1}), all,
			Proof{Found: 39, Pruned: 60, Lost: 1},
			"on disk: stdout: 1 missing",
		},
		{
			"lost twice", onDisk(linecheck.StreamReport{First: 61, Last: 100, Lines: 39, Missing: 1}),
			readBy(linecheck.StreamReport{First: 1, Last: 100, Lines: 98, Missing: 2}, 40),
			Proof{Found: 39, Pruned: 58, Lost: 3},
			"2 missing",
		},
		{
			"lost at the end", onDisk(linecheck.StreamReport{First: 61, Last: 98, Lines: 38}), all,
			Proof{Found: 38, Pruned: 60, Lost: 2},
			"lost at the end",
		},
		{
			"doubled and out of order", onDisk(linecheck.StreamReport{First: 61, Last: 100, Lines: 41, Doubled: 1, OutOfOrder: 2}), all,
			Proof{Found: 40, Pruned: 60, Doubled: 1, OutOfOrder: 2},
			"1 doubled",
		},
		{
			"damaged", onDisk(linecheck.StreamReport{First: 61, Last: 100, Lines: 40, Corrupt: 1}), all,
			Proof{Found: 40, Pruned: 60, Damaged: 1},
			"1 corrupt",
		},
		{"unreadable", checked{Err: errors.New("permission denied")}, all, Proof{Pruned: 100}, "permission denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge("a", map[string]uint64{"stdout": 100, "stderr": 0}, c.disk, c.read)
			c.want.Name, c.want.Written = "a", 100
			if problems := strings.Join(got.Problems, "; "); (problems == "") != (c.problem == "") || !strings.Contains(problems, c.problem) {
				t.Errorf("problems %q, want %q", problems, c.problem)
			}
			if got.OK() != (c.problem == "" && c.want.Lost == 0) {
				t.Errorf("OK is %v", got.OK())
			}
			if got.Written != got.Found+got.Pruned+got.Lost {
				t.Errorf("the figures do not add up: %+v", got)
			}
			got.Problems, got.Unread = nil, ""
			if got.figures() != c.want.figures() {
				t.Errorf("got %s, want %s", got.figures(), c.want.figures())
			}
		})
	}
}
