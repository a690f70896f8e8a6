package rotator

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// chunkSize is how much is read at a time; a compression heeds its context
// between two chunks. 256 KiB is past the point where larger reads are faster.
const chunkSize = 256 << 10

// compareSize is how much is compared at a time: a comparison comes only after a
// crash, and need not be fast.
const compareSize = 32 << 10

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// fitsSize is after how much it is checked again whether the result fits into the total.
const fitsSize = 1 << 20

var (
	errChanged = errors.New("changed while it was read")
	errNoRoom  = errors.New("no room left in the total")
)

// Compress compresses one container's rotated logs by policy, and reconciles those
// that have a compressed log beside them, as a crash leaves it. dirName is relative
// to PodLogsDir.
//
// It blocks for as long as that takes, and may overlap with a Rotate, Tidy or
// Prune of the same directory: begin is called with a generation's name before the
// first operation on it, and with the zero Name at the end. It may block, and the
// call to Tidy or Prune that comes next is given that name. What a Tidy pruned in
// the meantime is left out.
//
// Compress stops at the next file, or between two chunks of one, when ctx ends;
// that is not an error, but sets Report.Pending. An error for one file does not
// keep the others from being compressed; all errors are joined.
func (r *Rotator) Compress(ctx context.Context, dirName string, p Policy, begin func(podlogs.Name)) (Report, error) {
	var rep Report
	d, steps, err := r.plan(dirName, p, podlogs.Name{}, &rep)
	if d == nil {
		return rep, err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	defer begin(podlogs.Name{})
	errs := []error{err}
	for _, s := range steps {
		if s.Action != Reconcile && (s.Action != Compress || rep.NoSpace) {
			continue
		}
		err := ctx.Err()
		if err == nil {
			begin(s.Name)
			if s.Action == Reconcile {
				err = r.reconcile(ctx, d, s.Name, s.Compressed, &rep)
			} else {
				err = r.compress(ctx, d, s, p, &rep)
			}
		}
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			rep.Pending = true
			break
		}
		errs = append(errs, r.did(s, err, &rep))
	}
	return rep, errors.Join(errs...)
}

// reconcile decides between a rotated log and the compressed one beside it: a
// crash came between that one's rename and the source's removal, or it is not
// whole.
func (r *Rotator) reconcile(ctx context.Context, d podlogs.Dir, source, compressed podlogs.Name, rep *Report) error {
	src, before, err := podlogs.OpenRegular(d, source.String())
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // opened for reading
	if _, err := r.ensureClosed(d, src, source); err != nil {
		return err
	}
	whole, err := sameContent(ctx, d, src, compressed)
	if err != nil {
		return err
	}
	if !whole {
		rep.soonest(busyPause) // the next run compresses the source again
		return r.remove(d, &Step{Name: compressed}, nil)
	}
	if err := r.unchanged(d, src, before, source); err != nil {
		return err
	}
	if err := d.Sync(); err != nil { // the crash may have come before it
		return err
	}
	return d.Remove(source.String())
}

// compress replaces a rotated log by a compressed one. The order is the guarantee:
// content, sync, rename, sync of the directory, and only then is the source
// removed.
func (r *Rotator) compress(ctx context.Context, d podlogs.Dir, s Step, p Policy, rep *Report) error {
	name, source, temp, compressed := s.Name, s.Name.String(), s.Name.As(podlogs.Temp).String(), s.Compressed.String()
	// The rename would fail on it; better before the work than after.
	if _, err := d.Stat(compressed); !isGone(err) {
		return errors.Join(fmt.Errorf("compress %s: %s is there already", source, compressed), err)
	}
	src, before, err := podlogs.OpenRegular(d, source)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // opened for reading
	if _, err := r.ensureClosed(d, src, name); err != nil {
		return err
	}
	dst, err := d.Create(temp, before)
	if err != nil {
		return err // a temp that is there already belongs to another process
	}
	out, err := fill(ctx, dst, &fitting{Reader: src, fits: func() error { return stillFits(d, s, p) }}, before, p)
	if err == nil {
		err = r.unchanged(d, src, before, name)
	}
	if err == nil {
		err = d.Rename(temp, compressed)
	}
	if err != nil {
		return errors.Join(err, discard(d, temp))
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync the directory of %s: %w", compressed, err) // the next run reconciles the two
	}
	rep.BytesIn += before.Size
	rep.BytesOut += out
	err = d.Remove(source)
	if isGone(err) {
		// Pruned at the last moment: the next Tidy prunes its compressed log. Not
		// here: kubelet removes a source because there is one.
		rep.soonest(busyPause)
	}
	return err
}

