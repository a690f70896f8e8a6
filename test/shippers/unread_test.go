package shippers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/testutil"
	"golang.org/x/sys/unix"
)

// small is a policy under which a few seconds of a stopped shipper are too long.
const small = noSocket + "containerLogMaxSize: 1Mi\ncontainerLogMaxTotalSize: 4Mi\nrotatedLogGracePeriod: 0s\n"

// TestPrunedUnread: with too little room for what a stopped shipper has not read, the lines
// that it misses are those that logwatch has counted, and their times are those of the
// stop. With room for them, it misses none. Once it has caught up, the logs are within
// their total again.
func TestPrunedUnread(t *testing.T) {
	needRoot(t)
	for name, budget := range map[string]string{"too small": "4Mi", "large enough": "64Mi"} {
		t.Run(name, func(t *testing.T) { pruneUnread(t, budget, budget == "4Mi") })
	}
}

func pruneUnread(t *testing.T, budget string, loses bool) {
	const rate, width, stopped = 1e6, 121, 10 * time.Second
	n := newContainerd(t)
	p, out := startShipper(t, n, shippers[0])
	l := startLogwatch(t, n, t.TempDir(), small+"unreadLogBudget: "+budget+"\n")
	ws := []writer{n.run("writer", 0, width, rate)}
	written := func(bytes int) {
		target := out.last(ws[0]) + uint64(bytes/width)
		p.eventually("ship", func() bool { out.read(); return out.last(ws[0]) >= target })
	}
	written(1e6) // it follows
	from := time.Now()
	p.signal(unix.SIGSTOP)
	time.Sleep(stopped)
	p.signal(unix.SIGCONT)
	to := time.Now()
	written(15e6) // what it has missed is pruned
	caughtUp := time.Now()
	testutil.Eventually(t, "the logs to be within their total", func() bool { return n.size(map[string]bool{}) <= 4<<20 })
	back := time.Since(caughtUp)
	if err := ws[0].stop(); err != nil {
		t.Fatal(err)
	}
	ws[0].lines = n.lastLine(ws[0])
	sum := out.wait(ws)
	lost := lostLines(t, l.text())
	t.Logf("%d of %d lines missing, %d doubled; logwatch counted %d, of %s to %s; it was stopped from %s to %s; within its total after %v",
		missing(sum), sum.Written, sum.Doubled, lost.lines, clock(lost.from), clock(lost.to), clock(from), clock(to), back.Round(time.Millisecond))
	if missing(sum) != lost.lines || loses != (lost.lines > 0) || sum.Doubled > 0 {
		t.Errorf("%d lines missing, %d counted, %d doubled", missing(sum), lost.lines, sum.Doubled)
	}
	if loses && (lost.from.Before(from.Add(-stopped/2)) || lost.to.After(to.Add(stopped/2))) {
		t.Error("the time range is not that of the stop")
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.0") }

// lost is what logwatch says that it pruned unread.
type lost struct {
	lines    uint64
	from, to time.Time
}

// lostLines adds up what logwatch has logged.
func lostLines(t *testing.T, log string) (sum lost) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "has not read") {
			continue
		}
		var l struct {
			Lines    uint64
			From, To time.Time
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if sum.from.IsZero() || l.From.Before(sum.from) {
			sum.from = l.From
		}
		if l.To.After(sum.to) {
			sum.to = l.To
		}
		sum.lines += l.Lines
	}
	return sum
}
