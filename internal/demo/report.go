package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/setting"
)

// progress prints a line a second, for output that is not a terminal.
func (s *session) progress(ctx context.Context) error {
	_, err := fmt.Fprintf(s.options.Out, "logwatch demo: %d containers on an embedded runtime (%s), limit %s\n",
		len(s.containers), s.options.Runtime, setting.FormatSize(s.options.MaxSize))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for before := int64(0); err == nil; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var written int64
		var lines uint64
		for _, c := range s.containers {
			written += c.BytesWritten()
			for _, n := range c.Written() {
				lines += n
			}
		}
		n, _, worst := s.daemon.rotations.get()
		_, err = fmt.Fprintf(s.options.Out, "%4.0fs  %6s/s  %11s lines  %5d rotations  worst overshoot %s\n",
			time.Since(s.started).Seconds(), display.Bytes(written-before), thousands(lines), n, display.Bytes(worst))
		before = written
	}
	return err
}

// proof is what became of one container's lines.
type proof struct {
	linecheck.Totals
	name    string
	written int64 // bytes
	files   int
	err     error // nil: each line was found
}

// verify checks every line of a container, which has exited.
func (s *session) verify(c container) proof {
	p := proof{name: c.name, written: c.BytesWritten()}
	dir, err := filepath.Rel(s.cfg.PodLogsDir, c.Dir())
	if err != nil {
		p.err = err
		return p
	}
	res, err := linecheck.Container(s.cfg.PodLogsDir, dir)
	p.Totals, p.files = res.Totals(c.Written()), len(res.Logs)
	p.err = errors.Join(err, c.Err(), res.OK(c.Written()))
	// A rotated log may be smaller than its limit, but not by much.
	if couldPrune := p.written > min(maxTotalSize, maxFiles*s.options.MaxSize/4); p.Pruned > 0 && !couldPrune {
		p.err = errors.Join(p.err, fmt.Errorf("%d lines are missing at the front", p.Pruned))
		p.Lost, p.Pruned = p.Lost+p.Pruned, 0
	}
	return p
}

// conclude checks the lines of all containers and prints the summary.
func (s *session) conclude() error {
	proofs := make([]proof, 0, len(s.containers))
	for _, c := range s.containers {
		proofs = append(proofs, s.verify(c))
	}
	text, proven := s.summary(proofs)
	if _, err := s.options.Out.Write(text); err != nil {
		return fmt.Errorf("demo: print the summary: %w", err)
	}
	if !proven {
		return fmt.Errorf("demo: %w", ErrUnproven)
	}
	return nil
}

// summary returns the text that is printed at the end, and whether every line was
// found as it should be.
func (s *session) summary(proofs []proof) (text []byte, proven bool) {
	var out bytes.Buffer // it does not fail
	all := proof{name: "all"}
	for _, p := range proofs {
		all.add(p)
	}
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\nCONTAINER   \tWRITTEN\tFILES\tLINES\tFOUND\tPRUNED\tLOST\tDOUBLED\tOUT OF ORDER\tDAMAGED\t")
	for _, p := range append(proofs, all) {
		_, _ = fmt.Fprintf(table, "%-12s\t%s\t%d\t", p.name, display.Bytes(p.written), p.files)
		for _, n := range []uint64{p.Written, p.Found, p.Pruned, p.Lost, p.Doubled, p.OutOfOrder, p.Corrupt} {
			_, _ = fmt.Fprintf(table, "%s\t", thousands(n))
		}
		_, _ = fmt.Fprintln(table)
	}
	_ = table.Flush()
	n, mean, worst := s.daemon.rotations.get()
	_, _ = fmt.Fprintf(&out, "\n%s rotations in %.1fs; overshoot past the limit of %s: %s on average, %s at worst\n",
		thousands(uint64(n)), s.elapsed.Seconds(), setting.FormatSize(s.options.MaxSize), display.Bytes(mean), display.Bytes(worst))
	for _, p := range proofs {
		if p.err != nil {
			_, _ = fmt.Fprintf(&out, "%s: %s\n", p.name, display.Escape(strings.ReplaceAll(p.err.Error(), "\n", "; ")))
		}
	}
	if warnings := s.daemon.warnings.text(); warnings != "" {
		_, _ = fmt.Fprintln(&out, warnings)
	}
	switch {
	case all.err != nil:
		_, _ = fmt.Fprintln(&out, "NOT PROVEN:", ErrUnproven)
	case all.Pruned > 0:
		_, _ = fmt.Fprintf(&out, "Proven: all %s lines that the policy keeps were found, each once and in order\n", thousands(all.Found))
	default:
		_, _ = fmt.Fprintf(&out, "Proven: all %s lines were found, each once and in order\n", thousands(all.Found))
	}
	return out.Bytes(), all.err == nil
}

// add adds another container's figures.
func (p *proof) add(o proof) {
	p.written += o.written
	p.files += o.files
	p.err = errors.Join(p.err, o.err)
	p.Totals = p.Totals.Add(o.Totals)
}

// thousands groups digits: 1,234,567.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
