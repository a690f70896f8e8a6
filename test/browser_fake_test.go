package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/web"
)

// stage serves the page what no test node has: hostile names, which Kubernetes forbids
// but a runtime's responses may have, and thousands of busy containers.
type stage struct {
	hub *web.Hub
	url string

	mu     sync.Mutex
	status api.Status
	change func(*api.Status) // before each look
	looks  int
}

func newStage(t *testing.T, s api.Status, change func(*api.Status)) *stage {
	t.Helper()
	st := &stage{hub: web.NewHub(), status: s, change: change}
	mux := http.NewServeMux()
	web.New(st.Status, st.hub).Mount(mux)
	srv := httptest.NewUnstartedServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	srv.Config.BaseContext = func(_ net.Listener) context.Context { return ctx }
	srv.Start()
	t.Cleanup(func() {
		cancel()
		srv.Close()
	})
	st.url = srv.URL
	return st
}

// Status is a web.Snapshot.
func (st *stage) Status(_ context.Context, which api.Names, detail bool) api.Status {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.looks++
	if st.change != nil {
		st.change(&st.status)
	}
	s := st.status
	s.Containers = nil
	for _, c := range st.status.Containers {
		if which.Matches(c.Names) {
			if detail {
				c.Policy = []api.Field{{Name: "maxSize", Value: "10Mi", Source: "default"}}
			}
			s.Containers = append(s.Containers, c)
		}
	}
	return s
}

// count returns the number of requests of the page.
func (st *stage) count() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.looks
}

func well() api.Status {
	now := time.Now()
	return api.Status{Node: api.Node{
		Version: "v1", Started: now.Add(-time.Hour), PodLogsDir: "/var/log/pods", LastSweep: now, Polled: 1, Watched: 2,
		Runtime: api.Runtime{Endpoint: "unix:///run/containerd/containerd.sock", Reachable: true},
		Readers: []api.Reader{{PID: 815, Command: "fluent-bit", Containers: 7, Lag: 34 << 20}, {PID: 816, Command: "vector", Containers: 1}},
		Unread:  api.Budget{Limit: 1 << 30, Usage: 900 << 20},
		Pools:   []api.Pool{{Name: "rotate", Workers: 4}, {Name: "prune", Workers: 4}, {Name: "compress", Workers: 1}},
	}}
}

// crowd returns n containers that all write: each request finds larger logs.
func crowd(n int) (api.Status, func(*api.Status)) {
	s := well()
	for i := range n {
		s.Containers = append(s.Containers, api.Container{
			Names: api.Names{Namespace: fmt.Sprintf("team-%02d", i%40), Pod: fmt.Sprintf("service-%04d-7c9f5d6b8-x2kvq", i), Container: "app"},
			ID:    fmt.Sprintf("%064x", i), Dir: fmt.Sprintf("team_service-%04d_uid/app", i), Log: "0.log", Files: 3, MaxFiles: 5,
			Limit: 10 << 20, MaxTotal: 50 << 20, Polled: i%3 == 0,
		})
	}
	round := 0
	return s, func(s *api.Status) {
		round++
		for i := range s.Containers {
			c := &s.Containers[i]
			c.Size = (c.Size + int64((31*i+17*round)%97)*10_000) % max(1, c.Limit)
			c.Total = c.Size + 20<<20
			c.Rate = float64(i % 97)
			c.Lag = int64(i%5-1) << 24
		}
	}
}

// markup would run, or reverse text, if it were not shown as text.
var markup = []string{
	`<img src=x onerror="window.ran=1;alert(1)">`,
	`"><script>window.ran=1;alert(2)</script>`,
	`<svg/onload=window.ran=1>`,
	"javascript:window.ran=1//`${window.ran=1}`",
	"web\u202egpj.exe", // RIGHT-TO-LEFT OVERRIDE
	"\x1b]0;title\x07\x1b[2J\x1b[31mred",
	"two\nlines\r\tand\x00more",
	"\u2028\u2066\U000e0041\ufeff",
	"</title></style></textarea><iframe src=//example.com>",
	"{{constructor.constructor('window.ran=1')()}}",
	"z\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309\u030a\u030b\u030c\u0317\u0318",
	"مرحبا", "__proto__", "constructor", strings.Repeat("long", 500),
}

