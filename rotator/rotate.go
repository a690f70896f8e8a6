package rotator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// Request asks for one live log's rotation.
type Request struct {
	// Dir is the container's directory relative to PodLogsDir, "pod/container".
	Dir string
	// Log is the live log's name, "N.log".
	Log string
	// ContainerID is the running container that writes it.
	ContainerID string
	// MinSize is the size in bytes from which the log is due. A smaller one is
	// left alone: between the decision and this call somebody rotated it.
	MinSize int64
}

// Rotation is what a Rotate did.
type Rotation struct {
	// To is the rotated log's name; empty when only a missing live log was
	// reopened.
	To string
	// Size is the live log's size in bytes when it was renamed.
	Size int64
	// Renamed is how long it took from the call to the rename; Took, to the
	// live log being there again.
	Renamed, Took time.Duration
}

const (
	// answeredTries is how often a reopen is asked for that the runtime answers
	// with a failure, though the container runs, before the live log gets its
	// name back: enough for a hiccup.
	answeredTries = 3
	// answeredPause is between those tries: the live log is absent meanwhile,
	// which kubectl logs -f and log shippers notice.
	answeredPause = 50 * time.Millisecond
)

// Rotate renames the live log and has the runtime reopen it. If the live log is
// missing, as a crash between the two leaves it, it has the runtime reopen it
// and that is all.
//
// It blocks for as long as the runtime takes, at most a few ReopenTimeouts; ctx
// is heeded only before the rename. Errors, by errors.Is: ErrNotDue,
// podlogs.ErrNotRegular and ErrNotRunning (nothing to be done), ErrRefused (trying again
// soon is of no use), ErrUnanswered (the live log may be missing: call again, no
// line is lost meanwhile, the runtime writes on into the renamed file). Any
// other error: nothing was done, or the live log has its name back.
func (r *Rotator) Rotate(ctx context.Context, req Request) (Rotation, error) {
	start := time.Now()
	d, err := r.fs.OpenDir(req.Dir)
	if err != nil {
		return Rotation{}, fmt.Errorf("rotate: %w", err)
	}
	defer d.Close() //nolint:errcheck // opened for reading

	to, err := r.check(d, req)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Rotation{}, fmt.Errorf("rotate %s/%q: %w", req.Dir, req.Log, err)
	}
	if to == "" {
		err := r.reopen(ctx, d, req)
		return Rotation{Took: time.Since(start)}, err
	}
	if err := d.Rename(req.Log, to); err != nil {
		return Rotation{}, fmt.Errorf("rotate: %w", err)
	}
	done := Rotation{To: to, Size: req.MinSize, Renamed: time.Since(start)}
	if st, err := d.Stat(to); err == nil { // it grew while names were looked for
		done.Size = st.Size
	}
	// From here to the reopen nothing cancels: the live log's name is absent.
	err = r.reopen(context.WithoutCancel(ctx), d, req)
	if errors.Is(err, ErrNotRunning) || errors.Is(err, ErrRefused) {
		done, err = Rotation{}, r.renameBack(d, req, to, err)
	}
	done.Took = time.Since(start)
	return done, err
}

// check says whether the live log may be rotated, and to which name; to none
// when it is missing.
func (r *Rotator) check(d podlogs.Dir, req Request) (to string, err error) {
	base, ok := podlogs.ParseName(req.Log)
	if !ok || base.Kind != podlogs.Live {
		return "", errors.New("not a live log's name, which is N.log")
	}
	st, err := d.Stat(req.Log)
	switch {
	case isGone(err):
		return "", nil
	case err != nil:
		return "", err
	case !st.Regular:
		return "", podlogs.ErrNotRegular
	case st.Size < req.MinSize:
		return "", fmt.Errorf("%w: %d bytes, due from %d", ErrNotDue, st.Size, req.MinSize)
	}
	next := podlogs.NextName(base, podlogs.Names(d, &err), r.now())
	return next.String(), err
}

// reopen has the runtime make the absent live log. It looks before it acts,
// each time: a reopen over a path that is there destroys the log on CRI-O.
func (r *Rotator) reopen(ctx context.Context, d podlogs.Dir, req Request) error {
	for try := 1; ; try++ {
		there, err := present(d, req.Log)
		if there || err != nil {
			return err
		}
		rctx, cancel := context.WithTimeout(ctx, r.reopenTimeout)
		asked := r.runtime.ReopenContainerLog(rctx, req.ContainerID)
		cancel()
		there, err = present(d, req.Log)
		switch {
		case there:
			// It is there, whatever the answer was: a deadline may pass after
			// the runtime did it.
			return nil
		case err != nil:
			return err
		case asked == nil:
			return fmt.Errorf("reopen %s/%s: the runtime said it was done, yet there is no file: %w", req.Dir, req.Log, ErrUnanswered)
		case errors.Is(asked, ErrNotRunning), errors.Is(asked, ErrUnanswered):
			return fmt.Errorf("reopen %s/%s: %w", req.Dir, req.Log, asked)
		case try == answeredTries:
			return fmt.Errorf("reopen %s/%s: %w: %w", req.Dir, req.Log, ErrRefused, asked)
		}
		time.Sleep(answeredPause)
	}
}

// renameBack undoes a rename whose reopen is known not to have happened, nor to
// be about to. A live log that is there meanwhile stays.
func (r *Rotator) renameBack(d podlogs.Dir, req Request, to string, cause error) error {
	err := d.Rename(to, req.Log)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return cause
	}
	return fmt.Errorf("%w; and the log could not be renamed back: %w", cause, err)
}

// present reports whether the live log's path exists, as a file of its own.
func present(d podlogs.Dir, log string) (bool, error) {
	st, err := d.Stat(log)
	switch {
	case isGone(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reopen: %w: %w", ErrUnanswered, err)
	case !st.Regular:
		return false, fmt.Errorf("reopen %s: %w", log, podlogs.ErrNotRegular)
	}
	return true, nil
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
