package kubelet

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
)

// measure is how long containers write; figures in docs are from -measure=60s.
var measure = flag.Duration("measure", 3*time.Second, "how long containers write")

// all rotates often and prunes nothing.
const all = `
containerLogMaxSize: 1Mi
containerLogMaxFiles: 10000
containerLogMonitorInterval: 1s
minRotationInterval: 0s
`

// TestBackstop: with the recommended settings of kubelet, only logwatch rotates, and no
// line is lost. kubelet's statistics have the rotated logs.
func TestBackstop(t *testing.T) {
	t.Parallel()
	n := newNode(t, "", backstop)
	l := agenttest.NewDaemon(t, n.Endpoint(), n.PodLogsDir(), all)
	_, socket := l.Listen()
	l.Start()
	const rate = 2e6
	lines := lasting(measure.Seconds(), rate)
	var pods []*pod
	for i := range 2 {
		pods = append(pods, n.run(podSpec{name: fmt.Sprintf("load-%d", i), rate: rate, lines: lines}))
	}
	silent := n.run(podSpec{name: "silent", rate: rate, lines: silentLines, linger: true})
	silentIsServed(t, silent, socket)
	for _, p := range pods {
		p.wait()
	}
	l.Stop()
	byDir := map[string]int{}
	for _, r := range l.Rotated() {
		byDir[r.Due.Dir]++
	}
	for _, p := range pods {
		res := p.check(lines)
		rotated := len(res.Logs) - 1
		t.Logf("%s: %d lines, %d rotated logs, %d rotations by logwatch", p.name, lines, rotated, byDir[p.dir])
		if rotated < 3 || rotated > byDir[p.dir] {
			t.Errorf("%s: kubelet has rotated too, or too little was", p.name)
		}
	}
}

// silentLines are fewer than one log has.
const silentLines = 4000

// silentIsServed: kubelet's statistics and logs have a container whose live log is
// empty, since it is silent after a rotation.
func silentIsServed(t *testing.T, p *pod, socket string) {
	t.Helper()
	testutil.Eventually(t, "all lines", func() bool { // an error: a log was compressed in the meantime
		res, err := linecheck.Container(p.n.PodLogsDir(), p.dir)
		return err == nil && res.OK(written(silentLines)) == nil
	})
	live := filepath.Join(p.path(), "0.log")
	testutil.Eventually(t, "an empty live log", func() bool {
		which := api.Selector{Names: api.Names{Namespace: "default", Pod: p.name + "-" + hostname}}
		_ = api.NewClient(socket).Rotate(t.Context(), which, func(api.Result) {}) // it may be empty already
		st, err := os.Stat(live)
		return err == nil && st.Size() == 0
	})
	if text := p.text("tailLines=10"); text != "" {
		t.Errorf("an empty live log is served as %q", text)
	}
	testutil.Eventually(t, "the size of its logs in kubelet's statistics", func() bool {
		used, ok := p.n.logBytes(p.name)
		return ok && used >= p.bytes()/2 // a file system may store them compressed
	})
}
