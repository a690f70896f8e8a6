package policy_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
)

// check is what must be true of every answer. had is the answer to the same
// question with annotations disabled.
func check(t *testing.T, e, had policy.Effective, ceilings policy.Patch) {
	t.Helper()
	if _, err := policy.New(policy.Rules{Patch: policy.PatchOf(e.Policy)}); err != nil {
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
	endless := func(n int64) int64 {
		if n == 0 {
			return math.MaxInt64
		}
		return n
	}
	files, _ := strconv.Atoi(ceilings["maxFiles"])
	size, total := sizeOf(ceilings["maxSize"]), sizeOf(ceilings["maxTotalSize"])
	over("size", e.MaxSize, size, had.MaxSize)
	over("files", int64(e.MaxFiles), int64(files), int64(had.MaxFiles))
	over("interval", int64(e.MinInterval), timeOf(ceilings["minRotationInterval"]), int64(had.MinInterval))
	over("grace", int64(e.Grace), timeOf(ceilings["rotatedLogGracePeriod"]), int64(had.Grace))
	age := int64(0)
	if text := ceilings["maxAge"]; text != "" {
		age = endless(timeOf(text))
	}
	over("age", endless(int64(e.MaxAge)), age, endless(int64(had.MaxAge)))
	if total == 0 && (size != 0 || files != 0) {
		total = policy.SaturatingMul(max(size, had.MaxSize), max(files, had.MaxFiles))
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
		if was := had.Fields()[i]; f != was && !strings.HasPrefix(f.Source, "annotation logwatch/") && !strings.HasPrefix(f.Source, policy.FromProduct) {
			t.Errorf("%+v, and was %+v, for no reason", f, was)
		}
	}
	for _, r := range e.Rejected {
		if r.Annotation == "" || r.Reason == "" || len(r.Value) > 7*policy.MaxQuote || len(r.Reason) > 400 {
			t.Errorf("rejected %+v", r)
		}
	}
	if len(e.Rejected) > policy.MaxRejected {
		t.Errorf("%d rejected", len(e.Rejected))
	}
}

func sizeOf(text string) int64 {
	n, _ := setting.ParseSize(text) // 0: none
	return n
}

func timeOf(text string) int64 {
	d, _ := setting.ParseDuration(text) // 0: none
	return int64(d)
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

// fill sets some of the fields with values, to random text that is valid by itself.
func fill(rnd *rand.Rand, value func(*policy.Field) setting.Value) {
	for _, f := range policy.Fields {
		v := value(f)
		var text string
		switch v.Type() {
		case "size":
			text = sizeText(rnd)
		case "duration":
			text = timeText(rnd)
		case "int":
			text = pick(rnd, "2", "3", "5", "10", "1000000")
		case "bool":
			text = pick(rnd, "true", "false")
		case "string":
			text = pick(rnd, "gzip", "none", "zstd")
		}
		_ = v.Set(text) // what is invalid is left out
	}
}

// randomConfig is valid.
func randomConfig(rnd *rand.Rand) config.Config {
	for {
		c := config.Default()
		if rnd.IntN(2) == 0 {
			fill(rnd, c.Patch.Key)
		}
		c.Annotations.Enabled = true
		fill(rnd, func(f *policy.Field) setting.Value {
			if f.Ceiling == "" {
				return setting.Text(new(string))
			}
			return c.Annotations.Ceilings.Ceiling(f)
		})
		if c.Validate() != nil {
			continue
		}
		for range 8 {
			o := policy.Override{Patch: policy.Patch{}, Match: policy.Match{
				Namespaces: pick(rnd, []string{"*"}, []string{"a*", "b"}),
				Pods:       pick(rnd, []string{"[a-c]?", "x"}),
				Containers: pick(rnd, []string{"app"}),
				Labels:     pick(rnd, "app", "app=x, !y", "app notin (x)"),
			}}
			fill(rnd, o.Patch.Value)
			c.Overrides = append(c.Overrides, o)
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
	for _, name := range policy.AnnotationNames() {
		for _, suffix := range []string{"", ".app", ".other"} {
			text := pick(rnd, sizeText(rnd), timeText(rnd), pick(rnd, bad...), pick(rnd, "2", "7", "1000"), pick(rnd, "gzip", "none"))
			switch {
			case rnd.IntN(2) == 0:
				continue
			case strings.HasSuffix(name, "-size"):
				text = pick(rnd, sizeText(rnd), sizeText(rnd), text)
			case name == "max-age" || name == "grace-period" || name == "min-rotation-interval":
				text = pick(rnd, timeText(rnd), timeText(rnd), text)
			}
			m[policy.Prefix+name+suffix] = text
		}
	}
	return m
}

// TestProperties: whatever is asked of whatever configuration, the answer is a
// valid policy within the ceilings.
func TestProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, uint64(time.Now().UnixNano())))
	overridden, annotated, capped := 0, 0, 0
	for range 1000 {
		c := randomConfig(rnd)
		r, err := policy.New(c.Rules)
		if err != nil {
			t.Fatal(err)
		}
		c.Annotations.Enabled = false
		off, err := policy.New(c.Rules)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			s := policy.Subject{
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
			capped += strings.Count(sources, "capped at")
		}
	}
	if overridden < 1000 || annotated < 1000 || capped < 1000 {
		t.Errorf("%d fields overridden, %d annotated, %d capped: the test tests nothing", overridden, annotated, capped)
	}
}

// FuzzAnnotation: any text in any annotation, on its own and beside another.
func FuzzAnnotation(f *testing.F) {
	for i, text := range []string{"10", "10mb", "-5", "1e99", "100Mi", "0s", "14d", "none", "2", "+5", "0x10", "1_0", "1.5Gi", "1e-99", "\u0664", "٣Mi", "9223372036854775807", "9223372036854775807ns", "\xff\x00"} {
		f.Add(uint8(i), text, uint8(i+1), "20Mi", "app")
	}
	f.Add(uint8(0), strings.Repeat("1", 1<<20), uint8(9), "", "")
	ceilings := policy.Patch{
		"maxSize": "100Mi", "maxFiles": "10", "maxTotalSize": "300Mi", "maxAge": "24h", "minRotationInterval": "1m", "rotatedLogGracePeriod": "2h",
	}
	r, err := policy.New(policy.Rules{
		Patch: policy.Patch{"maxAge": "1h"}, Annotations: policy.Annotations{Enabled: true, Ceilings: ceilings},
	})
	if err != nil {
		f.Fatal(err)
	}
	had := r.For(policy.Subject{})
	f.Fuzz(func(t *testing.T, a uint8, text string, b uint8, other, container string) {
		known := policy.AnnotationNames()
		name := func(n uint8) string {
			if n >= 128 {
				return policy.Prefix + known[int(n)%len(known)] + "." + container
			}
			return policy.Prefix + known[int(n)%len(known)]
		}
		s := policy.Subject{Container: container, Annotations: map[string]string{name(a): text, name(b): other, policy.Prefix + text: ""}}
		e := r.For(s)
		check(t, e, had, ceilings)
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
