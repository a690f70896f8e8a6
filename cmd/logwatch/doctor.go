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
		Short: "Look for what keeps logwatch from doing its work on this node",
		Long: `Doctor looks at this node: the runtime, rights and kernel limits, kubelet and other
rotators, log shippers, disk and clock. For each thing it says ok, warn or fail, why,
and the commands that mend it, which are for a root shell. What it cannot see is
skipped, with the reason: run it as root.

It changes nothing. It goes by the configuration of the logwatch that runs, or else
by /etc/logwatch/logwatch.yaml, unless --config names another.

It exits with 0 if nothing failed, warnings or not, and with 1 if something did.`,
		Example: `  logwatch doctor
  logwatch doctor --config /etc/logwatch/logwatch.yaml
  logwatch doctor -o json | jq -r '.checks[] | select(.status == "fail") | .fix'`,
		Args: cobra.NoArgs,
	}
	var o doctor.Options
	cmd.Flags().StringVar(&o.ConfigFile, "config", "", "config `FILE` (YAML) to go by; without it, the running daemon's")
	format := cmd.Flags().StringP("output", "o", "table", "how to write it: "+strings.Join(doctor.Formats, ", "))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(doctor.Formats, *format) {
			return fmt.Errorf("-o %q: write one of %s", *format, strings.Join(doctor.Formats, ", "))
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
		done := waiting(os.Stderr, "looking at the node")
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
