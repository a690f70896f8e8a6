// Package logs prints the lines of a pod's containers, from all generations of
// their logs, as `logwatch logs` does. It only reads files, and needs neither
// the daemon nor the runtime.
//
// A container's logs are read by one goroutine (source), generation by generation,
// with others that read and decompress ahead. It sends batches of joined lines to
// Run, which merges the containers' by time and writes. A compressed log and its
// source are one generation.
//
// # Guarantees
//
//   - Each line is printed once, oldest generation first, over rotations,
//     compressions and rotations that are reverted. Files are identified by inode
//     and time of creation, not by name. Parts of a line are joined, over files too;
//     a restart ends a line.
//   - A rotated log is read until it is no longer open for writing, before what
//     comes after it; while the live log is empty, the runtime may write the rotated
//     one for as long as its reopen fails.
//   - Without Follow the end is that of the newest log with content when Run began,
//     however fast its writer is.
//   - Following, an open log is read to its end though it was renamed or removed.
//     Then comes the oldest remaining generation after it. What was pruned unread is
//     reported, with the times around it: the directory is also scanned while the
//     output is blocked, and as the oldest are removed first, two scans that have a
//     generation in common have missed none. Where they have none in common, lines
//     are reported as possibly missing.
//   - The last Tail lines are the last that a run without Tail would print.
//     Compressed logs older than those are not opened for it, nor for Since.
//   - Memory is bounded: it depends on the number of containers, not on lines or
//     compressed bombs. Of more than maxGenerations logs, the newest are read.
//   - Only regular files with one name, reached through no link, are read below
//     PodLogsDir. Nothing is written, locked or watched except for read leases,
//     which are released at once, so rotations are never delayed.
//   - Control characters of the logs reach Out only with RawEscapes. Warnings are
//     always escaped.
//
// # Blocking and shutdown
//
// Run blocks in Out's Write, and in nothing else for long. It ends when the
// context does, and has then waited for all its goroutines; a Write that hangs is
// not interrupted. Options.Out's error ends it and is returned.
//
// # Limitations
//
// Lines of several containers are ordered by time as far as each container's own
// are; when following at the end of all logs, by arrival. Since assumes that times
// grow from generation to generation, within a minute. Tail searches at most 16 MiB
// back for the beginning of a line whose parts are separated by lines of the other
// stream, and not at all for one that never ended. A log that another process
// truncates loses lines, with a warning. A generation of a new restart that was
// created and removed between two scans, 50 ms, is not reported.
package logs
