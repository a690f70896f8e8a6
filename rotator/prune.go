package rotator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// ByPressure: the node's logs take too much; whoever calls Prune says which go.
const ByPressure Reason = "pressure"

// Prune removes rotated logs of one container, the oldest first, whatever its
// policy and the grace period say. A name stands for its generation: by now the
// log may have been compressed, and what goes must not come back as a .gz.
//
// What Housekeep promises holds here: a file that somebody writes stays, and
// counts as Busy; of what is not a regular file the name goes. What is newer than
// one that stays is left too, so that no hole comes into a log's lines. A live
// log's name is an error, and nothing is removed then. Calls for one directory
// must not overlap with each other, nor with Housekeep.
//
// It ends early when ctx does. All errors come back joined.
func (r *Rotator) Prune(ctx context.Context, dirName string, names []podlogs.Name) (Report, error) {
	var rep Report
	for _, n := range names {
		if n.Kind <= podlogs.Live || n.Kind > podlogs.Temp {
			return rep, fmt.Errorf("prune %s/%s: not a rotated log", dirName, n)
		}
	}
	d, err := r.fs.OpenDir(dirName)
	if isGone(err) {
		return rep, nil // the pod was deleted, and its logs with it
	}
	if err != nil {
		return rep, fmt.Errorf("prune: %w", err)
	}
	defer d.Close() //nolint:errcheck // opened for reading
	names = slices.SortedFunc(slices.Values(names), podlogs.Name.Compare)
	names = slices.CompactFunc(names, podlogs.Name.SameGeneration)
	var errs []error
	stays := map[string]bool{} // live logs of which a generation could not be removed
	for _, n := range names {
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("prune: %s: %w", dirName, ctx.Err()))
			break
		}
		if stays[n.Base] {
			continue
		}
		busy := rep.Busy
		err := r.pruneGeneration(ctx, d, n, &rep)
		stays[n.Base] = err != nil || rep.Busy > busy
		errs = append(errs, err)
	}
	return rep, errors.Join(errs...)
}

// pruneGeneration removes the files of one rotation. The source goes last: until
// then it is what counts, whatever stands beside it.
func (r *Rotator) pruneGeneration(ctx context.Context, d podlogs.Dir, n podlogs.Name, rep *Report) error {
	for _, kind := range []podlogs.Kind{podlogs.Temp, podlogs.CompressedZstd, podlogs.Compressed, podlogs.Rotated} {
		s := Step{Action: Prune, Name: n.As(kind), Reason: ByPressure}
		st, err := d.Stat(s.Name.String())
		if isGone(err) {
			continue
		}
		if err == nil && st.Dir {
			continue // nobody wrote a line into it
		}
		if err == nil && st.Regular && st.Links == 1 {
			s.Size = st.Size
		}
		busy := rep.Busy
		if err := r.step(ctx, d, s, Policy{}, rep); err != nil || rep.Busy > busy {
			return err
		}
	}
	return nil
}
