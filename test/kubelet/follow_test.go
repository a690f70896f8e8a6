package kubelet

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/logs"
)

// TestFollow prints how many lines a follower misses that kubelet serves, as for kubectl
// logs -f, by rotator and rate. `logwatch logs -f` beside it misses none.
func TestFollow(t *testing.T) {
	t.Parallel()
	const limit = "containerLogMaxSize: 5Mi\ncontainerLogMaxFiles: 1000\n"
	t.Run("logwatch", func(t *testing.T) {
		n := newNode(t, "", backstop)
		for _, mode := range []struct{ name, yaml string }{
			{"default", ""},
			{"strict", "minRotationInterval: 0s\n"},
		} {
			l := agenttest.Start(t, n.Endpoint(), n.PodLogsDir(), limit+mode.yaml)
			follow(t, n, mode.name, l.Stop)
		}
	})
	t.Run("kubelet", func(t *testing.T) {
		if *measure < 20*time.Second {
			t.Skip("kubelet rotates too seldom: -measure=60s")
		}
		follow(t, newNode(t, limit, ""), "kubelet", func() {})
	})
}

// follow runs pods of three rates, one after the other and each with both followers,
// and checks the logs when the rotator was stopped.
func follow(t *testing.T, n *node, mode string, stop func()) {
	t.Helper()
	lines := map[*pod]uint64{}
	for _, rate := range []int{1e6, 2e6, 8e6} {
		want := written(lasting(measure.Seconds(), rate))
		began := time.Now()
		p := n.run(podSpec{name: fmt.Sprintf("%s-%dmb", mode, rate/1e6), rate: rate, lines: want[crilog.Stdout]})
		kubectl, own := p.follow(), p.followOwn(want[crilog.Stdout])
		p.wait()
		took := time.Since(began)
		if err := own().OK(want); err != nil {
			t.Errorf("%s: logwatch logs -f: %v", p.name, err)
		}
		total := kubectl().Totals(want)
		t.Logf("%s/s, in fact %.1f: %d files; kubectl logs -f misses %d of %d lines (%d are cut), and has %d twice", p.name,
			float64(total.Written*(width+1))/1e6/took.Seconds(), len(p.names("0.log")), total.Lost, total.Written-total.Pruned, total.Corrupt, total.Doubled)
		if total.Found == 0 {
			t.Errorf("%s: kubectl logs -f has nothing", p.name)
		}
		lines[p] = total.Written
	}
	stop()
	for p, lines := range lines {
		p.check(lines)
	}
}

// followOwn is logwatch logs -f, until the last of so many lines. The returned function
// waits for that.
func (p *pod) followOwn(lines uint64) func() linecheck.Report {
	p.n.t.Helper()
	ctx, cancel := context.WithTimeout(p.n.t.Context(), followTimeout())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := logs.Run(ctx, logs.Options{
			PodLogsDir: p.n.PodLogsDir(), Namespace: "default", Pod: p.name + "-" + hostname, Container: "app",
			Follow: true, Tail: -1, Out: w, Warnings: io.Discard,
		})
		_ = w.Close() // a pipe's never fails
		ended <- err
	}()
	read := make(chan linecheck.Report, 1)
	go func() {
		defer cancel()
		var checker linecheck.Checker
		last := []byte(number(lines))
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			checker.Add(scanner.Bytes())
			if bytes.Contains(scanner.Bytes(), last) {
				cancel()
			}
		}
		read <- checker.Report()
	}()
	return func() linecheck.Report {
		p.n.t.Helper()
		report := <-read
		if err := <-ended; err != nil {
			p.n.t.Errorf("logwatch logs -f: %v", err)
		}
		return report
	}
}
