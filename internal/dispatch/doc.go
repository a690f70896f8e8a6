// Package dispatch is the path of an event: from "look at this container's
// directory" to the rotated, pruned and compressed log.
//
// A key is a container's log directory, relative to podLogsDir. All that is known
// and wanted of one directory is held in one place ([container]). Causes are merged
// there; the queues carry keys only, and a run decides from what is there now: the
// disk, the runtime's answer, the policy.
//
// # Queues
//
//   - rotate: renames and reopens. Calls to the runtime that take long give their
//     worker up, so that containers that hang do not starve the others.
//   - prune: removes what the policy, the node's budget or an operator does not
//     keep. It never waits for a compression.
//   - compress: slow and never urgent.
//   - lookup: asks the runtime for containers that are not known yet.
//
// # Guarantees
//
//   - At most one rotation of a directory at a time, and at most one compression.
//   - The sweep ([Dispatcher.Sweep]) finds every running container whose live log
//     is missing, too old, or at its limit, with no memory that could suppress it.
//   - A failed request delays the next request for that container, never the
//     observation of its log. Delays begin at a second, double, and end at a minute.
//   - After a reopen that the runtime did not answer, the next one for that
//     container is sent ten seconds later at the earliest, whatever the cause.
//   - Nothing is pruned or compressed until the container's policy is known.
//   - What an error leads to (retry, log message, metric, operator's answer) is one
//     row of one table: outcomes.
//
// # Blocking and shutdown
//
// Due, Changed, Sweep and the methods that report state do not wait for the
// runtime. Stop drops queued work, which the next start finds again, and waits for
// the work in progress for as long as its context allows.
//
// # Limitations
//
// The state that is shown (rates, last errors) is lost at a restart. Nothing that
// rotation depends on is.
package dispatch
