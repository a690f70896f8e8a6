package podlogs

import (
	"slices"
	"testing"
	"time"
)

func TestParseName(t *testing.T) {
	stamp := time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)
	tests := []struct {
		in   string
		want Name // zero: foreign
	}{
		{"0.log", Name{Base: "0.log", Kind: Live}},
		{"12.log", Name{Base: "12.log", Restart: 12, Kind: Live}},
		{"00.log", Name{Base: "00.log", Kind: Live}},
		{"9223372036854775807.log", Name{Base: "9223372036854775807.log", Restart: 1<<63 - 1, Kind: Live}},
		{"0.log.20260329-023000", Name{Base: "0.log", Stamp: stamp, Kind: Rotated}},
		{"0.log.20260329-023000.gz", Name{Base: "0.log", Stamp: stamp, Kind: Gzip.Kind()}},
		{"0.log.20260329-023000.zst", Name{Base: "0.log", Stamp: stamp, Kind: Zstd.Kind()}},
		{"0.log.20260329-023000.tmp", Name{Base: "0.log", Stamp: stamp, Kind: Temp}},
		{"0.log.99981231-235959", Name{Base: "0.log", Stamp: time.Date(9998, 12, 31, 23, 59, 59, 0, time.UTC), Kind: Rotated}},
		{in: ""},
		{in: ".log"},
		{in: "0"},
		{in: "0.log.tmp"}, // conmon's
		{in: "0.log."},
		{in: "a.log"},
		{in: "-1.log"},
		{in: "9223372036854775808.log"},
		{in: "0.log\n"},
		{in: "0.log*"},
		{in: "../0.log"},
		{in: "0.log.20260329-023000.gz.tmp"},
		{in: "0.log.20260329-0230000"},
		{in: "0.log.20260230-000000"}, // no such day
		{in: "0.log.20260329-246000"},
		{in: "0.log.99990101-000000"},
		{in: "0.log.2026032-9023000"},
		{in: "0.log.20260329-023000\x00"},
		{in: "0.log.20260329-02300\xff"},
	}
	for _, tt := range tests {
		got, ok := ParseName(tt.in)
		if got != tt.want || ok != (tt.want != Name{}) {
			t.Errorf("ParseName(%q) = %+v, %v; want %+v", tt.in, got, ok, tt.want)
		}
		if IsLive(tt.in) != (tt.want.Kind == Live) {
			t.Errorf("IsLive(%q) = %v", tt.in, IsLive(tt.in))
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"0.log", "00.log", "7.log.20260101-000000", "7.log.20260101-000000.gz", "7.log.20260101-000000.zst", "7.log.20260101-000000.tmp",
		"0.log.tmp", "0.log.99991231-235959", "0.log.20260230-000000", "18446744073709551616.log", "", "0.log.\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := ParseName(s)
		if !ok {
			if n != (Name{}) {
				t.Fatalf("ParseName(%q) = %+v and false", s, n)
			}
			return
		}
		if n.String() != s {
			t.Fatalf("ParseName(%q).String() = %q", s, n.String())
		}
		if n.Compare(n) != 0 {
			t.Fatalf("%q is not equal to itself", s)
		}
		if n.Kind < Live || n.Kind > Temp || n.Stamp.Year() > maxYear || n.Kind == Live && !n.Stamp.IsZero() {
			t.Fatalf("ParseName(%q) = %+v", s, n)
		}
	})
}

// parse returns names taken apart; a test with a foreign one is wrong.
func parse(t testing.TB, names ...string) []Name {
	t.Helper()
	var parsed []Name
	for _, s := range names {
		n, ok := ParseName(s)
		if !ok {
			t.Fatalf("%q is not a log's name", s)
		}
		parsed = append(parsed, n)
	}
	return parsed
}

