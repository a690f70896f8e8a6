// Package setting reads and writes single values as text: sizes, durations,
// numbers, booleans, choices and paths, each bound to the variable that holds it.
// The same Value serves a key of the file, a flag, an override and an annotation.
//
// A Value that fails to Set leaves its variable unchanged. Reading is cheap for
// any text. Nothing blocks; a Value is not safe for concurrent use.
package setting

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// maxText is the longest text in bytes that is parsed or repeated in an error;
// every valid size, duration and number is shorter.
const maxText = 64

// invalid is the error for text that is not a value of its type.
func invalid(typ, text, hint string) error {
	if len(text) > maxText {
		return fmt.Errorf("invalid %s of %d bytes: %s", typ, len(text), hint)
	}
	return fmt.Errorf("invalid %s %q: %s", typ, text, hint)
}

// The time to parse a quantity grows with its exponent, to minutes; no size that
// fits an int64 needs an exponent of three digits.
var longExponent = regexp.MustCompile(`[eE][+-]?[0-9]{3}`)

const sizeHint = "use a quantity such as 10Mi, 500M or 1Gi"

// ParseSize reads bytes as a quantity: 10Mi, 5M, 1Gi, 1048576.
func ParseSize(s string) (int64, error) {
	if len(s) > maxText {
		return 0, invalid("size", s, sizeHint)
	}
	if !longExponent.MatchString(s) {
		q, err := resource.ParseQuantity(s)
		if err != nil {
			return 0, invalid("size", s, sizeHint)
		}
		// Value rounds a fraction up and wraps or caps a number that is too large.
		if n := q.Value(); n != math.MaxInt64 && resource.NewQuantity(n, q.Format).Cmp(q) == 0 {
			return n, nil
		}
	}
	if n, ok := strings.CutSuffix(s, "m"); ok {
		return 0, invalid("size", s, fmt.Sprintf("m is a thousandth of a byte; use %sMi or %sM", n, n))
	}
	return 0, invalid("size", s, "must be a whole number of bytes below 8Ei")
}

// FormatSize writes bytes as the shortest exact quantity.
func FormatSize(n int64) string {
	binary, decimal := resource.NewQuantity(n, resource.BinarySI).String(), resource.NewQuantity(n, resource.DecimalSI).String()
	if len(decimal) < len(binary) {
		return decimal
	}
	return binary
}

// ParseDuration reads what time.ParseDuration does, and whole days of 24 h: 14d.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err == nil && n <= uint64(math.MaxInt64/(24*time.Hour)) {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && len(s) <= maxText {
		return d, nil
	}
	return 0, invalid("duration", s, "use a number with a unit, such as 500ms, 10s or 5m")
}
