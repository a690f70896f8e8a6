package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fine is a status without a problem.
func fine() api.Status {
	return api.Status{
		Node: api.Node{
			Started: now.Add(-time.Hour), LastSweep: now, PodLogsDir: "/var/log/pods",
			Runtime: api.Runtime{Endpoint: "unix:///run/x.sock", Reachable: true},
			Budget:  &api.Budget{Limit: 100, Usage: 94}, Unread: api.Budget{Limit: 100, Usage: 79}, Pools: []api.Pool{{Name: "rotate", Workers: 4, Queued: 100}},
			Failures: 3, // of before
		},
		Containers: []api.Container{{Names: api.Names{Namespace: "n", Pod: "p", Container: "c"}, ID: "1"}},
	}
}

func TestProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*api.Status)
		level  string
		what   string
		do     string
	}{
		"waiting":    {func(s *api.Status) { s.Node.Waiting = "for a runtime" }, Error, "nothing is rotated yet", "containerRuntimeEndpoint"},
		"stuck":      {func(s *api.Status) { s.Node.Unhealthy = "no sweep" }, Error, "stuck", "restart logwatch"},
		"no runtime": {func(s *api.Status) { s.Node.Runtime.Reachable = false }, Error, "unreachable", "unix:///run/x.sock ps"},
		"starting": {func(s *api.Status) {
			s.Node.Runtime.Reachable, s.Node.LastSweep, s.Node.Started = false, time.Time{}, now
		}, Note, "starting", "Wait"},
		"never began": {func(s *api.Status) { s.Node.Runtime.Reachable, s.Node.LastSweep = false, time.Time{} }, Error, "unreachable", "crictl"},
		"reload":      {func(s *api.Status) { s.Node.Config.Error, s.Node.Config.File = "f:1: no", "/etc/f" }, Warning, "Reload failed", "check-config /etc/f"},
		"budget":      {func(s *api.Status) { s.Node.Budget.Usage = 95 }, Warning, "95%", "nodeLogBudget"},
		"over budget": {func(s *api.Status) { s.Node.Budget.Usage = 150 }, Warning, "150%", "nodeLogBudget"},
		"unread":      {func(s *api.Status) { s.Node.Unread = api.Budget{Limit: 100, Usage: 80} }, Warning, "80% of unreadLogBudget", "pruned"},
		"backlog":     {func(s *api.Status) { s.Node.Backlog = api.Backlog{Files: 2, Bytes: 3 << 20} }, Warning, "2 rotated logs (3Mi)", "lsof"},
		"queue":       {func(s *api.Status) { s.Node.Pools[0].Queued = 101 }, Warning, "101 jobs are queued", "containerLogMaxWorkers"},
		"failing":     {func(s *api.Status) { s.Containers[0].LastError = &api.Problem{Time: now, Text: "no space"} }, Error, "Rotation or housekeeping failed", "df -h"},
		"skipped":     {func(s *api.Status) { s.Containers[0].Skipped = "outside" }, Warning, "skipped", "podLogsDir"},
		"an annotation": {func(s *api.Status) {
			s.Containers[0].Rejected = []api.RejectedAnnotation{{Annotation: "logwatch/max-size", Value: "x", Reason: "no size"}}
		}, Warning, "annotations", "--explain"},
		"overflow":  {func(s *api.Status) { s.Node.Overflows = 1 }, Note, "lost events", "max_queued_events"},
		"unwatched": {func(s *api.Status) { s.Node.WatchErrors = 1 }, Warning, "failed to watch", "max_user_watches"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fine()
			tt.change(&s)
			got := Problems(s, now)
			if len(got) != 1 || got[0].Level != tt.level || !strings.Contains(got[0].What, tt.what) || !strings.Contains(got[0].Do, tt.do) {
				t.Errorf("%+v, want %s %q: %q", got, tt.level, tt.what, tt.do)
			}
		})
	}
	if got := Problems(fine(), now); got == nil || len(got) != 0 {
		t.Errorf("without a problem: %#v, want an empty list", got)
	}
}

// TestManyProblems: the worst come first, and lists are bounded.
func TestManyProblems(t *testing.T) {
	s := fine()
	s.Node.Config.Error, s.Node.Overflows, s.Node.WatchErrors = "no", 1, 1
	s.Containers = nil
	for i := range 500 {
		s.Containers = append(s.Containers, api.Container{
			ID: fmt.Sprint(i), Skipped: "outside", LastError: &api.Problem{Time: now.Add(-time.Duration(i) * time.Second), Text: "no"},
		})
	}
	got := Problems(s, now)
	var levels []string
	for _, p := range got {
		levels = append(levels, p.Level)
	}
	if want := "error warning warning warning note"; strings.Join(levels, " ") != want {
		t.Errorf("%v, want %s", levels, want)
	}
	if p := got[0]; len(p.Affected) != maxAffected || p.More != 500-maxAffected || !p.Since.Equal(now.Add(-499*time.Second)) {
		t.Errorf("%d named, %d more, since %v", len(p.Affected), p.More, p.Since)
	}
}

// TestState: the worst finding comes first, and names the state.
func TestState(t *testing.T) {
	failing := &api.Problem{Time: now, Text: "no space"}
	rejected := []api.RejectedAnnotation{{Annotation: "logwatch/max-size", Value: "x", Reason: "invalid size"}}
	for _, tt := range []struct {
		c           api.Container
		state, text string // of the first finding
	}{
		{api.Container{Limit: 1, LastError: failing, Rejected: rejected}, "failing", "no space"},
		{api.Container{Skipped: "outside", Rejected: rejected}, "skipped", "skipped: outside"},
		{api.Container{Limit: 1, Polled: true, Rejected: rejected}, "annotation", "annotation: logwatch/max-size=x: invalid size"},
		{api.Container{Polled: true}, "off", ""},
		{api.Container{Limit: 1, Polled: true}, "polled", ""},
		{api.Container{Limit: 1}, "watched", ""},
	} {
		text := ""
		if all := Container(tt.c); len(all) > 0 {
			text = all[0].String()
		}
		if got := State(tt.c); got != tt.state || text != tt.text {
			t.Errorf("%+v: %s %q, want %s %q", tt.c, got, text, tt.state, tt.text)
		}
	}
}