func TestNextName(t *testing.T) {
	at := func(s string) time.Time {
		now, err := time.Parse(StampLayout, s)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	tests := []struct {
		name  string
		taken []string
		now   string
		want  string
	}{
		{"first", []string{"0.log"}, "20260101-120000", "0.log.20260101-120000"},
		{"later", []string{"0.log.20260101-115959"}, "20260101-120000", "0.log.20260101-120000"},
		{"within one second", []string{"0.log.20260101-120000"}, "20260101-120000", "0.log.20260101-120001"},
		{"within one second, compressed", []string{"0.log.20260101-120000.gz"}, "20260101-120000", "0.log.20260101-120001"},
		{"within one second, in the making", []string{"0.log.20260101-120000.tmp"}, "20260101-120000", "0.log.20260101-120001"},
		{"clock stepped back", []string{"0.log.20260105-000000", "0.log.20260104-000000"}, "20260101-120000", "0.log.20260105-000001"},
		{"clock stepped forward", []string{"0.log.20200101-000000"}, "20260101-120000", "0.log.20260101-120000"},
		{"a stamp far ahead", []string{"0.log.29991231-235959"}, "20260101-120000", "0.log.30000101-000000"},
		{"another restart's stamp", []string{"1.log.20270101-000000"}, "20260101-120000", "0.log.20260101-120000"},
		{"the same number written otherwise", []string{"00.log.20270101-000000"}, "20260101-120000", "0.log.20260101-120000"},
		{"a stamp of the last year does not count", []string{"0.log.99980101-000000", "0.log.20260101-120000"}, "20260101-120000", "0.log.20260101-120001"},
		{"a second before the last year", []string{"0.log.99971231-235959"}, "20260101-120000", "0.log.20260101-120000"},
	}
	base := parse(t, "0.log")[0]
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := NextName(base, slices.Values(parse(t, tt.taken...)), at(tt.now)).String()
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestNextNameOrder rotates again and again, by clocks as they go wrong: names
// are unique, and sort in the order of their creation.
func TestNextNameOrder(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatalf("the tests need the zone database (Debian: tzdata): %v", err)
	}
	every := func(start time.Time, n int, step time.Duration) (clock []time.Time) {
		for i := range n {
			clock = append(clock, start.Add(time.Duration(i)*step))
		}
		return clock
	}
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, berlin)
	tests := map[string][]time.Time{
		"spring: 01:59:59 is followed by 03:00":           every(time.Date(2026, 3, 29, 0, 55, 0, 0, time.UTC).In(berlin), 600, time.Second),
		"autumn: 02:00 to 03:00 comes twice":              every(time.Date(2026, 10, 24, 23, 30, 0, 0, time.UTC).In(berlin), 3000, 3*time.Second),
		"many a second":                                   every(noon, 500, 10*time.Millisecond),
		"the clock runs backwards":                        every(noon, 500, -time.Hour),
		"forward a year, then back":                       append(every(noon, 5, time.Second), append(every(noon.AddDate(1, 0, 0), 5, time.Second), every(noon, 50, time.Minute)...)...),
		"the zone changes":                                append(every(noon.UTC(), 50, time.Second), every(noon.In(time.FixedZone("west", -12*3600)), 50, time.Second)...),
		"over the turn of the year, with a clock of 1970": append(every(time.Date(2026, 12, 31, 23, 59, 58, 0, time.UTC), 5, time.Second), time.Unix(0, 0).UTC()),
	}
	base := parse(t, "0.log")[0]
	for name, clock := range tests {
		t.Run(name, func(t *testing.T) {
			var made []Name
			for _, now := range clock {
				next := NextName(base, slices.Values(made), now)
				if back, ok := ParseName(next.String()); !ok || back != next {
					t.Fatalf("%q is read back as %+v, made as %+v", next, back, next)
				}
				if n := len(made); n > 0 && (made[n-1].Compare(next) >= 0 || made[n-1].String() >= next.String()) {
					t.Fatalf("at %s: %s does not come behind %s", now, next, made[n-1])
				}
				made = append(made, next)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	want := parse(t,
		"0.log.20260101-000000", "0.log.20260101-000000.gz", "0.log.20260101-000000.tmp", "0.log.20260102-000000", "0.log",
		"00.log.20250101-000000", "00.log", "2.log.20240101-000000", "2.log", "10.log.20230101-000000.gz", "10.log")
	for i, a := range want {
		for j, b := range want {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("Compare(%s, %s) = %d", a, b, got)
			}
		}
	}
}
