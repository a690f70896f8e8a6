package policy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/config"
)

// asConfig is a configuration in which e holds for all containers, so that the
// rules for configurations can be asked.
func asConfig(e Effective) config.Config {
	c := config.Default()
	c.ContainerLogMaxSize = config.SizeOf(e.MaxSize)
	if !e.Rotate {
		c.ContainerLogMaxSize = config.SizeOf(-1)
	}
	if e.MaxTotalSize != 0 {
		c.ContainerLogMaxTotalSize = config.SizeOf(e.MaxTotalSize)
	}
	c.ContainerLogMaxFiles = e.MaxFiles
	c.ContainerLogMaxAge.Duration = e.MaxAge
	c.MinRotationInterval.Duration = e.MinInterval
	c.RotatedLogGracePeriod.Duration = e.Grace
	c.Compression.Codec, c.Compression.Level = e.Codec, e.Level
	return c
}

// check is what must be true of every answer. had is the answer to the same
// question with annotations turned off.
func check(t *testing.T, e, had Effective, c config.Ceilings) {
	t.Helper()
	if err := asConfig(e).Validate(); err != nil {
		t.Errorf("not valid: %v", err)
	}
	if e.Rotate != (e.MaxSize > 0) || e.Rotate != had.Rotate || e.Rotate && e.MaxTotalSize == 0 {
		t.Errorf("rotate %v, size %d, total %d", e.Rotate, e.MaxSize, e.MaxTotalSize)
	}
	over := func(what string, got, ceiling, without int64) {
		t.Helper()
		if got > max(ceiling, without) {
			t.Errorf("%s is %d: ceiling %d, %d without annotations", what, got, ceiling, without)
		}
	}
	endless := func(d time.Duration) int64 {
		if d == 0 {
			return math.MaxInt64
		}
		return int64(d)
	}
	over("size", e.MaxSize, c.MaxSize.Bytes(), had.MaxSize)
	over("files", int64(e.MaxFiles), int64(c.MaxFiles), int64(had.MaxFiles))
	over("interval", int64(e.MinInterval), int64(c.MinRotationInterval.Duration), int64(had.MinInterval))
	over("grace", int64(e.Grace), int64(c.RotatedLogGracePeriod.Duration), int64(had.Grace))
	if c.MaxAge.IsSet() {
		over("age", endless(e.MaxAge), endless(c.MaxAge.Duration), endless(had.MaxAge))
	} else {
		over("age", endless(e.MaxAge), 0, endless(had.MaxAge))
	}
	total := c.MaxTotalSize.Bytes()
	if total == 0 && (c.MaxSize.IsSet() || c.MaxFiles != 0) {
		total = product(max(c.MaxSize.Bytes(), had.MaxSize), max(c.MaxFiles, had.MaxFiles))
	}
	if had.MaxTotalSize != 0 {
		over("total", e.MaxTotalSize, total, had.MaxTotalSize)
		if e.MaxTotalSize == 0 {
			t.Error("an annotation took the total away")
		}
	}
	for i, f := range e.Fields() {
		if f.Source == "" {
			t.Errorf("no source of %s", f.Name)
		}
		if was := had.Fields()[i]; f != was && !strings.HasPrefix(f.Source, "annotation logwatch/") && !strings.HasPrefix(f.Source, fromProduct) {
			t.Errorf("%+v, and was %+v, for no reason", f, was)
		}
	}
	for _, r := range e.Rejected {
		if r.Annotation == "" || r.Reason == "" || len(r.Value) > 7*maxQuote || len(r.Reason) > 300 {
			t.Errorf("reject %+v", r)
		}
	}
	if len(e.Rejected) > maxRejects {
		t.Errorf("%d rejects", len(e.Rejected))
	}
}

// pick is one of choices, or with them the zero value, which is often "not set".
func pick[T any](rnd *rand.Rand, choices ...T) T {
	var none T
	if n := rnd.IntN(len(choices) + 1); n < len(choices) {
		return choices[n]
	}
	return none
}

func sizeText(rnd *rand.Rand) string {
	return pick(rnd, "1", "64Ki", "256Ki", "1Mi", "9Mi", "10Mi", "20Mi", "50Mi", "100Mi", "1Gi", "1Ti", "7Ei", fmt.Sprint(rnd.Int64N(1<<30)))
}

func timeText(rnd *rand.Rand) string {
	return pick(rnd, "0s", "1ns", "1s", "12s", "59s", "1m", "65s", "10m", "1h", "14d", "106751d")
}

func mustSize(text string) config.Size {
	s, err := config.ParseSize(text)
	if err != nil {
		panic(err)
	}
	return s
}

