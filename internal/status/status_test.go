package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const hostile = "<b>\x1b[2J\u009b\u202e\x7f\n\U000e0041é日"

func sample() api.Status {
	return api.Status{
		Node: api.Node{
			Version: "v1.2.3", PID: 12, Started: now.Add(-3 * time.Hour), Rotations: 7, Failures: 1,
			Runtime:   api.Runtime{Endpoint: "unix:///run/containerd/containerd.sock", Reachable: true},
			LastSweep: now.Add(-4 * time.Second), SweepSeconds: 0.0123, Polled: 1, Watched: 2,
			Config: api.Config{File: "/etc/logwatch.yaml", Loaded: now.Add(-time.Hour), Error: "f:1: no\nf:2: no", Failed: now.Add(-time.Minute)},
			Budget: &api.Budget{Limit: 20 << 30, Usage: 5 << 30}, Skipped: 1,
			Readers: []api.Reader{{PID: 7, Command: "vector", Containers: 1}, {PID: 9, Command: "fluent-bit\x1b", Containers: 2, Lag: 34 << 20, Exited: true}},
			Unread:  api.Budget{Limit: 1 << 30, Usage: 512 << 20}, ReadersUnseen: 3,
		},
		Containers: []api.Container{
			{
				Names: api.Names{Namespace: "shop", Pod: "web-1", Container: "app"}, Dir: "shop_web-1_x/app", Log: "0.log",
				Size: 5 << 20, Limit: 10 << 20, Total: 31 << 20, MaxTotal: 50 << 20, Files: 4, Rate: 2048, Rotations: 3, Polled: true, Lag: 34 << 20,
				Waiting:      &api.Waiting{PID: 9, Command: "fluent-bit", Since: now.Add(-12 * time.Second), Unread: 33 << 20},
				LastRotation: &api.Rotation{Time: now.Add(-65 * time.Second), Cause: "write", To: "0.log.20260102-030300", Size: 10486000, Overshoot: 1234},
				Policy:       []api.Field{{Name: "maxSize", Value: "10Mi", Source: "default"}, {Name: "maxFiles", Value: "3", Source: "override 2"}},
				Rejected:     []api.RejectedAnnotation{{Annotation: "logwatch/max-size", Value: `"1Gi"`, Reason: "cut"}},
			},
			{Names: api.Names{Namespace: "shop", Pod: hostile, Container: "b"}, Skipped: "its log path is outside", Lag: -1},
			{Names: api.Names{Namespace: "shop", Pod: "web-2", Container: "c"}, LastError: &api.Problem{Time: now.Add(-time.Second), Text: "a\tb"}},
		},
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, sample(), "table", now); err != nil {
		t.Fatal(err)
	}
	want := `daemon      v1.2.3, process 12, started 3h ago: 7 rotations, 1 failed
runtime     ready (unix:///run/containerd/containerd.sock)
last sweep  4s ago, took 12ms; 3 logs: 1 polled, 2 watched
config      loaded 60m ago from /etc/logwatch.yaml
-           RELOAD FAILED 60s ago; previous config still active: f:1: no\nf:2: no
budget      5Gi of 20Gi (25%)
readers     fluent-bit\x1b, process 9 (exited): 2 containers, 34Mi unread
-           vector, process 7: 1 container, 0 unread
-           3 other processes have open files that cannot be read (see logwatch doctor)
unread      unreadLogBudget: 512Mi of 1Gi (50%)
skipped     1 log; rejected annotations: 0

NAMESPACE  POD                                                  CONTAINER  SIZE  LIMIT  FILES  TOTAL  LAG   RATE   ROTATIONS  LAST  OVERSHOOT  ERROR
shop       web-1                                                app        5Mi   10Mi   4      31Mi   34Mi  2Ki/s  3          65s   1.2Ki      -
shop       <b>\x1b[2J\u009b\u202e\x7f\n\U000e0041é日  b          0     off    0      0      -     0/s    0          -     -          skipped: its log path is outside
shop       web-2                                                c          0     off    0      0      0     0/s    0          -     -          1s ago: a\tb

NAMESPACE  POD    CONTAINER  ANNOTATION         VALUE  RESULT
shop       web-1  app        logwatch/max-size  "1Gi"  cut
`
	if squeeze(out.String()) != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	lines := strings.Split(out.String(), "\n")
	for _, l := range lines[13:16] { // aligned
		if at := strings.Index(lines[12], "CONTAINER"); []rune(l)[at-1] != ' ' || []rune(l)[at] == ' ' {
			t.Errorf("not aligned: %s", l)
		}
	}
}

