// Package rotator rotates the logs of one container at a time and keeps its
// rotated logs within a policy.
//
// # Names
//
// A live log is N.log, a rotated log N.log.YYYYMMDD-HHMMSS (the host's local
// time, kubelet's format), a compressed one has its codec's suffix behind that,
// such as .gz, and a compression in progress .tmp. Every other name in a container's directory is
// foreign and never touched; nor is a directory, whatever its name.
//
// # Rotation
//
// [Rotator.Rotate] creates an empty file under the rotated name, swaps it with
// the live log (RENAME_EXCHANGE), and requests the runtime to reopen the log.
// The reopen is proved by the file, whatever the answer: the live log is open for
// writing (a read lease on it is refused), or is another file than the one put
// there. Where exchange, creation or leases are unavailable, the live log is
// renamed and absent until the reopen, and [Rotation].Fallback says why.
//
// A log that was found due early can be left to grow for a moment first, with its
// rotation prepared, see [Hold].
//
// A container that ends in between has its log's name given back, by Rotate or
// [Rotator.Restore]. After a crash in between, [Rotator.NeedsReopen] is true and
// the next Rotate requests the reopen.
//
// # Guarantees
//
//   - The live log's path is never absent, unless Fallback is set.
//   - No operation replaces a file (O_EXCL, RENAME_EXCHANGE, RENAME_NOREPLACE), and
//     the runtime is requested to reopen a log only while it is empty or absent,
//     checked immediately before: CRI-O's conmon discards what it finds there.
//   - Rotate does nothing else: no compression, no removal of content. Nothing
//     cancels it between exchange and reopen. It requests one reopen.
//   - [Rotator.Tidy], [Rotator.Compress] and [Rotator.Prune] touch only rotated
//     logs, and live logs of earlier restarts. Nothing is compressed or removed
//     while a process has it open for writing.
//   - Tidy leaves a directory at or under its MaxTotalSize, as far as files are
//     closed, except for the newest rotated log, see [Policy].
//   - A source is removed only after its compressed log and the directory are
//     synced.
//   - No link is followed, only regular files are opened, and none is read that
//     has a second name, which may be anywhere.
//   - The memory of a call is bounded, however many files a directory has.
//   - No state is kept that a listing cannot rebuild: recovery after a crash is
//     the same plan, made again from what is on disk.
//
// # Blocking and shutdown
//
// Every call blocks until it is done: Rotate for a ReopenTimeout at most, Tidy,
// Prune and Restore for as long as the file system takes, Compress for as long as
// compression does. Tidy, Prune and Compress return early when their context ends,
// Compress within a file, and leave nothing that the next call does not repair.
//
// # Concurrency
//
// For one directory, calls must not overlap, except that one Compress may overlap
// with one of the others. The pause between two calls of Rotate that end in
// ErrUnanswered belongs to the caller.
//
// # Limitations
//
//   - Two rotators on the same logs lose lines on CRI-O.
//   - A runtime that carries out two reopens late, one right after the other,
//     loses on CRI-O what is written in between.
//   - Where file leases are unavailable (see fcntl(2), F_SETLEASE), a rotated log
//     counts as closed when it has not changed for a minute and there is a live
//     log. If leases become unavailable between exchange and proof, the runtime's
//     answer is trusted; if they do between a crash and its repair, an empty live
//     log is taken for that of a silent container.
package rotator
