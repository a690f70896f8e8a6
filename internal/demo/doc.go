// Package demo shows logwatch at work: an embedded runtime with a few bursty
// containers in a temporary directory, the real daemon beside it, `logwatch top` on
// the daemon, and at the end a check of every line that the containers wrote.
//
// # Guarantees
//
//   - A line that is missing, doubled, out of order or damaged makes Run return
//     ErrUnproven. Lines count as pruned only if the container wrote so much that the
//     policy could prune, which it cannot in ten seconds at the default limit.
//   - Lines written = lines found + lines pruned + lines lost.
//   - The directory is removed however Run ends, a panic included, unless Options.Keep
//     is set. What the containers' logs take is bounded by the policy.
//
// # Blocking and shutdown
//
// Run blocks until its context or its duration ends or the view is quit. It then stops
// the containers, the daemon and the runtime, in this order, and checks the lines. No
// goroutine is left when it returns.
//
// # Limitations
//
// A demo that is killed (SIGKILL, a second Ctrl-C) leaves its directory behind. The
// containers and their lines take most of the CPU time, so that the figures of a small
// or busy machine say little about logwatch.
package demo
