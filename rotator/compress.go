package rotator

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// chunkSize is how much is read at a time; a compression heeds its context
// between two chunks. 256 KiB is past the point where larger reads are faster.
const chunkSize = 256 << 10

// compareSize is how much is compared at a time: a comparison comes after a crash
// alone, and need not be fast.
const compareSize = 32 << 10

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

var errChanged = errors.New("changed while it was read")

// compress replaces a rotated log by a compressed one. The order is the guarantee:
// content, sync, rename, sync of the directory, and only then is the source
// removed. in and out are the sizes in bytes of the source and the result.
func (r *Rotator) compress(ctx context.Context, d podlogs.Dir, s Step, p Policy) (in, out int64, err error) {
	name, source, temp, packed := s.Name, s.Name.String(), s.Name.As(podlogs.Temp).String(), s.Packed.String()
	// The rename would fail on it; better before the work than after.
	if _, err := d.Stat(packed); !isGone(err) {
		return 0, 0, errors.Join(fmt.Errorf("compress %s: %s is there already", source, packed), err)
	}
	src, before, err := podlogs.OpenRegular(d, source)
	if err != nil {
		return 0, 0, err
	}
	defer src.Close() //nolint:errcheck // opened for reading
	if err := r.idle(d, src, name); err != nil {
		return 0, 0, err
	}
	dst, err := d.Create(temp, before)
	if err != nil {
		return 0, 0, err // a temp that is there already is not ours to remove
	}
	out, err = fill(ctx, dst, src, before, p)
	if err == nil {
		err = r.unchanged(d, src, before, name)
	}
	if err == nil {
		err = d.Rename(temp, packed)
	}
	if err != nil {
		return 0, 0, errors.Join(err, discard(d, temp))
	}
	if err := d.Sync(); err != nil {
		return 0, 0, fmt.Errorf("sync the directory of %s: %w", packed, err) // the next run settles the two
	}
	return before.Size, out, d.Remove(source)
}

// discard removes a temp that came to nothing; that it is not there is fine.
func discard(d podlogs.Dir, temp string) error {
	if err := d.Remove(temp); err != nil && !isGone(err) {
		return err
	}
	return nil
}

// fill compresses src into dst, gives it src's modification time, syncs and
// closes it.
func fill(ctx context.Context, dst, src podlogs.Handle, like podlogs.Stat, p Policy) (out int64, err error) {
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := pack(ctx, dst, src, like.Size, p); err != nil {
		return 0, err
	}
	// Behind the last write, which would change it again.
	if err := dst.SetModTime(like.Modified); err != nil {
		return 0, err
	}
	if err := dst.Sync(); err != nil {
		return 0, err
	}
	st, err := dst.Stat()
	return st.Size, err
}

// unchanged makes sure that the source is still what was read from it.
func (r *Rotator) unchanged(d podlogs.Dir, src podlogs.Handle, before podlogs.Stat, name podlogs.Name) error {
	if err := r.idle(d, src, name); err != nil {
		return err
	}
	now, err := src.Stat()
	if err != nil {
		return err
	}
	if now.Size != before.Size || !now.Modified.Equal(before.Modified) {
		return fmt.Errorf("%s: %w", name, errChanged)
	}
	return nil
}

// pack writes size bytes of src to dst, compressed.
func pack(ctx context.Context, dst io.Writer, src io.Reader, size int64, p Policy) error {
	zw, release, err := newEncoder(p.Codec, p.Level, dst)
	if err != nil {
		return err
	}
	defer release()
	chunk := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(chunk)
	var copied int64
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := src.Read(chunk[:])
		if _, werr := zw.Write(chunk[:n]); werr != nil {
			return werr
		}
		copied += int64(n)
		if isEOF(err) {
			break
		}
		if err != nil {
			return err
		}
	}
	if copied != size {
		return fmt.Errorf("%d bytes instead of %d: %w", copied, size, errChanged)
	}
	return zw.Close()
}

// sameContent reports whether a compressed log holds exactly what plain does. One
// that is damaged is not the same; that is no error.
func sameContent(ctx context.Context, d podlogs.Dir, plain io.Reader, name podlogs.Name) (bool, error) {
	packed, _, err := podlogs.OpenRegular(d, name.String())
	if errors.Is(err, podlogs.ErrNotRegular) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer packed.Close() //nolint:errcheck // opened for reading
	zr, err := podlogs.NewDecoder(name.Kind, packed)
	if err != nil {
		return false, notDamage(err)
	}
	defer zr.Close() //nolint:errcheck // read to where it differs
	// Whatever it unpacks to, no more is read than the source has.
	want, got := bufio.NewReaderSize(plain, compareSize), bufio.NewReaderSize(zr, compareSize)
	for {
		a, aerr := want.Peek(compareSize)
		b, berr := got.Peek(compareSize)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case aerr != nil && !isEOF(aerr):
			return false, aerr
		case berr != nil && !isEOF(berr):
			return false, notDamage(berr)
		case !bytes.Equal(a, b):
			return false, nil
		case len(a) == 0:
			return true, nil
		}
		// Peek had them buffered, so that neither can fail or fall short.
		_, _ = want.Discard(len(a))
		_, _ = got.Discard(len(b))
	}
}

// notDamage returns nil for what a compressed log that is not whole gives, and
// err for what the disk gives: then nothing is known about it.
func notDamage(err error) error {
	if _, disk := errors.AsType[*fs.PathError](err); disk {
		return err
	}
	return nil
}
