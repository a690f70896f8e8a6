package crilog

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// The streams a runtime writes. Parse returns these very strings.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// ErrMalformed is wrapped by every error that concerns one line only: a Reader
// that returned it can go on with the next line.
var ErrMalformed = errors.New("not a CRI log line")

// Line is one record of a log. TimeText and Content are slices of what was parsed.
type Line struct {
	Time     time.Time // in the zone that the line names
	TimeText []byte    // the time as written
	Stream   string    // Stdout or Stderr
	Partial  bool      // the line goes on in the stream's next record
	Content  []byte    // without the newline
}

// Parse reads one line, with or without its newline. A missing content counts as
// an empty one, since runtimes differ in whether they write the blank before it.
// Errors wrap ErrMalformed.
func Parse(line []byte) (Line, error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	stamp, rest, found := bytes.Cut(line, []byte{' '})
	if !found {
		return Line{}, malformed("no blank after the time", line)
	}
	l := Line{TimeText: stamp}
	// UnmarshalText is the one parser in package time that takes bytes, so the
	// stamp need not be copied to a string.
	if err := l.Time.UnmarshalText(stamp); err != nil {
		return Line{}, malformed("bad time", line)
	}
	stream, rest, found := bytes.Cut(rest, []byte{' '})
	switch {
	case !found:
		return Line{}, malformed("no blank after the stream", line)
	case string(stream) == Stdout:
		l.Stream = Stdout
	case string(stream) == Stderr:
		l.Stream = Stderr
	default:
		return Line{}, malformed("unknown stream", line)
	}
	tags, content, _ := bytes.Cut(rest, []byte{' '})
	tag, _, _ := bytes.Cut(tags, []byte{':'})
	switch string(tag) {
	case "P":
		l.Partial = true
	case "F":
	default:
		return Line{}, malformed("tag is neither P nor F", line)
	}
	l.Content = content
	return l, nil
}

// malformed shows the beginning only: the line may be long, and is untrusted.
func malformed(what string, line []byte) error {
	const shown = 64 // bytes; holds a time, a stream and a tag
	if len(line) > shown {
		line = line[:shown]
	}
	return fmt.Errorf("%w: %s in %q", ErrMalformed, what, line)
}
