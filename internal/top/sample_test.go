package top

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/logwatch/logwatch/internal/api"
)

const (
	mi      = 1 << 20
	hostile = "<b>\x1b[2J\u009b\u202e\x7f\n\U000e0041é\u0301日本❤️\U0001f468\u200d\U0001f469"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sample is what a node may look like, after so many seconds.
func sample(seconds int) api.Status {
	now := start.Add(time.Duration(seconds) * time.Second)
	make := func(namespace, pod, name string, rate int64, limit int64) api.Container {
		written := rate * int64(seconds+100)
		c := api.Container{
			Names: api.Names{Namespace: namespace, Pod: pod, Container: name}, ID: strings.Repeat("0", 56) + fmt.Sprintf("%08x", len(pod)*7+len(name)),
			Dir: namespace + "_" + pod + "_6f1c/" + name, Log: "0.log", Limit: limit, MaxTotal: 5 * limit, MaxFiles: 5,
			Polled: rate > 1000, Written: written, Rate: float64(rate), Size: written, Files: 1,
		}
		if limit > 0 {
			c.Size, c.Rotations = written%limit, uint64(written/limit)
			c.Files = int(min(5, c.Rotations+1))
		}
		c.Total = c.Size + int64(c.Files-1)*limit
		if c.Rotations > 0 {
			c.LastRotation = &api.Rotation{
				Time: now.Add(-time.Duration(c.Size/rate) * time.Second), Cause: "write", To: "0.log.20260102-030301",
				Size: limit + 4321, Overshoot: 4321, Seconds: 0.0021,
			}
		}
		return c
	}
	s := api.Status{
		Node: api.Node{
			Version: "v1.2.3", PID: 4711, Started: start.Add(-3 * time.Hour), PodLogsDir: "/var/log/pods",
			Runtime:   api.Runtime{Endpoint: "unix:///run/containerd/containerd.sock", Reachable: true},
			LastSweep: now.Add(-4 * time.Second), Polled: 4, Watched: 4, Rotations: 1234, Failures: 2,
			Readers: []api.Reader{{PID: 815, Command: "fluent-bit", Containers: 7, Lag: 34 * mi}}, Unread: api.Budget{Limit: 1 << 30, Usage: 12 * mi},
			Budget:  &api.Budget{Limit: 20 << 30, Usage: 5 << 30},
			Backlog: api.Backlog{Files: 3, Bytes: 12 * mi},
		},
		Containers: []api.Container{
			make("kube-system", "coredns-7db6d8ff4d-x2v9p", "coredns", 512, 10*mi),
			make("kube-system", "kube-proxy-9k2lt", "kube-proxy", 3, 10*mi),
			make("monitoring", "prometheus-node-exporter-b7xwq", "node-exporter", 40, 10*mi),
			make("shop", "checkout-6c9f7b5d48-4mzkj", "app", 7<<20, 50*mi),
			make("shop", "checkout-6c9f7b5d48-4mzkj", "istio-proxy", 210<<10, 10*mi),
			make("shop", "payments-0", "db", 90<<10, 20*mi),
			make("batch", "import-28917360-qq7xs", "loader", 2<<20, 10*mi),
			make("batch", "legacy", "raw", 1<<10, 0),
		},
	}
	s.Containers[1].Lag = -1
	s.Containers[3].Lag = 34 * mi
	s.Containers[5].Lag = 3 * mi
	s.Containers[5].Waiting = &api.Waiting{PID: 815, Command: "fluent-bit", Since: now.Add(-12 * time.Second), Unread: 3 * mi}
	s.Containers[5].LastError = &api.Problem{Time: now.Add(-7 * time.Second), Text: "rotate: rename shop_payments-0_6f1c/db/0.log: read-only file system: mount it read-write, or exclude it"}
	s.Containers[7].Limit, s.Containers[7].MaxTotal, s.Containers[7].Skipped = 0, 0, "its log path /srv/raw.log is outside of podLogsDir"
	s.Containers[4].Rejected = []api.RejectedAnnotation{{Annotation: "logwatch.io/max-size", Value: "1Gi", Reason: "above the ceiling of 100Mi, which holds"}}
	if r := s.Containers[6].LastRotation; r != nil {
		r.Overshoot = 3 * mi
	}
	return s
}

// policy is what a detailed answer has.
var policy = []api.Field{
	{Name: "maxSize", Value: "10Mi", Source: "default"},
	{Name: "maxFiles", Value: "5", Source: "override 2 (namespace shop)"},
	{Name: "rotate", Value: "true", Source: "annotation logwatch.io/rotate"},
}

// hostiles are containers whose every text is hostile.
func hostiles() api.Status {
	s := sample(1)
	for i := range s.Containers {
		c := &s.Containers[i]
		c.Namespace, c.Pod = hostile, strings.Repeat(hostile, 5)
		c.LastError = &api.Problem{Time: start, Text: strings.Repeat(hostile+" ", 20)}
		c.Rejected = []api.RejectedAnnotation{{Annotation: hostile, Value: hostile, Reason: hostile}}
		c.Policy = []api.Field{{Name: hostile, Value: hostile, Source: hostile}}
		c.LastRotation = &api.Rotation{Time: start, Cause: hostile, To: hostile, Size: -5, Overshoot: 1 << 62}
		c.ID, c.Dir, c.Log, c.Rotations, c.Files = hostile, hostile, hostile, 1<<63, 1<<30
		c.Size, c.Rate, c.Total = 1<<62, 1e300, 1<<62
	}
	n := &s.Node
	n.Version, n.Unhealthy, n.Config.Error, n.Runtime.Error, n.Runtime.Endpoint = hostile, hostile, hostile, hostile, hostile
	n.Runtime.Reachable = false
	n.Budget = &api.Budget{Limit: 1, Usage: 1 << 62}
	return s
}

// many are n containers.
func many(n, seconds int) api.Status {
	s := sample(seconds)
	all := s.Containers
	s.Containers = nil
	for i := range n {
		c := all[i%len(all)]
		c.Pod, c.ID = fmt.Sprintf("%s-%05d", c.Pod, i), fmt.Sprintf("%064d", i)
		s.Containers = append(s.Containers, c)
	}
	return s
}

// scripted is a Source whose answers a test makes.
type scripted struct {
	answer func(which api.Names, detail bool) (api.Status, error)
	asked  []query
}

func (s *scripted) Status(_ context.Context, which api.Names, detail bool) (api.Status, error) {
	s.asked = append(s.asked, query{which, detail})
	return s.answer(which, detail)
}

// driver drives a model as Bubble Tea does, with a clock of its own.
type driver struct {
	*model
	source *scripted
	now    time.Time
	cmd    tea.Cmd // the last one
}

func drive(o Options, answer func(api.Names, bool) (api.Status, error)) *driver {
	d := &driver{source: &scripted{answer: answer}, now: start}
	o.Source, o.now = d.source, func() time.Time { return d.now }
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	d.model = newModel(context.Background(), o)
	d.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	return d
}

func (d *driver) send(msg tea.Msg) { _, d.cmd = d.Update(msg) }

// poll lets one answer come.
func (d *driver) poll() {
	if cmd := d.request(); cmd != nil {
		d.send(cmd())
	}
}

// wait lets time pass, and an answer come.
func (d *driver) wait(t time.Duration) {
	d.now = d.now.Add(t)
	d.send(clock{})
	d.poll()
}

var named = map[string]rune{
	"up": tea.KeyUp, "down": tea.KeyDown, "enter": tea.KeyEnter, "esc": tea.KeyEscape, "home": tea.KeyHome, "end": tea.KeyEnd,
	"pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace,
}

// press presses keys, by name or by character.
func (d *driver) press(keys ...string) {
	for _, k := range keys {
		switch code, ok := named[k]; {
		case ok:
			d.send(tea.KeyPressMsg{Code: code})
		case k == "ctrl+c":
			d.send(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
		default:
			for _, r := range k {
				d.send(tea.KeyPressMsg{Code: r, Text: string(r)})
			}
		}
	}
}

// node answers with samples as time passes.
func (d *driver) node(which api.Names, detail bool) (api.Status, error) {
	s := sample(int(d.now.Sub(start).Seconds()))
	var fit []api.Container
	for _, c := range s.Containers {
		if which.Matches(c.Names) {
			if detail {
				c.Policy = policy
			}
			fit = append(fit, c)
		}
	}
	s.Containers = fit
	return s, nil
}

// watching has seen some seconds of samples.
func watching(o Options) *driver {
	d := drive(o, nil)
	d.source.answer = d.node
	d.poll()
	for range 20 {
		d.wait(time.Second)
	}
	return d
}
