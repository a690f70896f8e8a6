package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/status"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [NAMESPACE[/POD[/CONTAINER]]]",
		Short: "Show the state of the running daemon and its containers",
		Long: `Status shows what the running daemon reports on its control socket: its own state,
and for each running container the size and limit of its log, its files, its last
rotation and overshoot, its last error, and rejected annotations. -o wide adds the
effective policy and its sources.`,
		Example: `  logwatch status
  logwatch status kube-system
  logwatch status shop/web-7d9f/app -o wide
  logwatch status -o json | jq '.containers[] | select(.lastError)'`,
		Args: cobra.MaximumNArgs(1),
	}
	format := cmd.Flags().StringP("output", "o", "table", "output format: "+strings.Join(status.Formats, ", "))
	daemon := asking(cmd)
	cmd.ValidArgsFunction = completeContainers(daemon)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(status.Formats, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(status.Formats, *format) {
			return fmt.Errorf("-o %q: must be one of %s", *format, strings.Join(status.Formats, ", "))
		}
		var which api.Names
		if len(args) > 0 {
			var err error
			if which, err = names(args[0]); err != nil {
				return err
			}
		}
		client, err := daemon()
		if err != nil {
			return err
		}
		done := waiting(os.Stderr, "waiting for the daemon")
		s, err := client.Status(cmd.Context(), which, status.Detailed(*format))
		done()
		if err != nil {
			return err
		}
		if err := status.Write(cmd.OutOrStdout(), s, *format, time.Now()); err != nil {
			return err
		}
		if len(args) > 0 && len(s.Containers) == 0 && s.Node.Waiting == "" {
			return noneRuns(args[0])
		}
		return nil
	}
	return cmd
}

// asking adds the flags for the daemon's address, and returns a function that
// creates a client for it.
func asking(cmd *cobra.Command) func() (*api.Client, error) {
	file := cmd.Flags().String("config", "", "the daemon's config `FILE`, for its controlSocket")
	socket := cmd.Flags().String("control-socket", config.Default().ControlSocket, "the daemon's control socket; overrides the file's")
	return func() (*api.Client, error) {
		path := *socket
		if *file != "" && !cmd.Flags().Changed("control-socket") {
			c, err := config.Load(*file)
			if err != nil {
				return nil, err
			}
			if path = c.ControlSocket; path == "" {
				return nil, fmt.Errorf("%s has controlSocket: \"\": give it a path, such as %s, and restart the daemon", *file, config.Default().ControlSocket)
			}
		}
		return api.NewClient(path), nil
	}
}

// names reads NAMESPACE[/POD[/CONTAINER]].
func names(arg string) (n api.Names, err error) {
	parts := strings.Split(arg, "/")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return n, fmt.Errorf("%q: must be NAMESPACE, NAMESPACE/POD or NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app", arg)
	}
	for i, to := range []*string{&n.Namespace, &n.Pod, &n.Container}[:len(parts)] {
		*to = parts[i]
	}
	return n, nil
}

func noneRuns(which string) error {
	return fmt.Errorf("no running container matches %s on this node: `logwatch status` lists all", display.Escape(which))
}
