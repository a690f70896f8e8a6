package main

import (
	"fmt"
	"os"
	"path/filepath"
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
the log readers that it sees, and for each running container the size and limit of its
log, its files, what the slowest log reader has not read (LAG), its last rotation and
overshoot, its last error, and rejected annotations. -o wide adds the log reader that a
rotation waits for, and the effective policy and its sources.`,
		Example: `  logwatch status
  logwatch status kube-system
  logwatch status shop/web-7d9f/app -o wide
  logwatch status -o json | jq '.containers[] | select(.lastError)'
  logwatch status --check ready`,
		Args: cobra.MaximumNArgs(1),
	}
	format := cmd.Flags().StringP("output", "o", "table", "output format: "+strings.Join(status.Formats, ", "))
	check := cmd.Flags().String("check", "", "print only whether the daemon is `ready|healthy`, as /readyz and /healthz do; the exit code is 1 if it is not")
	daemon := clientOf(cmd)
	cmd.ValidArgsFunction = completeContainers(daemon)
	_ = cmd.RegisterFlagCompletionFunc("check", cobra.FixedCompletions(api.Checks, cobra.ShellCompDirectiveNoFileComp))      // the flag is there
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(status.Formats, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(status.Formats, *format) {
			return fmt.Errorf("invalid output format %q: must be one of %s", *format, strings.Join(status.Formats, ", "))
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
		if cmd.Flags().Changed("check") {
			return checkDaemon(cmd, client, *check)
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

// checkDaemon is for probes: one line and an exit code.
func checkDaemon(cmd *cobra.Command, client *api.Client, what string) error {
	if !slices.Contains(api.Checks, what) {
		return fmt.Errorf("invalid --check %q; must be one of %s", what, strings.Join(api.Checks, ", "))
	}
	if err := client.Check(cmd.Context(), what); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), what)
	return err
}

// clientOf adds the flags for the daemon's address, and returns a function that
// creates a client for it.
func clientOf(cmd *cobra.Command) func() (*api.Client, error) {
	file := cmd.Flags().String("config", "", "the daemon's config `FILE`, for its controlSocket")
	socket := cmd.Flags().String("control-socket", config.Default().ControlSocket, "the daemon's control socket; overrides the file's")
	return func() (*api.Client, error) {
		c, of := config.Default(), *file
		var err error
		switch pid := os.Getenv("MAINPID"); {
		case cmd.Flags().Changed("control-socket"):
			c.ControlSocket, of = *socket, "--control-socket"
		case of != "":
			c, err = config.Load(of)
		case pid != "": // as systemd sets it for a unit's commands
			of = "the configuration of process " + pid
			c, err = configOf(pid)
		}
		if err != nil {
			return nil, err
		}
		if c.ControlSocket == "" {
			if of == "--control-socket" {
				return nil, fmt.Errorf("invalid --control-socket \"\": must be the path of the daemon's socket, such as %s", config.Default().ControlSocket)
			}
			return nil, fmt.Errorf("%s has controlSocket: \"\": give it a path, such as %s, and restart the daemon", of, config.Default().ControlSocket)
		}
		return api.NewClient(c.ControlSocket), nil
	}
}

// configOf returns the configuration of a daemon as its command line has it.
func configOf(pid string) (config.Config, error) {
	line, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
	if err != nil {
		return config.Config{}, fmt.Errorf("MAINPID: %w", err)
	}
	run := &cobra.Command{}
	conf := configured(run)
	if err := run.ParseFlags(strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")[1:]); err != nil {
		return config.Config{}, fmt.Errorf("MAINPID: process %s is not a logwatch: %w", pid, err)
	}
	return conf.load()
}

// names reads NAMESPACE[/POD[/CONTAINER]].
func names(arg string) (n api.Names, err error) {
	parts := strings.Split(arg, "/")
	if len(parts) > 3 || slices.Contains(parts, "") {
		return n, fmt.Errorf("invalid name %q: use NAMESPACE, NAMESPACE/POD or NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app", arg)
	}
	for i, to := range []*string{&n.Namespace, &n.Pod, &n.Container}[:len(parts)] {
		*to = parts[i]
	}
	return n, nil
}

func noneRuns(which string) error {
	return fmt.Errorf("no running container matches %s on this node: `logwatch status` lists all", display.Escape(which))
}
