package crilog

import "cmp"

// MaxJoined is the length at which a Joiner hands out a line though its end has
// not come, in bytes. A container that never writes a newline makes partial
// records for ever; memory must not grow with them.
const MaxJoined = 16 << 20

// Joiner puts lines together that the runtime cut into parts. The zero value is
// ready. Feed it the files of one container, oldest first.
type Joiner struct {
	// Limit is used instead of MaxJoined; 0: MaxJoined.
	Limit int

	stdout, stderr pending
}

type pending struct {
	text []byte
	done bool // text was handed out by the last Add and starts anew
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

// Begun reports whether a stream's next record goes on with a line that has begun.
func (j *Joiner) Begun(stream string) bool {
	p := j.of(stream)
	return !p.done && len(p.text) > 0
}

// Take returns what there is of a stream's line whose end has not come, and
// forgets it. It is valid until the next Add.
func (j *Joiner) Take(stream string) []byte {
	p := j.of(stream)
	if p.done {
		return nil
	}
	p.done = true
	return p.text
}

// Rest returns the lines whose end has not come, one a stream at most. At the
// end of a log there is one when the container ended without a newline, or is
// in the middle of a line.
func (j *Joiner) Rest() (lines [][]byte) {
	for _, p := range []*pending{&j.stdout, &j.stderr} {
		if !p.done && len(p.text) > 0 {
			lines = append(lines, p.text)
		}
	}
	return lines
}