// discard removes a temp that is of no use; that it is gone is not an error.
func discard(d podlogs.Dir, temp string) error {
	if err := d.Remove(temp); err != nil && !isGone(err) {
		return err
	}
	return nil
}

// fill compresses src into dst, gives it src's modification time, syncs and
// closes it.
func fill(ctx context.Context, dst podlogs.Handle, src io.Reader, like podlogs.Stat, p Policy) (out int64, err error) {
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := encode(ctx, dst, src, like.Size, p); err != nil {
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
	now, err := r.ensureClosed(d, src, name)
	if err != nil {
		return err
	}
	if now.Links == 0 {
		return fmt.Errorf("%s: pruned while it was read: %w", name, fs.ErrNotExist)
	}
	if now.Size != before.Size || !now.Modified.Equal(before.Modified) {
		return fmt.Errorf("%s: %w", name, errChanged)
	}
	return nil
}

// stillFits returns errNoRoom if a log that is compressed and its result no longer fit into the
// total: the live log of a container that writes fast takes that room in the meantime.
func stillFits(d podlogs.Dir, s Step, p Policy) error {
	if p.MaxTotalSize <= 0 {
		return nil
	}
	files, err := podlogs.List(d, batchSize)
	files = slices.DeleteFunc(files, func(f podlogs.File) bool { return f.Kind == podlogs.Temp })
	if pl := (&planner{policy: p}); err == nil && !pl.fits(s.Size, pl.left(files)) {
		return errNoRoom
	}
	return nil // what cannot be listed is the next plan's error
}

// fitting is a log that is read only while its result fits.
type fitting struct {
	io.Reader
	fits func() error
	read int // since that was checked
}

func (f *fitting) Read(p []byte) (n int, err error) {
	n, err = f.Reader.Read(p)
	if f.read += n; err == nil && f.read >= fitsSize {
		f.read = 0
		err = f.fits()
	}
	return n, err
}

// encode writes size bytes of src to dst, compressed.
func encode(ctx context.Context, dst io.Writer, src io.Reader, size int64, p Policy) error {
	zw, release, err := p.Codec.NewEncoder(dst, p.Level)
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

// sameContent reports whether a compressed log holds exactly what source does. One
// that is damaged is not the same, which is not an error.
func sameContent(ctx context.Context, d podlogs.Dir, source io.Reader, name podlogs.Name) (bool, error) {
	compressed, _, err := podlogs.OpenRegular(d, name.String())
	if errors.Is(err, podlogs.ErrNotRegular) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer compressed.Close() //nolint:errcheck // opened for reading
	zr, err := name.Codec().NewDecoder(compressed)
	if err != nil {
		return false, notDamage(err)
	}
	defer zr.Close() //nolint:errcheck // read to where it differs
	// Whatever it decompresses to, no more is read than the source has.
	want, got := bufio.NewReaderSize(source, compareSize), bufio.NewReaderSize(zr, compareSize)
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

// notDamage returns nil for a decoder's error, which a damaged compressed log
// causes, and err for a disk's: then the log's content is unknown.
func notDamage(err error) error {
	if _, disk := errors.AsType[*fs.PathError](err); disk {
		return err
	}
	return nil
}
