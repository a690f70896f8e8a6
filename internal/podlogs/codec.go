package podlogs

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Codecs is the table of the codecs. The names of compressed logs, their kinds,
// encoders and decoders, and the values of compression.codec come from it.
var Codecs = [...]*Codec{Gzip, Zstd}

// Gzip is what kubelet uses.
var Gzip = &Codec{
	Name: "gzip", Suffix: ".gz", Common: true, DefaultLevel: 5, // the library's
	encoder: func(level int) (encoder, error) { return gzip.NewWriterLevel(nil, level) },
	decoder: func(src io.Reader) (io.ReadCloser, error) { return gzip.NewReader(src) },
}

// Zstd produces smaller files with less CPU.
var Zstd = &Codec{
	Name: "zstd", Suffix: ".zst", DefaultLevel: 3, // the library's
	encoder: func(level int) (encoder, error) {
		// Logs repeat themselves soon; the library's window of 8 MiB would cost
		// memory for each compression and gain next to nothing.
		const window = 1 << 20 // bytes
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	},
	decoder: func(src io.Reader) (io.ReadCloser, error) {
		// Bounds the memory for what another program compressed: the largest window
		// of the zstd command up to level 19.
		const maxWindow = 8 << 20 // bytes
		d, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	},
}

// NoCodec is the value of compression.codec with which rotated logs stay
// uncompressed.
const NoCodec = "none"

// Levels of a compression.
const (
	MinLevel = 1 // the fastest
	MaxLevel = 9 // the smallest
)

// Codec is how rotated logs are compressed. A nil *Codec leaves them uncompressed.
type Codec struct {
	Name   string // in the configuration
	Suffix string // of a compressed log, behind its source's name
	// Common is set if kubelet and log shippers read it, so that a pod may choose it.
	Common bool
	// DefaultLevel is that of NewEncoder's level 0.
	DefaultLevel int

	encoder func(level int) (encoder, error)
	decoder func(src io.Reader) (io.ReadCloser, error)
	pools   [MaxLevel + 1]sync.Pool // of encoder, by level
}

// encoder is a codec's writer, used over and over: creating one costs more than
// compressing a small log.
type encoder interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// CodecNamed returns the codec of a name; nil for NoCodec and unknown names.
func CodecNamed(name string) *Codec {
	for _, c := range Codecs {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// CodecNames returns the names of the codecs, or only the common ones, and NoCodec.
func CodecNames(common bool) []string {
	var names []string
	for _, c := range Codecs {
		if c.Common || !common {
			names = append(names, c.Name)
		}
	}
	return append(names, NoCodec)
}

// Kind is that of a log compressed with c, which is one of Codecs.
func (c *Codec) Kind() Kind { return compressed + Kind(slices.Index(Codecs[:], c)) }

// NewEncoder returns a writer that compresses to dst, and what gives it back for
// use by others. level is from MinLevel to MaxLevel; 0: the codec's default.
func (c *Codec) NewEncoder(dst io.Writer, level int) (io.WriteCloser, func(), error) {
	level = cmp.Or(level, c.DefaultLevel)
	if level < MinLevel || level > MaxLevel {
		return nil, nil, fmt.Errorf("compression level %d: must be from %d to %d", level, MinLevel, MaxLevel)
	}
	pool := &c.pools[level]
	e, ok := pool.Get().(encoder)
	if !ok {
		var err error
		if e, err = c.encoder(level); err != nil {
			return nil, nil, fmt.Errorf("compression level %d: %w", level, err)
		}
	}
	e.Reset(dst)
	return e, func() { pool.Put(e) }, nil
}

// NewDecoder returns a reader of what src decompresses to.
func (c *Codec) NewDecoder(src io.Reader) (io.ReadCloser, error) {
	r, err := c.decoder(src)
	if err != nil {
		return nil, err // not a nil pointer of the library's type
	}
	return r, nil
}
