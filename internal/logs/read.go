package logs

import (
	"bufio"
	"errors"
	"io"
	"sync"
)

const (
	// blockSize is how much is read, decompressed and written at a time, in bytes.
	// Larger ones are not faster, and do not stay in the cache.
	blockSize = 256 << 10

	// maxAhead is how many bytes of compressed logs are decompressed before they are
	// needed, over all containers: most of a log of the default limit, so that two
	// cores decompress two logs.
	maxAhead = 8 << 20
)

// reader reads one generation in blocks.
type reader interface {
	// next returns the next block, valid until the following call, or io.EOF.
	// An uncompressed log may have grown by the next call.
	next() ([]byte, error)
	// close stops the goroutine, if any. The file stays open.
	close()
}

// uncompressed reads a log that is not compressed.
type uncompressed struct {
	f   *file
	off int64
	end int64 // where to stop; negative: where the file ends
	buf []byte
	// before, if not nil, reads in a goroutine what was there at the start.
	before *ahead
}

// readUncompressed reads f between two offsets; negative: to its end.
func readUncompressed(f *file, off, end int64, buf []byte) *uncompressed {
	const large = 4 * blockSize // bytes; less is read faster than a goroutine is started
	p := &uncompressed{f: f, off: off, end: end, buf: buf}
	if st, err := f.Stat(); err == nil {
		size := st.Size
		if end >= 0 {
			size = min(size, end)
		}
		if size-off >= large {
			p.before = readAhead(func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(f, off, size-off)), nil }, large)
		}
	}
	return p
}

func (p *uncompressed) next() ([]byte, error) {
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

func (p *uncompressed) close() {
	if p.before != nil {
		p.before.close()
		p.before = nil
	}
}

// ahead reads a log in a goroutine before it is needed.
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

// readAhead starts to read what open opens, up to the given bytes (and a block)
// before they are needed.
func readAhead(open func() (io.ReadCloser, error), bytes int) *ahead {
	a := &ahead{blocks: make(chan block, max(2, bytes/blockSize)), stop: make(chan struct{})}
	a.done.Go(func() { a.run(open) })
	return a
}

// decompressAhead starts to decompress f.
func decompressAhead(f *file, bytes int) *ahead { return readAhead(f.content, bytes) }

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
		_ = from.Close() // frees memory; Read has returned the error
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

// content decompresses f from its start, at an offset of its own: several
// goroutines may read f.
func (f *file) content() (io.ReadCloser, error) {
	all := io.NewSectionReader(f, 0, 1<<62)
	if !f.Compressed() {
		return io.NopCloser(all), nil
	}
	const buffer = 64 << 10 // bytes; a few decompressed blocks
	r, err := f.Codec().NewDecoder(bufio.NewReaderSize(all, buffer))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // an empty file is not valid gzip
	}
	return r, err
}
