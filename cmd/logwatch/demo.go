package main

import (
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/logwatch/logwatch/internal/demo"
	"github.com/logwatch/logwatch/internal/setting"
)

func demoCommand() *cobra.Command {
	o := demo.Options{Runtime: "containerd", MaxSize: 1 << 20} // small, so that much happens
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show rotations live, on a runtime of its own in a temporary folder",
		Long: `Demo starts a container runtime within this process, with four bursty containers in
a temporary folder, and the real daemon on its socket. It shows each log's size,
rate, rotations and overshoot until Ctrl-C, then proves that no line was lost and
removes the folder. It needs no root, and touches nothing outside of the folder.

It exits with 1 if a line is missing, doubled, out of order or damaged.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.Runtime, "runtime", o.Runtime, "behaviour to copy: containerd or crio")
	f.Var(setting.Size(&o.MaxSize), "max-size", "limit of a live log, at least 64Ki")
	f.DurationVar(&o.MinRotationInterval, "min-rotation-interval", 0, "least time between two rotations of a log; 0s: always rotate at the limit")
	f.DurationVar(&o.Duration, "duration", 0, "end after this time; 0s: run until Ctrl-C")
	f.BoolVar(&o.Keep, "keep", false, "keep the folder and say where it is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// Both would end the process with the folder left behind: a terminal that
		// is closed, and a pipe as in `logwatch demo | head`.
		ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGHUP, unix.SIGPIPE)
		defer stop()
		o.Out = cmd.OutOrStdout()
		o.Size, o.Style = terminal(o.Out, os.Getenv)
		return demo.Run(ctx, o)
	}
	return cmd
}

// terminal says how large out is and what it can show; size is nil when out is
// no terminal that can be drawn on.
func terminal(out io.Writer, getenv func(string) string) (size func() (width, height int), style demo.Style) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || getenv("TERM") == "dumb" {
		return nil, demo.Style{}
	}
	size = func() (int, int) {
		width, height, err := term.GetSize(int(file.Fd()))
		if err != nil || width <= 0 || height <= 0 { // some consoles do not know
			return 80, 24
		}
		return width, height
	}
	return size, styleOf(getenv)
}

// styleOf heeds no-color.org and the locale's character set.
func styleOf(getenv func(string) string) demo.Style {
	locale := ""
	for _, key := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set counts
		if locale = getenv(key); locale != "" {
			break
		}
	}
	charset := strings.ToLower(strings.ReplaceAll(locale, "-", ""))
	return demo.Style{Color: getenv("NO_COLOR") == "", Unicode: strings.Contains(charset, "utf8")}
}
