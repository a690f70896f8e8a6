package main

import (
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
		Short: "Print the config that FILE amounts to, or what is wrong with it",
		Long: `Check-config prints the config that FILE amounts to, or what is wrong with it.

With --explain it prints instead what would hold for one container, and where each
value comes from: the defaults, the file, a profile, an override, an annotation.`,
		Example: `  logwatch check-config /etc/logwatch.yaml
  logwatch check-config /etc/logwatch.yaml --explain shop/web-7d9f/app --labels app=web,tier=edge
  logwatch check-config /etc/logwatch.yaml --explain shop/web-7d9f/app --annotations logwatch/max-size=50Mi`,
		Args: cobra.ExactArgs(1),
	}
	explain := cmd.Flags().String("explain", "", "print the policy of one container: `NAMESPACE/POD/CONTAINER`")
	labels := cmd.Flags().StringToString("labels", nil, "labels of the pod, with --explain: `KEY=VALUE,…`")
	annotations := cmd.Flags().StringToString("annotations", nil, "annotations of the pod, with --explain: `KEY=VALUE,…`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := config.Load(args[0])
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("explain") {
			return explainPolicy(cmd.OutOrStdout(), c, *explain, *labels, *annotations)
		}
		if cmd.Flags().Changed("labels") || cmd.Flags().Changed("annotations") {
			return fmt.Errorf("--labels and --annotations are for --explain: add --explain NAMESPACE/POD/CONTAINER")
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

// explainPolicy writes what holds for a container, and what of its annotations
// does not.
func explainPolicy(w io.Writer, c config.Config, container string, labels, annotations map[string]string) error {
	names := strings.Split(container, "/")
	if len(names) != 3 || names[0] == "" || names[1] == "" || names[2] == "" {
		return fmt.Errorf("--explain %q: write NAMESPACE/POD/CONTAINER, such as default/web-7d9f/app", container)
	}
	resolver, err := policy.New(c)
	if err != nil {
		return err
	}
	e := resolver.For(policy.Subject{
		Namespace: names[0], Pod: names[1], Container: names[2],
		Labels: labels, Annotations: annotations,
	})
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// A tabwriter keeps the first error of w for Flush.
	_, _ = fmt.Fprintln(table, "FIELD\tVALUE\tFROM")
	for _, f := range e.Fields() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, f.Value, f.Source)
	}
	if len(e.Rejected) > 0 {
		_, _ = fmt.Fprintln(table, "\nANNOTATION\tVALUE\tOUTCOME")
	}
	for _, r := range e.Rejected {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", r.Annotation, r.Value, r.Reason)
	}
	if len(annotations) > 0 && !c.Annotations.Enabled {
		_, _ = fmt.Fprintln(table, "\nAnnotations are not looked at: set annotations.enabled: true")
	}
	return table.Flush()
}
