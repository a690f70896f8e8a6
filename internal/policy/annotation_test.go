package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/policy"
)

type annotations = map[string]string

func rejected(e policy.Effective) string {
	var out []string
	for _, r := range e.Rejected {
		out = append(out, fmt.Sprintf("%s %s %s", r.Annotation, r.Value, r.Reason))
	}
	return strings.Join(out, "\n")
}

// TestAnnotations is about what holds, with room below the ceilings and none.
func TestAnnotations(t *testing.T) {
	const open = `
annotations:
  enabled: true
  ceilings: {maxSize: 100Mi, maxFiles: 10, maxTotalSize: 400Mi, minRotationInterval: 1m, rotatedLogGracePeriod: 1h}
`
	names := strings.Join(policy.AnnotationNames(), ", ")
	for _, tt := range []struct {
		name, yaml   string
		annotations  annotations
		fields, want string
		rejects      string
	}{
		{"off", "", annotations{"logwatch/max-size": "1Mi"}, "maxSize", "maxSize=10Mi (default)", ""},
		{
			"size", open,
			annotations{"logwatch/max-size": "20Mi", "other/max-size": "1Mi"},
			"maxSize maxTotalSize",
			"maxSize=20Mi (annotation logwatch/max-size)\nmaxTotalSize=100Mi (maxSize × maxFiles)", "",
		},
		{
			"the container's own beats the pod's", open,
			annotations{"logwatch/max-size": "20Mi", "logwatch/max-size.app": "30Mi", "logwatch/max-size.sidecar": "40Mi"},
			"maxSize",
			"maxSize=30Mi (annotation logwatch/max-size.app)", "",
		},
		{
			"a bad one gives way to the pod's", open,
			annotations{"logwatch/max-size": "20Mi", "logwatch/max-size.app": "30mb"},
			"maxSize",
			"maxSize=20Mi (annotation logwatch/max-size)",
			`logwatch/max-size.app "30mb" ignored: invalid size "30mb": use a quantity such as 10Mi, 500M or 1Gi`,
		},
		{
			"over the ceilings", open,
			annotations{
				"logwatch/max-size.app": "200Mi", "logwatch/max-files": "11", "logwatch/max-total-size.app": "1Gi",
				"logwatch/min-rotation-interval": "1h", "logwatch/grace-period": "2h",
			},
			"maxSize maxFiles maxTotalSize minRotationInterval rotatedLogGracePeriod",
			"maxSize=100Mi (annotation logwatch/max-size.app (capped at 100Mi))\n" +
				"maxFiles=10 (annotation logwatch/max-files (capped at 10))\n" +
				"maxTotalSize=400Mi (annotation logwatch/max-total-size.app (capped at 400Mi))\n" +
				"minRotationInterval=1m0s (annotation logwatch/min-rotation-interval (capped at 1m0s))\n" +
				"rotatedLogGracePeriod=1h0m0s (annotation logwatch/grace-period (capped at 1h0m0s))",
			"logwatch/max-size.app \"200Mi\" capped at 100Mi\n" +
				"logwatch/max-files \"11\" capped at 10\n" +
				"logwatch/max-total-size.app \"1Gi\" capped at 400Mi\n" +
				"logwatch/min-rotation-interval \"1h\" capped at 1m0s\n" +
				"logwatch/grace-period \"2h\" capped at 1h0m0s",
		},
		{
			"without ceilings: less, not more", "annotations: {enabled: true}",
			annotations{
				"logwatch/max-size": "11Mi", "logwatch/max-files": "4", "logwatch/min-rotation-interval": "2s",
				"logwatch/grace-period": "1s", "logwatch/max-age": "1h", "logwatch/compression": "none",
			},
			everything,
			"rotate=true (default)\nmaxSize=10Mi (annotation logwatch/max-size (capped at 10Mi))\nmaxFiles=4 (annotation logwatch/max-files)\n" +
				"maxTotalSize=40Mi (maxSize × maxFiles)\nmaxAge=1h0m0s (annotation logwatch/max-age)\n" +
				"minRotationInterval=1s (annotation logwatch/min-rotation-interval (capped at 1s))\n" +
				"rotatedLogGracePeriod=0s (annotation logwatch/grace-period (capped at 0s))\n" +
				"compression.codec=none (annotation logwatch/compression)\ncompression.level=5 (default)",
			"logwatch/max-size \"11Mi\" capped at 10Mi\nlogwatch/min-rotation-interval \"2s\" capped at 1s\nlogwatch/grace-period \"1s\" capped at 0s",
		},
		{
			"the total that follows has a ceiling too", open,
			annotations{"logwatch/max-size": "90Mi"},
			"maxTotalSize",
			"maxTotalSize=400Mi (maxSize × maxFiles (capped at 400Mi))", "",
		},
		{
			"a promise that holds for all stays one", "{containerLogMaxTotalSize: 15Mi, annotations: {enabled: true}}",
			annotations{"logwatch/max-size": "9Mi"},
			"maxSize maxTotalSize",
			"maxSize=9Mi (annotation logwatch/max-size)\nmaxTotalSize=15Mi (maxSize × maxFiles (capped at 15Mi))", "",
		},
		{
			"files do not change a total that was written", "{containerLogMaxTotalSize: 15Mi, annotations: {enabled: true}}",
			annotations{"logwatch/max-files": "2"},
			"maxTotalSize", "maxTotalSize=15Mi (flag/file)", "",
		},
		{
			"files change a product", "annotations: {enabled: true}",
			annotations{"logwatch/max-files": "2"},
			"maxTotalSize", "maxTotalSize=20Mi (maxSize × maxFiles)", "",
		},
		{
			"a size of its own, beside the pod's total", open,
			annotations{"logwatch/max-size.app": "8Mi", "logwatch/max-total-size": "9Mi"},
			"maxTotalSize",
			"maxTotalSize=40Mi (maxSize × maxFiles)", "",
		},
		{
			"a total below the size", open,
			annotations{"logwatch/max-total-size": "9Mi"},
			"maxSize maxTotalSize",
			"maxSize=10Mi (default)\nmaxTotalSize=50Mi (maxSize × maxFiles)",
			`logwatch/max-total-size "9Mi" ignored: must be at least maxSize (10Mi); lower logwatch/max-size too`,
		},
		{
			"a total below the size, both annotated", open,
			annotations{"logwatch/max-size": "20Mi", "logwatch/max-total-size.app": "19Mi"},
			"maxSize maxTotalSize",
			"maxSize=20Mi (annotation logwatch/max-size)\nmaxTotalSize=100Mi (maxSize × maxFiles)",
			`logwatch/max-total-size.app "19Mi" ignored: must be at least maxSize (20Mi); lower logwatch/max-size too`,
		},
		{
			"an override is the administrator's too", open + "overrides: [{match: {containers: [app]}, maxSize: 1Gi}]",
			annotations{"logwatch/max-size": "500Mi"},
			"maxSize maxTotalSize",
			"maxSize=500Mi (annotation logwatch/max-size)\nmaxTotalSize=2500Mi (maxSize × maxFiles)", "",
		},
		{
			"an override turned rotation off", open + "overrides: [{match: {containers: [app]}, rotate: false}]",
			annotations{"logwatch/max-size": "20Mi", "logwatch/min-rotation-interval": "1s", "logwatch/max-files": "2"},
			"rotate maxSize maxFiles maxTotalSize",
			"rotate=false (override 1)\nmaxSize=no limit (override 1)\nmaxFiles=2 (annotation logwatch/max-files)\nmaxTotalSize=no limit (override 1)",
			"logwatch/max-size \"20Mi\" ignored: the configuration disables rotation for this container\nlogwatch/min-rotation-interval \"1s\" ignored: the configuration disables rotation for this container",
		},
		{
			"no limit is the greatest age", "{containerLogMaxAge: 14d, annotations: {enabled: true, ceilings: {maxAge: 30d}}}",
			annotations{"logwatch/max-age": "0s"},
			"maxAge", "maxAge=720h0m0s (annotation logwatch/max-age (capped at 720h0m0s))",
			`logwatch/max-age "0s" capped at 720h0m0s`,
		},
		{
			"no limit may be the ceiling", "{containerLogMaxAge: 14d, annotations: {enabled: true, ceilings: {maxAge: 0s}}}",
			annotations{"logwatch/max-age": "0s"},
			"maxAge", "maxAge=no limit (annotation logwatch/max-age)", "",
		},
		{
			"an age within the grace period", "{rotatedLogGracePeriod: 5m, annotations: {enabled: true}}",
			annotations{"logwatch/max-age": "4m"},
			"maxAge", "maxAge=no limit (default)",
			`logwatch/max-age "4m" ignored: maxAge (4m0s) must be at least the grace period (5m0s)`,
		},
		{
			"a grace period over the age", "{containerLogMaxAge: 10m, annotations: {enabled: true, ceilings: {rotatedLogGracePeriod: 1h}}}",
			annotations{"logwatch/grace-period": "11m"},
			"maxAge rotatedLogGracePeriod", "maxAge=10m0s (flag/file)\nrotatedLogGracePeriod=0s (default)",
			`logwatch/grace-period "11m" ignored: maxAge (10m0s) must be at least the grace period (11m0s)`,
		},
		{
			"a misspelt name", open,
			annotations{"logwatch/max-szie": "1Mi", "logwatch/": "x", "logwatch/maxsize.app": ""},
			"maxSize", "maxSize=10Mi (default)",
			"logwatch/ \"x\" ignored: unknown annotation; must be one of " + names + "\n" +
				"logwatch/max-szie \"1Mi\" ignored: unknown annotation; must be one of " + names + "\n" +
				"logwatch/maxsize.app \"\" ignored: unknown annotation; must be one of " + names,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := resolver(t, tt.yaml).For(policy.Subject{Namespace: "shop", Pod: "web", Container: "app", Annotations: tt.annotations})
			if got := show(e, tt.fields); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if got := rejected(e); got != tt.rejects {
				t.Errorf("rejects\n%s\nwant\n%s", got, tt.rejects)
			}
		})
	}
}

