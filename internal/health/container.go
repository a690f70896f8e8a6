package health

import (
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

// Kinds of Findings, the worst first.
const (
	Failing    = "failing"    // a rotation or housekeeping failed
	Skipped    = "skipped"    // the log is not rotated
	Annotation = "annotation" // one was ignored or capped
)

// Finding is what is wrong with a container's log.
type Finding struct {
	Kind  string    `json:"kind"`
	Text  string    `json:"text"`
	Since time.Time `json:"since,omitzero"` // zero: unknown
}

// String returns the text, with its kind unless it is an error.
func (f Finding) String() string {
	if f.Kind == Failing {
		return f.Text
	}
	return f.Kind + ": " + f.Text
}

// Container returns what is wrong with a container's log, the worst first.
func Container(c api.Container) (all []Finding) {
	if e := c.LastError; e != nil {
		all = append(all, Finding{Failing, e.Text, e.Time})
	}
	if c.Skipped != "" {
		all = append(all, Finding{Kind: Skipped, Text: c.Skipped})
	}
	for _, r := range c.Rejected {
		all = append(all, Finding{Kind: Annotation, Text: r.Annotation + "=" + r.Value + ": " + r.Reason})
	}
	return all
}

// State returns the kind of the worst finding, or else how the log is tracked: off
// (without a limit), polled or watched.
func State(c api.Container) string {
	switch all := Container(c); {
	case len(all) > 0:
		return all[0].Kind
	case c.Limit <= 0:
		return "off"
	case c.Polled:
		return "polled"
	}
	return "watched"
}
