package podlogs

import (
	"iter"
	"strconv"
	"strings"
	"time"
)

// Kind says what a file in a container's log directory is.
type Kind uint8

const (
	// Live is N.log, the file that the runtime writes.
	Live Kind = iota + 1
	// Rotated is N.log.<stamp>, uncompressed.
	Rotated
	// compressed is the first codec's N.log.<stamp>.gz; the others' follow.
	compressed
	// Temp is N.log.<stamp>.tmp, a compression that was not finished.
	Temp = compressed + Kind(len(Codecs))
)

const (
	// StampLayout is kubelet's, in the host's local time.
	StampLayout = "20060102-150405"

	tempSuffix = ".tmp"

	// maxYear bounds the years that a stamp may have, so that one second
	// more always fits the layout's four digits. Nothing is rotated into it.
	maxYear = 9998
)

// endOfStamps is when maxYear ends. Comparing is cheaper than taking the year.
var endOfStamps = time.Date(maxYear+1, 1, 1, 0, 0, 0, 0, time.UTC)

// Name is a file name in a container's log directory, taken apart.
type Name struct {
	// Base is the live log's name, "N.log".
	Base string
	// Restart is N, the container's restart count.
	Restart uint64
	// Stamp is the wall-clock time in the name, held as if it were UTC: names
	// are compared as they read, whatever the zone or DST was at the time. Zero
	// for a live log.
	Stamp time.Time
	Kind  Kind
}

// String returns the file name.
func (n Name) String() string {
	suffix := ""
	switch {
	case n.Kind < Rotated || n.Kind > Temp:
		return n.Base
	case n.Kind == Temp:
		suffix = tempSuffix
	case n.Compressed():
		suffix = n.Codec().Suffix
	}
	return n.Base + "." + n.Stamp.Format(StampLayout) + suffix
}

// kindOf returns the kind of a rotated log by what follows its stamp; 0:
// foreign.
func kindOf(suffix string) Kind {
	switch suffix {
	case "":
		return Rotated
	case tempSuffix:
		return Temp
	}
	for i, c := range Codecs {
		if c.Suffix == suffix {
			return compressed + Kind(i)
		}
	}
	return 0
}

// As returns the name of the same generation's file of another kind.
func (n Name) As(k Kind) Name {
	n.Kind = k
	return n
}

// Compressed reports whether the name is that of a compressed log.
func (n Name) Compressed() bool { return n.Kind >= compressed && n.Kind < Temp }

// Codec returns what the log is compressed with; nil if it is not.
func (n Name) Codec() *Codec {
	if !n.Compressed() {
		return nil
	}
	return Codecs[n.Kind-compressed]
}

// Kinds returns the kinds that the logs of n's generation may have, the source
// first. A compressed log exists before its source is removed, so trying them in
// this order misses none.
func (n Name) Kinds() []Kind {
	if n.Kind == Live {
		return []Kind{Live}
	}
	kinds := make([]Kind, 0, Temp-Rotated)
	for k := Rotated; k < Temp; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// SameGeneration reports whether two names belong to the same rotation.
func (n Name) SameGeneration(o Name) bool { return n.Base == o.Base && n.Stamp.Equal(o.Stamp) }

// Compare orders names from the oldest generation to the newest: by restart
// count, then by stamp. A live log comes behind its rotated ones.
func (n Name) Compare(o Name) int {
	switch {
	case n.Restart != o.Restart:
		if n.Restart < o.Restart {
			return -1
		}
		return 1
	case n.Base != o.Base: // 0.log and 00.log
		return strings.Compare(n.Base, o.Base)
	case (n.Kind == Live) != (o.Kind == Live):
		if o.Kind == Live {
			return -1
		}
		return 1
	}
	if c := n.Stamp.Compare(o.Stamp); c != 0 {
		return c
	}
	return int(n.Kind) - int(o.Kind)
}

// ParseName takes a file name apart. It reports false for a foreign name: one
// that neither the runtime nor a rotator with kubelet's naming makes.
func ParseName(s string) (Name, bool) {
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	restart, err := strconv.ParseUint(s[:digits], 10, 63)
	if err != nil { // no digits, or more than a restart count has
		return Name{}, false
	}
	rest, ok := strings.CutPrefix(s[digits:], ".log")
	if !ok {
		return Name{}, false
	}
	n := Name{Base: s[:digits+len(".log")], Restart: restart, Kind: Live}
	if rest == "" {
		return n, true
	}
	if rest[0] != '.' || len(rest) < 1+len(StampLayout) {
		return Name{}, false
	}
	stamp, suffix := rest[1:1+len(StampLayout)], rest[1+len(StampLayout):]
	if n.Kind = kindOf(suffix); n.Kind == 0 {
		return Name{}, false
	}
	n.Stamp, err = time.Parse(StampLayout, stamp)
	if err != nil || !n.Stamp.Before(endOfStamps) {
		return Name{}, false
	}
	return n, true
}

// IsLive reports whether s names a live log, N.log.
func IsLive(s string) bool {
	n, ok := ParseName(s)
	return ok && n.Kind == Live
}

// NextName returns the name to which base is rotated now: later than every
// stamp that base already has, over DST, clock steps and two rotations within a
// second. taken are the names in the directory.
//
// Stamps of the last year are not counted: another program left them there, and
// nothing can come behind them. A second before that year, all there is left is
// the time; should that name be taken, the rename fails, and not a second later.
func NextName(base Name, taken iter.Seq[Name], now time.Time) Name {
	next := base.As(Rotated)
	next.Stamp = WallClock(now)
	newest := next.Stamp.Add(-time.Second)
	for t := range taken {
		if t.Base == base.Base && t.Kind != Live && t.Stamp.Year() < maxYear && t.Stamp.After(newest) {
			newest = t.Stamp
		}
	}
	if n := newest.Add(time.Second); n.Year() < maxYear {
		next.Stamp = n
	}
	return next
}

// WallClock returns what a clock shows at t, to the second, as if it were UTC.
func WallClock(t time.Time) time.Time {
	y, mo, d := t.Date()
	h, mi, s := t.Clock()
	return time.Date(y, mo, d, h, mi, s, 0, time.UTC)
}
