package shippers

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

// torture is how long TestTortureShipper writes.
var torture = flag.Duration("torture", 20*time.Second, "how long TestTortureShipper kills logwatch")

// TestTortureShipper kills logwatch at random moments of a rotation while a shipper reads
// the logs. Where it was killed before the reopen, the runtime writes to the rotated log,
// which shippers leave soon after the rotation, until logwatch has started again and has
// given that log its name back. OpenTelemetry misses no line. rsyslog leaves a rotated log at
// once, also if the reopen follows, and may miss what is written to it from the request on.
// Lines arrive twice if a shipper no longer knows how far it had read a log that comes back.
func TestTortureShipper(t *testing.T) {
	needRoot(t)
	for _, s := range shippers {
		if s.short {
			t.Run(s.name, func(t *testing.T) { tortureShipper(t, s) })
		}
	}
}

func tortureShipper(t *testing.T, s shipper) {
	n := newContainerd(t)
	p, out := startShipper(t, n, s)
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	l := startLogwatch(t, n, dir, fmt.Sprintf(requested, socket))
	const rate, width = 200_000, 121
	ws := []writer{n.run("first", 0, width, rate), n.run("second", 0, width, rate)}
	client := api.NewClient(socket)
	kills, cut := 0, map[uint64]int64{} // the size, by inode, of a log before a rotation that was cut short
	for end := time.Now().Add(*torture); time.Now().Before(end); kills++ {
		out.waitLive(n, p, ws)
		var before []fs.FileInfo
		for _, w := range ws {
			before = append(before, n.live(w))
		}
		asked := make(chan error, 1)
		go func() { asked <- client.Rotate(context.Background(), api.Selector{All: true}, func(api.Result) {}) }()
		time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
		l.kill()
		<-asked //nolint:errcheck // logwatch was killed
		for i, w := range ws {
			if n.live(w).Size() == 0 || s.name == "rsyslog" {
				cut[inode(before[i])] = before[i].Size()
			}
		}
		l.start("sweep ended")
	}
	out.waitLive(n, p, ws)
	files, late := 0, uint64(0)
	for i := range ws {
		files += n.stop(&ws[i])
		late += n.after(ws[i], cut)
	}
	sum := out.wait(ws)
	t.Logf("%d kills, %d in a rotation, %d files; %d of %d lines missing, %d doubled; %d were written to a log since its rotation was requested",
		kills, len(cut), files, missing(sum), sum.Written, sum.Doubled, late)
	allowed := uint64(0)
	if s.name == "rsyslog" {
		allowed = late
	}
	if missing(sum) > allowed || files < 10 {
		t.Errorf("%d lines missing, at most %d may be; %d files", missing(sum), allowed, files)
	}
}