// TestPageHostileNames: names are shown as text everywhere, and nothing in them runs.
func TestPageHostileNames(t *testing.T) {
	s := well()
	for i, m := range markup {
		s.Containers = append(s.Containers, api.Container{
			Names: api.Names{Namespace: m, Pod: m, Container: m}, ID: m + fmt.Sprint(i), Dir: m, Log: m, Limit: 1 << 20, MaxTotal: 5 << 20,
			LastRotation: &api.Rotation{Time: time.Now(), Cause: m, To: m, Size: 1, Seconds: .001},
			LastError:    &api.Problem{Time: time.Now(), Text: m},
			Rejected:     []api.RejectedAnnotation{{Annotation: m, Value: m, Reason: m}},
		})
	}
	s.Containers[2].Skipped = markup[0]
	s.Node.Version, s.Node.PodLogsDir, s.Node.Unhealthy = markup[0], markup[1], markup[2]
	s.Node.Runtime = api.Runtime{Endpoint: markup[3], Error: markup[0]}
	s.Node.Config = api.Config{File: markup[1], Error: markup[0]}
	s.Node.Pools[0].Name = markup[0]
	st := newStage(t, s, nil)
	b := browse(t, st.url)
	b.open()
	for i, m := range markup {
		for _, kind := range []string{web.KindRotated, web.KindFailed, web.KindHousekeeping, m} {
			st.hub.Publish(web.Event{
				Time: time.Now(), Kind: kind, Names: api.Names{Namespace: m, Pod: m, Container: m}, ID: m + fmt.Sprint(i),
				Dir: m, Cause: m, To: m, Error: m, Size: 1,
			})
		}
	}
	b.await(fmt.Sprintf(`document.querySelectorAll("#events li").length === %d`, 4*len(markup)))
	eval[any](b, `document.getElementById("problem-list").querySelector("button").click(), null`)
	b.await(`document.querySelectorAll(".policy dt").length > 0`)
	const strange = `/[^\p{L}\p{M}\p{N}\p{P}\p{S} \n\t\u202f]/u` // U+202F stands in numbers
	for what, expression := range map[string]string{
		"a script ran":                       `"ran" in window ? "yes" : ""`,
		"markup was made of a name":          `document.querySelector("main img, main svg:not(.spark), main iframe, main script, dialog img, dialog iframe")?.outerHTML ?? ""`,
		"what is not printable is shown":     `document.body.innerText.match(` + strange + `)?.[0] ?? ""`,
		"what is not printable is a value":   `[...document.querySelectorAll("*")].flatMap((e) => [...e.attributes]).find((a) => ` + strange + `.test(a.value))?.value ?? ""`,
		"the page is wider than its window":  `document.documentElement.scrollWidth > innerWidth ? "yes" : ""`,
		"not as it should be in the table":   lacks("table", markup[0], `web\u202egpj.exe`, `\x1b]0;title\a\x1b[2J\x1b[31mred`, `two\nlines\r\tand\x00more`),
		"not as it should be in the events":  lacks("events", markup[0], `web\u202egpj.exe`, `\u2028\u2066\U000e0041\ufeff`),
		"not as it should be among problems": lacks("problem-list", markup[0], `web\u202egpj.exe`, markup[2]),
		"not as it should be in the details": lacks("details", markup[0]),
	} {
		if got := eval[string](b, expression); got != "" {
			t.Errorf("%s: %q", what, got)
		}
	}
	b.size(360, 740)
	if w := eval[int](b, `document.documentElement.scrollWidth`); w > 360 {
		t.Errorf("%d px wide in a window of 360", w)
	}
}

// lacks returns an expression for the first of the texts that an element lacks.
func lacks(id string, texts ...string) string {
	list, _ := json.Marshal(texts) // strings
	return fmt.Sprintf(`%s.find((t) => !document.getElementById(%q).textContent.includes(t)) ?? ""`, list, id)
}

// TestPageRefusesMarkup: if the page ever inserted a name as markup, the browser would
// reject it. TestPageHostileNames relies on that, and on violations being reported.
func TestPageRefusesMarkup(t *testing.T) {
	st := newStage(t, well(), nil)
	b := browse(t, st.url)
	b.open()
	for _, attempt := range []string{
		`document.body.innerHTML = "<img src=x onerror='window.ran=1'>"`,
		`eval("window.ran=1")`,
		`document.body.appendChild(document.createElement("script")).text = "window.ran=1"`,
		`new Function("window.ran=1")()`,
	} {
		eval[any](b, fmt.Sprintf(`{ const s = document.createElement("button"); s.onclick = () => { try { %s } catch (e) { window.refused = (window.refused || 0) + 1 } }; s.click(); null }`, attempt))
	}
	if got := eval[int](b, `window.refused`); got != 4 || eval[bool](b, `"ran" in window`) {
		t.Errorf("%d of 4 attempts were refused", got)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) == 0 {
		t.Error("the browser reports no violation")
	}
	b.wrong = nil
}

// TestPageWaits: the page shows that the daemon is waiting for its runtime.
func TestPageWaits(t *testing.T) {
	st := newStage(t, api.Status{Node: api.Node{Version: "v1", Started: time.Now(), Waiting: "it waits for a container runtime"}}, nil)
	b := browse(t, st.url)
	b.open()
	b.await(`document.querySelector(".problem .why")?.textContent === "it waits for a container runtime"`)
	b.await(`document.getElementById("nothing").textContent === "No containers are known yet." && !document.getElementById("table").checkVisibility()`)
	for _, bad := range []string{"NaN", "undefined", "null", "Invalid", " d ago"} {
		if got := eval[string](b, `document.body.innerText`); strings.Contains(got, bad) {
			t.Errorf("%q in %s", bad, got)
		}
	}
}