// TestBadValues: each is ignored, and said why.
func TestBadValues(t *testing.T) {
	r := resolver(t, "annotations: {enabled: true}")
	before := show(r.For(policy.Subject{}), everything)
	for _, tt := range []struct{ name, value, want string }{
		{"max-size", "10", `"10" ignored: must be at least 256Ki`},
		{"max-size", "10mb", `"10mb" ignored: invalid size "10mb": use a quantity such as 10Mi, 500M or 1Gi`},
		{"max-size", "10m", `"10m" ignored: invalid size "10m": m is a thousandth of a byte; use 10Mi or 10M`},
		{"max-size", "-5", `"-5" ignored: must be a positive size such as 10Mi, got -5`},
		{"max-size", "-1", `"-1" ignored: must be a positive size such as 10Mi, got -1`},
		{"max-size", "", `"" ignored: must not be empty`},
		{"max-size", "1e99", `"1e99" ignored: invalid size "1e99": must be a whole number of bytes below 8Ei`},
		{"max-size", "1e-99999999", `"1e-99999999" ignored: invalid size "1e-99999999": must be a whole number of bytes below 8Ei`},
		{"max-size", "9Ei", `"9Ei" ignored: invalid size "9Ei": must be a whole number of bytes below 8Ei`},
		{"max-size", "262143", `"262143" ignored: must be at least 256Ki`},
		{"max-size", strings.Repeat("1", 1<<20), `"1111111111111111111111111111111111111111"… ignored: a value of 1048576 bytes is too long`},
		{"max-size", "\x1b[2J\u202e\xff", `"\x1b[2J\u202e\xff" ignored: invalid size "\x1b[2J\u202e\xff": use a quantity such as 10Mi, 500M or 1Gi`},
		{"max-files", "1", `"1" ignored: must be at least 2 (the live log and one rotated log), got 1`},
		{"max-files", "10mb", `"10mb" ignored: invalid number "10mb": use a whole number such as 5`},
		{"max-files", "-5", `"-5" ignored: must be at least 2 (the live log and one rotated log), got -5`},
		{"max-files", "1e99", `"1e99" ignored: invalid number "1e99": use a whole number such as 5`},
		{"max-files", "99999999999999999999", `"99999999999999999999" ignored: invalid number "99999999999999999999": use a whole number such as 5`},
		{"max-total-size", "0", `"0" ignored: must be a positive size such as 10Mi, got 0`},
		{"max-total-size", "", `"" ignored: must not be empty`},
		{"max-total-size", "-5", `"-5" ignored: must be a positive size such as 10Mi, got -5`},
		{"max-total-size", "10", `"10" ignored: must be at least maxSize (10Mi); lower logwatch/max-size too`},
		{"max-age", "10", `"10" ignored: invalid duration "10": use a number with a unit, such as 500ms, 10s or 5m`},
		{"max-age", "59s", `"59s" ignored: must be at least 1m0s, or 0s for no limit, got 59s`},
		{"max-age", "-5h", `"-5h" ignored: must be at least 0s, got -5h0m0s`},
		{"max-age", "999999d", `"999999d" ignored: invalid duration "999999d": use a number with a unit, such as 500ms, 10s or 5m`},
		{"min-rotation-interval", "", `"" ignored: must not be empty`},
		{"min-rotation-interval", "-1s", `"-1s" ignored: must be at least 0s, got -1s`},
		{"grace-period", "1e99s", `"1e99s" ignored: invalid duration "1e99s": use a number with a unit, such as 500ms, 10s or 5m`},
		{"compression", "zstd", `"zstd" ignored: must be one of gzip, none`},
		{"compression", "", `"" ignored: must not be empty`},
	} {
		key := "logwatch/" + tt.name
		e := r.For(policy.Subject{Annotations: annotations{key: tt.value}})
		if got := rejected(e); got != key+" "+tt.want {
			t.Errorf("got  %s\nwant %s %s", got, key, tt.want)
		}
		if got := show(e, everything); got != before {
			t.Errorf("%s %.20q changed\n%s", key, tt.value, got)
		}
	}
}

