package watcher

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBeside: changes in a directory elsewhere are told of, links swapped as
// kubelet does in a ConfigMap's volume included, and a flood is not.
func TestBeside(t *testing.T) {
	n := newNode(t)
	beside := t.TempDir()
	changed := make(chan struct{}, 10_000)
	n.w.cfg.Beside, n.w.cfg.BesideChanged = beside, func() { changed <- struct{}{} }
	n.start(asIs)
	drain := func() (count int) {
		for {
			select {
			case <-changed:
				count++
			case <-time.After(200 * time.Millisecond):
				return count
			}
		}
	}
	if drain() == 0 {
		t.Error("the first sweep did not tell of it")
	}
	file := filepath.Join(beside, "logwatch.yaml")
	for name, change := range map[string]func() error{
		"written": func() error { return os.WriteFile(file, []byte("x"), 0o600) },
		"swapped": func() error {
			tmp := filepath.Join(beside, "..data_tmp")
			if err := os.Symlink("..2026", tmp); err != nil {
				return err
			}
			return os.Rename(tmp, filepath.Join(beside, "..data"))
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if drain() == 0 {
			t.Errorf("%s: not told", name)
		}
	}
	for range 5000 {
		if err := os.WriteFile(file, []byte("y"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := drain(); got > 2*besideEvents {
		t.Errorf("told %d times of a flood", got)
	}
	n.sweep(CauseSweep)
	drain()
	if err := os.WriteFile(file, []byte("z"), 0o600); err != nil {
		t.Fatal(err)
	}
	if drain() == 0 {
		t.Error("not told of a change after the flood")
	}
}
