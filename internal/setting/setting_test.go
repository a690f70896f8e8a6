package setting

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"10Mi": 10 << 20, "5M": 5_000_000, "1048576": 1 << 20, "-1": -1, "1e3": 1000, "8070450532247928832": 7 << 60, "0": 0,
	} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"10x":                   `invalid size "10x": use a quantity such as 10Mi, 500M or 1Gi`,
		"":                      `invalid size "": use a quantity such as 10Mi, 500M or 1Gi`,
		"10m":                   `invalid size "10m": m is a thousandth of a byte; use 10Mi or 10M`,
		"0.5":                   `invalid size "0.5": must be a whole number of bytes below 8Ei`,
		"8Ei":                   `invalid size "8Ei": must be a whole number of bytes below 8Ei`,
		"1e-99999999":           `invalid size "1e-99999999": must be a whole number of bytes below 8Ei`,
		strings.Repeat("1", 65): "invalid size of 65 bytes: use a quantity such as 10Mi, 500M or 1Gi",
	} {
		if _, err := ParseSize(text); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		10 << 20: "10Mi", 1 << 30: "1Gi", 1000: "1k", 5_000_000: "5M", 1<<20 + 1: "1048577", -1: "-1", 0: "0", math.MaxInt64: "9223372036854775807",
	} {
		if got := FormatSize(bytes); got != want {
			t.Errorf("%d: %q", bytes, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "14d": 336 * time.Hour, "0d": 0, "106751d": 106751 * 24 * time.Hour,
	} {
		if got, err := ParseDuration(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "106752d", "-1d", "1.5d", "1d12h", "d", "+1d", "1 d", "1e9d", strings.Repeat("0", 64) + "s"} {
		if got, err := ParseDuration(text); err == nil || !strings.HasSuffix(err.Error(), ": use a number with a unit, such as 500ms, 10s or 5m") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// TestValues: what Set accepts, String writes so that Set accepts it again; what it
// rejects changes nothing.
func TestValues(t *testing.T) {
	size, duration, number, flag, text, path, optional := int64(1), time.Second, 3, true, "a", "/a", int64(1)
	for _, tt := range []struct {
		name    string
		v       Value
		in, out string // out "": an error
		err     string
	}{
		{"size", Size(&size), "2048", "2Ki", ""},
		{"no size", Size(&size), "0", "", "must be a positive size such as 10Mi, got 0"},
		{"duration", Duration(&duration, 0), "2d", "48h0m0s", ""},
		{"short", Duration(&duration, time.Second), "999ms", "", "must be at least 1s, got 999ms"},
		{"int", Int(&number, 2, 9, " (why)"), "+9", "9", ""},
		{"small", Int(&number, 2, 9, " (why)"), "1", "", "must be at least 2 (why), got 1"},
		{"large", Int(&number, 2, 9, " (why)"), "10", "", "must be at most 9 (why), got 10"},
		{"huge", Int(&number, 2, 9, ""), "9223372036854775808", "", `invalid number "9223372036854775808": use a whole number such as 5`},
		{"bool", Bool(&flag), "false", "false", ""},
		{"maybe", Bool(&flag), "maybe", "", `invalid value "maybe": must be true or false`},
		{"choice", Text(&text, OneOf("a", "b")), "b", "b", ""},
		{"no choice", Text(&text, OneOf("a", "b")), "c", "", `invalid value "c": must be one of a, b`},
		{"clean", Path(&path), "//var/../b/", "/b", ""},
		{"relative", Path(&path), "b", "", `invalid path "b": must be absolute, such as /var/log/pods`},
		{"no path", Path(&path), "", "", `invalid path "": must be absolute, such as /var/log/pods`},
		{"optional", Size(&optional).Optional(), "", "", ""},
		{"optional, still checked", Size(&optional).Optional(), "0", "", "must be a positive size such as 10Mi, got 0"},
	} {
		before := tt.v.String()
		err := tt.v.Set(tt.in)
		switch {
		case tt.err != "" && (err == nil || err.Error() != tt.err || tt.v.String() != before):
			t.Errorf("%s: %v, and is %q", tt.name, err, tt.v)
		case tt.err == "" && (err != nil || tt.v.String() != tt.out || tt.v.Set(tt.out) != nil || tt.v.String() != tt.out):
			t.Errorf("%s: %v, and is %q, want %q", tt.name, err, tt.v, tt.out)
		}
	}
}
