package load

import (
	stdgzip "compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Codecs of Compress.
const (
	CodecKubelet = "kubelet" // the standard library's gzip at its default level
	CodecGzip    = "gzip"    // klauspost's
	CodecZstd    = "zstd"    // klauspost's
)

// Compressed is the result of Compress, as JSON on standard output.
type Compressed struct {
	In, Out int64
	CPU     float64 // seconds of the whole process
	PeakRSS int64   // bytes
}

// chunk is how much is read at a time; io.Copy's own 32 KiB for kubelet's path.
const chunk = 256 << 10

// Compress compresses a file to another, as kubelet's compressLog does or with
// one of klauspost's codecs in the shape of logwatch's path: large reads, one
// goroutine.
func Compress(codec string, level int, in, out string) error {
	src, err := os.Open(in)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // opened for reading
	dst, err := os.Create(out)
	if err != nil {
		return err
	}
	w, buf, err := writer(codec, level, dst)
	if err != nil {
		return errors.Join(err, dst.Close())
	}
	var n int64
	if buf == nil {
		n, err = io.Copy(w, src)
	} else {
		// Hidden, since zstd would read by itself, with more goroutines.
		n, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, buf)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return errors.Join(err, dst.Close())
	}
	st, err := dst.Stat()
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(Compressed{
		In: n, Out: st.Size(), CPU: float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, PeakRSS: u.Maxrss << 10,
	})
}

func writer(codec string, level int, to io.Writer) (io.WriteCloser, []byte, error) {
	switch codec {
	case CodecKubelet:
		return stdgzip.NewWriter(to), nil, nil
	case CodecGzip:
		w, err := gzip.NewWriterLevel(to, level)
		return w, make([]byte, chunk), err
	case CodecZstd:
		w, err := zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.EncoderLevel(level)), zstd.WithEncoderConcurrency(1))
		return w, make([]byte, chunk), err
	}
	return nil, nil, fmt.Errorf("no codec %q", codec)
}
