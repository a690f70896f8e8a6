package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
)

// completeTimeout is how long the tab key may take in a shell.
const completeTimeout = time.Second

// completeContainers completes NAMESPACE/POD/CONTAINER from the running daemon's
// containers, one part at a time. Without a daemon there are none.
func completeContainers(daemon func() (*api.Client, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		client, err := daemon()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		s, err := client.Status(ctx, api.Names{}, false)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return parts(s.Containers, typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// parts are the names that begin with what was typed, up to its part: namespaces
// with a slash behind them, then pods, then containers.
func parts(containers []api.Container, typed string) (found []string) {
	depth := strings.Count(typed, "/")
	for _, c := range containers {
		names := []string{c.Namespace, c.Pod, c.Container}
		if depth >= len(names) {
			return nil
		}
		name := strings.Join(names[:depth+1], "/")
		if depth == 0 {
			name += "/"
		}
		// Other characters have a meaning to the shell.
		if strings.HasPrefix(name, typed) && name == display.Escape(name) && !strings.ContainsAny(name, " \t'\"\\$`") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
