package rotator

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// TestLostIsCounted: what a prune removes unread is counted to the line, and its disk
// space is freed although the reader has the file open.
func TestLostIsCounted(t *testing.T) {
	const name = "0.log.20260101-000001"
	line := func(i int) string { return fmt.Sprintf("2026-01-01T00:00:%02d.5Z stdout F line %d\n", i, i) }
	var lines []string
	for i := range 20 {
		lines = append(lines, line(i))
	}
	lines[18] = strings.Replace(lines[18], " F ", " P ", 1) // the last record completes it
	content := strings.Join(lines, "")
	for _, c := range []struct {
		name   string
		read   int // bytes
		reason Reason
		want   Lost
	}{
		{"at a line's end", len(strings.Join(lines[:15], "")), BySize, Lost{Lines: 4, From: at(15), To: at(19)}},
		{"within a line", len(strings.Join(lines[:15], "")) + 7, BySize, Lost{Lines: 4, From: at(15), To: at(19)}},
		{"nothing", 0, ByPressure, Lost{Lines: 19, From: at(0), To: at(19)}},
		{"not opened", Missed, BySize, Lost{Lines: 19, From: at(0), To: at(19)}},
		{"all, for pressure", len(content), ByPressure, Lost{}},
		{"not known, for pressure", Assumed, ByPressure, Lost{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, container, name)
			place(t, root, name, []byte(content))
			place(t, root, "0.log", []byte(content))
			reader, err := os.Open(path)
			must(t, err)
			defer reader.Close() //nolint:errcheck // opened for reading
			if _, err := io.CopyN(io.Discard, reader, int64(max(0, c.read))); err != nil {
				t.Fatal(err)
			}
			st, err := podlogs.ListDir(podlogs.At(root), container, 0)
			must(t, err)
			read := Read{Positions: Positions{st[0].Inode: int64(c.read)}}
			if before := c.read - 3*len(line(0)); before > 0 { // it reads on while the log is emptied
				read = Read{Positions: Positions{st[0].Inode: int64(before)}, Again: func(uint64) int64 {
					st, err := reader.Stat()
					must(t, err)
					if st.Size() > 0 {
						return int64(before)
					}
					return int64(c.read)
				}}
			}
			var rep Report
			if c.reason == ByPressure {
				rep, err = newRotator(root, nil).Prune(t.Context(), container, logNames(t, name), podlogs.Name{}, read)
			} else {
				rep, err = newRotator(root, nil).Tidy(t.Context(), container, Policy{MaxFiles: 9, MaxTotalSize: int64(len(content) * 5 / 4), Read: read}, podlogs.Name{})
			}
			must(t, err)
			if len(rep.Done) != 1 {
				t.Fatalf("done: %+v", rep.Done)
			}
			if c.want.Lines > 0 {
				c.want.Bytes = int64(len(content) - max(0, c.read))
			}
			if got := rep.Done[0].Lost; got != c.want {
				t.Errorf("lost %+v\nwant %+v", got, c.want)
			}
			if st, err := reader.Stat(); err != nil || st.Size() != 0 {
				t.Errorf("the removed file still has %d bytes (%v)", st.Size(), err)
			}
		})
	}
}

// TestLostOfLongLog: of a log that is not held, what its reader had read before counts as read, however
// many lines that is.
func TestLostOfLongLog(t *testing.T) {
	root := t.TempDir()
	const name, lines, read = "0.log.20260101-000001", maxRecords + 2000, maxRecords + 1000
	record := "2026-01-01T00:00:00Z stdout F x\n"
	place(t, root, name, []byte(strings.Repeat(record, lines)))
	place(t, root, "0.log", []byte(record))
	st, err := podlogs.ListDir(podlogs.At(root), container, 0)
	must(t, err)
	seen := Read{Positions: Positions{st[0].Inode: Missed}, Again: func(uint64) int64 { return int64(read * len(record)) }}
	rep, err := newRotator(root, nil).Prune(t.Context(), container, logNames(t, name), podlogs.Name{}, seen)
	must(t, err)
	if len(rep.Done) != 1 || rep.Done[0].Lost.Lines != lines-read {
		t.Errorf("done: %+v", rep.Done)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func at(second int) time.Time { return time.Date(2026, 1, 1, 0, 0, second, 5e8, time.UTC) }

// TestReadLogIsNotEmptied: a log that is removed because the policy does not keep it is
// unlinked only, so that a process that has it open can read on.
func TestReadLogIsNotEmptied(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, container, "0.log.20260101-000001")
	place(t, root, "0.log.20260101-000001", []byte("x\n"))
	place(t, root, "0.log", []byte("x\n"))
	reader, err := os.Open(path)
	must(t, err)
	defer reader.Close() //nolint:errcheck // opened for reading
	if rep, err := newRotator(root, nil).Tidy(t.Context(), container, Policy{MaxFiles: 1}, podlogs.Name{}); err != nil || len(rep.Done) != 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if st, err := reader.Stat(); err != nil || st.Size() != 2 {
		t.Errorf("%d bytes are left (%v)", st.Size(), err)
	}
}

// TestLiveLogOfEarlierRestartIsHeld: what a reader has not read of the log of an exited container is
// held like a rotated log.
func TestLiveLogOfEarlierRestartIsHeld(t *testing.T) {
	files := []podlogs.File{
		{Name: parseName(t, "0.log")[0], Size: 200, Regular: true, Inode: 1},
		{Name: parseName(t, "1.log")[0], Size: 1, Regular: true, Inode: 2},
	}
	for _, c := range []struct {
		position, allowance int64
		prunes              bool
	}{{10, 1000, false}, {10, 0, true}, {200, 1000, true}} {
		p := Policy{MaxFiles: 9, MaxTotalSize: 50, Codec: podlogs.Gzip, Read: Read{Positions: Positions{1: c.position}}, Allowance: c.allowance}
		if steps, _ := Plan(files, p, planNow); len(steps) > 0 != c.prunes {
			t.Errorf("%+v: %+v", c, steps)
		}
	}
}

// TestMissedLogIsNotHeld: a log that its readers have not opened does not wait for them,
// and stays uncompressed until it is pruned, so that its lines can be counted then.
func TestMissedLogIsNotHeld(t *testing.T) {
	files := []podlogs.File{
		{Name: parseName(t, "0.log")[0], Size: 10, Regular: true, Inode: 1},
		{Name: parseName(t, "0.log.20260101-000001")[0], Size: 100, Regular: true, Inode: 2},
		{Name: parseName(t, "0.log.20260101-000002")[0], Size: 100, Regular: true, Inode: 3},
	}
	for _, c := range []struct {
		total int64
		pos   int64
		want  Action
	}{{1000, 100, Compress}, {1000, Missed, 0}, {120, Missed, Prune}, {120, 0, 0}} {
		p := Policy{MaxFiles: 9, MaxTotalSize: c.total, Codec: podlogs.Gzip, Read: Read{Positions: Positions{2: c.pos}}, Allowance: 1000}
		steps, _ := Plan(files, p, planNow)
		got := Action(0)
		if len(steps) > 0 {
			got = steps[0].Action
		}
		if got != c.want {
			t.Errorf("total %d, position %d: %v, want %v", c.total, c.pos, got, c.want)
		}
	}
}
