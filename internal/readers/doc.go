// Package readers knows which processes follow the logs of containers, and how far they have
// read. It asks the kernel only (/proc/PID/fd and /proc/PID/fdinfo), so nothing has to be remembered over a
// restart. It decides nothing.
//
// # Readers
//
// A process is a reader once it stays with a container's logs: it was at the end of a live log,
// or advancing near it, and had a log of that container open at least two seconds later. One
// that is far behind, but advances in a live log for two seconds, counts for that container as
// long as it does so: it may be a collector that is behind, or a slow backup. A process with the
// command of a known reader counts at once, and any process with a live log for its first four seconds. One that
// had a log open when this program started counts for the containers of which it has one open, since what it
// did before is not known. One that opens a log later, reads it and closes it (cat, grep, a backup, a
// scanner) is not a reader, and neither is this program.
//
// # Guarantees
//
//   - A position is never past what the process had read when it was looked at. A process with
//     several descriptors of a file has the lowest of their positions, save those in the first 4 KiB, which
//     rsyslog keeps to recognize a file.
//   - A file is known by device, inode and time of creation: no position is taken for that of a
//     later file with the same inode.
//   - A process is known by its open /proc directory: no other process is taken for it.
//   - What one process costs is bounded: descriptors that are scanned, files that are kept, and
//     how often they are listed.
//
// # Blocking and shutdown
//
// Calls read /proc and stat files, and wait for no file server. The package starts no goroutines.
//
// # Limitations
//
//   - "Read" is not "delivered": what a collector has in memory when it dies is lost to it.
//   - pread(2) and mmap(2) do not move a position: a process that reads so is not a reader.
//   - A process that opens, reads and closes each log at each poll is seen with the likelihood
//     of its being open, and is not a reader. (OpenTelemetry's collector keeps the files of its last
//     poll open.)
//   - A process that opens its first log more than half a minute after it started is found within
//     a minute. One that passes descriptors to a mount namespace without podLogsDir is not found,
//     nor is one that reaches it through /proc/PID/root, or has a container's directory alone
//     mounted under another name.
//   - Without CAP_SYS_PTRACE, root cannot look into processes that have capabilities which it
//     lacks: see Stats.
package readers
