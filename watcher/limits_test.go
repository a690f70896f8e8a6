package watcher

import (
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	const interval = 10 * time.Second
	limits := Limits{MaxSize: 100, MaxTotalSize: 1000, MinInterval: interval}
	noTotal := Limits{MaxSize: 100, MinInterval: interval}
	small := Limits{MaxSize: 100, MaxTotalSize: 150}
	for _, test := range []struct {
		name        string
		limits      Limits
		size, other int64
		since       time.Duration
		want        decision
	}{
		{"empty", limits, 0, 0, interval, decision{headroom: 100}},
		{"one byte below", limits, 99, 0, interval, decision{headroom: 1}},
		{"at the limit", limits, 100, 0, interval, decision{due: true, target: 100, headroom: 900}},
		{"below, and the total is near", limits, 50, 940, interval, decision{headroom: 10}},
		{"below, and the total is reached", limits, 99, 901, interval, decision{full: true, headroom: 1}},
		{"held back", limits, 100, 0, interval - 1, decision{wait: 1, headroom: 400}},
		{"held back, near the total", limits, 100, 890, 0, decision{wait: interval, headroom: 10}},
		{"held back, total reached", limits, 100, 900, 0, decision{wait: interval, full: true, headroom: 400}},
		{"one byte below half of the total", limits, 499, 0, 0, decision{wait: interval, headroom: 1}},
		{"half of the total", limits, 500, 0, 0, decision{due: true, target: 500, wait: interval, headroom: 500}},
		{"held back with no total", noTotal, 1 << 40, 1 << 40, 0, decision{wait: interval}},
		{"no interval", Limits{MaxSize: 100}, 100, 0, 0, decision{due: true, target: 100}},
		{"total below twice the limit", small, 74, 0, 0, decision{headroom: 1}},
		{"half of a total below twice the limit", small, 75, 0, 0, decision{due: true, target: 75, headroom: 75}},
		{"off, and the total is near", Limits{MaxTotalSize: 100}, 50, 40, 0, decision{headroom: 10}},
		{"off, and the total is reached", Limits{MaxTotalSize: 100}, 50, 50, 0, decision{full: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.limits.decide(test.size, test.other, test.since, speed{}); got != test.want {
				t.Errorf("decide = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	for l, want := range map[Limits]int64{
		{}:                                 0,
		{MaxSize: -1, MaxTotalSize: 10}:    0,
		{MaxSize: 10}:                      10,
		{MaxSize: 10, MaxTotalSize: 20}:    10,
		{MaxSize: 10, MaxTotalSize: 19}:    9,
		{MaxSize: 10, MaxTotalSize: 1}:     1, // 0 would turn rotation off
		{MaxSize: 10, MaxTotalSize: 1_000}: 10,
	} {
		if got := l.limit(); got != want {
			t.Errorf("%+v: limit %d, want %d", l, got, want)
		}
	}
}

func TestLead(t *testing.T) {
	fast := Limits{MaxSize: 1000, MaxTotalSize: 5000, Reaction: Reaction{Median: time.Second, High: 2 * time.Second}}
	tail := fast
	tail.Reaction.Median = 0
	paced := Limits{MaxSize: 1000, MaxTotalSize: 5000, MinInterval: time.Minute, Reaction: fast.Reaction}
	pacedOnly := Limits{MaxSize: 1000, MinInterval: time.Minute, Reaction: fast.Reaction}
	for _, test := range []struct {
		name        string
		limits      Limits
		size, other int64
		since       time.Duration
		rate        float64
		want        decision
	}{
		{"slow", fast, 999, 0, 0, 0.25, decision{headroom: 1}},
		{"one byte before it", fast, 799, 0, 0, 100, decision{headroom: 1}},
		{"at it", fast, 800, 0, 0, 100, decision{due: true, target: 1000, lead: 200, headroom: 4000}},
		{"long times are rare", tail, 666, 0, 0, 1000, decision{headroom: 1}},
		{"long times are usual", fast, 166, 0, 0, 500, decision{headroom: 1}},
		{"faster than can be kept", fast, 31, 0, 0, 1e12, decision{headroom: 1}},
		{"of the total", fast, 0, 4799, 0, 100, decision{headroom: 1}},
		{"of the total, reached", fast, 0, 4800, 0, 100, decision{full: true, headroom: 800}},
		{
			"of half of the total",
			paced,
			2200, 0, 0, 100,
			decision{due: true, target: 2400, wait: time.Minute, headroom: 2600},
		},
		{"past it", fast, 1500, 0, 0, 100, decision{due: true, target: 1000, lead: 200, headroom: 3300}},
		{"held back, until a gap", paced, 1500, 0, time.Minute, 100, decision{due: true, target: 1700, lead: 200, headroom: 3300}},
		{"held back, until half of the total", paced, 2399, 0, time.Minute, 100, decision{due: true, target: 2400, lead: 200, headroom: 2401}},
		{"held back, with no total", pacedOnly, 2399, 0, time.Minute, 100, decision{due: true, target: 2599, lead: 200}},
		{
			"of half of a small total",
			Limits{MaxSize: 1000, MaxTotalSize: 2000, Reaction: fast.Reaction},
			700, 0, 0, 100,
			decision{due: true, target: 900, lead: 300, headroom: 1100},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.limits.decide(test.size, test.other, test.since, speed{test.rate, test.rate}); got != test.want {
				t.Errorf("decide = %+v, want %+v", got, test.want)
			}
		})
	}
}

func FuzzDecide(f *testing.F) {
	f.Add(int64(10<<20), int64(50<<20), int64(time.Second), int64(0), int64(0), int64(0), 1e6)
	f.Add(int64(10<<20), int64(50<<20), int64(time.Second), int64(10<<20), int64(40<<20), int64(1), 1e6)
	f.Add(int64(10<<20), int64(50<<20), int64(time.Second), int64(25<<20), int64(0), int64(1), 1e6)
	f.Add(int64(1), int64(1), int64(1), int64(1), int64(0), int64(0), 1e6)
	f.Add(int64(1), int64(0), int64(0), int64(0), int64(1), int64(1), 1e6)
	f.Add(int64(100), int64(99), int64(5), int64(100), int64(0), int64(4), 1e6)
	f.Fuzz(func(t *testing.T, maxSize, total, interval, size, other, since int64, rate float64) {
		const most = 1 << 60 // bytes and ns: more than there are, and sums fit
		for _, v := range []int64{maxSize, total, interval, size, other, since} {
			if v < 0 || v > most {
				t.Skip()
			}
		}
		if !(rate >= 0 && rate <= most) {
			t.Skip()
		}
		l := Limits{MaxSize: maxSize, MaxTotalSize: total, MinInterval: time.Duration(interval)}
		l.Reaction = Reaction{time.Millisecond, time.Second}
		d := l.decide(size, other, time.Duration(since), speed{rate / 2, rate})
		switch limit := l.limit(); {
		case d.full != (total > 0 && size+other >= l.total(speed{rate / 2, rate})):
			t.Fatalf("full = %t", d.full)
		case d.due && (limit == 0 || total == 0 && size < limit/32 || size < limit/64):
			t.Fatalf("due at %d of %d bytes", size, limit)
		case d.due && since < interval && (total == 0 || size < total/2/64):
			t.Fatalf("due %d ns after the last rotation, for no reason", since)
		case d.wait < 0 || d.headroom < 0:
			t.Fatalf("%+v", d)
		case !d.due && d.wait == 0 && d.headroom == 0 && limit > 0:
			t.Fatal("never due, neither by time nor by size")
		case !d.due && limit > 0 && size >= limit && since >= interval:
			t.Fatal("at its limit, not held back, and not due")
		}
		if d.wait > 0 && !l.decide(size, other, time.Duration(since)+d.wait, speed{rate / 2, rate}).due {
			t.Fatalf("not due after waiting %d", d.wait)
		}
		if d.headroom > 0 {
			just := l.decide(size+d.headroom-1, other, time.Duration(since), speed{rate / 2, rate})
			after := l.decide(size+d.headroom, other, time.Duration(since), speed{rate / 2, rate})
			if just.due != d.due || just.full != d.full || just.wait != d.wait {
				t.Fatalf("%+v became %+v within its headroom", d, just)
			}
			if !d.due && after.due == d.due && after.full == d.full && after.wait == d.wait {
				t.Fatalf("%+v did not change after its headroom", d)
			}
		}
	})
}
