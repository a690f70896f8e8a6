// Package watcher says which live logs are due for rotation, the moment they
// are, without slowing down who writes them.
//
// # How
//
// A container's log directory is in one of two states. Cold, it is watched with
// inotify, and a write is an event. Inotify queues inside write(2), so a log
// that is written more than a few times a second has its watch taken off and
// becomes hot: it is stat'ed on a timer, next when it could reach its limit at
// the earliest. When it has been quiet for a few checks the watch goes back on,
// and then it is looked at once more: no write falls in between. From the moment
// that it is reported due until [Watcher.Done] it is left alone.
//
// An event is a hint; the sweep is the truth. [Watcher.Sweep] goes through the
// whole tree. A lost event, a full inotify queue and a watch that cannot be had
// cost time until the next sweep, never a log.
//
// # Guarantees
//
//   - One inotify instance, whatever the number of logs.
//   - The cost of a log does not grow with its write rate, and a log that
//     nobody writes costs nothing between two sweeps.
//   - It touches no file: it stats, and it lists directories.
//   - Only N.log names are live logs; no link is followed on purpose, and what
//     a link that was swapped in shows is at most a wrong size, which whoever
//     rotates checks again.
//
// # Concurrency and shutdown
//
// [Watcher.Run] owns everything until its context ends; it blocks for that
// long, and all its goroutines are gone when it returns. Config's functions are
// called from its loop and must not block. Sweep and Done may be called from
// any goroutine and never block for longer than the loop's turn.
//
// # Not promised
//
// That a log which is due is still due when the callback's receiver gets to it,
// nor that it belongs to a container at all.
package watcher
