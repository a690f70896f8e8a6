// Command logwatch rotates Kubernetes containers' logs the moment they reach
// their limit. See the README.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run runs the command line and returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	// A second signal finds the default action: the process ends at once.
	context.AfterFunc(ctx, stop)
	cmd := newCommand()
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "logwatch:", err)
		return 1
	}
	return 0
}
