// Package metrics has the daemon's metrics, and the HTTP server that shows them
// with the daemon's health.
//
// [Metrics] counts what happens; what merely is so at the time of a scrape (a
// queue's length, the hot logs) is asked for then, once a scrape, through [State].
// Everything is registered with the Registerer that New gets: two daemons in one
// process have nothing in common.
//
// # Guarantees
//
//   - Labels are bounded: causes, results and reasons are fixed sets. Series for
//     each container are there only when they were asked for.
//   - Counting never blocks, and may be done from any goroutine.
//   - A server that cannot listen says so once, and tries again; nothing else in
//     the daemon waits for it, or fails with it.
//
// # Blocking and shutdown
//
// [Server.Run] blocks until its context ends, and takes stopTimeout more for
// answers under way; no goroutine is left when it returns. A client that is slow
// loses its connection after writeTimeout.
//
// # Not promised
//
// That values which are read at a scrape belong to exactly the same moment.
package telemetry
