package linecheck

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// numbered is what a log contains: records of stdout, by line number. A number below
// zero is a line's first half (P), one above 100 the second half (F) of line n-100.
func numbered(stream string, numbers ...int) string {
	var b strings.Builder
	for _, n := range numbers {
		tag, seq := "F", n
		switch {
		case n < 0:
			tag, seq = "P", -n
		case n > 100:
			seq = n - 100
		}
		line := AppendLine(nil, stream, uint64(seq), 60)
		switch {
		case n < 0:
			line = line[:30]
		case n > 100:
			line = line[30:]
		}
		b.WriteString("2026-01-02T15:04:05.000000000Z " + stream + " " + tag + " " + string(line) + "\n")
	}
	return b.String()
}

func TestContainer(t *testing.T) {
	const old, middle, newest, live = "0.log.20260102-150405.gz", "0.log.20260102-150406", "0.log.20260102-150407", "0.log"
	for name, c := range map[string]struct {
		logs   map[string]string
		want   Totals
		splits int
		bad    string // part of OK's error
	}{
		"whole": {
			map[string]string{old: numbered("stdout", 1, 2, 3), middle: numbered("stdout", 4), live: numbered("stdout", 5, 6)},
			Totals{Written: 6, Found: 6},
			0, "",
		},
		"cut lines": {
			map[string]string{
				old:  numbered("stdout", 1, -2) + numbered("stderr", 1, -2),
				live: numbered("stdout", 102, 3, 4, 5, -6) + numbered("stderr", 102),
			},
			// The live log's last line has no end yet: half a line is damaged.
			Totals{Written: 8, Found: 7, Lost: 1, Corrupt: 1},
			2, "stdout: 1 corrupt, 1 lost at the end",
		},
		"pruned, in the middle of a line": {
			map[string]string{middle: numbered("stdout", 103, 4, -5), live: numbered("stdout", 105, 6)},
			Totals{Written: 6, Found: 3, Pruned: 3},
			1, "",
		},
		"a log is lost": {
			map[string]string{old: numbered("stdout", 1, 2), newest: numbered("stdout", 5), live: numbered("stdout", 6)},
			Totals{Written: 6, Found: 4, Lost: 2},
			0, "2 missing",
		},
		"a log is there twice": {
			map[string]string{old: numbered("stdout", 1, 2), middle: numbered("stdout", 1, 2, 3), live: numbered("stdout", 4, 5, 6)},
			Totals{Written: 6, Found: 6, Doubled: 2},
			0, "2 doubled",
		},
		"logs are swapped": {
			map[string]string{old: numbered("stdout", 3, 4), middle: numbered("stdout", 1, 2), live: numbered("stdout", 5, 6)},
			Totals{Written: 6, Found: 6, OutOfOrder: 2},
			0, "2 out of order",
		},
		"empty": {map[string]string{live: ""}, Totals{Written: 6, Lost: 6}, 0, "6 lost at the end"},
	} {
		t.Run(name, func(t *testing.T) {
			pods, size := t.TempDir(), int64(0)
			dir := filepath.Join("ns_pod_uid", "app")
			if err := os.MkdirAll(filepath.Join(pods, dir), 0o755); err != nil {
				t.Fatal(err)
			}
			for log, text := range c.logs {
				content := []byte(text)
				if filepath.Ext(log) == ".gz" {
					content = compressed(t, text)
				}
				size += int64(len(content))
				if err := os.WriteFile(filepath.Join(pods, dir, log), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			res, err := Container(pods, dir)
			if err != nil {
				t.Fatal(err)
			}
			written := map[string]uint64{"stdout": 6}
			if c.want.Written == 8 {
				written["stderr"] = 2
			}
			if got := res.Totals(written); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if res.Splits != c.splits || res.Bytes != size || len(res.Logs) != len(c.logs) || res.Pruned() != c.want.Pruned {
				t.Errorf("%d splits, %d bytes, %d logs, %d pruned", res.Splits, res.Bytes, len(res.Logs), res.Pruned())
			}
			if err := res.OK(written); (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%v; want %q", err, c.bad)
			}
		})
	}
}

func compressed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestContainerErrors(t *testing.T) {
	pods := t.TempDir()
	if _, err := Container(pods, "gone"); err == nil {
		t.Error("a directory that does not exist is read")
	}
	if err := os.Mkdir(filepath.Join(pods, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pods, "app", "0.log"), []byte("no record\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Container(pods, "app"); err == nil || !strings.Contains(err.Error(), "app/0.log: ") {
		t.Errorf("a log without records: %v", err)
	}
}
