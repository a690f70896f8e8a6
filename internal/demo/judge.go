package demo

import (
	"fmt"
	"maps"
)

// Proof is what became of a container's lines.
// Written = Found + Pruned + Lost.
type Proof struct {
	Name string
	// Written is what the container says that it wrote.
	Written uint64
	// Found are the lines on disk, each counted once.
	Found uint64
	// Pruned are the lines in logs that were pruned by policy.
	Pruned                             uint64
	Lost, Doubled, OutOfOrder, Damaged uint64
	// Unread is why pruned lines were not all read back before; "": they were.
	Unread string
	// Problems say what is wrong.
	Problems []string
}

// OK reports whether each line is accounted for.
func (p Proof) OK() bool {
	return len(p.Problems) == 0 && p.Lost+p.Doubled+p.OutOfOrder+p.Damaged == 0 && p.Written == p.Found+p.Pruned
}

// judge compares what was written with what is on disk and what was read back.
//
// A line was pruned if it was read back from a log that is gone now. Where the
// reading back was given up, what is missing before a stream's first line on disk
// counts as pruned, as the policy has it.
func judge(name string, written map[string]uint64, disk checked, read readResult) Proof {
	p := Proof{Name: name}
	wrong := func(what string, err error) { p.Problems = append(p.Problems, fmt.Sprintf("%s: %v", what, err)) }
	readAll := read.gaveUp == nil && read.Err == nil
	kept := read.on(disk.Names)
	want := maps.Clone(written) // by stream, on disk
	for stream, n := range written {
		s := disk.Streams[stream]
		found := s.Lines - s.Doubled
		p.Written += n
		p.Found += found
		switch k := kept[stream] - min(kept[stream], disk.Fragments[stream]); {
		case readAll:
			p.Pruned += n - min(n, k)
			p.Lost += k - min(k, found)
			if found == 0 && k == 0 { // even the newest log was pruned: by its size
				delete(want, stream)
			}
			if found > k {
				wrong("on disk", fmt.Errorf("%s: %d lines that had not been there before", stream, found-k))
			}
		case found == 0 && read.gaveUp != nil:
			p.Pruned += n
			delete(want, stream)
		default:
			p.Pruned += max(s.First, 1) - 1
			p.Lost += s.Missing + n - min(s.Last, n)
		}
	}
	p.faults(disk)
	if disk.Err != nil {
		wrong("on disk", disk.Err)
	}
	if err := disk.OK(want); err != nil {
		wrong("on disk", err)
	}
	switch {
	case read.Err != nil:
		wrong("read back", read.Err)
	case read.gaveUp != nil:
		p.Unread = read.gaveUp.Error()
	default:
		p.readBack(written, read.checked)
	}
	return p
}

// faults takes over what is worse in c than was known. The same line may be
// doubled on disk and when read back, so the figures are not added up.
func (p *Proof) faults(c checked) {
	var doubled, disorder, damaged uint64
	for _, s := range c.Streams {
		doubled += s.Doubled
		disorder += s.OutOfOrder
		damaged += s.Corrupt
	}
	p.Doubled, p.OutOfOrder, p.Damaged = max(p.Doubled, doubled), max(p.OutOfOrder, disorder), max(p.Damaged, damaged)
}

// readBack judges what was read from every log that there was: nothing may be
// missing, at the front neither. What is was not pruned.
func (p *Proof) readBack(written map[string]uint64, c checked) {
	lost := uint64(0)
	for stream, n := range written {
		s := c.Streams[stream]
		lost += s.Missing + max(s.First, 1) - 1 + n - min(s.Last, n)
	}
	p.faults(c)
	p.Lost += lost
	p.Pruned -= min(p.Pruned, lost)
	if err := c.OK(written); err != nil {
		p.Problems = append(p.Problems, fmt.Sprintf("read back: %v", err))
	} else if lost > 0 {
		p.Problems = append(p.Problems, fmt.Sprintf("read back: %d lost at the front", lost))
	}
}