// squeeze makes runs of spaces one.
func squeeze(s string) string {
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func TestWide(t *testing.T) {
	s := sample()
	s.Containers = s.Containers[:1]
	s.Containers[0].Rejected = nil
	var out bytes.Buffer
	if err := Write(&out, s, "wide", now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"maxFiles=3 (override 2)", "FIELD     VALUE  SOURCE\nmaxSize   10Mi   default\nmaxFiles  3      override 2\n", "shop_web-1_x/app", "write", "polled", "fluent-bit, process 9, for 12s: 33Mi unread"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestTroubled(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*api.Status)
		want   string
	}{
		"waiting":     {func(s *api.Status) { s.Node.Waiting = "for a runtime" }, "started 3h ago: for a runtime\n"},
		"no runtime":  {func(s *api.Status) { s.Node.Runtime = api.Runtime{Error: "gone"} }, "UNREACHABLE (): rotation is suspended. gone"},
		"nobody":      {func(s *api.Status) { s.Containers = nil }, "No running containers.\n"},
		"no sweep":    {func(s *api.Status) { s.Node.LastSweep = time.Time{} }, "none yet"},
		"stuck":       {func(s *api.Status) { s.Node.Unhealthy = "no sweep" }, "UNHEALTHY: no sweep"},
		"inotify":     {func(s *api.Status) { s.Node.Overflows, s.Node.WatchErrors = 2, 3 }, "2 queue overflows, 3 errors"},
		"backlog":     {func(s *api.Status) { s.Node.Backlog = api.Backlog{Files: 2, Bytes: 3 << 20} }, "2 files, 3Mi"},
		"no readers":  {func(s *api.Status) { s.Node.Readers, s.Node.Unread.Limit = nil, 0 }, "none\n"},
		"no unread":   {func(s *api.Status) { s.Node.Unread.Limit = 0 }, "unread      unreadLogBudget: off\n"},
		"clock moved": {func(s *api.Status) { s.Node.Started = now.Add(time.Hour) }, "started 0s ago"},
	} {
		s := sample()
		tt.change(&s)
		var out bytes.Buffer
		if err := Write(&out, s, "table", now); err != nil || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}

// TestNothingUnprintable: hostile names in every format; programs get them back.
func TestNothingUnprintable(t *testing.T) {
	s := sample()
	s.Node.Config.File, s.Node.Runtime.Error = hostile, hostile
	s.Node.Runtime.Reachable = false
	c := &s.Containers[0]
	c.Namespace, c.Names.Container, c.Dir, c.LastRotation.Cause = hostile, hostile, hostile, hostile
	c.Policy[1].Value, c.Rejected[0].Annotation = hostile, hostile
	for _, format := range Formats {
		var out bytes.Buffer
		if err := Write(&out, s, format, now); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%s: %U in\n%s", format, r, out.String())
				break
			}
		}
		if format == "json" {
			var again api.Status
			if err := json.Unmarshal(out.Bytes(), &again); err != nil || again.Containers[1].Pod != hostile {
				t.Errorf("%v, %q", err, again.Containers[1].Pod)
			}
		}
		if format == "yaml" {
			var again api.Status
			if err := yaml.Unmarshal(out.Bytes(), &again); err != nil || again.Containers[1].Pod != display.Escape(hostile) || again.Node.PID != 12 {
				t.Errorf("%v, %q", err, again.Containers[1].Pod)
			}
		}
	}
}

func FuzzEscapeJSON(f *testing.F) {
	for _, s := range []string{"", hostile, "\xff\xfe", `a\b`, "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var want, again string
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escapeJSON(doc), &again); err != nil || again != want {
			t.Errorf("%q comes back as %q, %v", want, again, err)
		}
	})
}

// TestMany: 5000 containers are written in a moment.
func TestMany(t *testing.T) {
	s := sample()
	for i := range 5000 {
		c := sample().Containers[0]
		c.Pod = fmt.Sprint("web-", i)
		s.Containers = append(s.Containers, c)
	}
	for _, format := range Formats {
		begin := time.Now()
		var out bytes.Buffer
		if err := Write(&out, s, format, now); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("%s: %v for %d bytes", format, took, out.Len())
		} else {
			t.Logf("%s: %v for %d bytes", format, took, out.Len())
		}
	}
}
