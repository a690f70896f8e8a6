package top

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/logwatch/logwatch/internal/api"
)

// pods are those that are shown, from the top.
func (d *driver) pods() (pods []string) {
	for _, r := range d.list.shown {
		pods = append(pods, r.Pod+"/"+r.Names.Container)
	}
	return pods
}

func (d *driver) selected() string {
	if r := d.list.selected(); r != nil {
		return r.Pod + "/" + r.Names.Container
	}
	return ""
}

// TestSort: each key sorts, and sorts the other way round when it is pressed again;
// the cursor stays with its container.
func TestSort(t *testing.T) {
	d := watching(Options{})
	loader, loaderRow := "import-28917360-qq7xs/loader", 1
	if d.pods()[loaderRow] != loader {
		t.Fatalf("by rate: %q", d.pods())
	}
	d.press("down")
	for _, tt := range []struct {
		key         string
		first, last string
	}{
		{"s", "checkout-6c9f7b5d48-4mzkj/app", loader},
		{"s", loader, "checkout-6c9f7b5d48-4mzkj/app"},
		{"o", loader, "payments-0/db"},
		{"n", loader, "payments-0/db"},
		{"R", "payments-0/db", loader},
		{"e", "payments-0/db", "checkout-6c9f7b5d48-4mzkj/app"},
		{"r", "checkout-6c9f7b5d48-4mzkj/app", "kube-proxy-9k2lt/kube-proxy"},
		{"r", "kube-proxy-9k2lt/kube-proxy", "checkout-6c9f7b5d48-4mzkj/app"},
	} {
		d.press(tt.key)
		pods := d.pods()
		if pods[0] != tt.first || pods[len(pods)-1] != tt.last {
			t.Errorf("after %s: %q", tt.key, pods)
		}
		if d.selected() != loader {
			t.Errorf("after %s the cursor is at %s", tt.key, d.selected())
		}
	}
}

// TestCursor: it stays at the top until it is moved, then with its container, and
// goes to the one that replaced it when that is gone, or else to the next.
func TestCursor(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	ids := map[string]string{}
	d := drive(Options{}, func(api.Names, bool) (s api.Status, _ error) {
		for _, n := range names {
			s.Containers = append(s.Containers, api.Container{Names: api.Names{Namespace: "x", Pod: n}, ID: n + ids[n]})
		}
		return s, nil
	})
	d.poll()
	d.press("n")
	at := func(want string) {
		t.Helper()
		d.poll()
		if got := d.selected(); got != want+"/" {
			t.Errorf("the cursor is at %q, want %q", got, want)
		}
	}
	at("a")
	names = []string{"0", "a", "b", "c", "d"}
	at("0")
	d.press("down", "down")
	at("b")
	names = []string{"0", "00", "a", "b", "c", "d"}
	at("b")
	ids["b"] = "anew"
	names = []string{"a", "b", "c", "d"}
	at("b")
	names = []string{"a", "c", "d"}
	at("c")
	names = []string{"a", "aa", "c", "d"}
	at("c")
	names = []string{"0"}
	at("0")
	names = nil
	d.poll()
	d.press("down", "up", "enter", "end", "home", "pgdown")
	if d.list.selected() != nil || d.page != listPage {
		t.Error("there is something in an empty list")
	}
	names = []string{"a", "b", "c", "d"}
	d.poll()
	d.press("end")
	at("d")
	d.press("home")
	names = []string{"A", "a", "b"}
	at("A")
	d.press("down", "up") // moved, so it stays with its container
	names = []string{"0", "A", "a", "b"}
	at("A")
}

// TestScroll: the cursor is on the screen, always, and one row is its.
func TestScroll(t *testing.T) {
	d := drive(Options{}, func(api.Names, bool) (api.Status, error) { return many(500, 3), nil })
	d.poll()
	for _, k := range []string{"down", "pgdown", "pgdown", "end", "up", "pgup", "s", "R", "home", "end", "/", "4", "enter", "n"} {
		d.press(k)
		for _, height := range []int{24, 5, 50, 3, 1, 24} {
			d.send(tea.WindowSizeMsg{Width: 80, Height: height})
			if n := strings.Count("\n"+d.screen(), "\n>"); n != 1 {
				t.Fatalf("after %s at %d lines the cursor is shown %d times:\n%s", k, height, n, d.screen())
			}
		}
	}
}

func TestFilter(t *testing.T) {
	d := watching(Options{})
	d.press("/", "Shop/CHECK")
	if got := d.pods(); len(got) != 2 {
		t.Errorf("%q", got)
	}
	d.press("q") // is a letter now
	if len(d.pods()) != 0 || !strings.Contains(d.screen(), "No container's name contains Shop/CHECKq") {
		t.Errorf("%s", d.screen())
	}
	d.press("backspace", "enter")
	if len(d.pods()) != 2 || !strings.Contains(d.screen(), "filter Shop/CHECK (Esc clears)") {
		t.Errorf("%s", d.screen())
	}
	d.wait(time.Second)
	if len(d.pods()) != 2 {
		t.Errorf("after an answer: %q", d.pods())
	}
	d.press("esc")
	if len(d.pods()) != 8 {
		t.Errorf("%q", d.pods())
	}
	d.press("/")
	d.send(tea.PasteMsg{Content: "pay\nments"})
	if !strings.Contains(d.screen(), "/pay ments") {
		t.Errorf("%s", d.screen())
	}
	d.press("esc")
	if len(d.pods()) != 8 {
		t.Errorf("%q", d.pods())
	}
}

