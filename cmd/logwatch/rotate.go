package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
)

func rotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate NAMESPACE/POD[/CONTAINER] | --all",
		Short: "Rotate logs now, regardless of their sizes",
		Long: `Rotate asks the running daemon to rotate the logs of a pod, of one of its
containers, or of all, as if they were at their limits. It waits, and prints the
result of each. An empty log is left unchanged. It exits with 1 if a rotation failed.`,
		Example: `  logwatch rotate shop/web-7d9f
  logwatch rotate shop/web-7d9f/app
  logwatch rotate --all`,
		Args: cobra.MaximumNArgs(1),
	}
	all := cmd.Flags().Bool("all", false, "the logs of all running containers")
	daemon := clientOf(cmd)
	cmd.ValidArgsFunction = completeContainers(daemon)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		which, label := api.Selector{All: *all}, "any pod"
		switch {
		case *all == (len(args) == 1):
			return errors.New("specify NAMESPACE/POD[/CONTAINER] or --all")
		case !*all:
			label = args[0]
			var err error
			if which.Names, err = names(args[0]); err != nil {
				return err
			}
			if which.Pod == "" {
				return fmt.Errorf("%q is a namespace: specify a pod in it, as %s/POD", args[0], args[0])
			}
		}
		client, err := daemon()
		if err != nil {
			return err
		}
		var sum tally
		done := waiting(os.Stderr, "waiting for the first rotation")
		err = client.Rotate(cmd.Context(), which, func(r api.Result) {
			done()
			sum.add(cmd.OutOrStdout(), r)
		})
		done()
		switch {
		case errors.Is(err, api.ErrNone):
			return noneRuns(label)
		case err != nil:
			return err
		}
		return sum.end(cmd.OutOrStdout())
	}
	return cmd
}

// tally counts results.
type tally struct{ rotated, failed, all int }

func (t *tally) add(w io.Writer, r api.Result) {
	t.all++
	what := ""
	switch r.Result {
	case api.Rotated:
		t.rotated++
		what = fmt.Sprintf("rotated %s to %s in %s", display.Bytes(r.Size), r.To, display.Took(r.Seconds))
	case api.Reopened:
		what = "reopened: it was missing"
	case api.Empty:
		what = "empty, left unchanged"
	case api.AlreadyRotated:
		what = "already rotated"
	case api.Stopped:
		what = "container stopped"
	default:
		t.failed++
		what = "FAILED: " + r.Error
	}
	// An output that is closed does not undo the rotations.
	_, _ = fmt.Fprintf(w, "%s: %s\n", display.Escape(r.Namespace+"/"+r.Pod+"/"+r.Container), display.Escape(what))
}

func (t *tally) end(w io.Writer) error {
	if t.all > 1 {
		if _, err := fmt.Fprintf(w, "%d of %d rotated\n", t.rotated, t.all); err != nil {
			return err
		}
	}
	if t.failed > 0 {
		return fmt.Errorf("%d of %d rotations failed: see above, and `logwatch status`", t.failed, t.all)
	}
	return nil
}
