// Package demo shows logwatch at work: an embedded runtime with a few bursty
// containers in a temporary folder, the real daemon beside it, and a view of
// what happens to each log.
//
// # Guarantees
//
//   - Each rotated log is read back once, from a file descriptor taken before
//     housekeeping may prune it, as a log shipper would read it; what is on disk
//     at the end is read too. A line that is missing, doubled, out of order or
//     damaged in either makes Run fail. A line counts as pruned only if it was
//     read back before, or if the proof says that it could not be.
//   - lines written = lines found on disk + lines pruned + lines lost.
//   - The folder is removed however Run ends, a panic in the view included,
//     unless it is to be kept. What it holds is bounded by the policy.
//   - Nothing that is shown holds a control character but the view's own, and the
//     cursor is hidden only within one write: killed at any time, the terminal
//     is left usable.
//
// # Blocking and shutdown
//
// Run blocks until its context or its duration ends, then stops the containers,
// the daemon and the runtime, in this order, and counts the lines. The view runs
// in Run's own goroutine; each log's reader ends before the lines are counted.
//
// # Not promised
//
// A demo that is killed at once (SIGKILL, a second Ctrl-C) leaves its folder
// behind. CPU figures include the containers that write. A machine so slow that
// rotated logs are pruned before they can be read gets a weaker proof, which says
// so. The figures of a machine that is busy otherwise say little about logwatch.
package demo