// TestDetails: they request only their container, with its policy, and continue when
// it is restarted, or gone.
func TestDetails(t *testing.T) {
	d := watching(Options{})
	node := d.source.answer
	d.press("down", "down", "down", "enter")
	if !strings.Contains(d.screen(), "loading the policy") {
		t.Errorf("%s", d.screen())
	}
	d.source.asked = nil
	d.wait(time.Second)
	payments := api.Names{Namespace: "shop", Pod: "payments-0", Container: "db"}
	if !slices.Equal(d.source.asked, []query{{payments, true}}) {
		t.Errorf("asked %v", d.source.asked)
	}
	for _, part := range []string{"override 2 (namespace shop)", "exclude it", "payments-0/db"} {
		if !strings.Contains(d.screen(), part) {
			t.Errorf("no %q in\n%s", part, d.screen())
		}
	}
	d.source.answer = func(w api.Names, detail bool) (api.Status, error) {
		s, err := node(w, detail)
		s.Containers[0].ID, s.Containers[0].LastError = "anew", nil
		s.Containers[0].Size += 100 * mi // not grown since the answer before: it is another's
		return s, err
	}
	d.wait(time.Second)
	if s := d.screen(); !strings.Contains(s, "anew") || !strings.Contains(s, "90Ki/s") || strings.Contains(s, "exclude it") {
		t.Errorf("%s", s)
	}
	d.source.answer = func(api.Names, bool) (api.Status, error) { return api.Status{}, nil }
	d.wait(time.Second)
	d.wait(time.Second)
	if s := d.screen(); !strings.Contains(s, "Not running since") || !strings.Contains(s, "override 2") {
		t.Errorf("%s", s)
	}
	d.source.answer = node
	d.press("?", "esc")
	if d.page != detailsPage {
		t.Error("help does not go back to where it came from")
	}
	d.press("esc")
	d.wait(time.Second)
	if len(d.pods()) != 8 || d.selected() != "payments-0/db" {
		t.Errorf("%q, cursor at %s", d.pods(), d.selected())
	}
}

// TestSilence: the last picture stays, and it says since when.
func TestSilence(t *testing.T) {
	t.Setenv("TZ", "UTC")
	d := watching(Options{})
	d.send(tea.WindowSizeMsg{Width: 120, Height: 24})
	node := d.source.answer
	before := d.pods()
	d.source.answer = func(api.Names, bool) (api.Status, error) {
		return api.Status{}, errors.New("no daemon answers at /run/x\x1b[2J")
	}
	d.wait(9 * time.Second)
	if s := d.screen(); !strings.Contains(s, `last response 03:04:25 (9s ago); retrying: no daemon answers at /run/x\x1b[2J`) {
		t.Errorf("%s", s)
	}
	if !slices.Equal(d.pods(), before) || d.fatal != nil {
		t.Errorf("%q, %v", d.pods(), d.fatal)
	}
	d.source.answer = node
	d.wait(time.Second)
	if s := d.screen(); strings.Contains(s, "last response") {
		t.Errorf("%s", s)
	}
	d.request() // and no answer comes
	d.now = d.now.Add(patience - time.Second)
	d.send(clock{})
	if s := d.screen(); strings.Contains(s, "last response") {
		t.Errorf("too soon:\n%s", s)
	}
	d.now = d.now.Add(2 * time.Second)
	d.send(clock{})
	if s := d.screen(); !strings.Contains(s, "last response 03:04:35 (4s ago); retrying") {
		t.Errorf("%s", s)
	}
}

// TestProblems: problems are shown in one line, only the worst of them.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		want string
		node api.Node
	}{
		{"no problems", api.Node{Runtime: api.Runtime{Reachable: true}}},
		{"logwatch is starting: nothing is rotated yet: waiting for the runtime", api.Node{Waiting: "waiting for the runtime"}},
		{"The container runtime is unreachable: rotation is suspended: refused", api.Node{Runtime: api.Runtime{Endpoint: "unix:///x", Error: "refused"}}},
		{"A loop of logwatch is stuck: no sweep; Reload failed; previous configuration still active: a.yaml:1", api.Node{
			Runtime: api.Runtime{Reachable: true}, Unhealthy: "no sweep", Config: api.Config{Error: "a.yaml:1"},
		}},
	} {
		d := drive(Options{}, func(api.Names, bool) (api.Status, error) { return api.Status{Node: tt.node}, nil })
		d.send(tea.WindowSizeMsg{Width: 100, Height: 24})
		if !strings.Contains(d.screen(), "loading") {
			t.Errorf("before an answer:\n%s", d.screen())
		}
		d.poll()
		if !strings.Contains(d.screen(), tt.want+"\n") {
			t.Errorf("no %q in\n%s", tt.want, d.screen())
		}
	}
}

