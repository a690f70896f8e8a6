package dispatch

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/readers"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/rotator"
)

func TestLostText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, tt := range []struct {
		lost          rotator.Lost
		readers, want string
	}{
		{rotator.Lost{Bytes: 9, Lines: 12, From: at, To: at.Add(time.Minute)}, "fluent-bit, vector", "pruned 12 lines, of 2026-01-02T03:04:05Z to 2026-01-02T03:05:05Z, not read by fluent-bit, vector"},
		{rotator.Lost{Bytes: 9, Lines: 1}, "", "pruned 1 line not read by a log reader"},
	} {
		if got := lostText(tt.lost, tt.readers); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestMissedLogIsForgotten: of a log that another program removed nothing is kept, also
// while the readers that missed it are only expected.
func TestMissedLogIsForgotten(t *testing.T) {
	n, f := readNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 1, 100))
	kept := rotatedLogs(t, ct.Dir(), 1)[0].String()
	inode := inodeOf(filepath.Join(ct.Dir(), kept))
	n.list(t)
	f.set(readers.Follower{Command: "shipper", Expected: true})
	long := missedLog{[]string{"shipper"}, time.Now().Add(-missedLasts - time.Second)}
	n.with(dir, func(c *container) {
		c.missed = map[uint64]missedLog{inode: long, 1: long, 2: {long.readers, time.Now()}}
	})
	n.Changed(dir)
	testutil.Eventually(t, "one to be forgotten", func() (done bool) {
		n.with(dir, func(c *container) { done = len(c.missed) == 2 })
		return done
	})
	n.with(dir, func(c *container) {
		if _, ok := c.missed[1]; ok {
			t.Errorf("%v", c.missed)
		}
	})
}
