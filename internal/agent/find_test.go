package agent

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHolds is about what Find goes by where a lock's device is not stat's, as on
// btrfs.
func TestHolds(t *testing.T) {
	dir := t.TempDir()
	var st unix.Stat_t
	must(t, unix.Stat(dir, &st))
	if holds(os.Getpid(), st) {
		t.Error("nobody has it open")
	}
	f, err := os.Open(dir)
	must(t, err)
	if !holds(os.Getpid(), st) {
		t.Error("this process has it open")
	}
	must(t, f.Close())
}
