// Package telemetry holds the agent's metrics, and serves them with its health.
//
// [Metrics] counts what happens. What exists at the time of a scrape (queue lengths,
// polled logs) is read once per scrape through a function that returns a [State].
// Metrics are registered with the Registerer that [New] gets, so that two agents in
// one process share nothing.
//
// # Guarantees
//
//   - Labels are bounded: causes, results and reasons are fixed sets. Per-container
//     series exist only on request, with [Containers].
//   - Each series whose first increase matters to an alert exists from the start, at zero.
//   - Counting never blocks and is safe for concurrent use.
//
// # Blocking and shutdown
//
// [Server.Run] blocks until its context ends and requests in progress are answered,
// at most stopTimeout later.
//
// # Limitations
//
// The values of one scrape need not belong to exactly the same moment.
package telemetry
