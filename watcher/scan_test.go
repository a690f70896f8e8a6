package watcher

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLogs(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]int // sizes
		live  string
		other int64
	}{
		{"empty", nil, "", 0},
		{"one", map[string]int{"0.log": 7}, "0.log", 0},
		{"rotated", map[string]int{"0.log": 7, "0.log.20260101-000000": 100, "0.log.20260101-000000.gz": 30}, "0.log", 130},
		{"highest by number", map[string]int{"9.log": 1, "10.log": 2, "2.log": 4}, "10.log", 5},
		{"live is missing", map[string]int{"1.log": 5, "2.log.20260101-000000": 3}, "2.log", 8},
		{"foreign", map[string]int{"0.log": 1, "app.log": 10, "0.logs": 10, "log": 10, ".log": 10, "-1.log": 10, "+1.log": 10, "1_0.log": 10, "99999999999999999999.log": 10}, "0.log", 0},
		{"foreign with a log's beginning", map[string]int{"0.log": 1, "1.log.bak": 10, "0.log.1": 10, "0.log.tmp": 10, "2.log.20260101-000000.xz": 10}, "0.log", 0},
		{"a compression that was not finished", map[string]int{"0.log": 1, "0.log.20260101-000000.tmp": 2}, "0.log", 2},
		{"the shorter of two with one number", map[string]int{"00.log": 4, "0.log": 1, "000.log": 8}, "0.log", 12},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "pod/c")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, size := range test.files {
				if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// Neither is a log, whatever the name.
			if err := os.Symlink("/etc/passwd", filepath.Join(dir, "77.log")); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "78.log"), 0o755); err != nil {
				t.Fatal(err)
			}
			l, err := (&scanner{root: root}).logs("pod/c")
			if err != nil || l.live != test.live || l.otherBytes != test.other {
				t.Errorf("logs = %q, other bytes %d, %v, want %q, %d", l.live, l.otherBytes, err, test.live, test.other)
			}
		})
	}
}

func TestModifiedIsUnknownWithinAClockTick(t *testing.T) {
	root := t.TempDir()
	s := &scanner{root: root}
	dir := filepath.Join(root, "pod/c")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]bool{0: false, -time.Hour: false, time.Hour: true} {
		at := time.Now().Add(-age)
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
		l, err := s.logs("pod/c")
		if err != nil || (l.stamp.modified == at.UnixNano()) != want || (l.stamp == stamp{}) == want {
			t.Errorf("modified %v ago: %v, %v", age, l.stamp, err)
		}
	}
}

func TestSubdirs(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(root, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dirs, err := (&scanner{root: root}).subdirs("")
	if err != nil || len(dirs) != 2 {
		t.Errorf("subdirs = %q, %v, want a and b", dirs, err)
	}
	if _, err := (&scanner{root: root}).subdirs("link"); !isNotDir(err) {
		t.Errorf("a link: %v", err)
	}
	if _, err := (&scanner{root: filepath.Join(root, "link")}).subdirs(""); err != nil {
		t.Errorf("podLogsDir as a link: %v", err)
	}
}

func TestSubdirsIsBounded(t *testing.T) {
	root := t.TempDir()
	for i := range maxEntries + 1 {
		if err := os.Mkdir(filepath.Join(root, fmt.Sprint(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dirs, err := (&scanner{root: root}).subdirs("")
	if err != errTooMany || len(dirs) != maxEntries { //nolint:errorlint // that very error
		t.Errorf("%d directories, %v", len(dirs), err)
	}
}
