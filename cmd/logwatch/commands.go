package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	sdjournal "github.com/coreos/go-systemd/v22/journal"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/agent"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/rotator"
)

// version is set by the linker for a release.
var version = ""

// gcPercent is the daemon's GOGC unless the environment sets it. With 250 idle containers, half
// of Go's default takes 2 MB less memory for no more CPU time (bench -only idle1000).
const gcPercent = 50

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "logwatch",
		Short: "Rotate Kubernetes containers' logs the moment they reach their limit",
		Long: `Logwatch rotates a Kubernetes container's log the moment it reaches its limit, and
never loses a line doing it. "logwatch run" is the daemon, one on each node; the
other commands query it through its control socket, or work without it.

To start, see "logwatch demo", and "logwatch doctor", which checks this node.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionText(),
	}
	root.SetOut(os.Stdout)
	root.AddCommand(
		runCommand(),
		reloadCommand(),
		checkConfigCommand(),
		doctorCommand(),
		statusCommand(),
		topCommand(),
		rotateCommand(),
		logsCommand(),
		cleanCommand(),
		demoCommand(),
		versionCommand(),
	)
	return root
}

func versionText() string {
	if version != "" {
		return version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" {
		return bi.Main.Version
	}
	return "unknown"
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

// configured adds --config and every config key as a flag, and returns their source.
func configured(cmd *cobra.Command) *source {
	s := &source{}
	cmd.Flags().StringVar(&s.file, "config", "", "config `FILE` (YAML); without it, the defaults")
	s.flags = config.NewFlags(cmd.Flags())
	return s
}

// source is where a command's configuration comes from.
type source struct {
	file  string
	flags *config.Flags
}

func (s *source) load() (config.Config, error) {
	c := config.Default()
	if s.file != "" {
		var err error
		if c, err = config.Load(s.file); err != nil {
			return c, err
		}
	}
	return s.flags.Apply(c)
}

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon, in the foreground",
		Long: `Run watches every container's log below podLogsDir and rotates it when it is due,
until SIGTERM or SIGINT. It then finishes the rotations under way and exits within
5 seconds; a second signal ends it at once. SIGHUP, and a change of the config
file, reload the configuration.`,
		Args: cobra.NoArgs,
	}
	conf := configured(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		content, _ := os.ReadFile(conf.file) // before it is loaded: a later change is a reload; load reports errors
		c, err := conf.load()
		if err != nil {
			return err
		}
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, unix.SIGHUP)
		defer signal.Stop(hup)
		watchdog, err := daemon.SdWatchdogEnabled(false)
		if err != nil {
			return fmt.Errorf("the service manager's watchdog (WATCHDOG_USEC): %w", err)
		}
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(gcPercent)
		}
		return agent.Run(cmd.Context(), agent.Options{
			Config: c, Log: logger(c.Logging), Notify: notify, Watchdog: watchdog,
			Reload: agent.Reload{File: conf.file, Content: content, Load: conf.load, Ask: hup},
			Listen: true, Version: versionText(),
		})
	}
	return cmd
}

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Reload the running daemon's configuration",
		Long: `Reload asks the daemon, at its control socket, to reload the configuration file
that it runs with. After an error, which it prints, the previous configuration stays
active. As ExecReload= of a unit it finds the daemon by the unit's command line.`,
		Args: cobra.NoArgs,
	}
	daemon := clientOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := daemon()
		if err != nil {
			return err
		}
		if err := client.Reload(cmd.Context()); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "the daemon reloaded its configuration")
		return err
	}
	return cmd
}

// notify reports to systemd; without NOTIFY_SOCKET it does nothing.
func notify(state string) {
	_, _ = daemon.SdNotify(false, state) // the service manager may not be listening
}

// logger writes JSON to standard error, or text on a terminal.
func logger(l config.Logging) zerolog.Logger {
	level, err := zerolog.ParseLevel(l.Level)
	if err != nil { // the config was validated
		level = zerolog.InfoLevel
	}
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.DurationFieldUnit = time.Millisecond
	var w io.Writer = os.Stderr
	if ok, err := sdjournal.StderrIsJournalStream(); err == nil && ok {
		w = journal{w}
	}
	if l.Format == config.FormatConsole || (l.Format == config.FormatAuto && term.IsTerminal(int(os.Stderr.Fd()))) {
		w = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

func cleanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clean CONTAINER-ID",
		Short: "Remove all logs of a stopped container",
		Args:  cobra.ExactArgs(1),
	}
	conf := configured(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := conf.load()
		if err != nil {
			return err
		}
		endpoint, err := c.Endpoint()
		if err != nil {
			return err
		}
		client, err := cri.Dial(endpoint, c.RuntimeRequestTimeout)
		if err != nil {
			return err
		}
		defer client.Close() //nolint:errcheck // nothing is lost
		done := waiting(os.Stderr, "waiting for the runtime")
		removed, err := agent.Clean(cmd.Context(), c, client, args[0])
		done()
		for _, name := range removed {
			cmd.Println("removed", name)
		}
		if errors.Is(err, rotator.ErrBusy) {
			return fmt.Errorf("%w; it is still open for writing: stop the container first", err)
		}
		return err
	}
	return cmd
}
