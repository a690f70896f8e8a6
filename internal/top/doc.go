// Package top is the terminal view of `logwatch top`: the daemon's status, refreshed.
//
// # Guarantees
//
//   - At most one request to the daemon is in progress, and one begins each interval.
//     Opening or leaving a container's details brings the next one forward, to a second
//     after the last at the earliest. A slow daemon gets a pause as long as its last
//     answer took. While details are shown, only their container is requested.
//   - While the daemon does not answer, the last response stays, with its time. The
//     request is repeated each interval.
//   - No line is wider than the terminal, at any width and height. Names and errors are
//     hostile input: they are escaped, as are characters whose width differs among
//     terminals, so that columns stay aligned.
//   - The cursor stays with its container when the list is sorted again, until the
//     container is gone. Before it is moved, it stays at the top.
//   - However Run ends (a key, its context, a panic), the terminal is restored, and also
//     while the process is stopped by ^Z.
//   - Rendering costs what is visible, not what exists: see TestViewCost.
//
// # Blocking and shutdown
//
// Run blocks until a key or its context ends it. A request in progress is abandoned; no
// goroutine is left when it returns.
//
// # Limitations
//
// A rate is computed from the log's size, its rotations and the size of the last one
// between two answers: with more than one rotation in between it is an estimate. A log
// that another process truncated shows the daemon's own rate, between two sweeps. After
// SIGKILL, a second SIGTERM, or a stop by a signal instead of the key, the terminal is
// not restored: run `reset`.
package top
