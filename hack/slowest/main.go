// Command slowest runs go test with its arguments, shows what go test shows without -v,
// and then the tests that took longest.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const most = 10 // tests that are listed

// event is one of `go test -json`: see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		err = errors.Join(report(out, os.Stdout), cmd.Wait())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "slowest: go test:", err)
		os.Exit(1)
	}
}

// report reads events from in and writes what they say.
func report(in io.Reader, out io.Writer) error {
	type test struct{ pkg, name string }
	output := map[test][]string{}
	var ended []event
	for dec := json.NewDecoder(in); ; {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		top, _, _ := strings.Cut(e.Test, "/")
		key := test{e.Package, top}
		switch e.Action {
		case "build-output":
			_, _ = io.WriteString(out, e.Output) // a terminal, or a log
		case "output":
			if !strings.HasPrefix(strings.TrimSpace(e.Output), "=== ") {
				output[key] = append(output[key], e.Output)
			}
		case "pass", "fail", "skip":
			if e.Test != top {
				continue // its output is shown with the whole test's
			}
			switch {
			case e.Action == "fail":
				_, _ = io.WriteString(out, strings.Join(output[key], ""))
			case e.Test == "" && len(output[key]) > 0:
				_, _ = io.WriteString(out, output[key][len(output[key])-1]) // "ok", the package and its time
			}
			delete(output, key)
			if e.Test != "" {
				ended = append(ended, e)
			}
		}
	}
	slices.SortStableFunc(ended, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
	for i, e := range ended[:min(most, len(ended))] {
		if i == 0 {
			_, _ = fmt.Fprintln(out, "the slowest tests, in seconds:")
		}
		_, _ = fmt.Fprintf(out, "%8.1f  %s  %s\n", e.Elapsed, e.Test, e.Package)
	}
	return nil
}
