// Package watcher reports which live logs are due for rotation, the moment they
// are, without slowing down the writers.
//
// # How
//
// A container's log directory is in one of two states. A cold one is watched with
// inotify, and a write is an event. Inotify queues inside write(2), so a log
// that is written more than a few times a second loses its watch and becomes
// hot: it is stat'ed on a timer, next when it could reach its limit at the
// earliest. When it has been quiet for a few checks the watch is put back, and
// then the log is checked once more: no write falls in between.
//
// A log that grows is due before it has reached its limit: by what it may grow until
// its rotation is done ([Limits.Reaction]), at its highest rate of late. One that does
// not grow is due at its limit.
//
// An event is a hint; the sweep is the truth. [Watcher.Sweep] lists the whole
// tree and reports every log that is due, whatever was reported before. A lost
// event, a full inotify queue, a watch or an inotify instance that cannot be
// had cost time until the next sweep, never a log.
//
// # Guarantees
//
//   - At most one inotify instance, whatever the number of logs.
//   - The cost of a log does not grow with its write rate, and a log that is
//     not written costs nothing between two sweeps.
//   - A log that was reported is still observed. While it is due it is
//     reported again: by every sweep, and when it has grown, at most every
//     100 ms, later every second. Another file under the name starts over.
//   - It touches no file: it stats files and lists directories.
//   - Only N.log names are live logs. No link is followed on purpose; one that
//     was swapped in shows at most a wrong size, which rotation checks again.
//
// # Concurrency and shutdown
//
// [Watcher.Run] blocks until its context ends, and all its goroutines have ended
// when it returns. Config's functions are called from its loop and must not
// block. Sweep, Check, Stats and IsHot may be called from any goroutine and
// never block.
//
// # Limitations
//
// A log that was due may not be any longer when the report is acted on, and may
// belong to no container. The watcher does not know whether a container runs.
package watcher
