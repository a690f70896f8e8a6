package display

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var units = []string{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}

// Bytes is a number of bytes in few characters: 512, 9.8Mi, 104Mi.
func Bytes(bytes int64) string {
	if bytes < 0 && bytes > math.MinInt64 {
		return "-" + Bytes(-bytes)
	}
	if bytes < 1000 {
		return strconv.FormatInt(bytes, 10)
	}
	v, unit := float64(bytes), -1
	for v >= 1000 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	if v < 9.95 {
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + units[unit]
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + units[unit]
}

// Age is a time in few characters: 3s, 5m, 2h, 14d.
func Age(d time.Duration) string {
	switch d = max(0, d); {
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}

// PerSecond is a rate in bytes a second, such as 2.1Mi/s.
func PerSecond(rate float64) string { return Bytes(int64(min(rate, 1<<62))) + "/s" }

// Took is a duration in seconds with two digits: 0.38ms, 12ms, 3.1s.
func Took(seconds float64) string {
	unit := "s"
	if seconds < 1 {
		seconds, unit = 1000*seconds, "ms"
	}
	if seconds >= 10 {
		seconds = math.Round(seconds)
	}
	return strconv.FormatFloat(seconds, 'g', max(2, len(strconv.Itoa(int(seconds)))), 64) + unit
}

// Plural is a number of things: 1 log, 2 logs.
func Plural[N int | int64 | uint64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
