package rotator

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// TestFinished: a rotated log has no final size while it is open for writing; then its
// size and its splits are those of its end.
func TestFinished(t *testing.T) {
	const name, stamp = "0.log.20260102-030405", "2026-01-02T03:04:05.123456789Z "
	out, errs := stamp+"stdout F a line\n", stamp+"stderr F a line\n"
	cutOut, cutErr := stamp+"stdout P a l\n", stamp+"stderr P a l\n"
	long := stamp + "stdout P " + strings.Repeat("x", 16<<10) + "\n"
	for title, test := range map[string]struct {
		text   string
		splits int
	}{
		"whole":                      {out + errs, 0},
		"cut":                        {out + cutOut, 1},
		"cut before another stream":  {cutOut + errs, 1},
		"both cut":                   {out + cutErr + cutOut, 2},
		"completed":                  {cutOut + errs + out, 0},
		"a part of the longest line": {strings.Repeat(out, 1000) + long, 1},
		"beyond what is read":        {cutErr + strings.Repeat(out, 1000), 0},
		"an unfinished write":        {out + cutOut[:len(cutOut)-1], 0},
		"not a container's log":      {strings.Repeat("x", 100<<10), 0},
		"empty":                      {"", 0},
	} {
		t.Run(title, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, container, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			writer, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			r := newRotator(root, nil)
			if _, err := r.Finished(container, name); !errors.Is(err, ErrBusy) {
				t.Errorf("open for writing: %v", err)
			}
			_, err = writer.WriteString(test.text)
			if err := errors.Join(err, writer.Close()); err != nil {
				t.Fatal(err)
			}
			got, err := r.Finished(container, name)
			if err != nil || got.Size != int64(len(test.text)) || got.Splits != test.splits || got.Inode == 0 {
				t.Errorf("%+v, %v; want %d bytes, %d splits", got, err, len(test.text), test.splits)
			}
		})
	}
}

// TestFinishedIsOfRotatedLogs: not of a link, of a live log or of one that is gone.
func TestFinishedIsOfRotatedLogs(t *testing.T) {
	root := t.TempDir()
	newRuntime(t, root, false).stop()
	if err := os.Symlink("0.log", filepath.Join(root, container, "0.log.20260102-030405")); err != nil {
		t.Fatal(err)
	}
	r := newRotator(root, nil)
	for name, want := range map[string]error{
		"0.log": nil, "0.log.20260102-030406.gz": nil, "../0.log.20260102-030405": nil,
		"0.log.20260102-030405": podlogs.ErrNotRegular, "0.log.20260102-030406": fs.ErrNotExist,
	} {
		if got, err := r.Finished(container, name); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
