package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		// Standard error may be under test, but a message there is better than none.
		fmt.Fprintln(os.Stderr, "logwriter:", err)
		os.Exit(1)
	}
}

// run writes lines as args specify, until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("logwriter", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Int64Var(&o.rate, "rate", 0, "bytes per second over both streams, including newlines; 0: as fast as possible")
	flags.IntVar(&o.line, "line", 100, "width of a line in bytes, without its newline")
	flags.Uint64Var(&o.lines, "lines", 0, "stop after this many lines over both streams; 0: never")
	flags.Uint64Var(&o.stderrEvery, "stderr-every", 0, "write every k-th line to standard error; 0: none")
	flags.Uint64Var(&o.longEvery, "long-every", 0, "write every k-th line longer than a runtime's limit of 16 KiB; 0: none")
	flags.DurationVar(&o.on, "on", 0, "with -off: write for this long, then pause")
	flags.DurationVar(&o.off, "off", 0, "with -on: pause between two bursts")
	flags.BoolVar(&o.noFinalNewline, "no-final-newline", false, "omit the newline of the last of -lines lines")
	linger := flags.Bool("linger", true, "keep running after the last line until SIGTERM, so that the container stays RUNNING")
	pause := flags.Bool("pause", false, "write nothing and run until SIGTERM: the process of a sandbox")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if !*pause {
		if err := newWriter(o, stdout, stderr).run(ctx); err != nil {
			return err
		}
	}
	if *pause || *linger {
		<-ctx.Done()
	}
	return nil
}
