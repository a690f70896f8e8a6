// Package top is the terminal view of `logwatch top`: what a daemon's status says,
// asked for again and again.
//
// # Guarantees
//
//   - One question to the daemon is under way at most, and one begins each interval.
//     Opening or leaving a container's details brings the next one forward, to a
//     second after the last at the soonest. A daemon that takes long gets as much
//     time of its own before the next. While details are shown, only their container
//     is asked for.
//   - When the daemon does not answer, the last picture stays, with a line that says
//     so and since when. It is asked again each interval.
//   - No line is wider than the terminal, at any width and height. Names and errors
//     are hostile input: they are escaped, and so is what terminals do not agree on the
//     width of, so that columns hold.
//   - The cursor stays with its container while the list is sorted anew, until the
//     container is gone. Before it is moved, it stays at the top.
//   - However Run ends (a key, its context, a panic), the terminal is as before.
//     While the process is stopped by ^Z it is so too.
//   - Rendering costs what is visible, not what there is: see TestViewCost.
//
// # Blocking and shutdown
//
// Run blocks until a key or its context ends it. Questions under way are given up
// then; no goroutine that asks or waits is left when it returns.
//
// # Not promised
//
// A rate is what the log's size, its rotations and the size of the last one tell of
// the time between two answers: where a log was rotated more than once meanwhile, it
// is an estimate. A log that somebody else truncated shows the daemon's own rate, of
// the time between two sweeps. A process that is killed at once (SIGKILL, a second
// SIGTERM), or stopped by a signal instead of the key, leaves the terminal as it is:
// `reset` mends it.
package top
