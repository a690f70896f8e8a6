package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand is for building packages. It is hidden.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the man pages of all commands into a directory",
		Long: `Man writes logwatch.1 and a page for each command into a directory, which it creates.
They have the date of SOURCE_DATE_EPOCH (a Unix timestamp) if that is set, so that
builds of the same source are equal, and today's otherwise.`,
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // it has today's date
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "logwatch " + versionText(), Manual: "logwatch"}, args[0])
		},
	}
}
