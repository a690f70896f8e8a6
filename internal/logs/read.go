package logs

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/logwatch/logwatch/rotator"
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
	free   chan []byte
	stop   chan struct{}
	done   sync.WaitGroup
	last   []byte // what the last next returned
	err    error
}

type block struct {
	data []byte
	err  error
}

// readAhead starts to read what open opens, at most so many bytes (and a block)
// before they are wanted.
func readAhead(open func() (io.ReadCloser, error), bytes int) *ahead {
	n := max(2, bytes/blockSize)
	u := &ahead{blocks: make(chan block, n), free: make(chan []byte, n+2), stop: make(chan struct{})}
	u.done.Go(func() { u.run(open) })
	return u
}

// unpack starts to decompress f.
func unpack(f *file, bytes int) *ahead {
	return readAhead(func() (io.ReadCloser, error) { return decompress(f) }, bytes)
}

func (u *ahead) run(open func() (io.ReadCloser, error)) {
	defer close(u.blocks)
	z, err := open()
	for err == nil {
		var buf []byte
		select {
		case buf = <-u.free:
		default:
			buf = make([]byte, blockSize)
		}
		n := 0
		for err == nil && n < len(buf) {
			var m int
			m, err = z.Read(buf[n:])
			n += m
		}
		if n > 0 && !u.send(block{data: buf[:n]}) {
			break
		}
	}
	if z != nil {
		_ = z.Close() // gives memory back; what was wrong has been said by Read
	}
	u.send(block{err: err})
}

// decompress reads f from its start, at an offset of its own: others may read it too.
func decompress(f *file) (io.ReadCloser, error) {
	const packedBuffer = 64 << 10 // bytes; a few decompressed blocks
	src := bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), packedBuffer)
	if f.kind != rotator.CompressedZstd {
		z, err := gzip.NewReader(src)
		switch {
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF // an empty file is no gzip
		case err != nil:
			return nil, err
		}
		return z, nil
	}
	z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

func (u *ahead) send(b block) bool {
	select {
	case u.blocks <- b:
		return true
	case <-u.stop:
		return false
	}
}

func (u *ahead) next() ([]byte, error) {
	if u.err != nil {
		return nil, u.err
	}
	if u.last != nil {
		select {
		case u.free <- u.last[:cap(u.last)]:
		default:
		}
		u.last = nil
	}
	b, ok := <-u.blocks
	if !ok {
		b.err = io.EOF
	}
	u.last, u.err = b.data, b.err
	return b.data, b.err
}

func (u *ahead) close() {
	close(u.stop)
	u.done.Wait()
}
