package demo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// clean makes text safe for a terminal: whatever is no printable ASCII comes out
// as an escape, so that a text also has as many cells as bytes.
func clean(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			quoted := strconv.QuoteToASCII(s)
			return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
		}
	}
	return s
}

// fit cuts text to a width, which shows by the last character.
func fit(s string, width int) string {
	if len(s) <= width {
		return s
	}
	if width < 2 {
		return s[:max(width, 0)]
	}
	return s[:width-1] + "~"
}

// size is a number of bytes in four digits at most: 1000Ki, 1.2Mi.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1023.5 && u < len(units)-1 {
		v /= 1024
		u++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f%ci", v, units[u])
	}
	return fmt.Sprintf("%.0f%ci", v, units[u])
}

// rate is in MB/s, decimal as disks and networks are; kB/s below one.
func rate(perSecond float64) string {
	if perSecond < 999.5e3 {
		return fmt.Sprintf("%.0fkB/s", perSecond/1e3)
	}
	return fmt.Sprintf("%.1fMB/s", perSecond/1e6)
}

func percent(n, of int64) string {
	return fmt.Sprintf("%.2f%%", share(n, of))
}

func share(n, of int64) float64 {
	if of <= 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

// thousands groups digits: 1,234,567.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// wrap breaks text between words; what follows the first line is indented.
func wrap(text string, width, indent int) (lines []string) {
	line := ""
	for i, word := range strings.SplitAfter(text, " ") {
		if i > 0 && len(strings.TrimRight(line+word, " ")) > width && len(line) > indent {
			lines = append(lines, strings.TrimRight(line, " "))
			line = strings.Repeat(" ", indent)
		}
		line += word
	}
	return append(lines, strings.TrimRight(line, " "))
}
