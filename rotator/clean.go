package rotator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Clean removes all logs of one stopped container: the live log named log and its
// rotated ones. A file that is still open for writing stays, and is an error. It
// returns the names that it removed.
func (r *Rotator) Clean(ctx context.Context, dirName, log string) ([]string, error) {
	d, err := r.fs.OpenDir(dirName)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("clean: %w", err)
	}
	defer d.Close()                                                          //nolint:errcheck // opened for reading
	found := slices.SortedFunc(podlogs.Names(d, &err), podlogs.Name.Compare) // oldest first, the live log last
	if err != nil {
		return nil, fmt.Errorf("clean: list %s: %w", dirName, err)
	}
	var removed []string
	var errs []error
	for _, n := range found {
		if n.Base != log || ctx.Err() != nil {
			continue
		}
		switch err := r.remove(d, &Step{Name: n}, nil); {
		case err == nil:
			removed = append(removed, n.String())
		case !isGone(err):
			errs = append(errs, fmt.Errorf("clean %s/%s: %w", dirName, n, err))
		}
	}
	return removed, errors.Join(append(errs, ctx.Err())...)
}
