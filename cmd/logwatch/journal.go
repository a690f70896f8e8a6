package main

import (
	"fmt"
	"io"

	"github.com/rs/zerolog"
)

// journal marks lines with their priority, as journald reads it from what a
// service writes (sd-daemon(3)): `journalctl -p warning` then finds them. journald
// removes the mark.
type journal struct{ io.Writer }

// priorities are syslog's, of levels; all others are debug.
var priorities = map[zerolog.Level]int{
	zerolog.PanicLevel: 2, zerolog.FatalLevel: 2, zerolog.ErrorLevel: 3, zerolog.WarnLevel: 4, zerolog.InfoLevel: 6,
}

// WriteLevel implements zerolog.LevelWriter.
func (j journal) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	priority, ok := priorities[level]
	if !ok {
		priority = 7
	}
	// In one write: those of other goroutines must not come in between.
	if _, err := j.Write(fmt.Appendf(nil, "<%d>%s", priority, line)); err != nil {
		return 0, err
	}
	return len(line), nil
}
