package crilog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest line that Reader returns, in bytes with its newline.
// Runtimes cut lines at 16 KiB, so a longer one is damaged.
const MaxLine = 1 << 20

// ErrTooLong: a line was longer than MaxLine and was skipped. It wraps
// ErrMalformed.
var ErrTooLong = fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxLine)

// Reader reads a log line by line; see NewReader.
type Reader struct {
	in   *bufio.Reader
	long []byte // a line that did not fit into in's buffer
	n    uint64 // lines begun
	read int64  // bytes of them
	err  error  // final: returned by every further Next
}

// NewReader reads from r, with a buffer of its own.
func NewReader(r io.Reader) *Reader {
	const size = 64 << 10 // bytes; four of the longest records that runtimes write
	return &Reader{in: bufio.NewReaderSize(r, size)}
}

// Offset returns how many bytes the lines that Next has returned have, newlines and damaged
// lines included.
func (r *Reader) Offset() int64 { return r.read }

// Next returns the next line; its slices are valid until the following call.
//
//   - io.EOF: the end of the log.
//   - io.ErrUnexpectedEOF: the last line has no newline, and may still be written;
//     the Line is its beginning if that could be parsed.
//   - ErrMalformed: this line is damaged or too long; the next call continues after it.
//   - other errors come from the underlying reader and are final.
func (r *Reader) Next() (Line, error) {
	if r.err != nil {
		return Line{}, r.err
	}
	r.n++
	raw, err := r.line()
	switch {
	case err == nil:
		l, err := Parse(raw)
		if err != nil {
			return Line{}, fmt.Errorf("line %d: %w", r.n, err)
		}
		return l, nil
	case errors.Is(err, ErrTooLong):
		return Line{}, fmt.Errorf("line %d: %w", r.n, err)
	case !errors.Is(err, io.EOF):
		r.err = fmt.Errorf("read line %d: %w", r.n, err)
		return Line{}, r.err
	}
	r.err = io.EOF
	if len(raw) == 0 {
		return Line{}, io.EOF
	}
	l, err := Parse(raw)
	if err != nil {
		return Line{}, fmt.Errorf("line %d: %w: %w", r.n, io.ErrUnexpectedEOF, err)
	}
	return l, fmt.Errorf("line %d: %w", r.n, io.ErrUnexpectedEOF)
}

// line returns the bytes up to and including the next newline, or what is left
// together with the error that ended it.
func (r *Reader) line() ([]byte, error) {
	raw, err := r.in.ReadSlice('\n')
	r.read += int64(len(raw))
	if !errors.Is(err, bufio.ErrBufferFull) {
		return raw, err
	}
	r.long = append(r.long[:0], raw...)
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		raw, err = r.in.ReadSlice('\n')
		r.read += int64(len(raw))
		tooLong = tooLong || len(r.long)+len(raw) > MaxLine
		if !tooLong {
			r.long = append(r.long, raw...)
		}
	}
	if tooLong && (err == nil || errors.Is(err, io.EOF)) {
		return nil, ErrTooLong // at the end of the input the next call finds io.EOF
	}
	return r.long, err
}
