package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Size is a number of bytes that remembers how it was written: 10Mi stays 10Mi.
// The zero Size is unset.
type Size struct {
	bytes int64
	text  string // canonical quantity; "": unset
}

// maxText is the longest text in bytes of a value that is read at all. What is
// longer than this is none, and need be neither parsed nor repeated in an error.
const maxText = 64

// The time that a quantity takes to be read grows with its exponent, to minutes;
// no size that fits an int64 needs one of three digits.
var longExponent = regexp.MustCompile(`[eE][+-]?[0-9]{3}`)

// ParseSize reads a quantity: 10Mi, 5M, 1Gi, 1048576. Text that is empty gives
// the unset Size. It is cheap for any text.
func ParseSize(s string) (Size, error) {
	switch {
	case s == "":
		return Size{}, nil
	case len(s) > maxText:
		return Size{}, fmt.Errorf("a text of %d bytes is no size: write bytes or a quantity such as 10Mi, 500M or 1Gi", len(s))
	case longExponent.MatchString(s):
		return Size{}, fmt.Errorf("%q is not a whole number of bytes below 8Ei", s)
	}
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return Size{}, fmt.Errorf("%q is no size: write bytes or a quantity such as 10Mi, 500M or 1Gi", s)
	}
	// Value rounds a fraction up and wraps a number that is too large, and some
	// that are too large have already been cut to MaxInt64. None of these is
	// what was meant: 10m is a hundredth of a byte, not ten megabytes.
	bytes := q.Value()
	if bytes == math.MaxInt64 || resource.NewQuantity(bytes, q.Format).Cmp(q) != 0 {
		if n, ok := strings.CutSuffix(s, "m"); ok {
			return Size{}, fmt.Errorf("%q is in thousandths of a byte: write %sMi or %sM", s, n, n)
		}
		return Size{}, fmt.Errorf("%q is not a whole number of bytes below 8Ei", s)
	}
	return Size{bytes: bytes, text: q.String()}, nil
}

// SizeOf is the Size of so many bytes, written as short as a whole number and a
// unit can be.
func SizeOf(bytes int64) Size {
	return Size{bytes: bytes, text: resource.NewQuantity(bytes, resource.BinarySI).String()}
}

func mustSize(s string) Size {
	size, err := ParseSize(s)
	if err != nil {
		panic(err)
	}
	return size
}

// Bytes is the size in bytes; 0 when it is unset.
func (s Size) Bytes() int64 { return s.bytes }

// IsSet tells a size that was given from one that was not.
func (s Size) IsSet() bool { return s.text != "" }

// String is the quantity; "" when it is unset.
func (s Size) String() string { return s.text }

// MarshalText makes a Size a JSON string.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// UnmarshalText reads what ParseSize reads.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// UnmarshalJSON reads a string or a number of bytes.
func (s *Size) UnmarshalJSON(data []byte) error { return unmarshalJSON(data, s) }

// Duration is a time.Duration whose text is like 10s, not a number. One that was
// read from an empty text is unset: its key has a default that depends on others.
type Duration struct {
	time.Duration
	unset bool
}

// IsSet tells a duration that was given from one that was not.
func (d Duration) IsSet() bool { return !d.unset }

// ParseDuration reads what time.ParseDuration does, and whole days: 14d is 336h.
// Text that is empty gives the unset Duration.
func ParseDuration(s string) (Duration, error) {
	if s == "" {
		return Duration{unset: true}, nil
	}
	if len(s) > maxText {
		return Duration{}, fmt.Errorf("a text of %d bytes is no duration: write a number and its unit, such as 500ms, 10s or 5m", len(s))
	}
	// A day has 24 h here, also when the clocks change. What is kept for days is
	// spoken of in days; a mixture (1d12h) is not worth a grammar.
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err == nil && n <= uint64(math.MaxInt64/(24*time.Hour)) {
			return Duration{Duration: time.Duration(n) * 24 * time.Hour}, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil {
		return Duration{Duration: d}, nil
	}
	return Duration{}, fmt.Errorf("%q is no duration: write a number and its unit, such as 500ms, 10s or 5m", s)
}

// MarshalText makes a Duration a JSON string.
func (d Duration) MarshalText() ([]byte, error) {
	if d.unset {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// UnmarshalJSON reads a string; a number gets the error that asks for its unit.
func (d *Duration) UnmarshalJSON(data []byte) error { return unmarshalJSON(data, d) }

// unmarshalJSON reads a JSON string, or as text what is none. Its error is the
// one to which the decoder adds the key; the whole message is in Value.
func unmarshalJSON(data []byte, to encoding.TextUnmarshaler) error {
	text := string(data)
	_ = json.Unmarshal(data, &text) // no string: text stays
	if err := to.UnmarshalText([]byte(text)); err != nil {
		return &json.UnmarshalTypeError{Value: err.Error(), Type: reflect.TypeOf(to).Elem()}
	}
	return nil
}
