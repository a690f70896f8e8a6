// Command bench compares logwatch with other rotators of container logs. See
// bench/README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/logwatch/logwatch/bench/internal/measure"
	"github.com/logwatch/logwatch/bench/internal/node"
	"github.com/logwatch/logwatch/bench/internal/report"
	"github.com/logwatch/logwatch/bench/internal/subject"
	"github.com/logwatch/logwatch/bench/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := role(ctx, os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// role runs what this process is: the benchmark, or a part of it that needs a process
// of its own.
func role(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return run(ctx, args)
	}
	switch rest := args[1:]; {
	case args[0] == node.Role && len(rest) == 2:
		return node.Serve(rest[0], node.Style(rest[1]))
	case args[0] == load.RoleWatch && len(rest) == 1:
		return load.Watch(ctx, rest[0])
	case args[0] == load.RoleNotify && len(rest) == 1:
		return load.Notify(ctx, rest[0])
	case args[0] == load.RoleWriters && len(rest) == 3:
		rate, err := strconv.ParseFloat(rest[1], 64)
		if err != nil {
			return err
		}
		d, err := time.ParseDuration(rest[2])
		if err != nil {
			return err
		}
		return load.WriteRole(ctx, rest[0], rate, d)
	case args[0] == load.RoleCompress && len(rest) == 4:
		level, err := strconv.Atoi(rest[1])
		if err != nil {
			return err
		}
		return load.Compress(rest[0], level, rest[2], rest[3])
	}
	return run(ctx, args)
}

type options struct {
	short, keep    bool
	runs           int
	only, subjects string
	out, plotsOf   string
	root           string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.short, "short", false, "a short run: shorter loads, more noise")
	flags.BoolVar(&o.keep, "keep", false, "keep the subjects' own logs and print where they are")
	flags.IntVar(&o.runs, "runs", 1, "how often to take each measure: the tables have the medians, and the lowest and highest")
	flags.StringVar(&o.only, "only", "", "measures to take, by comma; none: all of "+strings.Join(names(), ","))
	flags.StringVar(&o.subjects, "subjects", "", "subjects to compare, by comma; none: all of "+strings.Join(subject.All, ","))
	flags.StringVar(&o.out, "out", "results", "where the results go")
	flags.StringVar(&o.root, "root", "..", "logwatch's source tree")
	flags.StringVar(&o.plotsOf, "plot", "", "measure nothing: write tables and plots from the results.json in this directory")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.runs < 1 {
		return o, fmt.Errorf("-runs %d: must be at least 1", o.runs)
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for _, n := range list(o.only) {
		if !slices.Contains(names(), n) {
			return o, fmt.Errorf("-only %s: unknown measure; must be one of %s", n, strings.Join(names(), ", "))
		}
	}
	for _, n := range list(o.subjects) {
		if !slices.Contains(subject.All, n) {
			return o, fmt.Errorf("-subjects %s: unknown subject; must be one of %s", n, strings.Join(subject.All, ", "))
		}
	}
	return o, nil
}

func names() []string {
	var out []string
	for _, m := range measure.All {
		out = append(out, m.Name)
	}
	return out
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.plotsOf != "" {
		r, err := report.Read(o.plotsOf)
		if err != nil {
			return err
		}
		return r.Write(o.plotsOf)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	env, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	if o.keep {
		env.Log("the subjects' own logs are in %s", env.Dir)
	} else {
		defer os.RemoveAll(env.Dir) //nolint:errcheck // a temporary directory
	}
	rep := &report.Report{Date: time.Now(), Mode: "full", Machine: machine(env.Dir), Versions: versions(ctx, o.root, env)}
	rep.Command = strings.TrimSpace("bench " + strings.Join(args, " "))
	if env.Embedded {
		rep.Command = "BENCH_RUNTIME=embedded " + rep.Command
	}
	if o.short {
		rep.Mode = "short"
	}
	if err := take(ctx, o, env, rep); err != nil {
		return err
	}
	return verdict(env, rep)
}

// take runs the measures and writes the results after each: a run that is interrupted
// leaves some.
func take(ctx context.Context, o options, env *measure.Env, rep *report.Report) error {
	only := list(o.only)
	for _, m := range measure.All {
		if len(only) > 0 && !slices.Contains(only, m.Name) {
			continue
		}
		var runs []*report.Measure
		at := len(rep.Measures)
		rep.Measures = append(rep.Measures, nil)
		for range o.runs {
			began := time.Now()
			out := &report.Measure{Name: m.Name, Title: m.Title}
			err := m.Run(ctx, env, out)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				env.Problems = append(env.Problems, fmt.Sprintf("%s: %v", m.Name, err))
				out.Notes = append(out.Notes, "Broken off: "+err.Error())
			}
			out.Took = time.Since(began)
			runs = append(runs, out)
			rep.Measures[at] = report.Median(runs)
			if err := rep.Write(o.out); err != nil {
				return err
			}
		}
		for _, c := range rep.Measures[at].Checks {
			env.Log("  %-11s %s: %s (%s)", word(c.Reached), c.What, c.Got, c.Limit)
		}
	}
	return nil
}

func word(reached bool) string {
	if reached {
		return "reached"
	}
	return "NOT REACHED"
}

// verdict returns an error when a run failed or a subject lost lines that it should not
// have. A threshold that was not reached is not an error: it is in the table.
func verdict(env *measure.Env, rep *report.Report) error {
	reached, all := 0, 0
	for _, m := range rep.Measures {
		for _, c := range m.Checks {
			all++
			if c.Reached {
				reached++
			}
		}
	}
	env.Log("%d of %d thresholds reached, in %v", reached, all, time.Since(rep.Date).Round(time.Second))
	if len(env.Problems) > 0 {
		return errors.New("lines lost, or runs failed:\n  " + strings.Join(env.Problems, "\n  "))
	}
	return nil
}

func prepare(ctx context.Context, o options) (*measure.Env, error) {
	env := &measure.Env{Short: o.short, Subjects: list(o.subjects)}
	if env.Subjects == nil {
		env.Subjects = subject.All
	}
	began := time.Now()
	env.Log = func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%6.1f  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	switch kind := os.Getenv("BENCH_RUNTIME"); kind {
	case "embedded":
		env.Embedded = true
	case "", "containerd":
		if os.Geteuid() != 0 {
			return nil, errors.New("a real containerd needs root; without it, set BENCH_RUNTIME=embedded")
		}
	default:
		return nil, fmt.Errorf("BENCH_RUNTIME=%s: must be one of containerd, embedded", kind)
	}
	var err error
	if env.Dir, err = os.MkdirTemp("", "logwatch-bench-"); err != nil {
		return nil, err
	}
	env.Log("building logwatch and kubelet's rotator (the first time this takes minutes)")
	env.Tools, err = build(ctx, o.root, filepath.Join(env.Dir, "bin"))
	return env, err
}
