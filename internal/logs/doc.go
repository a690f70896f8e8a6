// Package logs prints what a pod's containers have logged, from all generations of
// their logs, as `logwatch logs` does. It reads files alone: neither the daemon nor
// the runtime is asked.
//
// A container's logs are read by one goroutine (source), generation by generation,
// with others that read and decompress ahead. It hands batches of finished lines to
// Run, which merges the containers' by time and writes. A compressed log and its
// source are one generation.
//
// # Guarantees
//
//   - Each line comes once, oldest generation first, whatever is rotated, compressed
//     or renamed back meanwhile. Parts of a line are joined, over files too; a
//     restart ends a line.
//   - Without Follow the end is that of the live log when Run began, however fast
//     its writer is.
//   - Following, a log that is open is read to its end whatever becomes of its name:
//     until the kernel says that nobody has it open for writing. Then comes the oldest
//     generation behind it that is there. What was pruned unread is told, with the
//     times around it, never passed over: the directory is looked at also while
//     nobody takes what was read, and as the oldest go first, two looks that have a
//     generation in common have missed none. Where they have none in common, it says
//     that lines may be gone.
//   - The last Tail lines are the last that a run without Tail would print.
//     Compressed logs older than those are not opened for it, nor for Since.
//   - Memory is flat: it depends on the number of containers, not on logs, lines or
//     compressed bombs.
//   - Nothing but regular files with one name, reached through no link, is read
//     below PodLogsDir. Nothing is written, locked or watched but for a lease that
//     is asked for and given back at once, so that rotations are never held up.
//   - Control characters of the logs reach Out only with RawEscapes. Notes are
//     escaped always.
//
// # Blocking and shutdown
//
// Run blocks in Out's Write, and in nothing else for long. It ends when the
// context does, and has then waited for all its goroutines; a Write that hangs is
// not interrupted. Options.Out's error ends it and is returned.
//
// # Not promised
//
// Lines of several containers are in the order of their times as far as each
// container's own are; following at the end of all logs, as they come. Since takes
// times to grow from generation to generation, but for a minute. Tail does not look
// further back than 16 MiB for the beginning of a line whose parts other lines of
// the other stream separate, and not at all for one that never ended. A log that
// somebody truncates loses lines, and is told. A generation of a new restart that
// came and went between two looks, a twentieth of a second, is not told.
package logs
