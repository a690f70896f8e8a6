package pressure

import (
	"math"
	"slices"
	"testing"
)

func TestNeed(t *testing.T) {
	const gib = 1 << 30
	disk := func(percent int64) Disk { return Disk{Bytes: 100 * gib, BytesFree: (100 - percent) * gib} }
	percent := Limits{HighPercent: 80, LowPercent: 70}
	for _, c := range []struct {
		name   string
		limits Limits
		usage  int64
		disk   Disk
		was    Over
		need   Need
		over   Over
	}{
		{"off", Limits{}, gib, disk(99), Over{true, true, true}, Need{}, Over{}},
		{"within the budget", Limits{NodeLogBudget: gib}, gib, Disk{}, Over{}, Need{}, Over{}},
		{"over the budget", Limits{NodeLogBudget: 1000}, 1001, Disk{}, Over{}, Need{Bytes: 51}, Over{Budget: true}},
		{"on the way down", Limits{NodeLogBudget: 1000}, 980, Disk{}, Over{Budget: true}, Need{Bytes: 30}, Over{Budget: true}},
		{"down", Limits{NodeLogBudget: 1000}, 950, Disk{}, Over{Budget: true}, Need{}, Over{}},
		{"a budget of one byte", Limits{NodeLogBudget: 1}, 1, Disk{}, Over{}, Need{}, Over{}},
		{"at high", percent, 0, disk(80), Over{}, Need{}, Over{}},
		{"over high", percent, 0, disk(81), Over{}, Need{Bytes: 11 * gib}, Over{Bytes: true}},
		{"between, coming up", percent, 0, disk(75), Over{}, Need{}, Over{}},
		{"between, going down", percent, 0, disk(75), Over{Bytes: true}, Need{Bytes: 5 * gib}, Over{Bytes: true}},
		{"at low", percent, 0, disk(70), Over{Bytes: true}, Need{}, Over{}},
		{"no low", Limits{HighPercent: 80}, 0, disk(81), Over{}, Need{Bytes: gib}, Over{Bytes: true}},
		{"low above high", Limits{HighPercent: 80, LowPercent: 90}, 0, disk(81), Over{}, Need{Bytes: gib}, Over{Bytes: true}},
		{"the larger need", Limits{NodeLogBudget: gib, HighPercent: 80, LowPercent: 70}, 2 * gib, disk(81), Over{}, Need{Bytes: 11 * gib}, Over{Budget: true, Bytes: true}},
		{"inodes", Limits{InodesHighPercent: 90, InodesLowPercent: 80}, 0, Disk{Inodes: 1000, InodesFree: 50}, Over{}, Need{Inodes: 150}, Over{Inodes: true}},
		{"a file system without inodes", Limits{InodesHighPercent: 90}, 0, Disk{}, Over{Inodes: true}, Need{}, Over{}},
		{"more free than there is", percent, 0, Disk{Bytes: 10, BytesFree: 20}, Over{}, Need{}, Over{}},
		{"the largest disk", percent, 0, Disk{Bytes: math.MaxInt64}, Over{}, Need{Bytes: math.MaxInt64 - math.MaxInt64/100*70 - 4}, Over{Bytes: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			need, over := c.limits.Need(c.usage, c.disk, c.was)
			if need != c.need || over != c.over {
				t.Errorf("Need = %+v, %+v; want %+v, %+v", need, over, c.need, c.over)
			}
		})
	}
}

func TestOverStrings(t *testing.T) {
	if got := (Over{}).Strings(); got != nil || (Over{}).Any() {
		t.Errorf("nothing is over: %q", got)
	}
	want := []string{"nodeLogBudget", "diskPressure", "diskPressure inodes"}
	if got := (Over{true, true, true}).Strings(); !slices.Equal(got, want) {
		t.Errorf("Strings = %q, want %q", got, want)
	}
}
