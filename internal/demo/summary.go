package demo

import (
	"fmt"
	"time"
)

// summary is what is printed at the end.
type summary struct {
	header
	Elapsed       time.Duration
	Rotations     int
	P50, P99, Max int64 // overshoots, in bytes
	Proofs        []Proof
	Notes         []string
	MoreNotes     int
}

// err is nil if every line is accounted for.
func (s summary) err() error {
	for _, p := range s.Proofs {
		if !p.OK() {
			return fmt.Errorf("demo: %w: see above", ErrUnproven)
		}
	}
	return nil
}

// summaryIndent is the width of a summary's first column, in cells.
const summaryIndent = 14

// lines are the summary's.
func (s summary) lines(width int) []string {
	var out []string
	say := func(what, format string, args ...any) {
		text := fmt.Sprintf("%-*s%s", summaryIndent, what, fmt.Sprintf(format, args...))
		out = append(out, wrap(text, max(width, minWidth), summaryIndent)...)
	}
	out = append(out, "")
	say("rotations", "%s in %s", thousands(uint64(s.Rotations)), s.Elapsed.Round(100*time.Millisecond))
	if s.Rotations > 0 {
		say("overshoot", "p50 %s, p99 %s, max %s of the limit of %s",
			percent(s.P50, s.Limit), percent(s.P99, s.Limit), percent(s.Max, s.Limit), s.LimitText)
	}
	out = append(out, "")
	out = append(out, s.table(width)...)
	unread := false
	for _, p := range s.Proofs {
		for _, problem := range p.Problems {
			say("PROBLEM", "%s: %s", clean(p.Name), clean(problem))
		}
		if p.Unread != "" {
			unread = true
			say("note", "%s: not all of its pruned lines were read back before: %s", clean(p.Name), clean(p.Unread))
		}
	}
	out = append(out, "")
	say("lines", "%s", s.all().figures())
	switch {
	case s.err() != nil:
		say("NOT PROVEN", "%v", ErrUnproven)
	case unread:
		say("proven", "each line on disk was found once and in order")
	default:
		say("proven", "each line was found once and in order; the pruned ones had been read back before they went")
	}
	for _, n := range s.Notes {
		say("daemon", "%s", n)
	}
	if s.MoreNotes > 0 {
		say("daemon", "and %d more", s.MoreNotes)
	}
	return out
}

// table has a line for each container; a narrow one has its figures in words.
func (s summary) table(width int) (out []string) {
	const format = "%-*s%10s  %10s  %10s  %6s  %7s  %12s"
	head := fmt.Sprintf(format, summaryIndent, "container", "written", "found", "pruned", "lost", "doubled", "out of order")
	if width < len(head) {
		for _, p := range s.Proofs {
			out = append(out, wrap(fmt.Sprintf("%-*s%s", summaryIndent, clean(p.Name), p.figures()), width, summaryIndent)...)
		}
		return out
	}
	out = append(out, head)
	for _, p := range s.Proofs {
		out = append(out, fmt.Sprintf(format, summaryIndent, fit(clean(p.Name), summaryIndent-1), thousands(p.Written), thousands(p.Found),
			thousands(p.Pruned), thousands(p.Lost), thousands(p.Doubled), thousands(p.OutOfOrder)))
	}
	return out
}

func (s summary) all() (all Proof) {
	for _, p := range s.Proofs {
		all.Written += p.Written
		all.Found += p.Found
		all.Pruned += p.Pruned
		all.Lost += p.Lost
		all.Doubled += p.Doubled
		all.OutOfOrder += p.OutOfOrder
		all.Damaged += p.Damaged
	}
	return all
}

func (p Proof) figures() string {
	text := fmt.Sprintf("written %s, found %s, pruned by policy %s, lost %s, doubled %s, out of order %s",
		thousands(p.Written), thousands(p.Found), thousands(p.Pruned), thousands(p.Lost), thousands(p.Doubled), thousands(p.OutOfOrder))
	if p.Damaged > 0 {
		text += ", damaged " + thousands(p.Damaged)
	}
	return text
}
