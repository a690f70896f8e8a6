package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/logs"
)

// logsFlags are the flags of logs, unparsed.
type logsFlags struct {
	options                                                logs.Options
	config, podLogsDir, since, sinceTime, grep, out, color string
	prefix                                                 bool
}

func logsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logs NAMESPACE/POD[/CONTAINER]",
		Short: "Print all lines of a container, from rotated and compressed logs too",
		Long: `Logs prints the lines of a pod's containers, from the oldest log to the live one, over
all restarts, uncompressed and compressed. It reads only the files, as root, and needs
neither the daemon nor the runtime.

Without CONTAINER it prints all containers of the pod, init containers too, in order of
time, each line prefixed with its container. If several pods had the name, one after
the other, it prints the one that logged last, and lists the others.

With -f it continues, over any number of rotations and restarts, until Ctrl-C or until
the pod is removed. An open log stays readable after it was renamed or removed; if one
is removed before it was opened, because the reader is slower than the rotation, a
warning gives the times that are missing. --tail applies to each container, and counts
the lines selected by --since, --stream and --grep.

Control characters, which could take over a terminal, are printed as \x1b and the like,
to pipes too, which usually end at a terminal; --raw-escapes prints them unchanged. -o
json escapes them as JSON does, so that programs get what was logged. A line longer than
1 MiB is printed in pieces. A line that is not in CRI's format is printed unchanged.

It exits with 1 if no logs were found or if some could not be read: a warning on standard
error names them, and the others are printed.`,
		Example: `  logwatch logs shop/web-7d9f
  logwatch logs shop/web-7d9f/app -f --tail 100
  logwatch logs shop/web-7d9f/app --since 1h --grep 'status=5..'
  logwatch logs shop/web-7d9f -o json | jq -r 'select(.stream == "stderr").log'`,
		Args: cobra.ExactArgs(1),
	}
	f := bindLogs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := f.parse(cmd, args[0])
		if err != nil {
			return err
		}
		err = logs.Run(cmd.Context(), o)
		if errors.Is(err, unix.EPIPE) { // the reader has closed its end
			return nil
		}
		return err
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		dir, err := f.dir()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// The argument may end with the pod.
		return logs.Complete(dir, begun), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return cmd
}

func bindLogs(cmd *cobra.Command) *logsFlags {
	f := &logsFlags{}
	o, fs := &f.options, cmd.Flags()
	fs.StringVar(&f.config, "config", "", "config `FILE` to take podLogsDir from")
	fs.StringVar(&f.podLogsDir, "pod-logs-dir", "", "kubelet's podLogsDir, a `DIRECTORY`; overrides the file's (default "+config.Default().PodLogsDir+")")
	fs.StringVar(&o.UID, "uid", "", "the pod's `UID`, or a prefix of it, if several pods had the name")
	fs.BoolVarP(&o.Follow, "follow", "f", false, "follow the logs")
	fs.StringVar(&f.since, "since", "", "only lines newer than this `duration`, such as 90s, 5m or 3h")
	fs.StringVar(&f.sinceTime, "since-time", "", "only lines from this `time` on, such as 2026-03-29T02:00:00Z")
	fs.Int64Var(&o.Tail, "tail", -1, "only the last `lines` of each container; -1: all")
	fs.BoolVarP(&o.Previous, "previous", "p", false, "the logs of the restart before the latest")
	fs.BoolVar(&o.Timestamps, "timestamps", false, "prefix each line with its time")
	fs.StringVar(&o.Stream, "stream", "", "only this `stream`: stdout or stderr")
	fs.StringVar(&f.grep, "grep", "", "only lines that match this regular `expression` (RE2), joined if the runtime cut them")
	fs.StringVarP(&f.out, "output", "o", "raw", "output `format`: raw, or json for one object a line")
	fs.BoolVar(&f.prefix, "prefix", false, "prefix each line with its container (default: if there are several)")
	fs.StringVar(&f.color, "color", "auto", "`when` to color the prefix: auto (on a terminal, unless NO_COLOR is set), always or never")
	fs.BoolVar(&o.RawEscapes, "raw-escapes", false, "print control characters unchanged")
	return f
}

// dir returns podLogsDir.
func (f *logsFlags) dir() (string, error) {
	if f.podLogsDir != "" {
		return f.podLogsDir, nil
	}
	if f.config == "" {
		return config.Default().PodLogsDir, nil
	}
	c, err := config.Load(f.config)
	return c.PodLogsDir, err
}

// parse checks the flags and the argument.
func (f *logsFlags) parse(cmd *cobra.Command, arg string) (o logs.Options, err error) {
	o = f.options
	o.Out, o.Warnings = cmd.OutOrStdout(), cmd.ErrOrStderr()
	which, err := names(arg)
	switch {
	case err != nil:
		return o, err
	case which.Pod == "":
		return o, fmt.Errorf("%q is a namespace: specify a pod in it, as %s/POD", arg, arg)
	}
	o.Namespace, o.Pod, o.Container = which.Namespace, which.Pod, which.Container
	if o.PodLogsDir, err = f.dir(); err != nil {
		return o, err
	}
	for _, c := range []struct {
		flag, value string
		allowed     []string
	}{
		{"--output", f.out, []string{"raw", "json"}},
		{"--color", f.color, []string{"auto", "always", "never"}},
		{"--stream", o.Stream, []string{"", crilog.Stdout, crilog.Stderr}},
	} {
		if !slices.Contains(c.allowed, c.value) {
			return o, fmt.Errorf("invalid %s %q; must be one of %s", c.flag, c.value, strings.TrimPrefix(strings.Join(c.allowed, ", "), ", "))
		}
	}
	switch {
	case o.Tail < -1:
		return o, fmt.Errorf("invalid --tail %d; use a number of lines, or -1 for all", o.Tail)
	case o.Previous && o.Follow:
		return o, errors.New("--previous and --follow exclude each other: a restart that has ended logs nothing more")
	}
	o.JSON, o.Color = f.out == "json", wantsColor(f.color, o.Out, os.Getenv)
	if cmd.Flags().Changed("prefix") {
		o.Prefix = &f.prefix
	}
	if f.grep != "" {
		if o.Grep, err = regexp.Compile(f.grep); err != nil {
			return o, fmt.Errorf("invalid --grep: %w: see https://github.com/google/re2/wiki/Syntax", err)
		}
	}
	o.Since, err = f.from(time.Now())
	return o, err
}

// from reads --since and --since-time.
func (f *logsFlags) from(now time.Time) (t time.Time, err error) {
	switch {
	case f.since != "" && f.sinceTime != "":
		return t, errors.New("--since and --since-time exclude each other")
	case f.since != "":
		d, err := time.ParseDuration(f.since)
		if err != nil || d <= 0 {
			return t, fmt.Errorf("invalid --since %q; use a duration such as 90s, 5m or 3h", f.since)
		}
		return now.Add(-d), nil
	case f.sinceTime != "":
		if t, err = time.Parse(time.RFC3339, f.sinceTime); err != nil {
			return t, fmt.Errorf("invalid --since-time %q; use a time such as 2026-03-29T02:00:00Z or 2026-03-29T04:00:00+02:00", f.sinceTime)
		}
	}
	return t, nil
}

// wantsColor follows no-color.org, and terminals without color.
func wantsColor(flag string, out io.Writer, getenv func(string) string) bool {
	if flag != "auto" {
		return flag == "always"
	}
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}
