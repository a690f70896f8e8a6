package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/top"
)

func topCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "top [NAMESPACE[/POD[/CONTAINER]]]",
		Short: "Watch the running daemon's containers in the terminal",
		Long: `Top shows what status does, refreshed every second: how fast each container logs, the
size and limit of its log, its files, rotations and errors. The list can be sorted and
filtered, and Enter shows the details of a container; ? lists the keys, q quits.`,
		Example: `  logwatch top
  logwatch top kube-system
  logwatch top --interval 5s`,
		Args: cobra.MaximumNArgs(1),
	}
	interval := cmd.Flags().Duration("interval", time.Second, "time between two requests to the daemon")
	daemon := clientOf(cmd)
	cmd.ValidArgsFunction = completeContainers(daemon)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *interval < top.MinInterval {
			return fmt.Errorf("invalid interval %v: must be at least %v", *interval, top.MinInterval)
		}
		var which api.Names
		if len(args) > 0 {
			var err error
			if which, err = names(args[0]); err != nil {
				return err
			}
		}
		if err := drawable(cmd.OutOrStdout(), os.Getenv); err != nil {
			return err
		}
		client, err := daemon()
		if err != nil {
			return err
		}
		// SIGHUP, when the terminal is closed: its state is restored.
		ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGHUP)
		defer stop()
		return top.Run(ctx, top.Options{Source: client, Which: which, Interval: *interval, Unicode: styleOf(os.Getenv).Unicode})
	}
	return cmd
}

// drawable returns why out cannot be drawn on; nil: it can.
func drawable(out io.Writer, getenv func(string) string) error {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return errors.New("top needs a terminal: `logwatch status` prints the same, once")
	}
	switch name := getenv("TERM"); name {
	case "", "dumb":
		return fmt.Errorf("top cannot draw on a terminal with TERM=%q: set it to the terminal's name, such as xterm, or use `logwatch status`", name)
	}
	if width, height, err := term.GetSize(int(file.Fd())); err != nil || width <= 0 || height <= 0 {
		return errors.New("the terminal's size is unknown: run `stty rows 24 cols 80`, with its real size, or use `logwatch status`")
	}
	return nil
}
