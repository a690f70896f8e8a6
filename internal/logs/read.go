package logs

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/logwatch/logwatch/internal/podlogs"
)

const (
	// blockSize is how much is read, decompressed and written at a time, in bytes.
	// Larger ones are not faster, and do not stay in the cache.
	blockSize = 256 << 10

	// unpackAhead is how many bytes of compressed logs are decompressed before they
	// are wanted, over all containers: most of a log of the default limit, so that
	// two cores decompress two logs.
	unpackAhead = 8 << 20

	// maxWindow bounds the memory for what somebody else packed with zstd, in bytes:
	// the largest window of its command up to level 19.
	maxWindow = 8 << 20
)

// reader reads one generation in blocks.
type reader interface {
	// next returns the next block, valid until the following call, or io.EOF.
	// A plain log may be longer when it is asked again.
	next() ([]byte, error)
	// close ends what it has started. The file stays open.
	close()
}

// plain reads a log that is not compressed.
type plain struct {
	f   *file
	off int64
	end int64 // where to stop; negative: where the file ends
	buf []byte
	// before, if not nil, is a goroutine that reads what is there already.
	before *ahead
}

// readPlain reads f between two offsets; negative: to its end.
func readPlain(f *file, off, end int64, buf []byte) *plain {
	const much = 4 * blockSize // bytes; less is read faster than a goroutine is started
	p := &plain{f: f, off: off, end: end, buf: buf}
	if i, err := f.stat(); err == nil {
		size := i.size
		if end >= 0 {
			size = min(size, end)
		}
		if size-off >= much {
			p.before = readAhead(func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, off, size-off)), nil }, much)
		}
	}
	return p
}

func (p *plain) next() ([]byte, error) {
	if p.before != nil {
		b, err := p.before.next()
		p.off += int64(len(b))
		if err == nil || !errors.Is(err, io.EOF) {
			return b, err
		}
		p.close()
	}
	buf := p.buf
	if p.end >= 0 {
		buf = buf[:min(int64(len(buf)), max(0, p.end-p.off))]
	}
	if len(buf) == 0 {
		return nil, io.EOF
	}
	n, err := p.f.ReadAt(buf, p.off)
	p.off += int64(n)
	if n > 0 {
		return buf[:n], nil
	}
	return nil, err
}

func (p *plain) close() {
	if p.before != nil {
		p.before.close()
		p.before = nil
	}
}

// ahead has a goroutine read a log before it is wanted.
type ahead struct {
	blocks chan block
	stop   chan struct{}
	done   sync.WaitGroup
	last   block // what the last next returned
}

type block struct {
	buf *[blockSize]byte // nil with an error
	n   int
	err error
}

var buffers = sync.Pool{New: func() any { return new([blockSize]byte) }}

func (b block) release() {
	if b.buf != nil {
		buffers.Put(b.buf)
	}
}

// readAhead starts to read what open opens, at most so many bytes (and a block)
// before they are wanted.
func readAhead(open func() (io.ReadCloser, error), bytes int) *ahead {
	a := &ahead{blocks: make(chan block, max(2, bytes/blockSize)), stop: make(chan struct{})}
	a.done.Go(func() { a.run(open) })
	return a
}

// unpack starts to decompress f.
func unpack(f *file, bytes int) *ahead {
	return readAhead(func() (io.ReadCloser, error) { return decompress(f) }, bytes)
}

func (a *ahead) run(open func() (io.ReadCloser, error)) {
	from, err := open()
	for err == nil {
		b := block{buf: buffers.Get().(*[blockSize]byte)}
		for err == nil && b.n < len(b.buf) {
			var n int
			n, err = from.Read(b.buf[b.n:])
			b.n += n
		}
		if b.n == 0 {
			b.release()
		} else if !a.send(b) {
			break
		}
	}
	if from != nil {
		_ = from.Close() // gives memory back; what was wrong has been said by Read
	}
	a.send(block{err: err})
}

func (a *ahead) send(b block) bool {
	select {
	case a.blocks <- b:
		return true
	case <-a.stop:
		b.release()
		return false
	}
}

func (a *ahead) next() ([]byte, error) {
	a.last.release()
	if a.last.buf = nil; a.last.err == nil {
		a.last = <-a.blocks
	}
	if a.last.buf == nil {
		return nil, a.last.err
	}
	return a.last.buf[:a.last.n], nil
}

func (a *ahead) close() {
	close(a.stop)
	a.done.Wait()
	a.last.release()
	for {
		select {
		case b := <-a.blocks:
			b.release()
		default:
			return
		}
	}
}

// decompress reads f from its start, at an offset of its own: others may read it too.
func decompress(f *file) (r io.ReadCloser, err error) {
	const packedBuffer = 64 << 10 // bytes; a few decompressed blocks
	src := bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), packedBuffer)
	if f.kind != podlogs.CompressedZstd {
		z, ok := gzips.Get().(*gzip.Reader)
		if !ok {
			z = new(gzip.Reader)
		}
		switch err := z.Reset(src); {
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF // an empty file is no gzip
		case err != nil:
			return nil, err
		}
		return pooledGzip{z}, nil
	}
	z, ok := zstds.Get().(*zstd.Decoder)
	if !ok {
		z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
	}
	if err := z.Reset(src); err != nil {
		return nil, err
	}
	return pooledZstd{z}, nil
}

// Decoders are used over and over: making one costs as much as a small log.
var gzips, zstds sync.Pool

type pooledGzip struct{ *gzip.Reader }

func (p pooledGzip) Close() error {
	defer gzips.Put(p.Reader)
	return p.Reader.Close()
}

type pooledZstd struct{ *zstd.Decoder }

func (p pooledZstd) Close() error {
	defer zstds.Put(p.Decoder)
	return p.Reset(nil)
}
