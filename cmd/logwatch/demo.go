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
	o := demo.Options{MaxSize: 1 << 20} // small, so that much happens
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show rotations live, with an embedded runtime in a temporary directory",
		Long: `Demo runs four bursty containers on an embedded container runtime and the real
daemon in a temporary directory, and shows logwatch top on it until q, Ctrl-C or the
end of --duration. It then checks that every line that the containers wrote was found
once and in order, and removes the directory. It needs no root and no cluster, and
touches nothing outside the directory.

It exits with 1 if a line is missing, doubled, out of order or damaged.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.Runtime, "runtime", "containerd", "runtime to imitate: containerd or crio")
	f.Var(setting.Size(&o.MaxSize), "max-size", "limit of a live log, 64Ki to 64Mi")
	f.DurationVar(&o.MinRotationInterval, "min-rotation-interval", 0, "minimum time between two rotations of a log; 0s: rotate at the limit")
	f.DurationVar(&o.Duration, "duration", 0, "end after this time; 0s: run until Ctrl-C")
	f.BoolVar(&o.Keep, "keep", false, "keep the directory and print where it is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// Both would end the process and leave the directory behind: a terminal that
		// is closed, and a pipe as in `logwatch demo | head`.
		ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGHUP, unix.SIGPIPE)
		defer stop()
		o.Out = cmd.OutOrStdout()
		o.Terminal, o.Unicode = drawable(o.Out, os.Getenv) == nil, styleOf(os.Getenv).Unicode
		return demo.Run(ctx, o)
	}
	return cmd
}

// style is what a terminal can show.
type style struct{ Color, Unicode bool }

// terminal returns the size of out and what it can show; size is nil when out is not a
// terminal that can be drawn on.
func terminal(out io.Writer, getenv func(string) string) (size func() (width, height int), s style) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || getenv("TERM") == "dumb" {
		return nil, style{}
	}
	size = func() (int, int) {
		width, height, err := term.GetSize(int(file.Fd()))
		if err != nil || width <= 0 || height <= 0 { // unknown to some consoles
			return 80, 24
		}
		return width, height
	}
	return size, styleOf(getenv)
}

// styleOf heeds no-color.org and the locale's character set.
func styleOf(getenv func(string) string) style {
	locale := ""
	for _, key := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set counts
		if locale = getenv(key); locale != "" {
			break
		}
	}
	charset := strings.ToLower(strings.ReplaceAll(locale, "-", ""))
	return style{Color: getenv("NO_COLOR") == "", Unicode: strings.Contains(charset, "utf8")}
}