// TestLeastSizeIsNotMore: a pod that has less without an annotation may ask for that.
func TestLeastSizeIsNotMore(t *testing.T) {
	r := resolver(t, "{containerLogMaxSize: 64Ki, annotations: {enabled: true}}")
	e := r.For(policy.Subject{Annotations: annotations{"logwatch/max-size": "64Ki"}})
	if e.MaxSize != 64<<10 || len(e.Rejected) != 0 {
		t.Errorf("got %+v", e)
	}
}

// TestManyRejects: a pod with a thousand bad annotations does not fill a log.
func TestManyRejects(t *testing.T) {
	s := policy.Subject{Container: strings.Repeat("c", 1<<20), Annotations: annotations{}}
	for i := range 1000 {
		s.Annotations[fmt.Sprintf("logwatch/%d\x1b%s", i, strings.Repeat("x", 10_000))] = strings.Repeat("y", 10_000)
	}
	for _, name := range policy.AnnotationNames() {
		s.Annotations[policy.Prefix+name+"."+s.Container] = "x"
	}
	e := resolver(t, "annotations: {enabled: true}").For(s)
	if len(e.Rejected) != policy.MaxRejected || e.Rejected[policy.MaxRejected-1].Reason != fmt.Sprintf("and %d more", len(s.Annotations)-policy.MaxRejected+1) {
		t.Errorf("%d rejects, the last one %+v", len(e.Rejected), e.Rejected[len(e.Rejected)-1])
	}
	if n := len(rejected(e)); n > policy.MaxRejected*500 {
		t.Errorf("the rejects are %d bytes long", n)
	}
	if strings.Contains(rejected(e), "\x1b") {
		t.Error("a control character got through")
	}
}
