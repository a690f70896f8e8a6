package agent_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
)

// TestNotifiesTheServiceManager of reloads, good and bad.
func TestNotifiesTheServiceManager(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	var mu sync.Mutex
	var states strings.Builder
	n.Options.Notify = func(state string) {
		mu.Lock()
		defer mu.Unlock()
		states.WriteString(state + "\n")
	}
	count := func(line string) int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count("\n"+states.String(), "\n"+line+"\n")
	}
	_, write := n.ConfigFile(agenttest.Small)
	n.Start()
	watching := "STATUS=watching " + n.Runtime.PodLogsDir()
	testutil.Eventually(t, "ready", func() bool { return count(watching) == 1 && count("READY=1") == 1 })
	write(agenttest.Small + "compression: {codec: none}\n")
	testutil.Eventually(t, "the reload", func() bool {
		return count("RELOADING=1") == 1 && count("READY=1") == 2 && count(watching) == 2
	})
	write("containerLogMaxFiles: many\n")
	testutil.Eventually(t, "the failed reload", func() bool {
		return count("RELOADING=1") == 2 && count("READY=1") == 3 && count(watching) == 2
	})
	n.Stop()
	if count("STOPPING=1") == 0 {
		t.Error("the stop was not reported")
	}
}
