package crilog

import "cmp"

// MaxJoined is the length, in bytes, at which a Joiner returns a line that has not
// ended: a container may never write a newline, and memory is bounded.
const MaxJoined = 16 << 20

// Joiner joins lines that the runtime cut into parts. The zero value is
// ready. Feed it the files of one container, oldest first.
type Joiner struct {
	// Limit is used instead of MaxJoined; 0: MaxJoined.
	Limit int

	stdout, stderr pending
}

type pending struct {
	text []byte
	done bool // text was returned by the last Add: the next starts a line
}

// Add takes the next record and returns the whole line when this was its last
// part. The content is valid until the next Add, and no longer than l's if the
// line was not cut.
func (j *Joiner) Add(l Line) (content []byte, whole bool) {
	p := j.of(l.Stream)
	if p.done {
		p.text, p.done = p.text[:0], false
	}
	if !l.Partial && len(p.text) == 0 {
		return l.Content, true
	}
	p.text = append(p.text, l.Content...)
	p.done = !l.Partial || len(p.text) >= cmp.Or(j.Limit, MaxJoined)
	if !p.done {
		return nil, false
	}
	return p.text, true
}

func (j *Joiner) of(stream string) *pending {
	if stream == Stderr {
		return &j.stderr
	}
	return &j.stdout
}

// Begun reports whether a stream's next record continues a line.
func (j *Joiner) Begun(stream string) bool {
	p := j.of(stream)
	return !p.done && len(p.text) > 0
}

// Take removes and returns the parts of a stream's line that has not ended. They are
// valid until the next Add.
func (j *Joiner) Take(stream string) []byte {
	p := j.of(stream)
	if p.done {
		return nil
	}
	p.done = true
	return p.text
}

// Rest returns the lines that have not ended, at most one a stream. At the end of a
// log there is one if the container ended without a newline, or is within a line.
func (j *Joiner) Rest() (lines [][]byte) {
	for _, p := range []*pending{&j.stdout, &j.stderr} {
		if !p.done && len(p.text) > 0 {
			lines = append(lines, p.text)
		}
	}
	return lines
}
