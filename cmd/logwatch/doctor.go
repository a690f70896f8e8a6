package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/logwatch/logwatch/internal/doctor"
)

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this node for problems",
		Long: `Doctor checks this node: the daemon, the runtime, privileges and kernel limits,
kubelet and other rotators, log shippers, disk and clock. Each check is ok, warn, fail
or skip; what is not ok has a reason and remediation commands for a root shell. What
cannot be read is skipped: run it as root.

It changes nothing. It uses the configuration of the running logwatch, or else
/etc/logwatch/logwatch.yaml, unless --config names another.

The exit code is 1 if a check failed, else 0: warnings do not count.`,
		Example: `  logwatch doctor
  logwatch doctor --config /etc/logwatch/logwatch.yaml
  logwatch doctor -o json | jq -r '.checks[] | select(.status == "fail") | .fix'`,
		Args: cobra.NoArgs,
	}
	var o doctor.Options
	cmd.Flags().StringVar(&o.ConfigFile, "config", "", "config `FILE` (YAML) to use; by default the running daemon's")
	format := cmd.Flags().StringP("output", "o", "table", "output format: "+strings.Join(doctor.Formats, ", "))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(doctor.Formats, *format) {
			return fmt.Errorf("invalid output format %q: must be one of %s", *format, strings.Join(doctor.Formats, ", "))
		}
		report, err := examine(cmd, o, *format)
		if err == nil && report.Fail > 0 {
			err = fmt.Errorf("%d of %d checks failed", report.Fail, len(report.Checks))
		}
		return err
	}
	return cmd
}

// examine runs the checks and writes them; in a table, each when it is done.
func examine(cmd *cobra.Command, o doctor.Options, format string) (doctor.Report, error) {
	out := cmd.OutOrStdout()
	if format == "json" {
		done := waiting(os.Stderr, "checking the node")
		report, err := doctor.Run(cmd.Context(), o)
		done()
		if err == nil {
			err = doctor.WriteJSON(out, report)
		}
		return report, err
	}
	t := tableFor(out)
	var failed error
	o.Each = func(c doctor.Check) {
		if failed == nil {
			failed = t.Check(c)
		}
	}
	report, err := doctor.Run(cmd.Context(), o)
	if err == nil {
		err = failed
	}
	if err == nil {
		err = t.End(report)
	}
	return report, err
}

func tableFor(out io.Writer) doctor.Table {
	t := doctor.Table{W: out}
	if size, style := terminal(out, os.Getenv); size != nil {
		t.Width, _ = size()
		t.Color = style.Color
	}
	return t
}
