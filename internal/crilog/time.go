package crilog

import (
	"encoding/binary"
	"time"
)

// clock parses the times of a log, most of which are in the minute of the one
// before: parsing the time is most of the cost of parsing a line.
type clock struct {
	minute [len("2006-01-02T15:04:")]byte // as the last time had it
	zone   [len("+00:00")]byte
	zoned  int   // length of zone
	unix   int64 // Unix timestamp of the minute's begin
	loc    *time.Location
}

// read parses an RFC 3339 time as time.Time's UnmarshalText does. It reports false
// for one without a fraction of a second, and for invalid ones.
func (c *clock) read(s []byte) (t time.Time, ok bool) {
	const second, point = len(c.minute), len(c.minute) + 2
	if len(s) < point+2 || s[point] != '.' {
		return t, false
	}
	sec := two(s[second:])
	nanos, end := fraction(s, point+1)
	if sec > 59 || end == point+1 {
		return t, false
	}
	if string(s[:second]) != string(c.minute[:]) || string(s[end:]) != string(c.zone[:c.zoned]) {
		if t.UnmarshalText(s) != nil || len(s)-end > len(c.zone) {
			return t, false
		}
		copy(c.minute[:], s)
		c.zoned = copy(c.zone[:], s[end:])
		c.unix, c.loc = t.Unix()-int64(sec), t.Location()
		return t, true
	}
	return time.Unix(c.unix+int64(sec), nanos).In(c.loc), true
}

const noDigits = 128

// two reads two digits; anything else is noDigits.
func two(s []byte) int {
	tens, ones := s[0]-'0', s[1]-'0'
	if tens > 9 || ones > 9 {
		return noDigits
	}
	return int(tens)*10 + int(ones)
}

// fraction reads the digits at an offset as nanoseconds, and returns where they end;
// those after the ninth are ignored.
func fraction(s []byte, from int) (nanos int64, end int) {
	if len(s) > from+9 { // usually nine
		if n, ok := eight(s[from:]); ok && s[from+8]-'0' <= 9 && s[from+9]-'0' > 9 {
			return n*10 + int64(s[from+8]-'0'), from + 9
		}
	}
	unit := int64(1e9)
	for end = from; end < len(s) && s[end]-'0' <= 9; end++ {
		unit /= 10
		nanos += unit * int64(s[end]-'0')
	}
	return nanos, end
}

// eight reads eight digits at once: neighbors are joined to pairs, then to fours,
// then to all eight.
func eight(s []byte) (n int64, ok bool) {
	const ones = 0x0101010101010101
	v := binary.LittleEndian.Uint64(s)
	if v&(0xf0*ones) != 0x30*ones || (v+0x06*ones)&(0xf0*ones) != 0x30*ones {
		return 0, false
	}
	v = (v & (0x0f * ones)) * (10<<8 + 1) >> 8
	v = (v & 0x00ff00ff00ff00ff) * (100<<16 + 1) >> 16
	v = (v & 0x0000ffff0000ffff) * (10000<<32 + 1) >> 32
	return int64(v), true
}
