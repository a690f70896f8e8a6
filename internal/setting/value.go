package setting

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value is a variable that is read and written as text. It is a pflag.Value.
type Value interface {
	// Set parses and checks text, then assigns it.
	Set(text string) error
	String() string
	// Type is "size", "duration", "int", "bool" or "string".
	Type() string
}

// Variable is a Value that can be copied.
type Variable interface {
	Value
	// Assign copies from, which has the same Go type.
	Assign(from Value)
}

// Var is the Variable of a T.
type Var[T comparable] struct {
	at       *T
	typ      string
	parse    func(string) (T, error)
	format   func(T) string
	optional bool
}

// Optional returns v with empty text for the zero value.
func (v Var[T]) Optional() Var[T] {
	v.optional = true
	return v
}

func (v Var[T]) Set(text string) (err error) {
	var t T
	if !v.optional || text != "" {
		t, err = v.parse(text)
	}
	if err == nil {
		*v.at = t
	}
	return err
}

func (v Var[T]) Assign(from Value) {
	if f, ok := from.(Var[T]); ok {
		*v.at = *f.at
	}
}

func (v Var[T]) String() string {
	var zero T
	if v.optional && *v.at == zero {
		return ""
	}
	return v.format(*v.at)
}

func (v Var[T]) Type() string { return v.typ }

// Size is a positive number of bytes.
func Size(at *int64) Var[int64] {
	return Var[int64]{at: at, typ: "size", format: FormatSize, parse: func(s string) (int64, error) {
		n, err := ParseSize(s)
		if err == nil && n <= 0 {
			err = fmt.Errorf("must be a positive size such as 10Mi, got %s", s)
		}
		return n, err
	}}
}

// SizeOrZero is a number of bytes, or 0.
func SizeOrZero(at *int64) Var[int64] {
	return Var[int64]{at: at, typ: "size", format: FormatSize, parse: func(s string) (int64, error) {
		n, err := ParseSize(s)
		if err == nil && n < 0 {
			err = fmt.Errorf("must be a size such as 10Mi, or 0, got %s", s)
		}
		return n, err
	}}
}

// Duration is a time of at least least.
func Duration(at *time.Duration, least time.Duration) Var[time.Duration] {
	return Var[time.Duration]{at: at, typ: "duration", format: time.Duration.String, parse: func(s string) (time.Duration, error) {
		d, err := ParseDuration(s)
		if err == nil && d < least {
			err = fmt.Errorf("must be at least %v, got %v", least, d)
		}
		return d, err
	}}
}

// Int is a number from least to most; note is for the error.
func Int(at *int, least, most int, note string) Var[int] {
	return Var[int]{at: at, typ: "int", format: strconv.Itoa, parse: func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		switch {
		case err != nil:
			err = invalid("number", s, "use a whole number such as 5")
		case n < least:
			err = fmt.Errorf("must be at least %d%s, got %d", least, note, n)
		case n > most:
			err = fmt.Errorf("must be at most %d%s, got %d", most, note, n)
		}
		return n, err
	}}
}

// Bool is true or false.
func Bool(at *bool) Var[bool] {
	return Var[bool]{at: at, typ: "bool", format: strconv.FormatBool, parse: func(s string) (bool, error) {
		b, err := strconv.ParseBool(s)
		if err != nil {
			err = invalid("value", s, "must be true or false")
		}
		return b, err
	}}
}

// Text is any text that passes the checks.
func Text[T ~string](at *T, checks ...func(string) error) Var[T] {
	return Var[T]{
		at: at, typ: "string",
		format: func(v T) string { return string(v) },
		parse: func(s string) (T, error) {
			for _, check := range checks {
				if err := check(s); err != nil {
					return "", err
				}
			}
			return T(s), nil
		},
	}
}

// OneOf is a check for one of choices.
func OneOf(choices ...string) func(string) error {
	return func(s string) error {
		if slices.Contains(choices, s) {
			return nil
		}
		return invalid("value", s, "must be one of "+strings.Join(choices, ", "))
	}
}

// Path is an absolute path, cleaned.
func Path(at *string) Var[string] {
	v := Text(at)
	v.parse = func(s string) (string, error) {
		if !filepath.IsAbs(s) {
			return "", invalid("path", s, "must be absolute, such as /var/log/pods")
		}
		return filepath.Clean(s), nil
	}
	return v
}