// TestNothing: why there is nothing.
func TestNothing(t *testing.T) {
	for want, which := range map[string]api.Names{
		"No running containers.":                {},
		"No running container matches shop.":    {Namespace: "shop"},
		`No running container matches a/b\x1b.`: {Namespace: "a", Pod: "b\x1b"},
	} {
		d := drive(Options{Which: which}, func(api.Names, bool) (api.Status, error) {
			return api.Status{Node: api.Node{Runtime: api.Runtime{Reachable: true}}}, nil
		})
		d.poll()
		if !strings.Contains(d.screen(), want) || d.source.asked[0].names != which {
			t.Errorf("no %q in\n%s", want, d.screen())
		}
	}
}

// TestFirstError ends it.
func TestFirstError(t *testing.T) {
	d := drive(Options{}, func(api.Names, bool) (api.Status, error) { return api.Status{}, errors.New("wrong socket") })
	d.poll()
	if d.fatal == nil || d.cmd == nil || d.cmd() != tea.Quit() {
		t.Errorf("%v", d.fatal)
	}
}

// TestAsksOnceAnInterval: however long answers take and whatever is pressed.
func TestAsksOnceAnInterval(t *testing.T) {
	for _, tt := range []struct {
		name           string
		interval, took time.Duration
		press          string
		after, want    time.Duration // pressed so long after the answer; from one question to the next
	}{
		{"usual", time.Second, 10 * time.Millisecond, "", 0, time.Second},
		{"slow", time.Second, 5 * time.Second, "", 0, 10 * time.Second},
		{"details", 10 * time.Second, 0, "enter", 3 * time.Second, 3 * time.Second},
		{"details at once", 10 * time.Second, 0, "enter", 100 * time.Millisecond, time.Second},
		{"details at the default", time.Second, 0, "enter", 0, time.Second},
		{"another key", 10 * time.Second, 0, "s", 3 * time.Second, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := drive(Options{Interval: tt.interval}, nil)
			d.source.answer = d.node
			cmd := d.request()
			asked := d.now
			msg := cmd()
			d.now = d.now.Add(tt.took)
			a := msg.(answer)
			a.at = d.now
			d.send(a)
			turn := d.turn
			d.now = d.now.Add(tt.after)
			if tt.press != "" {
				d.press(tt.press)
			}
			if d.turn != turn {
				d.send(due{turn}) // of before the key: void
				if d.requesting {
					t.Error("it asks twice")
				}
			}
			if got, want := max(0, d.delay()), max(0, tt.want-tt.took-tt.after); got != want {
				t.Errorf("it asks %v after the key, want %v", got, want)
			}
			d.now = asked.Add(tt.want)
			d.send(due{d.turn})
			if !d.requesting {
				t.Error("it does not ask")
			}
			if d.send(due{d.turn}); d.cmd != nil {
				t.Error("it asks while an answer is under way")
			}
			if d.press("enter", "esc"); len(d.source.asked) != 1 {
				t.Errorf("asked %d times", len(d.source.asked))
			}
		})
	}
}

func TestRate(t *testing.T) {
	c := func(size int64, rotations uint64, last int64) api.Container {
		out := api.Container{Size: size, Rotations: rotations, Limit: 100, Rate: 77}
		if last > 0 {
			out.LastRotation = &api.Rotation{Size: last}
		}
		return out
	}
	for _, tt := range []struct {
		before, now api.Container
		want        float64
	}{
		{c(10, 0, 0), c(50, 0, 0), 20},
		{c(90, 0, 0), c(10, 1, 110), 15},   // 20 before the rotation, 10 after it
		{c(90, 0, 0), c(10, 3, 110), 115},  // and two of at least 100 in between
		{c(90, 1, 110), c(10, 1, 110), 77}, // truncated
		{c(10, 5, 110), c(10, 5, 110), 0},
		{c(10, 5, 110), c(10, 0, 0), 77}, // another daemon
	} {
		if got := rateOf(tt.before, tt.now, 2*time.Second, false); got != tt.want {
			t.Errorf("%d to %d: %v, want %v", tt.before.Size, tt.now.Size, got, tt.want)
		}
	}
	if got := rateOf(c(10, 0, 0), c(50, 0, 0), 0, true); got != 77 {
		t.Errorf("at first: %v", got)
	}
}

// TestStops: no command outlives its context, and none begins after it.
func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	j := &jobs{ctx: ctx}
	begun, ended := make(chan struct{}), make(chan tea.Msg, 2)
	asks := j.do(func(ctx context.Context) tea.Msg {
		close(begun)
		<-ctx.Done()
		return nil
	})
	go func() { ended <- asks() }()
	go func() { ended <- j.after(time.Hour, clock{})() }()
	<-begun
	cancel()
	j.stop()
	for range 2 {
		if msg := <-ended; msg != nil {
			t.Errorf("%v", msg)
		}
	}
	if msg := j.do(func(context.Context) tea.Msg { return clock{} })(); msg != nil {
		t.Errorf("it runs after the stop: %v", msg)
	}
}
