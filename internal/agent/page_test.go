package agent_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/internal/web"
)

// TestPageOfADaemon: a daemon serves the page, and tells it of rotations, and of
// what fails, once while it lasts.
func TestPageOfADaemon(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small+"runtimeRequestTimeout: 500ms\n")
	url, _ := n.Listen()
	c := n.RunContainer(fake.ContainerSpec{Pod: "web"})
	n.Start()
	base := url()
	if code, body := fetch(t, base+"/"); code != 200 || !strings.Contains(body, "ui/app.js") {
		t.Errorf("the page: %d %.100s", code, body)
	}
	testutil.Eventually(t, "the container", func() bool {
		var v web.View
		_, body := fetch(t, base+"/api/v1/status")
		must(t, json.Unmarshal([]byte(body), &v))
		return len(v.Containers) == 1 && v.Containers[0].Pod == "web" && len(v.Problems) == 0 && v.Node.Polled+v.Node.Watched == 1
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/events", nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close() //nolint:errcheck // cut off
	in := bufio.NewScanner(resp.Body)
	next := func() (e web.Event) {
		for in.Scan() {
			if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				must(t, json.Unmarshal([]byte(data), &e))
				return e
			}
		}
		t.Fatalf("the stream ended: %v", in.Err())
		return e
	}
	must(t, c.WriteNumbered("stdout", 1000, 100))
	r := n.WaitRotations(1)[0]
	if e := next(); e.Kind != web.KindRotated || e.Pod != "web" || e.ID != c.ID() || e.To != r.To || e.Size != r.Size || e.Cause != "write" || time.Since(e.Time) > time.Second {
		t.Errorf("%+v, want %+v", e, r)
	}
	c.Fail(fake.Failure{Mode: fake.ErrorWithoutActing})
	must(t, c.WriteNumbered("stdout", 1000, 100))
	if e := next(); e.Kind != web.KindFailed || e.Dir != r.Due.Dir || e.Error == "" {
		t.Errorf("%+v", e)
	}
	calls := n.Runtime.Calls("ReopenContainerLog")
	testutil.Eventually(t, "it to be tried again", func() bool { return n.Runtime.Calls("ReopenContainerLog") >= calls+2 })
	c.ClearFailures()
	for e := next(); e.Kind != web.KindReopened && e.Kind != web.KindRotated; e = next() {
		t.Errorf("told again: %+v", e)
	}
	begin := time.Now()
	n.Stop()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("with a page open, the stop took %v", took)
	}
}

// TestNoPage: with metrics.page: false there is none, and nothing of it.
func TestNoPage(t *testing.T) {
	n := agenttest.New(t, fake.Options{}, agenttest.Small+"metrics: {page: false}\n")
	url, _ := n.Listen()
	n.Start()
	base := url()
	for path, want := range map[string]int{"/": 404, "/api/v1/status": 404, "/api/v1/events": 404, "/ui/app.js": 404, "/metrics": 200, "/healthz": 200} {
		if code, _ := fetch(t, base+path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}
