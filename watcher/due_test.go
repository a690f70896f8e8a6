package watcher

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	const interval = 10 * time.Second
	limits := Limits{MaxSize: 100, MaxTotalSize: 1000, MinInterval: interval}
	noTotal := Limits{MaxSize: 100, MinInterval: interval}
	for _, test := range []struct {
		name       string
		limits     Limits
		size, rest int64
		since      time.Duration
		due        bool
		wait       time.Duration
		headroom   int64
	}{
		{"empty", limits, 0, 0, interval, false, 0, 100},
		{"one byte below", limits, 99, 0, interval, false, 0, 1},
		{"at the limit", limits, 100, 0, interval, true, 0, 0},
		{"below, whatever the total", limits, 99, 5000, interval, false, 0, 1},
		{"held back", limits, 100, 0, interval - 1, false, 1, 400},
		{"held back, near the total", limits, 100, 890, 0, false, interval, 10},
		{"total reached", limits, 100, 900, 0, true, interval, 0},
		{"one byte below half of the total", limits, 499, 0, 0, false, interval, 1},
		{"half of the total", limits, 500, 0, 0, true, interval, 0},
		{"held back with no total", noTotal, 1 << 40, 1 << 40, 0, false, interval, 0},
		{"no interval", Limits{MaxSize: 100}, 100, 0, 0, true, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			due, wait, headroom := test.limits.judge(test.size, test.rest, test.since)
			if due != test.due || wait != test.wait || !due && headroom != test.headroom {
				t.Errorf("judge = %t, %v, %d, want %t, %v, %d", due, wait, headroom, test.due, test.wait, test.headroom)
			}
		})
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(int64(10<<20), int64(50<<20), int64(time.Second), int64(0), int64(0), int64(0))
	f.Add(int64(10<<20), int64(50<<20), int64(time.Second), int64(10<<20), int64(40<<20), int64(1))
	f.Add(int64(10<<20), int64(50<<20), int64(time.Second), int64(25<<20), int64(0), int64(1))
	f.Add(int64(1), int64(1), int64(1), int64(1), int64(0), int64(0))
	f.Add(int64(1), int64(0), int64(0), int64(0), int64(1), int64(1))
	f.Add(int64(100), int64(99), int64(5), int64(100), int64(0), int64(4))
	f.Fuzz(func(t *testing.T, maxSize, total, interval, size, rest, since int64) {
		const most = 1 << 60 // bytes and ns: more than there are, and sums fit
		for _, v := range []int64{maxSize, total, interval, size, rest, since} {
			if v < 0 || v > most {
				t.Skip()
			}
		}
		if maxSize == 0 {
			t.Skip("rotation is off: judge is not asked")
		}
		l := Limits{MaxSize: maxSize, MaxTotalSize: total, MinInterval: time.Duration(interval)}
		due, wait, headroom := l.judge(size, rest, time.Duration(since))
		switch {
		case due:
			if size < maxSize {
				t.Fatalf("due at %d of %d bytes", size, maxSize)
			}
			if since < interval && (total == 0 || size+rest < total && size < total/2) {
				t.Fatalf("due %d ns after the last rotation, for no reason", since)
			}
			return
		case wait < 0 || headroom < 0:
			t.Fatalf("wait %d, headroom %d", wait, headroom)
		case wait == 0 && headroom == 0:
			t.Fatal("never due, neither by time nor by size")
		case size >= maxSize && since >= interval:
			t.Fatal("at its limit, not held back, and not due")
		case size >= maxSize && total > 0 && size+rest >= total:
			t.Fatal("not due, though the total is reached")
		}
		if wait > 0 {
			if due, _, _ := l.judge(size, rest, time.Duration(since)+wait); !due {
				t.Fatalf("not due after waiting %d", wait)
			}
		}
		if headroom > 0 {
			if due, _, _ := l.judge(size+headroom-1, rest, time.Duration(since)); due {
				t.Fatalf("due with %d bytes more, headroom was %d", headroom-1, headroom)
			}
			due, wait, _ := l.judge(size+headroom, rest, time.Duration(since))
			if !due && (size >= maxSize || wait == 0) {
				t.Fatalf("not due with %d bytes more, as the headroom was", headroom)
			}
		}
	})
}