func mustDuration(text string) config.Duration {
	d, err := config.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

func randomOverride(rnd *rand.Rand) config.Override {
	o := config.Override{
		Match: config.Match{
			Namespaces: pick(rnd, []string{"*"}, []string{"a*", "b"}),
			Pods:       pick(rnd, []string{"[a-c]?", "x"}),
			Containers: pick(rnd, []string{"app"}),
			Labels:     pick(rnd, "app", "app=x, !y", "app notin (x)"),
		},
		MaxSize:      mustSize(sizeText(rnd)),
		MaxTotalSize: mustSize(sizeText(rnd)),
		MaxFiles:     pick(rnd, new(2), new(3), new(1000)),
		Compression:  config.OverrideCompression{Codec: pick(rnd, new("gzip"), new("none")), Level: pick(rnd, new(1))},
		Rotate:       pick(rnd, new(true), new(false)),
	}
	for _, to := range []**config.Duration{&o.MaxAge, &o.MinRotationInterval, &o.RotatedLogGracePeriod} {
		if d := mustDuration(timeText(rnd)); d.IsSet() {
			*to = &d
		}
	}
	return o
}

// randomConfig is valid.
func randomConfig(rnd *rand.Rand) config.Config {
	for {
		c := config.Default()
		if rnd.IntN(2) == 0 {
			c.ContainerLogMaxSize = mustSize(pick(rnd, "-1", "64Ki", "1Mi", "100Mi"))
			c.ContainerLogMaxFiles = 2 + rnd.IntN(8)
			c.ContainerLogMaxAge.Duration = mustDuration(timeText(rnd)).Duration
			c.RotatedLogGracePeriod.Duration = mustDuration(timeText(rnd)).Duration
		}
		if rnd.IntN(2) == 0 {
			c.ContainerLogMaxTotalSize = mustSize(sizeText(rnd))
		}
		c.Annotations.Enabled = true
		c.Annotations.Ceilings = config.Ceilings{
			MaxSize: mustSize(sizeText(rnd)), MaxTotalSize: mustSize(sizeText(rnd)), MaxFiles: pick(rnd, 5, 10, 1_000_000),
			MaxAge: mustDuration(timeText(rnd)), MinRotationInterval: mustDuration(timeText(rnd)), RotatedLogGracePeriod: mustDuration(timeText(rnd)),
		}
		if c.Validate() != nil {
			continue
		}
		for range 8 {
			c.Overrides = append(c.Overrides, randomOverride(rnd))
			if c.Validate() != nil {
				c.Overrides = c.Overrides[:len(c.Overrides)-1]
			}
		}
		return c
	}
}

func randomAnnotations(rnd *rand.Rand) map[string]string {
	bad := []string{"", "10", "10mb", "-5", "1e99", "x", strings.Repeat("9", 1000), "\x1b[31m"}
	m := make(map[string]string)
	for _, name := range known {
		for _, suffix := range []string{"", ".app", ".other"} {
			text := pick(rnd, sizeText(rnd), timeText(rnd), pick(rnd, bad...), pick(rnd, "2", "7", "1000"), pick(rnd, "gzip", "none"))
			switch {
			case rnd.IntN(2) == 0:
				continue
			case name == annSize || name == annTotal:
				text = pick(rnd, sizeText(rnd), sizeText(rnd), text)
			case name == annAge || name == annGrace || name == annInterval:
				text = pick(rnd, timeText(rnd), timeText(rnd), text)
			}
			m[prefix+name+suffix] = text
		}
	}
	return m
}

// TestProperties: whatever is asked of whatever configuration, the answer is a
// valid policy within the ceilings.
func TestProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, uint64(time.Now().UnixNano())))
	overridden, annotated, cut := 0, 0, 0
	for range 1000 {
		c := randomConfig(rnd)
		r, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Annotations.Enabled = false
		off, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			s := Subject{
				pick(rnd, "a", "ab", "b"), pick(rnd, "a1", "x"), pick(rnd, "app", "other"),
				pick(rnd, map[string]string{"app": "x"}, map[string]string{"app": "z", "y": ""}), randomAnnotations(rnd),
			}
			e, had := r.For(s), off.For(s)
			check(t, e, had, c.Annotations.Ceilings)
			if t.Failed() {
				t.Fatalf("of %+v\nwith %+v\nbecame %+v\nwas %+v", s, c, e, had)
			}
			sources := fmt.Sprint(e.Sources)
			overridden += strings.Count(sources, "override")
			annotated += strings.Count(sources, "annotation")
			cut += strings.Count(sources, "cut to")
		}
	}
	if overridden < 1000 || annotated < 1000 || cut < 1000 {
		t.Errorf("%d fields overridden, %d annotated, %d cut: the test tests nothing", overridden, annotated, cut)
	}
}

// FuzzAnnotation: any text in any annotation, on its own and beside another.
func FuzzAnnotation(f *testing.F) {
	for i, text := range []string{"10", "10mb", "-5", "1e99", "100Mi", "0s", "14d", "none", "2", "+5", "0x10", "1_0", "1.5Gi", "1e-99", "\u0664", "٣Mi", "9223372036854775807", "9223372036854775807ns", "\xff\x00"} {
		f.Add(uint8(i), text, uint8(i+1), "20Mi", "app")
	}
	f.Add(uint8(0), strings.Repeat("1", 1<<20), uint8(9), "", "")
	cfg := config.Default()
	cfg.ContainerLogMaxAge.Duration = time.Hour
	cfg.Annotations = config.Annotations{Enabled: true, Ceilings: config.Ceilings{
		MaxSize: mustSize("100Mi"), MaxFiles: 10, MaxTotalSize: mustSize("300Mi"), MaxAge: mustDuration("1d"),
		MinRotationInterval: mustDuration("1m"), RotatedLogGracePeriod: mustDuration("2h"),
	}}
	r, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	had := r.For(Subject{})
	f.Fuzz(func(t *testing.T, a uint8, text string, b uint8, other, container string) {
		name := func(n uint8) string {
			if n >= 128 {
				return prefix + known[int(n)%len(known)] + "." + container
			}
			return prefix + known[int(n)%len(known)]
		}
		s := Subject{Container: container, Annotations: map[string]string{name(a): text, name(b): other, prefix + text: ""}}
		e := r.For(s)
		check(t, e, had, cfg.Annotations.Ceilings)
		if again := r.For(s); !reflect.DeepEqual(again, e) {
			t.Errorf("got %+v, then %+v", e, again)
		}
		for _, rj := range e.Rejected {
			if strings.ContainsFunc(rj.Annotation+rj.Value+rj.Reason, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0x202e }) {
				t.Errorf("not fit for a terminal: %+v", rj)
			}
		}
	})
}
