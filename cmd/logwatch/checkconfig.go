package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/policy"
)

func checkConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check-config FILE",
		Short: "Validate FILE and print the effective configuration",
		Long: `Check-config validates FILE and prints the effective configuration.

With --explain it prints the effective policy of one container instead, and the
source of each value: default, file, profile, override or annotation.

With --outage it gets the containers' rates from the running daemon, and prints how
much disk space beyond their totals an outage of the log shippers of that length needs,
compared with FILE's unreadLogBudget.`,
		Example: `  logwatch check-config /etc/logwatch/logwatch.yaml
  logwatch check-config /etc/logwatch/logwatch.yaml --explain shop/web-7d9f/app --labels app=web,tier=edge
  logwatch check-config /etc/logwatch/logwatch.yaml --explain shop/web-7d9f/app --annotations logwatch/max-size=50Mi
  logwatch check-config /etc/logwatch/logwatch.yaml --outage 1h`,
		Args: cobra.ExactArgs(1),
	}
	explain := cmd.Flags().String("explain", "", "print the effective policy of one container: `NAMESPACE/POD/CONTAINER`")
	labels := cmd.Flags().StringToString("labels", nil, "labels of the pod, with --explain: `KEY=VALUE,…`")
	annotations := cmd.Flags().StringToString("annotations", nil, "annotations of the pod, with --explain: `KEY=VALUE,…`")
	outage := cmd.Flags().Duration("outage", 0, "print what an outage of the log shippers of that length needs, at the running daemon's rates")
	cmd.MarkFlagsMutuallyExclusive("explain", "outage")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := config.Load(args[0])
		if err != nil {
			return err
		}
		for _, w := range c.Warnings() {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w) // the exit code does not depend on it
		}
		if cmd.Flags().Changed("explain") {
			return explainPolicy(cmd.OutOrStdout(), c, *explain, *labels, *annotations)
		}
		if cmd.Flags().Changed("labels") || cmd.Flags().Changed("annotations") {
			return errors.New("--labels and --annotations require --explain NAMESPACE/POD/CONTAINER")
		}
		if cmd.Flags().Changed("outage") {
			return explainOutage(cmd.Context(), cmd.OutOrStdout(), c, *outage)
		}
		out, err := config.Marshal(c)
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(out)
		return err
	}
	return cmd
}

// explainPolicy writes a container's effective policy and rejected annotations.
func explainPolicy(w io.Writer, c config.Config, container string, labels, annotations map[string]string) error {
	names := strings.Split(container, "/")
	if len(names) != 3 || names[0] == "" || names[1] == "" || names[2] == "" {
		return fmt.Errorf("invalid container %q: use NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app", container)
	}
	resolver, err := policy.New(c.Rules)
	if err != nil {
		return err
	}
	e := resolver.For(policy.Subject{
		Namespace: names[0], Pod: names[1], Container: names[2],
		Labels: labels, Annotations: annotations,
	})
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// A tabwriter keeps the first error of w for Flush.
	_, _ = fmt.Fprintln(table, "NAME\tVALUE\tSOURCE")
	for _, f := range e.Fields() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, f.Value, f.Source)
	}
	if len(e.Rejected) > 0 {
		_, _ = fmt.Fprintln(table, "\nANNOTATION\tVALUE\tRESULT")
	}
	for _, r := range e.Rejected {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", r.Annotation, r.Value, r.Reason)
	}
	if len(annotations) > 0 && !c.Annotations.Enabled {
		_, _ = fmt.Fprintln(table, "\nAnnotations are disabled: set annotations.enabled: true")
	}
	return table.Flush()
}
