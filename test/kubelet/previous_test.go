package kubelet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/rotator"
)

// TestPrevious: kubectl logs --previous has the log of a container that crashed while
// its rotation was unfinished, because logwatch was killed between exchange and reopen.
func TestPrevious(t *testing.T) {
	t.Parallel()
	n := newNode(t, "", backstop)
	p := n.run(podSpec{name: "previous", rate: 1e6, restart: true})
	live := filepath.Join(p.path(), "0.log")
	testutil.Eventually(t, "lines", func() bool { st, err := os.Stat(live); return err == nil && st.Size() > 500_000 })
	id, _ := p.container(0)
	killed := rotator.New(rotator.Options{PodLogsDir: n.PodLogsDir(), Runtime: dead{}})
	done, err := killed.Rotate(t.Context(), rotator.Request{Dir: p.dir, Log: "0.log", ContainerID: id})
	if !errors.Is(err, rotator.ErrUnanswered) || done.Size == 0 {
		t.Fatalf("a rotation without a reopen: %+v, %v", done, err)
	}
	p.kill(0)
	testutil.Eventually(t, "a restart", func() bool { return len(p.names("1.log")) > 0 })
	if text := p.text("previous=true"); text != "" {
		t.Fatalf("--previous has %d bytes before logwatch is back, so nothing is repaired", len(text))
	}
	agenttest.Start(t, n.Endpoint(), n.PodLogsDir(), all)
	testutil.Eventually(t, "the log of the restart before", func() bool { return strings.Contains(p.text("previous=true"), number(1)) })
}

// dead is a runtime that the rotator does not live to hear of.
type dead struct{}

func (dead) ReopenContainerLog(context.Context, string) error { return rotator.ErrUnanswered }
