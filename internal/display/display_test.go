package display

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
)

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "<b>\x1b[2J\u009b\u202e\x7f\n\U000e0041é日", "\xff\xfe", `a\b`, "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Escape(s)
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || Escape(got) != got {
			t.Errorf("%q gives %q", s, got)
		}
	})
}

// TestNumbers: the page's formats are compared with these by TestPageFormats in package test.
func TestNumbers(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0", 999: "999", 1000: "1Ki", 1024: "1Ki", 1536: "1.5Ki", 10 << 20: "10Mi", 104 << 20: "104Mi", 1023 << 20: "1Gi", 1 << 62: "4Ei", -999: "-999", -1536: "-1.5Ki", math.MinInt64: "-9223372036854775808"} {
		if got := Bytes(bytes); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", bytes, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-1: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 3 * time.Hour: "3h", 14 * 24 * time.Hour: "14d"} {
		if got := Age(d); got != want {
			t.Errorf("Age(%v) = %s, want %s", d, got, want)
		}
	}
	for seconds, want := range map[float64]string{0: "0ms", 0.00038: "0.38ms", 0.003: "3ms", 0.0123: "12ms", 0.25: "250ms", 3.14159: "3.1s", 12.6: "13s", 600: "600s"} {
		if got := Took(seconds); got != want {
			t.Errorf("Took(%v) = %s, want %s", seconds, got, want)
		}
	}
	if got := PerSecond(1e300) + Plural(1, " log") + Plural(2, " log"); got != "4Ei/s1  log2  logs" {
		t.Error(got)
	}
}
