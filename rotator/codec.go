package rotator

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Codec is how rotated logs are compressed.
type Codec uint8

const (
	// NoCodec leaves them as they are.
	NoCodec Codec = iota
	// Gzip makes .gz, which kubelet makes and log shippers know.
	Gzip
	// Zstd makes .zst: less CPU, smaller, and unknown to kubelet.
	Zstd
)

const (
	// zstdWindow is in bytes. Logs repeat themselves soon; the library's 8 MiB
	// would cost memory for each compression and gain next to nothing.
	zstdWindow = 1 << 20
)

// kind is what a rotated log becomes.
func (c Codec) kind() podlogs.Kind {
	if c == Zstd {
		return podlogs.CompressedZstd
	}
	return podlogs.Compressed
}

// encoder is a codec's writer, used over and over: making one costs more than
// compressing a small log.
type encoder interface {
	io.WriteCloser
	Reset(w io.Writer)
}

type encoderKey struct {
	codec Codec
	level int
}

var encoders sync.Map // encoderKey → *sync.Pool of encoder

// newEncoder returns an encoder that writes to dst, and what gives it back.
// level is the codec's own, 1 (fastest) to 9 (smallest); 0: its default.
func newEncoder(codec Codec, level int, dst io.Writer) (encoder, func(), error) {
	p, _ := encoders.LoadOrStore(encoderKey{codec, level}, new(sync.Pool))
	pool := p.(*sync.Pool)
	if e, ok := pool.Get().(encoder); ok {
		e.Reset(dst)
		return e, func() { pool.Put(e) }, nil
	}
	var e encoder
	var err error
	switch {
	case codec == Zstd:
		if level == 0 {
			level = 3
		}
		e, err = zstd.NewWriter(dst, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
	case level == 0:
		e, err = gzip.NewWriterLevel(dst, gzip.DefaultCompression)
	default:
		e, err = gzip.NewWriterLevel(dst, level)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("compression level %d: %w", level, err)
	}
	return e, func() { pool.Put(e) }, nil
}
