// Package agent wires the parts together: start, sweep, reload and stop. The path of
// an event is package dispatch's.
//
// # Guarantees
//
//   - Nothing is touched before the runtime has answered once.
//   - One logwatch per podLogsDir: a second one does not start.
//   - Clients (metrics, health, the control socket) hold up neither the rotations
//     nor the watcher; a port or a socket that is not available stops nothing.
//   - A reload puts a whole configuration into effect or none. A changed file is
//     loaded once it is stable, at a sweep; SIGHUP and the control socket reload at
//     once.
//
// # Blocking and shutdown
//
// Run blocks until its context ends. It then stops the loops, drops what is queued,
// waits for the rotations in progress and ends compressions half way (the next start
// does them again). It takes at most shutdownTimeout.
package agent
