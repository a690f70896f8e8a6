package dispatch

import "github.com/logwatch/logwatch/watcher"

// cause is what a rotation's cause means for the path.
type cause struct {
	watcher.Cause
	// bySize: the log is past its limit, so that its overshoot is measured.
	bySize bool
	// bySweep: a sweep found it, rather than an event.
	bySweep bool
	// waits: the rotation waits for the log's readers.
	waits bool
}

// causes is the table of all causes, the weakest first: when several want the same
// log rotated, the strongest one is logged and counted.
var causes = []cause{
	{Cause: watcher.CauseRetry, bySize: true, waits: true},
	{Cause: watcher.CauseWrite, bySize: true, waits: true},
	{Cause: watcher.CauseSweep, bySize: true, bySweep: true, waits: true},
	{Cause: watcher.CauseReload, bySize: true, bySweep: true, waits: true},
	{Cause: watcher.CauseOverflow, bySize: true, bySweep: true, waits: true},
	{Cause: watcher.CauseStartup, bySize: true, bySweep: true, waits: true},
	{Cause: watcher.CauseAge, waits: true},
	{Cause: watcher.CausePressure},
	{Cause: watcher.CauseMissing, bySweep: true},
	{Cause: watcher.CauseOperator},
}

// rank returns a cause's place in the table, and its row; -1 for one that is not in
// it.
func rank(c watcher.Cause) (int, cause) {
	for i, row := range causes {
		if row.Cause == c {
			return i, row
		}
	}
	return -1, cause{Cause: c}
}

func bySize(c watcher.Cause) bool {
	_, row := rank(c)
	return row.bySize
}

func bySweep(c watcher.Cause) bool {
	_, row := rank(c)
	return row.bySweep
}

// Causes returns the names of all causes, for metrics that exist from the start.
func Causes() (names []string) {
	for _, row := range causes {
		names = append(names, string(row.Cause))
	}
	return names
}
